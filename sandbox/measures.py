"""What a program's answers look like in numbers: statistics, shares, and which inputs they depend on."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from sandbox.batches import flat, inputs, join, replaced, take, terms, total
from sandbox.rowwise import drawn_salt
from sandbox.service import Answer, Array, Call, RewardService

Stats = dict[str, float]
COLLINEAR = 0.99
"""Absolute correlation above which two factors say the same."""
EXACT = 1 - 1e-6
"""The one from which a factor follows another but for rounding."""
_NOTHING = 1e-6
"""Variance, of standardised factors, that is rounding."""
_REACHED = 1e-3
"""Weight of a factor in a combination of unit length, below which it is no part of it."""
_SENSITIVITY_ROWS = 512
_SENSITIVITY_BATCH = 32_768
TIMED_ROWS = 2048
"""Transitions of the call whose time is measured."""


def gather(answers: Mapping[str, Answer]) -> dict[str, dict[str, Array]]:
    """Origin -> term -> its values over all transitions of that origin, ``(N,)`` float64."""
    return {
        origin: {name: values.ravel().astype(np.float64) for name, values in terms(answer).items()}
        for origin, answer in answers.items()
    }


def describe(values: Array) -> Stats:
    """Minimum, mean, maximum and standard deviation of ``(N,)`` values."""
    named = {"min": values.min(), "mean": values.mean(), "max": values.max(), "std": values.std()}
    return {name: float(value) for name, value in named.items()}


def statistics(pooled: Mapping[str, Array]) -> dict[str, Stats]:
    """``describe`` of each term, and its ``share`` of the summed mean absolute values."""
    sizes = {name: float(np.abs(values).mean()) for name, values in pooled.items()}
    whole = sum(sizes.values())
    return {
        name: {**describe(values), "share": sizes[name] / whole if whole > 0 else 0.0}
        for name, values in pooled.items()
    }


def constant(values: Array) -> bool:
    """Whether ``(N,)`` values are one number; their deviation may be above 0 by rounding."""
    return bool(values.max() == values.min())


def effective_rank(factors: Array) -> float:
    """Exponential of the entropy of the normalised singular values of standardised ``(N, d)`` factors.

    Source: Roy and Vetterli, "The effective rank", EUSIPCO 2007. Constant factors count as nothing.
    """
    varying = factors[:, [not constant(column) for column in factors.T]]
    if varying.shape[1] == 0:
        return 0.0
    standard = (varying - varying.mean(axis=0)) / varying.std(axis=0)
    singular = np.linalg.svd(standard, compute_uv=False)
    weights = singular / singular.sum()
    weights = weights[weights > 0]
    return float(np.exp(-np.sum(weights * np.log(weights))))


def collinear(factors: Mapping[str, Array]) -> tuple[tuple[str, str, float], ...]:
    """Pairs of factors whose correlation is beyond ``COLLINEAR``, with that correlation."""
    names = [name for name, values in factors.items() if not constant(values)]
    if len(names) < 2:
        return ()
    correlation = np.corrcoef(np.stack([factors[name] for name in names]))
    return tuple(
        (a, b, float(correlation[i, j]))
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if i < j and abs(correlation[i, j]) > COLLINEAR
    )


def dependent(factors: Mapping[str, Array]) -> tuple[str, ...]:
    """Factors that are weighted sums of each other but for rounding, beside pairs, which ``collinear`` tells.

    They are the ones that the correlations' null space reaches.
    """
    twins = {two for _, two, correlation in collinear(factors) if abs(correlation) > EXACT}
    names = [name for name, values in factors.items() if name not in twins and not constant(values)]
    if len(names) < 3:
        return ()
    values, vectors = np.linalg.eigh(np.corrcoef(np.stack([factors[name] for name in names])))
    reached = np.abs(vectors[:, values < _NOTHING]).max(axis=1, initial=0.0) > _REACHED
    return tuple(name for name, found in zip(names, reached, strict=True) if found)


def sensitivity(
    service: RewardService, call: Call, has_memory: bool, rng: np.random.Generator, deadline: float
) -> dict[str, float]:
    """How much the answer moves when one input is shuffled over all transitions and the others stay.

    For each of ``inputs(call)``: mean ``|change|`` of the reward over the reward's standard deviation (permutation
    importance, Breiman 2001). For factors, the mean of that over the factors. 0 where nothing moves, also
    where the input is the same in every sample.
    """
    names = list(inputs(call))
    if not has_memory:
        call = flat(call)
    length, rows = call.ended.shape
    most = max(1, min(_SENSITIVITY_ROWS, _SENSITIVITY_BATCH // len(names)) // length)
    chosen = call if rows <= most else take(call, rng.permutation(rows)[:most])
    variants = [chosen, *(replaced(chosen, name, _shuffled(inputs(chosen)[name], rng)) for name in names)]
    answer = service.evaluate(join(variants), salt=drawn_salt(), deadline=deadline)
    whole = service.program.form == "reward"
    values = [total(answer)] if whole else [v.astype(np.float64) for v in terms(answer).values()]
    moved = np.stack([_moved(value, len(variants)) for value in values])
    return {name: float(moved[:, at].mean()) for at, name in enumerate(names)}


def _shuffled(array: Array, rng: np.random.Generator) -> Array:
    flattened = array.reshape(-1, *array.shape[2:])
    return flattened[rng.permutation(len(flattened))].reshape(array.shape)


def _moved(values: Array, variants: int) -> Array:
    """Mean absolute change of each variant against the first, over the first's standard deviation."""
    base, *others = np.split(values, variants, axis=1)
    scale = base.std() or np.abs(base).mean() or 1.0
    return np.array([np.abs(other - base).mean() / scale for other in others])


def milliseconds(service: RewardService, call: Call, deadline: float) -> float:
    """Median time of three calls of about 2048 transitions, on the host's clock."""
    length, rows = call.ended.shape
    batch = take(call, np.arange(max(1, TIMED_ROWS // length)) % rows)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        service.evaluate(batch, salt=drawn_salt(), deadline=deadline)
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)[1]
