"""What factors say about outcomes, before any training: the outcomes of recorded episodes, told from their factors.

The probe reads what a decoder is fitted to: the factors' means over all steps of an episode, of a team over those of
all its agents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from envs.episode import Array, Episode, side_by_side
from training.reward import RewardFunction

RIDGE = 1.0
"""Penalty of the linear probe on standardised factors."""
AT_ONCE = 32
"""Episodes that go to the reward in one call."""
LEAST = 8
"""Episodes with unlike outcomes, below which nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relevance:
    """How far the factors of recorded episodes tell their outcomes, and whether they vary there at all."""

    episodes: int
    """A team's counts once."""
    correlation: Mapping[str, float | None]
    """Factor -> correlation of its mean over an episode with the outcome by length; None for one that never varies."""
    explained: float | None
    """Share of the outcomes' variance that a linear probe tells of episodes it was not fitted to, at least 0.

    None where the recorded episodes all end alike, or are too few.
    """
    constant: Mapping[str, float]
    """Factor -> its number, for those that had one number in every step."""
    deviation: Mapping[str, float]
    """Factor -> standard deviation over all steps."""
    likeness: float
    """Least absolute correlation of two that varied from step to step; 1 where there are no two."""


def relevance(episodes: Sequence[Episode], reward: RewardFunction, *, agents: int = 1) -> Relevance:
    """Ask ``reward`` for its factors of every step, and hold their means against the outcomes.

    ``agents`` consecutive episodes are one of a team, an agent's each; what they are paid sums up to its outcome. The
    probe is a ridge regression, judged on each episode by the fit to all others (Allen's PRESS, 1974). Random play may
    never meet what matters, so a low figure is a hint and no refusal. Raises what ``reward`` raises, and ``ValueError``
    where the episodes make no whole teams.
    """
    if len(episodes) % agents:
        raise ValueError(f"{len(episodes)} episodes make no whole teams of {agents} agents")
    sums: dict[str, Array] = {}
    steps: dict[str, list[Array]] = {}
    for start in range(0, len(episodes), AT_ONCE):
        batch = episodes[start : start + AT_ONCE]
        reward.restart()
        for name, values in sorted(reward(side_by_side(batch)).components.items()):
            own = [values[: len(episode), row] for row, episode in enumerate(batch)]
            steps.setdefault(name, []).extend(own)
            sums[name] = np.concatenate([sums.get(name, np.zeros(0)), [each.sum(dtype=np.float64) for each in own]])

    def of_teams(values: Array) -> Array:
        return np.asarray(values.reshape(-1, agents).sum(1))

    length = of_teams(np.array([len(episode) for episode in episodes]))
    outcome = of_teams(np.array([float(episode.reward.sum()) for episode in episodes])) / length
    means = {name: of_teams(values) / length for name, values in sums.items()}
    every = {name: np.concatenate(values).astype(np.float64) for name, values in steps.items()}
    constant = {name: float(values[0]) for name, values in every.items() if values.min() == values.max()}
    varied = len(outcome) >= LEAST and _varies(outcome)
    return Relevance(
        episodes=len(outcome),
        correlation={name: _correlation(values, outcome) if varied else None for name, values in means.items()},
        explained=_explained(np.stack(list(means.values()), 1), outcome) if varied else None,
        constant=constant,
        deviation={name: float(values.std()) for name, values in every.items()},
        likeness=_likeness([values for name, values in every.items() if name not in constant]),
    )


def _correlation(values: Array, outcome: Array) -> float | None:
    return float(np.corrcoef(values, outcome)[0, 1]) if _varies(values) else None


def _likeness(varying: Sequence[Array]) -> float:
    return float(np.abs(np.corrcoef(np.stack(varying))).min()) if varying else 1.0


def _varies(values: Array) -> bool:
    return bool(np.ptp(values) > 1e-9 * max(1.0, float(np.abs(values).max())))


def _explained(factors: Array, outcome: Array) -> float:
    varying = factors[:, [_varies(column) for column in factors.T]]
    if varying.shape[1] == 0:
        return 0.0
    standard = (varying - varying.mean(0)) / varying.std(0)
    inputs = np.concatenate([np.ones((len(outcome), 1)), standard], 1)
    penalty = RIDGE * np.eye(inputs.shape[1])
    penalty[0, 0] = 0.0
    hat = inputs @ np.linalg.solve(inputs.T @ inputs + penalty, inputs.T)
    left_out = (outcome - hat @ outcome) / np.clip(1 - np.diag(hat), 1e-9, None)
    # The mean that stands against it leaves the episode out as well.
    count = len(outcome)
    alone = (outcome - outcome.mean()) * count / (count - 1)
    return float(max(0.0, 1 - np.square(left_out).sum() / np.square(alone).sum()))
