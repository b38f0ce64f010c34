"""Learning curves: rollouts binned into a few dozen points for each learner."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from envs.episode import Array
from training.payment import Payment, Spread
from training.result import Point

POINTS = 30
"""Points of a curve, where the training has at least as many rollouts."""


RECENT = 50
"""Episodes of a learner that tell how it does now."""


class Curves:
    """The curves of ``P`` learners with ``N`` environments each."""

    def __init__(self, population: int, envs: int, *, rollouts: int) -> None:
        self.envs = envs
        self.points: list[list[Point]] = [[] for _ in range(population)]
        self._rollouts = rollouts
        self._taken = 0
        self._steps = 0
        self._returns = np.zeros(population * envs)
        self._lengths = np.zeros(population * envs, dtype=np.int64)
        self._bins = [_Bin() for _ in range(population)]
        self.recent: list[deque[bool]] = [deque(maxlen=RECENT) for _ in range(population)]
        """Whether each of a learner's last episodes was a success."""

    def take(self, native: Array, ended: Array, success: Array, payment: Payment, entropy: Array) -> None:
        """Take in one rollout: ``(T, M)`` native rewards and flags, what was paid, and ``(P,)`` entropies."""
        steps = native.shape[0]
        self._episodes(native, ended, success)
        for p, one in enumerate(self._bins):
            one.rollout(float(payment.reward[p].mean()), float(entropy[p]), payment.components[p])
        self._steps += steps * self.envs
        self._taken += 1
        if self._taken * POINTS // self._rollouts > (self._taken - 1) * POINTS // self._rollouts:
            for points, one in zip(self.points, self._bins, strict=True):
                points.append(one.point(self._steps))
            self._bins = [_Bin() for _ in self._bins]

    def _episodes(self, native: Array, ended: Array, success: Array) -> None:
        for t in range(native.shape[0]):
            self._returns += native[t]
            self._lengths += 1
            rows = np.flatnonzero(ended[t])
            for row in rows:
                learner, won = row // self.envs, bool(success[t, row])
                self.recent[learner].append(won)
                self._bins[learner].episode(won, float(self._returns[row]), int(self._lengths[row]))
            self._returns[rows] = 0
            self._lengths[rows] = 0

    def select(self, learners: Sequence[int]) -> None:
        """Keep only these learners."""
        self.points = [self.points[p] for p in learners]
        self._bins = [self._bins[p] for p in learners]
        self.recent = [self.recent[p] for p in learners]
        self._returns = self._returns.reshape(-1, self.envs)[list(learners)].ravel()
        self._lengths = self._lengths.reshape(-1, self.envs)[list(learners)].ravel()


class _Bin:
    """What happened to one learner since its last point."""

    def __init__(self) -> None:
        self.episodes = self.successes = self.lengths = self.rollouts = 0
        self.returns = self.paid = self.entropy = 0.0
        self.components: dict[str, list[Spread]] = {}

    def episode(self, success: bool, task_return: float, length: int) -> None:
        self.episodes += 1
        self.successes += success
        self.returns += task_return
        self.lengths += length

    def rollout(self, paid: float, entropy: float, components: Mapping[str, Spread]) -> None:
        self.rollouts += 1
        self.paid += paid
        self.entropy += entropy
        for name, spread in components.items():
            self.components.setdefault(name, []).append(spread)

    def point(self, env_steps: int) -> Point:
        spreads = {name: tuple(zip(*rows, strict=True)) for name, rows in self.components.items()}
        return Point(
            env_steps=env_steps,
            episodes=self.episodes,
            success=self._mean(self.successes),
            task_return=self._mean(self.returns),
            length=self._mean(self.lengths),
            paid=self.paid / self.rollouts,
            components={n: (sum(m) / len(m), min(lo), max(hi)) for n, (m, lo, hi) in spreads.items()},
            entropy=self.entropy / self.rollouts,
        )

    def _mean(self, total: float) -> float | None:
        return total / self.episodes if self.episodes else None


def area(points: Sequence[Point], kind: Literal["success_rate", "return"]) -> float:
    """Mean of the success (or return) curve over the steps taken.

    A point in which no episode ended goes on with the value before it, and counts 0 where there is none.
    """
    total, value, before = 0.0, 0.0, 0
    for point in points:
        seen = point.success if kind == "success_rate" else point.task_return
        value = value if seen is None else seen
        total += value * (point.env_steps - before)
        before = point.env_steps
    return total / before if before else 0.0
