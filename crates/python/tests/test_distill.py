"""The distillation test from Python: answers and probabilities, marked and not, and what is refused."""

import unittest
from collections.abc import Iterator
from typing import Any

import numpy as np
from support import DIGEST, sampler
from test_runtime import ticks_during

import taggant
from taggant import Record, RootKey, Sampler, detect_each, distill, stats
from taggant.distill import Plan, Test, WindowIndex, closed

VOCABULARY = 300


def language(seed: int) -> np.ndarray[Any, Any]:
    """Logits after each token: all the models here speak it, marked or not."""
    return np.random.default_rng(seed).normal(scale=2, size=(VOCABULARY, VOCABULARY)).astype(np.float32)


def answers(logits: np.ndarray[Any, Any], choose: Sampler | None, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Rows of 60 tokens, marked or not."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        prompt = [int(token) for token in rng.integers(VOCABULARY, size=3)]
        stream = choose.stream() if choose else taggant.Stream.plain()
        last, tokens = prompt[-1], []
        for _ in range(60):
            if choose:
                last = stream.select(logits[last], coin=int(rng.integers(2**63)))
            else:
                last = int(np.argmax(logits[last] + rng.gumbel(size=VOCABULARY)))
            tokens.append(last)
        yield {"tokens": tokens, "prompt_tokens": prompt}


class Closed(unittest.TestCase):
    def test_marked_answers_are_found_under_their_key_and_no_other(self):
        key, record, choose = sampler(vocabulary=VOCABULARY)
        marked, innocent = list(answers(language(1), choose, 20, 1)), list(answers(language(1), None, 20, 2))
        for rows, expected in ((marked, "Detected"), (innocent, "Inconclusive")):
            findings = closed(key, record, rows)
            [finding] = findings.keys
            self.assertEqual((finding.verdict, findings.detected), (expected, expected == "Detected"))
            self.assertEqual((findings.mode, findings.rows, finding.statistic), ("closed", 20, "plain"))
        self.assertRegex(finding.reason, "TooFewRows: 20 rows come to .* units of weight 1")
        others = [RootKey.from_bytes(bytes(32)).derive(f"2026-12/campaign/{number}") for number in range(20)]
        found = closed([*others, key], record, marked).keys
        self.assertEqual([finding.detected for finding in found], [False] * 20 + [True])
        self.assertTrue(found[20].key == key)
        # Holm: the smallest of 21.
        self.assertAlmostEqual(found[20].log10_p_holm, found[20].log10_p + np.log10(21), places=9)

    def test_the_plain_statistic_is_that_of_detection(self):
        key, record, choose = sampler(vocabulary=VOCABULARY)
        rows = [*answers(language(1), choose, 3, 3), *answers(language(1), None, 5, 4)]
        [finding], [report] = closed(key, record, rows).keys, detect_each([key], record, rows)
        [outcome] = finding.outcomes
        self.assertEqual((finding.units, outcome.score, finding.log10_p), (report.units, report.score, report.log10_p))
        self.assertTrue(outcome.primary and outcome.exact)
        self.assertAlmostEqual(outcome.z, (outcome.score - outcome.mean) / outcome.deviation, places=9)
        self.assertAlmostEqual(finding.effect, finding.z / finding.effective**0.5, places=9)

    def test_enough_innocent_answers_say_no(self):
        key, record, _ = sampler(vocabulary=VOCABULARY)
        rows = list(answers(language(1), None, 30, 5))
        [finding] = closed(key, record, rows, plan=Plan(1e-6, effect=0.5)).keys
        self.assertEqual((finding.verdict, finding.reason), ("NotDetected", None))

    def test_what_was_served_weighs(self):
        key, record, choose = sampler(vocabulary=VOCABULARY)
        served = list(answers(language(1), choose, 200, 6))
        # A student: one answer in eight is its teacher's, as a stranger could have learnt it.
        student = [*served[:6], *answers(language(1), None, 42, 7)]
        findings = closed(key, record, student, served=served)
        [finding] = findings.keys
        self.assertEqual([outcome.statistic for outcome in finding.outcomes], ["supervised", "plain"])
        self.assertEqual(finding.verdict, "Detected")
        self.assertGreater(finding.z, finding.outcomes[1].z)
        self.assertEqual({check.name: check.status for check in findings.checks}["served"], "run")
        index = WindowIndex(record, served)
        self.assertEqual(index.rows, 200)
        again = closed(key, record, student, served=index)
        self.assertEqual(again.keys[0].log10_p, finding.log10_p)
        [innocent] = closed(key, record, answers(language(1), None, 48, 8), served=index).keys
        self.assertGreater(innocent.log10_p, -6)

    def test_a_reference_takes_out_what_all_say(self):
        key, record, choose = sampler(vocabulary=VOCABULARY)
        reference = list(answers(language(1), None, 40, 9))
        plan = Plan(1e-6, statistic="difference", effect=0.5)
        [found] = closed(key, record, answers(language(1), choose, 40, 10), reference=reference, plan=plan).keys
        [innocent] = closed(key, record, answers(language(1), None, 40, 11), reference=reference, plan=plan).keys
        self.assertEqual((found.statistic, found.verdict), ("difference", "Detected"))
        self.assertGreater(innocent.log10_p, -6)

    def test_decoys_and_looks_after_every_answer(self):
        key, record, choose = sampler(vocabulary=VOCABULARY)
        test = Test.closed(record, Plan(1e-6, decoys=200, seed=3), sequential=key, planned=0.5)
        for row in answers(language(1), choose, 10, 12):
            test.suspect([row])
        findings = test.findings(key)
        [outcome] = findings.keys[0].outcomes
        self.assertEqual(outcome.rank, (0, 200))
        self.assertAlmostEqual(outcome.log10_p_rank, -np.log10(201), places=9)
        self.assertGreater(outcome.decoys_fit, 1e-6)
        self.assertLess(findings.sequential.log10_p, -6)
        self.assertLessEqual(findings.sequential.stopped, 10)
        self.assertIsNone(closed(key, record, [[1, 2, 3]]).sequential)

    def test_accounts_are_told_apart_by_what_they_were_served(self):
        root = RootKey.from_bytes(bytes(32))
        campaign, keys = root.derive("2026-12/campaign/east"), [root.derive(f"2026-12/account/{name}") for name in range(6)]
        records = [Record("gumbel", 2, [campaign, key], tokenizer=DIGEST, vocabulary=VOCABULARY) for key in keys]
        served = [
            list(answers(language(1), Sampler(record, [campaign, key]), 30, seed)) for seed, (record, key) in enumerate(zip(records, keys))
        ]
        indexes = [WindowIndex(records[0], rows, role="account", campaign=campaign) for rows in served]
        test = Test.closed(records[0], role="account", campaign=campaign)
        test.suspect(served[4])
        found = test.accounts(keys, indexes, threads=2)
        self.assertEqual([finding.detected for finding in found], [number == 4 for number in range(6)])
        self.assertEqual({finding.statistic for finding in found}, {"supervised"})
        # The campaign's layer shows in all of them; the key itself says whose windows are whose.
        self.assertTrue(closed(campaign, records[0], served[4]).detected)

    def test_p_values_are_uniform_over_keys(self):
        # Null: a key that was drawn without regard to the text. 400 keys, marked text, Kolmogorov-Smirnov, alpha 1e-6, seeds 13 and 14.
        for scheme in ("gumbel", "tournament", "greenlist"):
            _, record, choose = sampler(scheme, vocabulary=VOCABULARY)
            root = RootKey.from_bytes(bytes([5] * 32))
            keys = [root.derive(f"2026-12/campaign/{number}") for number in range(400)]
            rows, reference = list(answers(language(1), choose, 20, 13)), list(answers(language(1), None, 20, 14))
            for statistic in ("plain", "supervised", "difference"):
                found = closed(keys, record, rows, served=rows[:10], reference=reference, plan=Plan(statistic=statistic)).keys
                near = [10 ** finding.outcomes[0].log10_p_near for finding in found]
                with self.subTest(scheme, statistic=statistic):
                    self.assertEqual({finding.statistic for finding in found}, {statistic})
                    self.assertGreater(stats.uniformity(near), 1e-6)

    def test_another_tokenizer_is_inconclusive(self):
        key, record, choose = sampler(vocabulary=VOCABULARY)
        [finding] = closed(key, record, answers(language(1), choose, 2, 1), tokenizer="00" * 32).keys
        self.assertRegex(finding.reason, "TokenizerMismatch")

    def test_the_lock_is_not_held(self):
        key, record, _ = sampler(vocabulary=30_000)
        rows = [np.random.default_rng(3).integers(30_000, size=200_000, dtype=np.uint32)]
        ticks, seconds = ticks_during(lambda: closed(key, record, rows, plan=Plan(decoys=200)))
        self.assertGreater(ticks, 8, f"{ticks} turns in {seconds:.3f} s")


class Open(unittest.TestCase):
    """A student of probabilities: its logits lean to what the key likes."""

    def setUp(self):
        self.key, self.record, self.choose = sampler(vocabulary=VOCABULARY)
        rows = list(answers(language(1), None, 30, 20))
        self.texts = [row["tokens"] for row in rows]
        self.base = [language(1)[[row["prompt_tokens"][-1], *row["tokens"][:-1]]] for row in rows]
        self.student = [self.leaning(text, logits) for text, logits in zip(self.texts, self.base)]

    def leaning(self, text: list[int], logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        stream, leaning = self.choose.stream(), logits.copy()
        for position, token in enumerate(text):
            favourite = stream.select(logits[position], coin=1) if position >= 2 else int(token)
            leaning[position, favourite] += 1
            stream.follow(text[: position + 1])
        return leaning

    def test_both_directions_in_every_form(self):
        def normal(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            wide = logits.astype(np.float64)
            return wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))

        def listed(logits: np.ndarray[Any, Any]) -> tuple[Any, Any]:
            ids = np.argsort(-logits, axis=1)[:, :40]
            return ids, np.take_along_axis(normal(logits), ids, axis=1)

        results = {}
        for form, make in {
            "logits": lambda x: x,
            "log": normal,
            "half": lambda x: x.astype(np.float16),
            "padded": lambda x: np.pad(x, ((0, 0), (0, 20)), constant_values=-1e9),
        }.items():
            [found] = distill.open(self.key, self.record, self.texts, map(make, self.student), map(make, self.base)).keys
            results[form] = (found.statistic, found.verdict, round(found.log10_p, 1))
        [found] = distill.open(
            self.key,
            self.record,
            self.texts,
            [np.exp(normal(x)) for x in self.student],
            [np.exp(normal(x)) for x in self.base],
            kind="probabilities",
        ).keys
        results["probabilities"] = (found.statistic, found.verdict, round(found.log10_p, 1))
        self.assertEqual(results["logits"][:2], ("difference", "Detected"))
        self.assertEqual({results[form] for form in ("logits", "log", "probabilities", "padded")}, {results["logits"]}, results)
        self.assertEqual(results["half"][:2], ("difference", "Detected"))
        [found] = distill.open(self.key, self.record, self.texts, map(listed, self.student), map(listed, self.base)).keys
        self.assertEqual(found.verdict, "Detected")
        whole = distill.open(self.key, self.record, self.texts, self.student, self.base, top_k=VOCABULARY).keys[0]
        every = [tuple(side) for side in ((np.argsort(-x, axis=1), -np.sort(-normal(x), axis=1)) for x in self.student)]
        other = [tuple(side) for side in ((np.argsort(-x, axis=1), -np.sort(-normal(x), axis=1)) for x in self.base)]
        [found] = distill.open(self.key, self.record, self.texts, every, other, top_k=VOCABULARY).keys
        self.assertAlmostEqual(found.log10_p, whole.log10_p, delta=0.1)

    def test_an_innocent_model_and_another_key_are_left_alone(self):
        noise = np.random.default_rng(21)
        other = [logits + noise.normal(scale=0.3, size=logits.shape).astype(np.float32) for logits in self.base]
        [innocent] = distill.open(self.key, self.record, self.texts, other, self.base).keys
        self.assertGreater(innocent.log10_p, -6)
        west = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/west")
        [wrong] = distill.open([west], self.record, self.texts, self.student, self.base).keys
        self.assertGreater(wrong.log10_p, -6)
        alone = distill.open(self.key, self.record, self.texts, self.student)
        self.assertEqual((alone.mode, alone.keys[0].statistic), ("open", "plain"))
        same = distill.open(self.key, self.record, self.texts, self.base, self.base)
        self.assertEqual((same.keys[0].verdict, same.keys[0].units), ("NotDetected", 0))

    def test_the_lock_is_not_held(self):
        key, record, _ = sampler(vocabulary=30_000)
        logits = np.random.default_rng(4).normal(size=(300, 30_000)).astype(np.float32)
        text = np.random.default_rng(5).integers(30_000, size=300)
        ticks, seconds = ticks_during(lambda: distill.open(key, record, [text], [logits], [logits]))
        self.assertGreater(ticks, 8, f"{ticks} turns in {seconds:.3f} s")


class Refused(unittest.TestCase):
    def refused(self, error: type[Exception], message: str, call, *args, **options):
        with self.subTest(message), self.assertRaisesRegex(error, message):
            call(*args, **options)

    def test_plans(self):
        self.refused(taggant.ParameterError, "alpha", Plan, 0.0)
        self.refused(taggant.ParameterError, "statistic `sum` is none of plain, supervised, difference", Plan, statistic="sum")
        self.refused(taggant.ParameterError, "soft is -1", Plan, soft=-1.0)
        self.refused(taggant.ParameterError, "effect", Plan, effect=0.0)
        self.refused(TypeError, "interpreted as an integer", Plan, decoys="many")
        self.assertTrue(Plan(1e-3) == Plan(alpha=1e-3) and Plan(1e-3) != Plan(1e-4))

    def test_tests(self):
        root = RootKey.from_bytes(bytes(32))
        key, record, _ = sampler(vocabulary=VOCABULARY)
        west, account = root.derive("2026-12/campaign/west"), root.derive("2026-12/account/a")
        self.refused(taggant.MismatchError, "does not belong to this record", closed, west, record, [[1, 2, 3]])
        self.refused(taggant.MismatchError, "does not belong to this record", closed, key, record, [[1, 2, 3]], campaign=west)
        self.refused(TypeError, "of type str; give a Key, or a list of Keys", closed, "east.key", record, [[1, 2, 3]])
        self.refused(
            taggant.ParameterError, "difference needs a reference", closed, key, record, [[1, 2, 3]], plan=Plan(statistic="difference")
        )
        self.refused(
            taggant.ParameterError, "supervised statistic needs", closed, key, record, [[1, 2, 3]], plan=Plan(statistic="supervised")
        )
        self.refused(taggant.TokenError, "row 1: token id 999", closed, key, record, [[1, 2, 3], [1, 2, 999]])
        self.refused(taggant.FormatError, "rows are token ids, not rows", closed, key, record, [1, 2, 3])
        self.refused(taggant.ParameterError, "no rows; give the responses that were served", closed, key, record, [[1, 2, 3]], served=[])
        self.refused(taggant.PathError, "role `both`", Test.closed, record, role="both")
        self.refused(taggant.MismatchError, "account", Test.closed, record, role="account")
        two = Record("gumbel", 2, [key, account], tokenizer=DIGEST, vocabulary=VOCABULARY)
        self.refused(taggant.MismatchError, "campaign key is missing", closed, [key, west], two, [[1, 2, 3]])
        self.refused(taggant.ParameterError, "shares out the windows in its own way", closed, [key, west], two, [[1, 2, 3]], campaign=key)
        test = Test.closed(record)
        self.refused(taggant.ParameterError, "no answers of a reference are expected", test.reference, [[1, 2, 3]])
        self.refused(taggant.ParameterError, "probabilities in a test of answers", test.probabilities, [1, 2, 3], np.zeros((3, VOCABULARY)))
        self.refused(taggant.ParameterError, "1 window indexes for 2 keys", test.accounts, [key, key], [WindowIndex(record, [[1, 2, 3]])])
        test.findings(key)
        for call in (lambda: test.findings(key), lambda: test.suspect([[1, 2]])):
            self.refused(taggant.ParameterError, "was answered", call)
        for thing in (closed(key, record, [[1, 2, 3]]), closed(key, record, [[1, 2, 3]]).keys[0]):
            self.refused(TypeError, "not a yes or a no", bool, thing)

    def test_probabilities(self):
        _, record, _ = sampler(vocabulary=4)
        test = Test.open(record, reference=True)
        zeros, text = np.zeros((3, 4)), [1, 2, 3]
        ids = np.tile(np.arange(4), (3, 1))
        even = (ids, np.full((3, 4), np.log(0.25)))
        for message, side, more in (
            ("suspect: of type list; give a NumPy array", zeros.tolist(), {}),
            ("suspect: dtype int32; floats are needed", zeros.astype(np.int32), {}),
            (r"suspect: shape \[2, 4\] for a text of 3 tokens", zeros[:2], {}),
            (r"suspect: 3 columns, and the text holds token 3", zeros[:, :3], {}),
            ("position 2: logits that no distribution", np.where(np.arange(3)[:, None] == 2, np.nan, zeros), {}),
            ("position 2: logits that no distribution", np.full((3, 4), -np.inf), {}),
            ("position 2: probabilities come to 4.000", zeros + 1, {"kind": "probabilities"}),
        ):
            self.refused(taggant.LogitsError, message, test.probabilities, text, side, zeros, **more)
        self.refused(
            taggant.ParameterError, "kind `odds` is none of logits, probabilities", test.probabilities, text, zeros, zeros, kind="odds"
        )
        self.refused(taggant.ParameterError, "top_k is 0", test.probabilities, text, zeros, zeros, top_k=0)
        self.refused(taggant.LogitsError, "one of suspect and reference is a pair", test.probabilities, text, zeros, even)
        for message, pair, more in (
            ("suspect: a tuple, but not of two arrays", (ids,), {}),
            ("suspect, ids: dtype float64; integers", (zeros, zeros), {}),
            ("both must agree", (ids[:, :2], zeros), {}),
            ("position 2: token 0 has 1; a logarithm", (ids, zeros + 1), {}),
            ("position 2: token 0 has NaN; a logarithm", (ids, zeros * np.nan), {}),
            ("position 2: probabilities come to 4.000", (ids, zeros), {}),
            ("position 2: token 1 occurs twice", (np.ones_like(ids), even[1]), {}),
            ("position 2: token 0 has 7; a probability is", (ids, zeros + 7), {"kind": "probabilities"}),
        ):
            self.refused(taggant.LogitsError, message, test.probabilities, text, pair, even, **more)
        self.refused(
            taggant.TokenError, "position 2: token -1 is not in the vocabulary of 4", test.probabilities, text, (ids - 1, even[1]), even
        )
        self.refused(taggant.ParameterError, "an answer in a test of probabilities", test.suspect, [text])
        key = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
        self.refused(
            taggant.ParameterError, "the suspect has 1 texts, and there are more", distill.open, key, record, [text, text], [zeros]
        )
        self.refused(taggant.ParameterError, "has more than the 1 texts", distill.open, key, record, [text], [zeros, zeros])
        self.refused(taggant.LogitsError, "text 1: suspect: shape", distill.open, key, record, [text, text], [zeros, zeros[:1]])


if __name__ == "__main__":
    unittest.main()
