"""The committed vectors, read by the wheel: same keys, rows and logits give the same answers as in Rust."""

import tempfile
import unittest
from pathlib import Path

import numpy as np
from support import mark, vectors

import taggant
from taggant import Detector, Key, Record, RootKey, Sampler, detect, select_batch

# What a vector calls an error is the exception of this name.
EXCEPTION = {"Key": "KeyFileError", "Io": "IoError"}


def exception(kind: str) -> type[Exception]:
    return getattr(taggant, EXCEPTION.get(kind, f"{kind}Error"))


class Vectors(unittest.TestCase):
    def test_keys(self):
        for name, vector in vectors("key"):
            if vector["kind"] != "leaf":
                continue
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                root = RootKey.from_bytes(bytes.fromhex(vector["root"]), vector["family"])
                key = root.derive(vector["path"])
                self.assertEqual((key.commitment, key.path, key.family), (vector["commitment"], vector["path"], vector["family"]))
                self.assertTrue(key == Key.derive(root, vector["path"]))
                path = Path(folder) / "leaf.key"
                key.save(path)
                self.assertEqual(path.stat().st_mode & 0o777, 0o600)
                self.assertEqual(
                    path.read_text(),
                    '{"format":"taggant-key/1","family":"%(family)s","path":"%(path)s","salt":"%(salt)s","key":"%(key)s"}\n' % vector,
                )
                if vector["family"] == "forensic":
                    self.assertTrue(Key.load(path) == key)
                else:
                    with self.assertRaisesRegex(taggant.KeyFileError, "public family"):
                        Key.load(path)

    def test_key_files(self):
        for name, vector in vectors("key-file"):
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "leaf.key"
                path.touch(0o600)
                path.write_text(vector["text"])
                if vector["expect"] == "ok":
                    Key.load(path)
                    continue
                with self.assertRaises(exception(vector["expect"])) as caught:
                    Key.load(path)
                self.assertNotIn("0f0f", repr(caught.exception))

    def test_records(self):
        for name, vector in vectors("record"):
            with self.subTest(name):
                if vector["expect"] == "ok":
                    record = Record.from_json(vector["text"])
                    self.assertTrue(Record.from_json(record.to_json()) == record)
                else:
                    with self.assertRaises(exception(vector["expect"])):
                        Record.from_json(vector["text"])

    def test_detection(self):
        for name, vector in vectors("detection"):
            with self.subTest(name):
                keys, record = mark(vector["root"], vector["scheme"], vector["windows"], 1 << 21)
                detector = Detector(keys, record)
                rows = [{"prompt_tokens": prompt, "tokens": np.array(tokens, dtype=np.int64)} for prompt, tokens in vector["rows"]]
                for row, units, score in zip(rows, vector["units"], vector["scores"]):
                    report = detector.row(row)
                    self.assertEqual(report.units, len(units))
                    self.assertAlmostEqual(report.score, score, delta=1e-12 * max(1, abs(score)))
                for pooled in (detector.pooled(), detect(keys, record, rows)):
                    self.assertEqual(pooled.units, vector["pooled_units"])
                    self.assertAlmostEqual(pooled.score, vector["pooled_score"], delta=1e-12 * max(1, abs(vector["pooled_score"])))

    def test_embedding(self):
        for name, vector in vectors("embedding"):
            with self.subTest(name):
                logits = np.array(vector["logits"], dtype=np.float32)
                [key], record = mark(vector["root"], vector["scheme"], [len(vector["window"])], len(logits))
                sampler = Sampler(record, key)
                biased = sampler.bias(logits, vector["window"])
                both = np.stack([logits, logits])
                if vector["chosen"] is not None:
                    self.assertEqual(sampler.select(logits, vector["window"]), vector["chosen"])
                    self.assertEqual(np.flatnonzero(np.isfinite(biased)).tolist(), [vector["chosen"]])
                    streams = [sampler.stream(vector["window"]) for _ in both]
                    self.assertEqual(select_batch(streams, both).tolist(), [vector["chosen"]] * 2)
                else:
                    weights = np.exp(biased.astype(np.float64) - biased.max())
                    # Single precision over a dozen rounds.
                    np.testing.assert_allclose(weights / weights.sum(), vector["probabilities"], rtol=0, atol=2e-6)


if __name__ == "__main__":
    unittest.main()
