"""Detection from Python: what rows may be, and what reports say."""

import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
from support import DIGEST, sampler

import taggant
from taggant import Detector, Key, Record, RootKey, Sampler, detect, detect_each


def written(choose: Sampler, tokens: int, seed: int) -> list[int]:
    """A response of random logits."""
    rng, stream = np.random.default_rng(seed), choose.stream()
    for _ in range(tokens):
        stream.select(rng.normal(scale=2, size=choose.record.vocabulary).astype(np.float32), coin=int(rng.integers(2**63)))
    return stream.tokens


class Detection(unittest.TestCase):
    def test_every_scheme_is_found_under_its_key_and_no_other(self):
        for scheme in ("gumbel", "tournament", "greenlist"):
            with self.subTest(scheme):
                key, record, choose = sampler(scheme)
                rows = [written(choose, 200, seed) for seed in range(2)]
                report = detect(key, record, rows)
                self.assertEqual((report.verdict, report.detected, report.reason), ("Detected", True, None))
                self.assertLess(report.log10_p, -15)
                self.assertEqual(report.scheme, record.scheme)
                other = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/west")
                control = Detector.control(other, record)
                for row in rows:
                    control.row(row)
                self.assertGreater(control.pooled().log10_p, -6)

    def test_rows_of_every_kind_are_the_same_rows(self):
        key, record, choose = sampler()
        tokens = written(choose, 100, 1)
        wide = np.zeros((100, 2), dtype=np.int32)
        wide[:, 1] = tokens
        kinds = [tokens, tuple(tokens), wide[:, 1], {"tokens": tokens, "id": 3}, {"tokens": np.array(tokens), "prompt_tokens": None}]
        kinds += [np.array(tokens, dtype=dtype) for dtype in ("i8", "u8", "i4", "u4", "i2", "u2")]
        scores = {detect(key, record, [row]).score for row in kinds}
        self.assertEqual(len(scores), 1)
        self.assertEqual(detect(key, record, (row for row in [tokens, tokens])).score, scores.pop())

    def test_windows_of_the_prompt_are_left_out(self):
        key, record, _ = sampler()
        report = detect(key, record, [{"tokens": list(range(100)), "prompt_tokens": list(range(50))}])
        # Windows of two tokens: 49 lie in the prompt.
        self.assertEqual(report.units, 98 - 49)
        self.assertIn("prompt", [check.name for check in report.checks])

    def test_a_report_says_what_it_rests_on(self):
        key, record, choose = sampler()
        report = detect(key, record, [written(choose, 100, 2)], alpha=1e-4, tokenizer=DIGEST)
        self.assertEqual(json.loads(json.dumps(report.to_dict()))["verdict"], report.verdict)
        self.assertEqual((report.alpha, report.statistic, report.tokens), (1e-4, "sum", 100))
        self.assertTrue(report.record == record)
        self.assertAlmostEqual(report.p_value, 10**report.log10_p, delta=1e-9 * report.p_value)
        self.assertRegex(str(report), r"^Detected: p = .* over 98 units of 100 tokens; gumbel/1, alpha = 1e-4$")
        self.assertRegex(repr(report), r"^Report\(verdict='Detected', log10_p=-")
        with self.assertRaisesRegex(TypeError, "ask its `detected` or `verdict`"):
            bool(report)
        few = detect(key, record, [[1, 2, 3]])
        self.assertEqual(few.verdict, "Inconclusive")
        self.assertRegex(few.reason, "TooFewUnits: 1 scorable units; 119 needed")
        other = detect(key, record, [[1, 2, 3]], tokenizer="00" * 32)
        self.assertRegex(other.reason, "TokenizerMismatch")
        self.assertEqual([check.status for check in other.checks][2], "skipped")

    def test_many_keys_are_told_apart(self):
        root = RootKey.from_bytes(bytes(32))
        keys = [root.derive(f"2026-12/account/{number}") for number in range(50)]
        campaign = root.derive("2026-12/campaign/east")
        for layers in ([keys[7]], [campaign, keys[7]]):
            record = Record("gumbel", 2, layers, tokenizer=DIGEST, vocabulary=1000)
            rows = [written(Sampler(record, layers), 300, seed) for seed in range(2)]
            more = {"campaign": campaign} if len(layers) > 1 else {}
            for threads in (1, 2):
                reports = detect_each(keys, record, rows, threads=threads, **more)
                found = [number for number, report in enumerate(reports) if report.verdict == "Detected"]
                self.assertEqual(found, [7])
                self.assertTrue(reports[7].key == keys[7])
                self.assertGreaterEqual(reports[7].log10_p_holm, reports[7].log10_p)
        with self.assertRaisesRegex(taggant.MismatchError, "campaign key is missing"):
            detect_each(keys, record, rows)
        with self.assertRaisesRegex(taggant.MismatchError, "does not belong"):
            detect_each(keys, record, rows, campaign=root.derive("2026-12/campaign/west"))

    def test_two_layers_need_the_campaign_key_alone(self):
        root = RootKey.from_bytes(bytes(32))
        keys = [root.derive("2026-12/campaign/east"), root.derive("2026-12/account/a")]
        record = Record("gumbel", 2, keys, tokenizer=DIGEST, vocabulary=1000)
        self.assertEqual([layer.role for layer in record.layers], ["campaign", "account"])
        self.assertEqual(record.share, 0.5)
        tokens = written(Sampler(record, keys), 200, 3)
        both, one = detect(keys, record, [tokens]), detect(keys[0], record, [tokens])
        self.assertEqual((both.verdict, one.verdict), ("Detected", "Detected"))
        self.assertLess(one.units, both.units)
        with self.assertRaisesRegex(taggant.MismatchError, "account key is missing"):
            Sampler(record, keys[0])

    def test_files_of_many(self):
        root = RootKey.from_bytes(bytes(32))
        keys = [root.derive(f"2026-12/account/{name}") for name in "ab"]
        records = [Record("gumbel", 2, key, tokenizer=DIGEST, vocabulary=1000, profile="tracer") for key in keys]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "records.json").write_text("\n".join(record.to_json() for record in records) + "\n\n")
            self.assertTrue(Record.load_many(folder / "records.json") == records)
            with self.assertRaises(taggant.RecordError):
                Record.load(folder / "records.json")
            records[0].save(folder / "record.json")
            self.assertTrue(Record.load(str(folder / "record.json")) == records[0])
            (folder / "records.json").write_text(records[0].to_json() + "\n{}")
            with self.assertRaisesRegex(taggant.RecordError, "records.json, record 2: "):
                Record.load_many(folder / "records.json")
            for number, key in enumerate(keys):
                key.save(folder / f"{number}.key")
            path = folder / "many.keys"
            path.touch(0o600)
            path.write_text("\n".join((folder / f"{number}.key").read_text() for number in range(2)))
            self.assertTrue(Key.load_many(path) == keys)


if __name__ == "__main__":
    unittest.main()
