"""Few seeds, honest numbers: interquartile means and bootstrap intervals.

Sources: Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021
(interquartile mean, stratified bootstrap, probability of improvement); Efron 1979 (percentile bootstrap).
With one task there is one stratum, so the stratified bootstrap draws seeds with replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

Floats = NDArray[np.float64]

RESAMPLES = 10_000
SEEDS_FOR_INTERVAL = 5
"""With fewer seeds than this an interval would claim more than it knows."""


def iqm(values: Sequence[float]) -> float:
    """The interquartile mean: sort, cut ``floor(n / 4)`` values off each end, average the rest."""
    return float(trim_mean(np.asarray(values, dtype=np.float64), 0.25))


def interval(values: Sequence[float], *, seed: int = 0) -> tuple[float, float] | None:
    """The 95 % percentile bootstrap interval of the IQM over seeds; None with fewer than 5."""
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) < SEEDS_FOR_INTERVAL:
        return None
    return _percentiles(numbers[_draws(len(numbers), seed)])


def paired_interval(ours: Sequence[float], theirs: Sequence[float], *, seed: int = 0) -> tuple[float, float] | None:
    """The 95 % interval of the IQM of paired differences ``ours[i] - theirs[i]``, over seeds; None with fewer
    than 5.

    Pair ``i`` is one seed under two arms. "Better" means that the lower end lies above 0.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"pairs need as many values on both sides, not {len(ours)} and {len(theirs)}")
    return interval(np.subtract(ours, theirs).tolist(), seed=seed)


def probability_of_improvement(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Chance that a run of ours beats a run of theirs, ties counting half (Mann-Whitney U over ``n * m``)."""
    a, b = np.asarray(ours, dtype=np.float64)[:, None], np.asarray(theirs, dtype=np.float64)[None]
    return float(((a > b) + 0.5 * (a == b)).mean())


def summary(values: Sequence[float], *, seed: int = 0) -> dict[str, Any]:
    """``{"iqm", "low", "high", "seeds"}``; the ends are None with fewer than 5 seeds."""
    ends = interval(values, seed=seed)
    low, high = ends if ends is not None else (None, None)
    return {"iqm": iqm(values), "low": low, "high": high, "seeds": len(values)}


def _draws(size: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, size, (RESAMPLES, size))


def _percentiles(samples: Floats) -> tuple[float, float]:
    means = trim_mean(samples, 0.25, axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
