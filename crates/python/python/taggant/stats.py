"""The statistics that verdicts rest on: exact tails, families of tests, uniformity, and how much data a test needs.

P-values are given and taken as decimal logarithms, so that 1e-400 is still a number; e-values as natural ones. Every argument that says so
may be a number, a list or a NumPy array, and the answer is then an array as well.

>>> from taggant.stats import binomial_tail, holm, units_needed
>>> log10_p = binomial_tail([60, 75, 90], 100, 0.5)     # heads of a hundred throws
>>> log10_p.round(2).tolist(), holm(log10_p).round(2).tolist()
([-1.55, -6.55, -16.81], [-1.55, -6.25, -16.34])
>>> units_needed("gumbel", effect=0.02, alpha=1e-6, power=0.9)
92525.0
"""

from . import _taggant

binomial_tail = _taggant._stats.binomial_tail
bonferroni = _taggant._stats.bonferroni
detectable_effect = _taggant._stats.detectable_effect
e_bh = _taggant._stats.e_bh
fisher = _taggant._stats.fisher
gamma_tail = _taggant._stats.gamma_tail
holm = _taggant._stats.holm
hypergeometric_tail = _taggant._stats.hypergeometric_tail
poisson_binomial_tail = _taggant._stats.poisson_binomial_tail
power_at = _taggant._stats.power_at
uniformity = _taggant._stats.uniformity
units_needed = _taggant._stats.units_needed

__all__ = [
    "binomial_tail",
    "bonferroni",
    "detectable_effect",
    "e_bh",
    "fisher",
    "gamma_tail",
    "holm",
    "hypergeometric_tail",
    "poisson_binomial_tail",
    "power_at",
    "uniformity",
    "units_needed",
]
