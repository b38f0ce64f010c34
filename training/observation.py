"""What a policy network is fed: a grid view as a few columns a cell, or a vector with its running moments."""

from __future__ import annotations

from typing import Protocol, Self

import torch
from torch import Tensor

from envs.vector import Observation

WIDTH = 16
"""Feature, hidden and output widths are multiples of this.

Then every learner's slice of every matrix starts on a 64-byte boundary, and the matrix product of a learner
is bit-equal alone and among companions.
"""

OBSERVATION_CLIP = 10.0
"""Bound on a normalised observation, in deviations."""

Moments = tuple[Tensor, Tensor]


def padded(width: int) -> int:
    """The smallest multiple of ``WIDTH`` that holds ``width`` columns."""
    return -(-width // WIDTH) * WIDTH


class Encoder(Protocol):
    """Turns the raw observations of ``P`` learners into features; holds a learner's statistics where it has
    any.
    """

    size: int
    """Number of feature columns, a multiple of ``WIDTH``."""
    dtype: torch.dtype
    """What features are stored as; ``as_float`` makes of them what the network computes with."""

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


_TYPES = 11
_STATES = 4
_COLOURS = 6
_COLUMNS = 5
_ONE = 20


def _cell_table() -> Tensor:
    """Columns of each ``(colour, state, type)`` of MiniGrid in twentieths: ``(264, 8)`` int8, as ``(264,)`` int64.

    Columns: wall (1) or lava (-1); goal (1) or box (-1); door; how open it is (1 open, -1 locked); key (1) or ball
    (-1). What has a colour has 0.75 to 1.25 in its column, by colour. Unseen, empty and floor cells are zero. Few
    columns, because the first matrix is where the time goes; no two cells that MiniGrid tells apart look alike,
    except the three empty kinds.
    """
    table = torch.zeros(_COLOURS, _STATES, _TYPES, 8, dtype=torch.int8)
    wall, door, key, ball, box, goal, lava = 2, 4, 5, 6, 7, 8, 9
    colour = torch.arange(15, 26, 2, dtype=torch.int8)[:, None]
    for kind, column, value in ((wall, 0, _ONE), (lava, 0, -_ONE), (goal, 1, _ONE)):
        table[:, :, kind, column] = value
    for kind, column, sign in ((box, 1, -1), (door, 2, 1), (key, 4, 1), (ball, 4, -1)):
        table[:, :, kind, column] = sign * colour
    table[:, 0, door, 3], table[:, 2, door, 3] = _ONE, -_ONE
    return table.view(-1, 8).view(torch.int64).squeeze(-1)


def as_float(features: Tensor) -> Tensor:
    """Stored features as the float32 that a network computes with; int8 ones are twentieths."""
    if features.dtype == torch.int8:
        return features.to(torch.float32).mul_(1 / _ONE)
    return features


class GridEncoder:
    """MiniGrid's view as 5 signed columns a cell, and the direction one-hot: 256 columns of int8."""

    size = padded(49 * _COLUMNS + 4)
    dtype = torch.int8

    def __init__(self, device: str) -> None:
        self._table = _cell_table().to(device)
        self._direction = _ONE * torch.eye(4, self.size - 49 * _COLUMNS, dtype=torch.int8, device=device)

    def __call__(self, observation: Tensor) -> Tensor:
        """``(P, B, 148)`` uint8 as ``(P, B, 256)`` int8, in twentieths."""
        lead = observation.shape[:-1]
        cells = observation[..., :147].reshape(*lead, 49, 3).to(torch.int32)
        code = cells[..., 0] + _TYPES * (cells[..., 2] + _STATES * cells[..., 1])
        columns = self._table[code].view(torch.int8).view(*lead, 49, 8)[..., :_COLUMNS]
        direction = self._direction[observation[..., 147].to(torch.int32)]
        return torch.cat([columns.reshape(*lead, -1), direction], -1)

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
        """Mean and standard deviation, float32; the deviation is at least 1e-4."""
        return self.mean.float(), (self.variance + 1e-8).sqrt().float()

    def select(self, learners: Tensor) -> Self:
        """These learners' statistics alone."""
        self.mean, self.variance = self.mean[learners], self.variance[learners]
        return self
