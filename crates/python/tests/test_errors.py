"""Every wrong call is answered by an error that names what is wrong, and shows no secret."""

import copy
import pickle
import re
import tempfile
import unittest
from pathlib import Path

import numpy as np
from support import DIGEST, ROOT, sampler

import taggant
from taggant import Detector, Key, Page, Record, RootKey, Sampler, Stream, bias_batch, detect, detect_each, select_batch


class Errors(unittest.TestCase):
    def refused(self, error: type[Exception], message: str, call, *args, **options):
        with self.subTest(message), self.assertRaisesRegex(error, message) as caught:
            call(*args, **options)
        return caught

    def test_kinds_and_exceptions_are_one_to_one(self):
        source = (ROOT / "crates/core/src/error.rs").read_text()
        body = re.search(r"pub enum ErrorKind \{(.*?)\n\}", source, re.S)[1]
        kinds = set(re.findall(r"^    (\w+),", body, re.M))
        names = {name for name, value in vars(taggant).items() if isinstance(value, type) and issubclass(value, taggant.TaggantError)}
        expected = {"KeyFileError" if kind == "Key" else f"{kind}Error" for kind in kinds}
        self.assertEqual(names - {"TaggantError"}, expected)
        for name in names:
            self.assertTrue(getattr(taggant, name).__doc__)
            self.assertEqual(getattr(taggant, name).__module__, "taggant")

    def test_keys(self):
        self.refused(taggant.PathError, "has 2 labels; 3 are needed", RootKey.from_bytes(bytes(32)).derive, "a/campaign")
        self.refused(taggant.KeyFileError, "32 bytes; 5 were given", RootKey.from_bytes, b"short")
        self.refused(taggant.KeyFileError, "neither forensic nor public", RootKey.from_bytes, bytes(32), "both")
        self.refused(TypeError, "is not an instance of .bytes", RootKey.from_bytes, "text")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "root.key"
            self.refused(taggant.IoError, "root.key: .*No such file", RootKey.load, path)
            self.refused(taggant.IoError, "No such file", Record.load, path)
            self.refused(taggant.IoError, "missing/root.key", RootKey.generate().save, Path(folder) / "missing/root.key")
            root = RootKey.generate()
            root.save(path)
            self.assertTrue(RootKey.load(path) == root)
            self.assertFalse(RootKey.generate() == root)
            before = path.read_text()
            self.refused(taggant.IoError, "exists already", root.save, path)
            self.assertEqual(path.read_text(), before)
            path.chmod(0o640)
            self.refused(taggant.KeyFileError, "others can read this key file .mode 640.*chmod 600", RootKey.load, path)
            path.chmod(0o600)
            self.refused(taggant.KeyFileError, "root.key: ", Key.load, path)
            path.write_text("x" * 5000)
            self.refused(taggant.LimitError, "larger than 4096 bytes", Key.load, path)
            path.write_bytes(b"\xff\xfe")
            self.refused(taggant.FormatError, "not UTF-8 at byte 0", Key.load, path)

    def test_secrets_are_never_shown_or_copied(self):
        secret = bytes(range(100, 132))
        root = RootKey.from_bytes(secret)
        key = root.derive("2026-12/campaign/east")
        record = Record("gumbel", 2, key, tokenizer=DIGEST, vocabulary=1000)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "leaf.key"
            key.save(path)
            hidden = [secret.hex(), re.search(r'"key":"(\w+)"', path.read_text())[1], re.search(r'"salt":"(\w+)"', path.read_text())[1]]
        choose = Sampler(record, key)
        things = (root, key, record, choose, choose.stream([1, 2]), Detector(key, record), detect(key, record, [range(300)]), *detect_each([key], record, [range(300)]))
        for thing in things:
            shown = repr(thing) + str(thing) + " ".join(dir(thing))
            for text in hidden:
                self.assertNotIn(text[:8], shown)
            self.assertFalse(hasattr(thing, "__dict__"))
        for thing in (root, key, choose):
            self.assertRaises(TypeError, pickle.dumps, thing)
            self.assertRaises(TypeError, copy.deepcopy, thing)
            with self.assertRaises(AttributeError):
                thing.secret = 1

    def test_records(self):
        key = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
        make = lambda **more: Record(**{"scheme": "gumbel", "window": 2, "keys": key, "tokenizer": DIGEST, "vocabulary": 1000, **more})
        self.refused(taggant.UnsupportedError, "scheme `red` is none of", make, scheme="red")
        self.refused(taggant.ParameterError, "window of 9 tokens", make, window=9)
        self.refused(taggant.ParameterError, "no parameter `depth`", make, parameters={"depth": 3})
        self.refused(taggant.ParameterError, "depth of tournament/1 is 33", make, scheme="tournament", parameters={"depth": 33})
        self.refused(taggant.ParameterError, "score `weighted` is a statistic of tournament/1", make, statistic="weighted")
        self.refused(taggant.ParameterError, "64 lower-case hex digits; this has 4 characters", make, tokenizer="abcd")
        self.refused(taggant.ParameterError, "vocabulary of 1 tokens", make, vocabulary=1)
        self.refused(taggant.KeyFileError, "this one has: none", make, keys=[])
        self.refused(taggant.KeyFileError, "this one has: twin", make, keys=RootKey.from_bytes(bytes(32)).derive("e/twin/t"))
        self.refused(TypeError, "of type str; give a Key, or a list of Keys", make, keys="east.key")
        self.refused(taggant.RecordError, "", Record.from_json, "[]")

    def test_rows(self):
        key, record, _ = sampler()
        for message, row in {
            "row 1: token id -1 at position 2 .*negative": [1, 2, -1],
            "row 1: token id -7 at position 0": np.array([-7, 1]),
            "row 1: token id 4294967296 at position 1": [1, 2**32],
            "row 1: token id 18446744073709551615 at position 0": np.array([2**64 - 1], dtype=np.uint64),
            "row 1: token id 1000 at position 1 is not in the vocabulary of 1000": [1, 1000],
            "row 1: position 1 holds a value of type float": [1, 2.0],
            "row 1: position 0 holds a value of type list": [[1]],
            "row 1: an array of dtype float64": np.zeros(3),
            r"row 1: an array of shape \[2, 2\]": np.zeros((2, 2), dtype=int),
            "row 1: text, not token ids": "text",
            "row 1: text, not token ids.": b"text",
            "row 1: of type int;": 5,
            "row 1: of type NoneType;": None,
            "row 1, prompt_tokens: token id -1": {"tokens": [1], "prompt_tokens": [-1]},
            "row 1: prompt: token id 1000": {"tokens": [1], "prompt_tokens": [1000]},
        }.items():
            self.refused(taggant.TokenError, message, detect, key, record, [[1, 2, 3], row])
        self.refused(taggant.FormatError, "no `tokens`", detect, key, record, [{"response": "text"}])
        self.refused(taggant.FormatError, r"give \[tokens\]", detect, key, record, [1, 2, 3])
        self.refused(taggant.FormatError, "rows are of type int", detect, key, record, 3)
        self.refused(taggant.ParameterError, "alpha is 2", detect, key, record, [[1]], alpha=2)
        self.refused(TypeError, "of type list; give a Key", detect, [3], record, [[1]])
        other = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/west")
        self.refused(taggant.MismatchError, "does not belong to this record", detect, other, record, [[1]])
        self.refused(taggant.MismatchError, "is missing", detect, [], record, [[1]])
        self.refused(taggant.MismatchError, "tokenizer is not the record's", detect_each, [key], record, [[1, 2, 3]], tokenizer="00" * 32)

        def broken():
            yield [1, 2, 3]
            raise ZeroDivisionError("in the rows")

        self.refused(ZeroDivisionError, "in the rows", detect, key, record, broken())

    def test_logits(self):
        _, _, choose = sampler(vocabulary=8)
        good = np.zeros(8, dtype=np.float32)
        nan, high = good.copy(), good.copy()
        nan[3], high[3] = np.nan, np.inf
        low = np.full(8, -np.inf, dtype=np.float32)
        unaligned = np.frombuffer(bytes(33), dtype=np.uint8)[1:].view(np.float32)
        for message, row in {
            "NaN": nan,
            "logit": high,
            "all 8 logits are -inf": low,
            "are of dtype float64; float32 is needed": np.zeros(8),
            "are of dtype float16": np.zeros(8, dtype=np.float16),
            "are of dtype >f4": np.zeros(8, dtype=">f4"),
            "are of dtype int64": np.zeros(8, dtype=np.int64),
            r"have shape \[1, 8\]; \(vocabulary,\) is needed": np.zeros((1, 8), dtype=np.float32),
            r"have shape \[\]": np.array(1, dtype=np.float32),
            r"of shape \[8\] have strides \[8\] and are not contiguous": np.zeros(16, dtype=np.float32)[::2],
            "7 logits for a vocabulary of 8": np.zeros(7, dtype=np.float32),
            "0 logits for a vocabulary of 8": np.zeros(0, dtype=np.float32),
            "are of type list; give a NumPy array": [0.0] * 8,
            "not contiguous": unaligned,
        }.items():
            for call in (choose.select, choose.bias):
                self.refused(taggant.LogitsError, message, call, row, [1, 2])
            for call in (choose.stream([1, 2]).select, choose.stream([1, 2]).bias):
                self.refused(taggant.LogitsError, message, call, row)
        for message, options in {
            "temperature is -1": {"temperature": -1},
            "temperature is NaN": {"temperature": float("nan")},
            "top-p is 0": {"top_p": 0},
            "min-p is 2": {"min_p": 2},
        }.items():
            self.refused(taggant.ParameterError, message, choose.select, good, [1, 2], **options)
        self.refused(OverflowError, "", choose.select, good, [1, 2], top_k=-1)
        self.refused(OverflowError, "", choose.select, good, [1, 2], coin=2**64)
        self.refused(taggant.TokenError, "context: token id -1 at position 0", choose.select, good, [-1])
        self.refused(taggant.TokenError, "token id 8 at position 0 is not in the vocabulary", choose.select, good, [1, 8])
        self.refused(taggant.LogitsError, "out", choose.bias, good, [1], out=np.zeros(7, dtype=np.float32))
        readonly = good.copy()
        readonly.flags.writeable = False
        self.refused(taggant.LogitsError, "out: ", choose.bias, good, [1], out=readonly)
        stream = choose.stream([1])
        self.refused(taggant.TokenError, "token id 8", stream.push, 8)
        self.assertEqual(stream.tokens, [1])
        # After every error the sampler serves on.
        self.assertIn(choose.select(good, [1, 2]), range(8))

    def test_batches(self):
        _, _, choose = sampler(vocabulary=8)
        streams = [choose.stream([1, 2]) for _ in range(2)]
        good = np.zeros((2, 8), dtype=np.float32)
        bad = good.copy()
        bad[1, 3] = np.nan
        for call in (select_batch, bias_batch):
            self.refused(taggant.LogitsError, "row 1: .*NaN", call, streams, bad)
            self.refused(taggant.LogitsError, r"have shape \[3, 8\] for 2 streams", call, streams, np.zeros((3, 8), dtype=np.float32))
            self.refused(taggant.LogitsError, r"have shape \[16\]; \(rows, vocabulary\) is needed", call, streams, good.reshape(-1))
            self.refused(taggant.LogitsError, "not contiguous", call, streams, np.asfortranarray(good))
            self.refused(taggant.LogitsError, "dtype float64", call, streams, np.zeros((2, 8)))
            self.refused(taggant.LogitsError, r"for 0 streams", call, [], np.zeros((0, 8), dtype=np.float32))
            self.refused(taggant.ParameterError, "row 1 is in use", call, [streams[0]] * 2, good)
            self.refused(taggant.ParameterError, "1 contexts for 2 streams", call, streams, good, [[1]])
            self.refused(taggant.TokenError, "contexts, row 1: token id -1 at position 0", call, streams, good, [[1], [-1]])
            self.refused(taggant.TokenError, "contexts, row 1: token id 9", call, streams, good, [[1], [9]])
            self.refused(taggant.TokenError, "contexts: of type int", call, streams, good, 3)
            self.refused(TypeError, "is not an instance of .Stream", call, [choose] * 2, good)
        self.refused(taggant.ParameterError, "1 coins for 2 streams", select_batch, streams, good, coins=[1])
        self.refused(OverflowError, "", select_batch, streams, good, coins=[1, -1])
        self.refused(taggant.LogitsError, r"out has shape \[1, 8\], the logits have \[2, 8\]", bias_batch, streams, good, out=good[:1].copy())
        # Lists of an engine's own.
        for call in (select_batch, bias_batch):
            some = np.zeros((2, 3), dtype=np.float32)
            self.refused(taggant.TokenError, "row 1: token id 5 stands at positions 0 and 2 of the list", call, streams, some, ids=[[1, 2, 3], [5, 1, 5]])
            self.refused(taggant.TokenError, "row 0: token id 8 at position 1 of the list is not in the vocabulary of 8", call, streams, some, ids=[[1, 8, 3]] * 2)
            self.refused(taggant.TokenError, "ids, row 1: token id -1 at position 2", call, streams, some, ids=np.array([[1, 2, 3], [1, 2, -1]]))
            self.refused(taggant.TokenError, "ids: of type int", call, streams, some, ids=3)
            self.refused(taggant.TokenError, "ids, row 0: an array of dtype float64", call, streams, some, ids=np.zeros((2, 3)))
            self.refused(taggant.LogitsError, "row 0: 3 logits for a list of 2 tokens", call, streams, some, ids=[[1, 2]] * 2)
            self.refused(taggant.ParameterError, "1 rows of ids for 2 of logits", call, streams, some, ids=[[1, 2, 3]])
            bad = some.copy()
            bad[1, 2] = np.nan
            self.refused(taggant.LogitsError, "row 1: the logit of token 6 is NaN", call, streams, bad, ids=[[1, 2, 3], [4, 5, 6]])
            self.refused(taggant.LogitsError, "row 0: all 3 logits are -inf", call, streams, some - np.inf, ids=[[1, 2, 3]] * 2)
        # A NaN is one where nothing is marked too.
        nan = np.full((1, 8), -np.inf, dtype=np.float32)
        nan[0, 1], nan[0, 3] = 0, np.nan
        for stream in (Stream.plain(), choose.stream(), choose.stream([1, 2])):
            self.refused(taggant.LogitsError, "row 0: the logit of token 3 is NaN", bias_batch, [stream], nan)
            self.refused(taggant.LogitsError, "the logit of token 3 is NaN", stream.bias, nan[0])
        # Pages.
        page = Page(2, 8)
        self.refused(taggant.LogitsError, r"logits have shape \[2, 9\] on a page of \[2, 8\]", page.bias, streams, np.zeros((2, 9), dtype=np.float32))
        self.refused(taggant.LogitsError, r"logits have shape \[1, 8\] on a page of \[2, 8\]", page.bias, streams[:1], good[:1])
        self.refused(taggant.LogitsError, "row 0: 7 logits for a vocabulary of 8", page.bias, streams, np.zeros((2, 7), dtype=np.float32))
        self.refused(taggant.LogitsError, "row 1: .*NaN", page.bias, streams, good + np.array([[0], [np.nan]], dtype=np.float32))
        self.refused(taggant.LogitsError, "overlap", bias_batch, streams, good, out=np.lib.stride_tricks.as_strided(np.zeros(9, dtype=np.float32), (2, 8), (4, 4)))
        page.logits.flags.writeable = False
        self.refused(taggant.LogitsError, "out: ", page.bias, streams, good)
        self.refused((MemoryError, ValueError), "", Page, 2**40, 2**20)
        self.refused(OverflowError, "", Page, -1, 8)
        self.refused(taggant.ParameterError, "a page of 1099511627776 rows and 0 columns", Page, 2**40, 0)

        # What was refused has changed nothing.
        streams = [choose.stream([1, 2]) for _ in range(2)]
        self.refused(taggant.TokenError, "token id 9", bias_batch, streams, good, [[1, 2, 3], [3, 9]])
        self.assertEqual(streams[1].tokens, [1, 2])
        self.assertEqual(len(Stream.plain()), 0)


if __name__ == "__main__":
    unittest.main()
