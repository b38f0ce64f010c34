"""What a learner is paid: the small protocol that a reward function answers to, and the sum that is paid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from envs.episode import Array, Transitions


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardAnswer:
    """What a reward function says of ``(T, R)`` transitions."""

    components: Mapping[str, Array]
    """Each ``(T, R)`` float32; the reward is their sum."""
    potential: Array | None = None
    """``(T, R)`` float32: the potential of ``state``; None where the program has none."""
    next_potential: Array | None = None
    """``(T, R)`` float32: the potential of ``next_state``."""
    whole: bool = False
    """Whether this is all that is paid, and nothing of the task's own reward beside it."""


class RewardFunction(Protocol):
    """A reward that someone else computes (the jailed service, in a run). Raises ``RewardFailure``.

    One object serves the learners that share it, in one call a rollout: their rows lie side by side in ``R``,
    in the same order in every call of a training. Memory, where a program has any, is the object's own affair:
    row ``r`` goes on from the previous call, and starts anew after a step that ended an episode. Several objects
    are asked at once, each in a thread of its own.
    """

    def __call__(self, transitions: Transitions) -> RewardAnswer:
        """Components and potentials of every transition."""

    def restart(self) -> None:
        """Forget all memory: a new training begins."""


class RewardFailure(Exception):
    """The reward cannot be had: its arm ends with this reason, and the training of the others goes on."""


def components(answer: RewardAnswer, transitions: Transitions, gamma: float) -> dict[str, Array]:
    """The named components that are paid, the system's ``potential`` among them, each ``(T, R)`` float32.

    The potential pays ``gamma * Phi(s') - Phi(s)`` with ``Phi(s') = 0`` if and only if the episode terminated
    (Ng, Harada, Russell 1999); a truncated episode keeps ``Phi`` of its final state, as its value bootstraps.
    """
    paid = dict(answer.components)
    if answer.potential is not None and answer.next_potential is not None:
        after = np.where(transitions.terminated, np.float32(0), answer.next_potential)
        paid["potential"] = (np.float32(gamma) * after - answer.potential).astype(np.float32)
    return paid


def paid(answer: RewardAnswer, transitions: Transitions, native: Array, *, gamma: float, task_weight: float) -> Array:
    """``task_weight * native + sum of components``, ``(T, R)`` float32, before any normalisation."""
    total = np.float32(0.0 if answer.whole else task_weight) * native.astype(np.float32)
    for values in components(answer, transitions, gamma).values():
        total = total + values
    return total
