"""Recorded experience: what happened in one episode, and many transitions in one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Fields = Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One episode of ``L`` steps, recorded by trusted code.

    ``state`` and ``next_state`` hold the task's fields, each ``(L, *shape)``; ``next_state`` of the last step
    is the final state, read before any reset.
    """

    state: Fields
    action: Array
    """``(L,)`` int64 or ``(L, A)`` float32."""
    next_state: Fields
    reward: Array
    """``(L,)`` float32: what the environment itself paid."""
    terminated: bool
    truncated: bool
    success: bool
    observation: Array | None = None
    """``(L + 1, ...)`` raw observations; recorded only for a user's ``--fitness`` function."""

    def __len__(self) -> int:
        return len(self.action)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transitions:
    """``R`` rows walked for ``T`` steps in time order: every array is ``(T, R, ...)``.

    A row may hold the end of one episode and the start of the next; ``terminated | truncated`` marks the last
    step of an episode, whose ``next_state`` is the final state.
    """

    state: Fields
    action: Array
    next_state: Fields
    terminated: Array
    """``(T, R)`` bool."""
    truncated: Array
    """``(T, R)`` bool."""


def side_by_side(episodes: Sequence[Episode]) -> Transitions:
    """A row for each episode, ``(T, R, ...)``, so that memory runs as in training.

    ``T`` is the longest one's length; a shorter one repeats its last step.
    """
    steps = [np.minimum(np.arange(max(map(len, episodes))), len(episode) - 1) for episode in episodes]
    last = np.stack([at == len(episode) - 1 for at, episode in zip(steps, episodes, strict=True)], 1)

    def rows(parts: Sequence[Array]) -> Array:
        return np.stack([part[at] for part, at in zip(parts, steps, strict=True)], 1)

    return Transitions(
        state={name: rows([e.state[name] for e in episodes]) for name in episodes[0].state},
        action=rows([e.action for e in episodes]),
        next_state={name: rows([e.next_state[name] for e in episodes]) for name in episodes[0].state},
        terminated=last & np.array([e.terminated for e in episodes]),
        truncated=last & np.array([e.truncated for e in episodes]),
    )


def flat(episodes: Sequence[Episode]) -> Transitions:
    """All steps of all episodes as one batch of single-step rows, ``(1, B, ...)``."""

    def join(parts: list[Array]) -> Array:
        return np.concatenate(parts)[None]

    def ends(flags: list[bool]) -> Array:
        out = [np.zeros(len(e), dtype=bool) for e in episodes]
        for row, value in zip(out, flags, strict=True):
            row[-1] = value
        return join(out)

    names = episodes[0].state
    return Transitions(
        state={k: join([e.state[k] for e in episodes]) for k in names},
        action=join([e.action for e in episodes]),
        next_state={k: join([e.next_state[k] for e in episodes]) for k in names},
        terminated=ends([e.terminated for e in episodes]),
        truncated=ends([e.truncated for e in episodes]),
    )
