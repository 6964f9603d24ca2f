"""The file that says which mark a request gets."""

import doctest
import inspect
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import marks as files
import numpy as np
from support import DIGEST

import taggant
from taggant import Record, RootKey, serving
from taggant.serving import Marks, Request, RequestError, account_of

VOCABULARY = 500


class Folder(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)

    def marks(self, text: str) -> Marks:
        (self.folder / "marks.toml").write_text(text)
        return Marks.load(self.folder / "marks.toml")


class Decisions(Folder):
    def test_each_account_has_its_own_mark(self):
        path, made = files.write(self.folder, VOCABULARY, default="west")
        marks = Marks.load(path)
        self.assertEqual((marks.names, marks.vocabulary, marks.tokenizer), (["east", "west"], VOCABULARY, DIGEST))
        for asked, name in (("east", "east"), ("west", "west"), (None, "west")):
            decision = marks.decide(Request(account=asked))
            self.assertEqual((decision.sampler.record.to_json(), decision.reason), (made[name][1].to_json(), "marked"))

    def test_what_is_not_marked_and_why(self):
        marks = Marks.load(files.write(self.folder, VOCABULARY)[0])
        for request, reason in (
            (Request(), "a request that names no account is not marked"),
            (Request(account="internal"), "account internal is not marked"),
            (Request(account="east", temperature=0.0), "temperature 0 leaves no choice to mark"),
        ):
            self.assertEqual(marks.decide(request)[:2], (None, reason))

    def test_an_account_that_is_not_known(self):
        marks = Marks.load(files.write(self.folder, VOCABULARY, default="east")[0])
        with self.assertRaisesRegex(RequestError, "account north, which is not known here; known are east, west"):
            marks.decide(Request(account="north"))
        # Greedy or not: the name is wrong.
        with self.assertRaises(ValueError):
            marks.decide(Request(account="north", temperature=0.0))
        with self.assertRaises(RequestError) as caught:
            marks.choose("n\n" * 1000)
        self.assertLess(len(str(caught.exception)), 300)
        self.assertNotIn("\n", str(caught.exception))
        self.assertIsInstance(caught.exception, taggant.ParameterError)

    def test_the_field_of_a_request(self):
        self.assertEqual(account_of({"taggant": "east", "other": 1}), "east")
        self.assertIsNone(account_of({}))
        self.assertIsNone(account_of(None))
        for wrong in (7, "", ["east"], b"east"):
            with self.assertRaisesRegex(RequestError, "must be the name of an account"):
                account_of({"taggant": wrong})

    def test_the_environment_names_the_file(self):
        path, _ = files.write(self.folder, VOCABULARY)
        with mock.patch.dict(os.environ, {serving.VARIABLE: str(path)}):
            self.assertIs(Marks.served(), Marks.served())
        with mock.patch.dict(os.environ):
            os.environ.pop(serving.VARIABLE, None)
            with self.assertRaisesRegex(taggant.ParameterError, "TAGGANT_MARKS is not set"):
                Marks.served()

    def test_what_is_shown_holds_no_key(self):
        path, made = files.write(self.folder, VOCABULARY)
        marks = Marks.load(path)
        secrets = [
            line.split('"')[3] for name in made for line in (self.folder / f"{name}.key").read_text().splitlines() if '"key"' in line
        ]
        self.assertEqual(len(secrets), 2)
        shown = repr(marks) + repr(marks.decide(Request(account="east"))) + str(vars(marks))
        for secret in secrets:
            self.assertNotIn(secret, shown)
        with self.assertRaises(TypeError):
            __import__("pickle").dumps(marks)

    def test_examples_run(self):
        files.write(self.folder, VOCABULARY)
        everyone = (self.folder / "marks.toml").read_text().replace("[mark.east]", "[mark.everyone]")
        (self.folder / "marks.toml").write_text(everyone)
        before = os.getcwd()
        os.chdir(self.folder)
        try:
            runner = doctest.DocTestRunner(verbose=False)
            runner.run(doctest.DocTestParser().get_doctest(inspect.cleandoc(serving.__doc__), {}, "serving", None, None))
        finally:
            os.chdir(before)
        self.assertEqual((runner.failures, runner.tries >= 5), (0, True))


