"""What a decoder makes of its factors: what it pays for each, which tell the outcomes, which could be left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.episode import Array
from training.credit.decoder import Sampled, ridge


class Attribution(NamedTuple):
    """Factors by name, each with what it counts for."""

    importance: dict[str, float]
    """By how much the decoder's error grows with a factor's values exchanged among steps, of the outcomes' variance."""
    ablation: dict[str, float]
    """How much less of the outcomes' variance a linear decoder tells that is fitted without the factor; outcomes by
    length here and below.
    """
    explained: float | None
    """How much of it one tells that has them all; None where the outcomes do not differ.

    Both are measured on every second episode, by a decoder fitted to the others.
    """
    effect: dict[str, float]
    """By how much the decoder pays a step more with a factor one standard deviation higher, in units of the outcome."""


def permutation(
    reward: Callable[[Tensor], Tensor], inputs: Tensor, batch: Sampled, rng: torch.Generator
) -> list[float]:
    """The importance of each factor (Breiman 2001), for one learner.

    ``inputs`` ``(1, B * K, F)`` are those of ``batch``, as ``reward`` reads them; outcomes are in the reward's units.
    """
    wanted = batch.outcome / batch.length
    taken = batch.taken.flatten(1)

    def error(given: Tensor) -> Tensor:
        rewards = (reward(given) * taken).view(batch.taken.shape)
        return (rewards.sum(2) / batch.length - wanted).square().mean()

    if float(wanted.var(correction=0)) < 1e-9:
        return [0.0] * inputs.shape[-1]
    plain, found = error(inputs), []
    places = taken[0].nonzero().view(-1)
    order = places[torch.randperm(len(places), generator=rng).to(places.device)]
    for factor in range(inputs.shape[-1]):
        without = inputs.clone()
        without[0, places, factor] = inputs[0, order, factor]
        found.append(float((error(without) - plain) / wanted.var()))
    return found


def effects(paid: Callable[[Tensor], Tensor], factors: Tensor, deviation: Tensor) -> list[float]:
    """By how much a step is paid more with one factor a deviation higher and the others as they were, for each factor.

    ``factors`` ``(1, S, F)`` are those of ``S`` steps, as ``paid`` reads them, ``deviation`` ``(F,)``; the answer is in
    the units of what is paid. It is the mean over the steps, as of an average partial effect (Wooldridge 2010): of a
    linear decoder its weight times the deviation. One that pays for both ends of a factor has an effect near 0.
    """
    plain, found = paid(factors), []
    for factor, step in enumerate(deviation):
        higher = factors.clone()
        higher[..., factor] += step
        found.append(float((paid(higher) - plain).mean()))
    return found


def ablation(means: Array, wanted: Array) -> tuple[float | None, Sequence[float]]:
    """How much a linear decoder tells of ``wanted`` ``(E,)`` from ``means`` ``(E, F)``, and what each factor adds."""
    width = means.shape[1]
    every = _told(means, wanted)
    if every is None:
        return None, [0.0] * width
    columns = [[i for i in range(width) if i != factor] for factor in range(width)]
    return every, [every - (_told(means[:, kept], wanted) or 0.0) for kept in columns]


def _told(means: Array, wanted: Array) -> float | None:
    """Share of the variance of every second episode, told by a fit to the others; at least 0."""
    if len(wanted) < 6 or np.ptp(wanted[1::2]) < 1e-9:
        return None
    weights, start = ridge(means[::2], wanted[::2])
    rest = wanted[1::2] - (means[1::2] @ weights + start)
    return float(max(0.0, 1 - np.square(rest).sum() / np.square(wanted[1::2] - wanted[1::2].mean()).sum()))
