"""Tails against whole sums of exact fractions, families by hand, plans against tails."""

import math
import unittest
from fractions import Fraction

import numpy as np

import taggant
from taggant import stats


def log10(fraction: Fraction) -> float:
    return math.log10(fraction.numerator) - math.log10(fraction.denominator)


def binomial(successes: int, trials: int, p: Fraction) -> Fraction:
    return sum((math.comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(successes, trials + 1)), Fraction(0))


class Tails(unittest.TestCase):
    def test_binomial(self):
        cases = [(successes, trials, p) for trials in (1, 7, 400) for successes in (0, 1, trials // 2, trials) for p in (0.25, 0.5, 0.625)]
        expected = [log10(binomial(k, n, Fraction(p))) for k, n, p in cases]
        found = stats.binomial_tail(*(np.array(column) for column in zip(*cases)))
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
        one = stats.binomial_tail(200, 400, 0.25)
        self.assertIsInstance(one, float)
        self.assertAlmostEqual(one, log10(binomial(200, 400, Fraction(1, 4))), places=9)
        self.assertEqual(stats.binomial_tail(3, 2, 0.5), -math.inf)

    def test_gamma(self):
        # P(sum of n exponentials >= x) = e^-x (1 + x + ... + x^(n-1)/(n-1)!)
        for total, shape in ((0.5, 1), (30.0, 5), (1500.0, 20)):
            terms = sum(Fraction(total) ** k / math.factorial(k) for k in range(shape))
            expected = log10(terms) - total / math.log(10)
            self.assertAlmostEqual(stats.gamma_tail(total, shape), expected, places=9)
        self.assertEqual(stats.gamma_tail([0.0, -3.0], 4).tolist(), [0.0, 0.0])

    def test_hypergeometric_and_poisson_binomial(self):
        for k, population, marked, draws in ((0, 10, 3, 4), (2, 10, 3, 4), (12, 60, 20, 15)):
            ways = sum(math.comb(marked, i) * math.comb(population - marked, draws - i) for i in range(k, min(marked, draws) + 1))
            self.assertAlmostEqual(
                stats.hypergeometric_tail(k, population, marked, draws), log10(Fraction(ways, math.comb(population, draws))), places=9
            )
        same = np.full(50, 0.25)
        for k in (0, 10, 30, 50):
            self.assertAlmostEqual(stats.poisson_binomial_tail(k, same), stats.binomial_tail(k, 50, 0.25), places=9)

    def test_what_is_refused(self):
        for message, call in {
            "p is 1.5; it must be a probability": lambda: stats.binomial_tail(1, 2, 1.5),
            "p is NaN at position 1": lambda: stats.binomial_tail(1, 2, [0.5, math.nan]),
            "a count is -1": lambda: stats.binomial_tail(-1, 2, 0.5),
            "arrays of 2 and of 3 numbers": lambda: stats.binomial_tail([1, 2], [1, 2, 3], 0.5),
            "dtype float64 and shape .2.; give whole numbers": lambda: stats.binomial_tail([1.5, 2.0], 3, 0.5),
            r"shape \[1, 2\]; give numbers": lambda: stats.fisher([[-1.0, -2.0]]),
            "of type str": lambda: stats.gamma_tail("many", 2),
            "total is NaN": lambda: stats.gamma_tail(math.nan, 2),
            "5 marked and 2 draws of a population of 4": lambda: stats.hypergeometric_tail(1, 4, 5, 2),
            "log10_p is 0.01 at position 0; it must be at most 0; of a p-value give its `numpy.log10`": lambda: stats.holm([0.01, 0.2]),
            "log10_p is -3, one number; give a list": lambda: stats.fisher(-3.0),
            "values is 2 at position 1; it must be from 0 to 1": lambda: stats.uniformity([0.5, 2]),
            "alpha is 1": lambda: stats.e_bh([1.0], alpha=1.0),
            "power": lambda: stats.units_needed("gumbel", 0.1, power=1.5),
            "effect": lambda: stats.units_needed("gumbel", [0.1, -0.1]),
            "keys": lambda: stats.units_needed("gumbel", 0.1, keys=0),
        }.items():
            with self.subTest(message), self.assertRaisesRegex(taggant.ParameterError, message):
                call()
        with self.assertRaisesRegex(taggant.UnsupportedError, "scheme `red` is none of"):
            stats.power_at("red", 10, 0.1)


class Families(unittest.TestCase):
    def test_holm_and_bonferroni(self):
        p = np.array([0.01, 0.04, 0.03, 0.5])
        np.testing.assert_allclose(10 ** stats.holm(np.log10(p)), [0.04, 0.09, 0.09, 0.5], rtol=1e-12)
        np.testing.assert_allclose(10 ** stats.bonferroni(np.log10(p)), [0.04, 0.16, 0.12, 1.0], rtol=1e-12)
        np.testing.assert_allclose(10 ** stats.holm(np.log10(p[:1]), family=50), [0.5], rtol=1e-12)
        self.assertAlmostEqual(stats.holm([-1000.0, -2.0])[0], -1000 + math.log10(2), places=9)
        self.assertEqual(stats.holm([]).tolist(), [])

    def test_fisher_is_its_gamma(self):
        values = [-1.5, -0.2, -30.0]
        self.assertAlmostEqual(stats.fisher(values), stats.gamma_tail(-sum(values) * math.log(10), 3), places=9)

    def test_e_bh_bounds_the_wrong_ones(self):
        ln_e = np.log([100.0, 39.0, 41.0, 1.0])
        # Four: 80 for one, 40 for two, 26.7 for three.
        self.assertEqual(stats.e_bh(ln_e, alpha=0.05).tolist(), [0, 1, 2])
        self.assertEqual(stats.e_bh(np.log([79.0, 1.0, 1.0, 1.0])).tolist(), [])
        self.assertEqual(stats.e_bh([math.inf, -math.inf]).tolist(), [0])

    def test_uniformity_in_both_directions(self):
        # Seed 7, 2,000 numbers; refused below 1e-6.
        even = np.random.default_rng(7).random(2000)
        self.assertGreater(stats.uniformity(even), 1e-6)
        self.assertLess(stats.uniformity(even**1.3), 1e-6)


class Plans(unittest.TestCase):
    def test_what_is_needed_has_the_power(self):
        for scheme, parameters in (("gumbel", None), ("greenlist", {"threshold": 2**30}), ("tournament", {"depth": 10})):
            needed = stats.units_needed(scheme, [0.1, 0.5], alpha=1e-6, power=0.9, parameters=parameters)
            for effect, units in zip((0.1, 0.5), needed):
                self.assertGreaterEqual(stats.power_at(scheme, int(units), effect, parameters=parameters), 0.9)
                self.assertLess(stats.power_at(scheme, int(units * 0.9), effect, parameters=parameters), 0.9)
                shown = stats.detectable_effect(scheme, int(units), parameters=parameters)
                self.assertAlmostEqual(shown, effect, delta=0.05 * effect)
            more = stats.units_needed(scheme, 0.1, keys=1000, parameters=parameters)
            self.assertGreater(more, needed[0])

    def test_a_record_says_its_parameters(self):
        key = taggant.RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
        record = taggant.Record("tournament", 2, key, tokenizer="00" * 32, vocabulary=1000, parameters={"depth": 20})
        found = stats.units_needed(record.scheme, 0.1, parameters=record.parameters)
        self.assertEqual(found, stats.units_needed("tournament", 0.1, parameters={"depth": 20}))


if __name__ == "__main__":
    unittest.main()