class Accounts(Folder):
    def setUp(self):
        super().setUp()
        root = RootKey.from_bytes(bytes(32))
        self.campaign = root.derive("e/campaign/c")
        self.keys = [root.derive(f"e/account/n{number}") for number in range(20)]
        self.records = [Record("gumbel", 2, [self.campaign, key], tokenizer=DIGEST, vocabulary=VOCABULARY) for key in self.keys]
        self.campaign.save(self.folder / "campaign.key")
        self.write(self.keys, self.records)

    def write(self, keys, records):
        secret = self.folder / "accounts.jsonl"
        secret.unlink(missing_ok=True)
        secret.touch(mode=0o600)
        lines = []
        for number, key in enumerate(keys):
            key.save(self.folder / f"{number}.key")
            lines.append(" ".join((self.folder / f"{number}.key").read_text().split()))
            (self.folder / f"{number}.key").unlink()
        secret.write_text("\n".join(lines) + "\n")
        (self.folder / "records.json").write_text("\n".join(record.to_json() for record in records) + "\n")

    TABLE = '[accounts]\nrecords = "records.json"\nkeys = "accounts.jsonl"\ncampaign = "campaign.key"\n'

    def test_records_and_keys_find_each_other(self):
        # In any order: records name their keys.
        self.write(self.keys[::-1], self.records)
        marks = self.marks(self.TABLE)
        self.assertEqual(marks.names, [f"n{number}" for number in range(20)])
        logits = np.random.default_rng(1).normal(size=(50, VOCABULARY)).astype(np.float32)
        for number in (0, 7, 19):
            ours, wanted = marks.choose(f"n{number}"), taggant.Sampler(self.records[number], [self.campaign, self.keys[number]])
            self.assertEqual(
                [ours.select(row, [1, 2, 3, 4], coin=1) for row in logits], [wanted.select(row, [1, 2, 3, 4], coin=1) for row in logits]
            )

    def test_what_does_not_belong_together(self):
        self.write(self.keys[:-1], self.records)
        with self.assertRaisesRegex(taggant.MismatchError, "records.json, record 20: no key has commitment"):
            self.marks(self.TABLE)
        self.write(self.keys, self.records)
        with self.assertRaisesRegex(taggant.MismatchError, "no key has commitment"):
            self.marks(self.TABLE.replace('campaign = "campaign.key"\n', ""))
        with self.assertRaisesRegex(taggant.FormatError, "two marks are named n3"):
            Record("gumbel", 2, self.keys[3], tokenizer=DIGEST, vocabulary=VOCABULARY).save(self.folder / "one.json")
            self.keys[3].save(self.folder / "one.key")
            self.marks('[mark.n3]\nrecord = "one.json"\nkeys = ["one.key"]\n' + self.TABLE)


class Faults(Folder):
    def test_files_that_are_not_what_they_must_be(self):
        files.write(self.folder, VOCABULARY)
        east = '[mark.east]\nrecord = "east.json"\nkeys = ["east.key"]\n'
        for text, kind, message in (
            ("", taggant.ParameterError, "no marks"),
            ("x =", taggant.FormatError, "Invalid value"),
            ("colour = 1\n" + east, taggant.FormatError, "the field colour; known are default, unmarked, mark, accounts"),
            ("default = 1\n" + east, taggant.FormatError, "default is of type int; it must be a str"),
            ('default = "north"\n' + east, taggant.ParameterError, "the default mark is north, which is not defined; known are east"),
            ('unmarked = ["east"]\n' + east, taggant.ParameterError, "east has a mark and is among the unmarked"),
            ("mark = 1", taggant.FormatError, "mark is of type int"),
            ("[mark]\neast = 1", taggant.FormatError, "mark east must be a table"),
            ('[mark.east]\nrecord = "east.json"\n', taggant.FormatError, "mark east has no keys"),
            ('[mark.east]\nrecord = "east.json"\nkeys = [1]\n', taggant.FormatError, "keys must be names of files"),
            (east.replace("east.key", "west.key"), taggant.MismatchError, "."),
            (east.replace("east.key", "none.key"), taggant.IoError, "none.key"),
            (east.replace("east.json", "none.json"), taggant.IoError, "none.json"),
        ):
            with self.subTest(text), self.assertRaisesRegex(kind, message):
                self.marks(text)
        with self.assertRaisesRegex(taggant.IoError, "absent.toml"):
            Marks.load(self.folder / "absent.toml")

    def test_keys_that_others_can_read(self):
        path, _ = files.write(self.folder, VOCABULARY)
        (self.folder / "east.key").chmod(0o644)
        with self.assertRaises(taggant.KeyFileError):
            Marks.load(path)

    def test_records_of_two_tokenizers(self):
        files.write(self.folder, VOCABULARY)
        key = RootKey.from_bytes(bytes(32)).derive("e/account/other")
        key.save(self.folder / "other.key")
        for vocabulary, digest in ((VOCABULARY + 1, DIGEST), (VOCABULARY, "08" * 32)):
            Record("gumbel", 2, key, tokenizer=digest, vocabulary=vocabulary).save(self.folder / "other.json")
            with self.assertRaisesRegex(taggant.MismatchError, "one server has one tokenizer"):
                self.marks(
                    '[mark.east]\nrecord = "east.json"\nkeys = ["east.key"]\n[mark.other]\nrecord = "other.json"\nkeys = ["other.key"]\n'
                )


if __name__ == "__main__":
    unittest.main()
