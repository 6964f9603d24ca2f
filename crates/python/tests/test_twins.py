"""Sealed twins from Python: the committed vectors, and suspects that know what was served and that do not."""

import hashlib
import math
import unittest

import numpy as np
from support import vectors

import taggant
from taggant import RootKey, stats, twins
from taggant.twins import Plan, TwinTest

KEY = RootKey.from_bytes(bytes(32)).derive("2026-12/twin/east")


class Seals(unittest.TestCase):
    def test_vectors(self):
        for name, vector in vectors("twins"):
            with self.subTest(name):
                key = RootKey.from_bytes(bytes.fromhex(vector["root"])).derive("e/twin/t")
                sealed = twins.seal(key, vector["id"], vector["account"], vector["drafts"])
                self.assertEqual((sealed.served, sealed.commitment), (vector["served"], vector["commitment"]))
                self.assertEqual((sealed.salts, sealed.twins), (vector["salts"], vector["twins"]))
                self.assertEqual(twins.serve(key, vector["id"], len(vector["drafts"])), vector["served"])
                again = [twins.twin_commitment(vector["id"], *three) for three in zip(range(99), sealed.salts, vector["drafts"])]
                self.assertEqual(again, sealed.twins)
                self.assertEqual(twins.exchange_commitment(vector["id"], vector["account"], again), sealed.commitment)

    def test_drafts_of_tokens_are_what_they_are_however_given(self):
        sealed = [twins.seal(KEY, "x", "a", [make([1, 2, 3]), make([4])]) for make in (list, tuple, np.array)]
        self.assertEqual(len({one.commitment for one in sealed}), 1)
        self.assertNotEqual(sealed[0].commitment, twins.seal(KEY, "x", "a", ["1 2 3", "4"]).commitment)

    def test_what_is_secret_is_not_shown(self):
        sealed = twins.seal(KEY, "x", "a", ["yes", "no"])
        shown = repr(sealed) + str(sealed)
        for secret in (*sealed.salts, "served"):
            self.assertNotIn(secret[:8], shown)

    def test_every_draft_is_served_alike(self):
        # Null: uniform over five drafts. 20,000 ids; each count is binomial, and none is beyond 1e-6 on its side.
        served = np.bincount([twins.serve(KEY, f"x{number}", 5) for number in range(20_000)], minlength=5)
        self.assertEqual(len(served), 5)
        self.assertGreater(stats.binomial_tail(served, 20_000, 0.2).min(), -6)
        self.assertGreater(stats.binomial_tail(20_000 - served, 20_000, 0.8).min(), -6)

    def test_the_root_is_that_of_sorted_leaves(self):
        # As Certificate Transparency hashes, of two leaves.
        leaves = sorted(bytes([number]) * 32 for number in (9, 4))
        hashed = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]
        self.assertEqual(
            twins.batch_root([leaf.hex() for leaf in reversed(leaves)]), hashlib.sha256(b"\x01" + b"".join(hashed)).hexdigest()
        )

    def test_what_is_refused(self):
        campaign = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
        sealed = twins.seal(KEY, "x", "a", ["yes", "no"])
        for error, message, call in (
            (taggant.KeyFileError, "role campaign; a twin key is needed", lambda: twins.serve(campaign, "x", 2)),
            (taggant.LimitError, "", lambda: twins.serve(KEY, "", 2)),
            (taggant.LimitError, "", lambda: twins.serve(KEY, "x", 0)),
            (taggant.LimitError, "", lambda: twins.seal(KEY, "x", "a", [])),
            (taggant.LimitError, "", lambda: twins.seal(KEY, "x", "a" * 2000, ["yes"])),
            (taggant.TokenError, "draft: token id -1", lambda: twins.seal(KEY, "x", "a", [[-1]])),
            (
                taggant.ParameterError,
                "a salt has 64 lower-case hex digits; this has 3",
                lambda: twins.twin_commitment("x", 0, "abc", "yes"),
            ),
            (taggant.ParameterError, "commitment 1 has 64 lower-case hex", lambda: twins.batch_root([sealed.commitment, "ab"])),
        ):
            with self.subTest(message), self.assertRaisesRegex(error, message):
                call()


