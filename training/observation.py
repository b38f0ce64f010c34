"""What a policy network is fed: a grid view as a few columns a cell, or a vector with its running moments."""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from envs.grid.cells import APPEARANCE, DIRECTION
from envs.vector import Observation
from training.layers import padded

OBSERVATION_CLIP = 10.0
"""Bound on a normalised observation, in deviations."""

LEAST_DEVIATION = 1e-4
"""Floor of a column's standard deviation: what varies less is next to constant for whoever reads it normalised."""

Moments = tuple[Tensor, Tensor]


class Encoder(Protocol):
    """Turns the raw observations of ``P`` learners into features; holds a learner's statistics where it has
    any.
    """

    size: int
    """Number of feature columns, a multiple of ``WIDTH``."""
    dtype: torch.dtype
    """What features are stored as; the network computes in float32."""

    def __call__(self, observation: Tensor) -> Tensor:
        """``(P, B, raw)`` observations as ``(P, B, size)`` features."""

    def observe(self, observation: Tensor) -> None:
        """Take ``(P, B, raw)`` training observations into the running statistics."""

    def select(self, learners: Tensor) -> None:
        """Keep only these learners, ``(P',)`` int64."""

    def moments(self) -> Moments | None:
        """Mean and deviation, each ``(P, raw)`` float32; None without normalisation."""


def encoder(
    observation: Observation, population: int, *, normalize: bool, device: str, moments: Moments | None = None
) -> Encoder:
    """The encoder for what an environment shows; with ``moments`` its statistics are frozen at those."""
    if observation.kind == "grid":
        return GridEncoder(device)
    if not normalize:
        return VectorEncoder(observation.size)
    return NormalizingEncoder(observation.size, population, device, moments)


_COLUMNS = 8


def _code_table() -> Tensor:
    """Columns of each code of a cell or direction, ``(256, 8)`` int8 packed as ``(256,)`` int64.

    Columns: wall, door, how open a door is (1 open, -1 locked), key, ball, box, goal (1) or lava (-1), and
    the colour's number (1 to 6) of what can have any. Unseen and empty cells are zero, floor is too. Fewer or
    smaller columns make a step cheaper and learning much slower (docs/decisions/0004-grid-columns.md). Codes that
    MiniGrid draws alike have the same columns. A direction is one of the first four.
    """
    table = torch.zeros(256, _COLUMNS, dtype=torch.int8)
    kind, colour, state = torch.from_numpy(APPEARANCE.astype(np.int64)).unbind(1)
    for column, code in ((0, 2), (1, 4), (3, 5), (4, 6), (5, 7), (6, 8)):
        table[kind == code, column] = 1
    table[kind == 9, 6] = -1
    table[(kind == 4) & (state == 0), 2], table[(kind == 4) & (state == 2), 2] = 1, -1
    any_colour = (kind >= 4) & (kind <= 7)
    table[any_colour, 7] = (colour[any_colour] + 1).to(torch.int8)
    table[DIRECTION : DIRECTION + 4, :4] = torch.eye(4, dtype=torch.int8)
    return table.view(torch.int64).squeeze(-1)


class GridEncoder:
    """MiniGrid's view as 8 signed columns a cell, and the direction one-hot: 400 columns of int8."""

    size = 50 * _COLUMNS
    dtype = torch.int8

    def __init__(self, device: str) -> None:
        self._table = _code_table().to(device)
        places = torch.arange(56).view(7, 8)
        self._places = torch.cat([places[:, :7].flatten(), places[-1:, 7]]).to(device)

    def __call__(self, observation: Tensor) -> Tensor:
        """``(P, B, 56)`` uint8 as ``(P, B, 400)`` int8."""
        lead = observation.shape[:-1]
        codes = observation.view(-1, 56).index_select(1, self._places).to(torch.int32)
        return self._table.index_select(0, codes.view(-1)).view(torch.int8).view(*lead, self.size)

    def observe(self, observation: Tensor) -> None:
        """A grid view has fixed codes, so there is nothing to estimate."""

    def select(self, learners: Tensor) -> None:
        """Nothing is kept for a learner."""

    def moments(self) -> Moments | None:
        """None: grid views are not normalised."""
        return None


class VectorEncoder:
    """A float vector as it is, with zero columns up to the next multiple of ``WIDTH``."""

    dtype = torch.float32

    def __init__(self, raw: int) -> None:
        self.raw = raw
        self.size = padded(raw)

    def __call__(self, observation: Tensor) -> Tensor:
        """``(P, B, raw)`` as ``(P, B, size)`` float32."""
        return torch.nn.functional.pad(observation.to(torch.float32), (0, self.size - self.raw))

    def observe(self, observation: Tensor) -> None:
        """Nothing is estimated."""

    def select(self, learners: Tensor) -> None:
        """Nothing is kept for a learner."""

    def moments(self) -> Moments | None:
        """None: used as it is."""
        return None


class NormalizingEncoder(VectorEncoder):
    """A float vector less its running mean, by its running deviation, per learner, in bounds."""

    def __init__(self, raw: int, population: int, device: str, moments: Moments | None) -> None:
        super().__init__(raw)
        self.frozen = moments is not None
        self._running = RunningMoments(population, raw, device)
        self._moments = moments or self._running.moments()

    def __call__(self, observation: Tensor) -> Tensor:
        """``(P, B, raw)`` as ``(P, B, size)`` float32, each in ``[-10, 10]``."""
        mean, deviation = self._moments
        scaled = (observation.to(torch.float32) - mean[:, None]) / deviation[:, None]
        return super().__call__(scaled.clamp_(-OBSERVATION_CLIP, OBSERVATION_CLIP))

    def observe(self, observation: Tensor) -> None:
        """Take a batch into the statistics, unless they are frozen."""
        if not self.frozen:
            self._running.update(observation)
            self._moments = self._running.moments()

    def select(self, learners: Tensor) -> None:
        """Keep the statistics of these learners."""
        self._running = self._running.select(learners)
        mean, deviation = self._moments
        self._moments = mean[learners], deviation[learners]

    def moments(self) -> Moments | None:
        """Mean and deviation as they stand."""
        return self._moments


class RunningMoments:
    """Mean and variance of ``C`` columns for each of ``P`` learners, batch by batch.

    Batches are merged by the pairwise formula of Chan, Golub and LeVeque (1979), in float64.
    """

    def __init__(self, population: int, columns: int, device: str) -> None:
        self.count = 0
        self.mean = torch.zeros(population, columns, dtype=torch.float64, device=device)
        self.variance = torch.ones_like(self.mean)

    def update(self, batch: Tensor) -> None:
        """Take ``(P, B, C)`` values."""
        values = batch.to(torch.float64)
        size = values.shape[1]
        mean = values.mean(1)
        variance = (values - mean[:, None]).square().mean(1)
        total = self.count + size
        delta = mean - self.mean
        share = size / total
        spread = delta.square() * (share * (1 - share))
        self.mean = self.mean + delta * share
        self.variance = self.variance * (1 - share) + variance * share + spread
        self.count = total

    def moments(self) -> Moments:
        """Mean and standard deviation, float32; the deviation is at least ``LEAST_DEVIATION``."""
        return self.mean.float(), (self.variance + LEAST_DEVIATION**2).sqrt().float()

    def select(self, learners: Tensor) -> Self:
        """These learners' statistics alone."""
        self.mean, self.variance = self.mean[learners], self.variance[learners]
        return self
