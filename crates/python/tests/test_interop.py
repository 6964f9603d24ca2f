"""Other systems' marks: rows that their own engines marked, and what is refused without showing a key."""

import json
import unittest
from typing import Any

import numpy as np
from support import ROOT
from test_runtime import ticks_during

import taggant
from taggant import interop, stats

VECTORS = ROOT / "tests" / "interop" / "vectors"


def vector(name: str) -> tuple[dict[str, Any], list[list[int]]]:
    """An engine's configuration, and the rows it marked."""
    rows = [json.loads(line) for line in (VECTORS / f"{name}.rows.jsonl").read_text().splitlines()]
    return json.loads((VECTORS / f"{name}.config.json").read_text()), [row["tokens"] for row in rows if row["id"].startswith("marked")]


class Scans(unittest.TestCase):
    def test_marked_rows_are_found_in_their_format_and_under_their_key_alone(self):
        for format in ("vllm-gumbel", "sglang-gumbel", "markllm-exp", "textseal-gumbel"):
            config, rows = vector(format)
            [number] = [name for name in config if "key" in name]
            other = {**config, number: "5a" * 8 if isinstance(config[number], str) else 12345}
            keys = [{"name": "theirs", "format": format, "config": config}, {"name": "another", "format": format, "config": other}]
            for threads in (1, 2):
                with self.subTest(format, threads=threads):
                    found = interop.scan(keys, rows, threads=threads)
                    self.assertEqual([tried.verdict for tried in found.tried], ["Detected", found.tried[1].verdict])
                    self.assertGreater(found.tried[1].log10_p_holm, -6)
                    self.assertEqual([(one.name, one.format) for one in found.detected], [("theirs", format)])

    def test_a_bare_key_is_tried_in_every_format_that_takes_it(self):
        config, rows = vector("vllm-gumbel")
        found = interop.scan([config], rows, vocabulary=4096)
        formats = {tried.format for tried in found.tried} | {format for _, format, _ in found.skipped}
        self.assertIn("vllm-gumbel", formats)
        self.assertGreater(len(formats), 5)
        self.assertLessEqual(formats, set(interop.formats()))
        # The same key and width serve textseal's function elsewhere; whatever fires, the right one fires most.
        self.assertEqual(found.detected[0].format, "vllm-gumbel")
        own = found.detected[0]
        # Holm: the smallest of all that was tried.
        self.assertAlmostEqual(own.log10_p_holm, own.log10_p + np.log10(len(found.tried)), places=9)

    def test_innocent_rows_are_left_alone(self):
        # 40 keys in two formats, 80 tries on one text of 3,000 random ids; alpha 1e-6 over all, seed 3.
        rng = np.random.default_rng(3)
        rows = rng.integers(4096, size=(30, 100))
        keys = [{"key": int(key), "context_width": 4} for key in rng.integers(2**63, size=40)]
        found = interop.scan(keys, rows, formats=["vllm-gumbel", "vllm-dual"], vocabulary=4096)
        self.assertGreaterEqual(len(found.tried), 40)
        self.assertEqual(found.detected, [])
        p_values = [10**tried.log10_p for tried in found.tried if tried.format == "vllm-gumbel"]
        self.assertGreater(stats.uniformity(p_values), 1e-6)

    def test_a_token_beyond_the_vocabulary_is_told(self):
        config, rows = vector("hf-kgw-lefthash")
        keys = [{"format": "hf-kgw-lefthash", "config": {**config, "vocab_size": size}} for size in (4096, 100)]
        read, other = interop.scan(keys, rows).tried
        self.assertEqual((read.verdict, read.error, other.verdict), ("Detected", None, "Unreadable"))
        self.assertRegex(other.error, "is not below 100, the vocabulary")
        with self.assertRaisesRegex(taggant.ParameterError, "no key could be tried: .*; check the tokenizer and `vocabulary`"):
            interop.scan(keys[1:], rows)

    def test_the_lock_is_not_held(self):
        rows = np.random.default_rng(6).integers(4096, size=(50, 2000))
        keys = [{"key": key, "context_width": 4} for key in range(40)]
        ticks, seconds = ticks_during(lambda: interop.scan(keys, rows, formats=["vllm-gumbel"]))
        self.assertGreater(ticks, 8, f"{ticks} turns in {seconds:.3f} s")

    def test_keys_are_not_shown(self):
        secret = 987654321987654321
        found = interop.scan([{"key": secret, "context_width": 4}], [range(300)], formats=["vllm-gumbel"])
        for thing in (found, *found.tried):
            self.assertNotIn(str(secret)[:8], repr(thing) + str(thing))
            self.assertFalse(hasattr(thing, "__dict__"))
        with self.assertRaisesRegex(TypeError, "not a yes or a no"):
            bool(found)
        for entry in (
            {"key": [secret, {1, 2}]},
            {"key": secret, "context_width": "wide"},
            {"key": secret, "colour": 3},
            [secret],
            {"config": secret},
        ):
            with self.subTest(str(entry)), self.assertRaises(taggant.TaggantError) as caught:
                interop.scan([entry], [range(300)], formats=["vllm-gumbel"])
            self.assertNotIn(str(secret)[:8], str(caught.exception))

    def test_what_is_refused(self):
        key = {"key": 1, "context_width": 4}
        for error, message, call in (
            (taggant.ParameterError, "no keys; give at least one", lambda: interop.scan([], [[1]])),
            (taggant.ParameterError, "keys are one dict; give a list", lambda: interop.scan(key, [[1]])),
            (
                taggant.ParameterError,
                "key 1: of type builtins.int; a key is a dict|key 1: of type int; a key is a dict",
                lambda: interop.scan([key, 3], [[1]]),
            ),
            (taggant.ParameterError, "key 0: .*neither `key` nor `format`", lambda: interop.scan([{"name": "a"}], [[1]])),
            (taggant.UnsupportedError, "format `red` is unknown", lambda: interop.scan([key], [[1]], formats=["red"])),
            (taggant.ParameterError, "alpha is 0", lambda: interop.scan([key], [[1]], alpha=0.0)),
            (taggant.TokenError, "row 0: token id -1", lambda: interop.scan([key], [[-1]])),
        ):
            with self.subTest(message), self.assertRaisesRegex(error, message):
                call()


if __name__ == "__main__":
    unittest.main()