def asked(test: TwinTest, accounts: int, exchanges: int, leaking: set[int], seed: int, twins_of: int = 4) -> TwinTest:
    """Exchanges whose served draft a suspect of `leaking` accounts likes by one standard deviation more."""
    rng = np.random.default_rng(seed)
    for account in range(accounts):
        for exchange in range(exchanges):
            served, scores = int(rng.integers(twins_of + 1)), rng.normal(size=twins_of + 1)
            scores[served] += account in leaking
            test.add(f"{account}/{exchange}", f"account {account}", served, scores, cluster=f"cluster {account % 3}")
    return test


class Tests(unittest.TestCase):
    def test_accounts_that_leak_are_told_from_those_that_do_not(self):
        # 30 accounts of 120 exchanges, four leaking; alpha 1e-3 over all, seed 5.
        for statistic in ("studentised", "ranks", "sum"):
            with self.subTest(statistic):
                findings = asked(TwinTest(Plan(1e-3, statistic=statistic, permutations=99, seed=1)), 30, 120, {3, 4, 5, 6}, 5).findings()
                accused = {finding.name for finding in findings.accounts if finding.report.detected}
                self.assertEqual(accused, {f"account {number}" for number in (3, 4, 5, 6)})
                self.assertEqual({finding.name for finding in findings.accounts if finding.lead} - accused, set())
                self.assertTrue(findings.pooled.detected)
                self.assertEqual(len(findings.clusters), 3)
                report = next(finding.report for finding in findings.accounts if finding.name == "account 3")
                self.assertEqual(
                    (report.exact, report.rank, report.exchanges, round(report.twins, 9)), (statistic != "sum", (0, 99), 120, 4.0)
                )
                # A shift of one standard deviation of normal scores.
                self.assertAlmostEqual(report.auc, 0.5 * math.erfc(-0.5), delta=5 * report.auc_error)
                self.assertLess(report.log10_p_anytime, -2)

    def test_an_innocent_suspect_is_left_alone(self):
        findings = asked(TwinTest(Plan(1e-3, auc=0.75)), 20, 150, set(), 6).findings()
        self.assertEqual({finding.report.verdict for finding in findings.accounts}, {"NotDetected"})
        self.assertGreater(findings.pooled.log10_p, -3)
        # P-values of 600 groups of 40, seed 7; refused below 1e-6.
        groups = asked(TwinTest(), 600, 40, set(), 7).findings().accounts
        self.assertGreater(stats.uniformity([finding.report.p_value for finding in groups]), 1e-6)

    def test_holm_is_over_all_accounts(self):
        accounts = asked(TwinTest(), 10, 50, {1}, 8).findings().accounts
        own = [finding.report.log10_p for finding in accounts]
        np.testing.assert_allclose([finding.report.log10_p_holm for finding in accounts], stats.holm(own), atol=1e-9)

    def test_too_few_say_so(self):
        [finding] = asked(TwinTest(), 1, 3, {0}, 9).findings().accounts
        self.assertRegex(finding.report.reason, "TooFewExchanges: 3 informative exchanges")
        for thing in (finding, finding.report, TwinTest().findings()):
            with self.assertRaisesRegex(TypeError, "not a yes or a no"):
                bool(thing)

    def test_what_is_refused(self):
        test = TwinTest()
        test.add("x", "a", 1, [1, 2])
        for error, message, call in (
            (taggant.ParameterError, "exchange `x` was added before", lambda: test.add("x", "a", 0, [1.0, 2.0])),
            (taggant.ParameterError, "exchange `y` served draft 2 of 2", lambda: test.add("y", "a", 2, [1.0, 2.0])),
            (taggant.ParameterError, "has score nan for draft 1", lambda: test.add("y", "a", 0, [1.0, math.nan])),
            (taggant.ParameterError, "scores is 1, one number", lambda: test.add("y", "a", 0, 1.0)),
            (taggant.ParameterError, "has no scores", lambda: test.add("y", "a", 0, [])),
            (OverflowError, "", lambda: test.add("y", "a", -1, [1.0])),
            (taggant.ParameterError, "statistic `t` is none of studentised, ranks, sum", lambda: Plan(statistic="t")),
            (taggant.ParameterError, "", lambda: Plan(auc=0.5)),
            (taggant.ParameterError, "false discovery rate of leads is 1", lambda: Plan(leads=1.0)),
            (taggant.ParameterError, "alpha", lambda: Plan(1.0)),
        ):
            with self.subTest(message), self.assertRaisesRegex(error, f"(?i){message}"):
                call()
        self.assertEqual((len(test), test.plan == Plan()), (1, True))


if __name__ == "__main__":
    unittest.main()
