from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

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

_Floats: TypeAlias = Sequence[float] | NDArray[np.floating[Any]]
_Counts: TypeAlias = Sequence[int] | NDArray[np.integer[Any]]
_Answer: TypeAlias = Any  # a float, or an array where an argument is one

def binomial_tail(successes: int | _Counts, trials: int | _Counts, p: float | _Floats) -> _Answer: ...
def gamma_tail(total: float | _Floats, shape: int | _Counts) -> _Answer: ...
def hypergeometric_tail(successes: int | _Counts, population: int | _Counts, marked: int | _Counts, draws: int | _Counts) -> _Answer: ...
def poisson_binomial_tail(successes: int, probabilities: _Floats) -> float: ...
def holm(log10_p: _Floats, family: int | None = None) -> NDArray[np.float64]: ...
def bonferroni(log10_p: _Floats) -> NDArray[np.float64]: ...
def fisher(log10_p: _Floats) -> float: ...
def e_bh(ln_e: _Floats, alpha: float = 0.05) -> NDArray[np.int64]: ...
def uniformity(values: _Floats) -> float: ...
def units_needed(
    scheme: str,
    effect: float | _Floats,
    *,
    alpha: float = 1e-6,
    power: float = 0.9,
    keys: int = 1,
    parameters: Mapping[str, float] | None = None,
) -> _Answer: ...
def power_at(
    scheme: str,
    units: int | _Counts,
    effect: float,
    *,
    alpha: float = 1e-6,
    parameters: Mapping[str, float] | None = None,
) -> _Answer: ...
def detectable_effect(
    scheme: str,
    units: int,
    *,
    alpha: float = 1e-6,
    power: float = 0.9,
    keys: int = 1,
    parameters: Mapping[str, float] | None = None,
) -> float | None: ...
