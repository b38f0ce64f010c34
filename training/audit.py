"""The audit for gamed rewards: does an agent that never finishes collect as much as one that solves the task?

Scripted agents are paid by the reward under audit exactly as a learner would be. A reward is *gamed* when, on the
mean over the starts, some exploit collects at least as much discounted return over the whole time limit as some
scripted solution, slow ones included. The potential's end term is left out: a learner's value estimate stands
there when an episode is cut off, so by itself it pays nobody for where the time limit finds them. Without it the
discounted sum of ``gamma * Phi(s') - Phi(s)`` is ``-Phi(s_0)`` for every behaviour, and a potential is neutral.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from envs.episode import Array, Episode, Transitions, side_by_side
from envs.scripted import ScriptedEpisodes
from training.reward import RewardFunction, components

Verdict = Literal["sound", "gamed", "not_audited"]
Role = Literal["solution", "exploit", "quitter"]

_CALL_TRANSITIONS = 1 << 15
_NATIVE = "the task's own reward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one behaviour collected."""

    behaviour: str
    role: Role
    """``quitter``: an exploit whose episodes end before the time limit."""
    mean_return: float
    """Discounted paid return, mean over the starts."""
    components: tuple[tuple[str, float], ...]
    """What each paid part contributed to it, largest first; the weighted native reward is among them."""
    episodes: int
    mean_length: float
    beaten: str | None = None
    """For exploits that earn at least as much as a solution: the weakest such solution."""
    beaten_return: float | None = None
    beaten_share: float | None = None
    """Share of the starts from which it earns at least as much as that solution."""

    @property
    def top_component(self) -> str:
        """The part that paid most."""
        return self.components[0][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """The verdict and every behaviour's return: exploits that beat a solution first, then by return."""

    verdict: Verdict
    evidence: tuple[Evidence, ...]
    gamma: float
    task_weight: float

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {**asdict(self), "evidence": [asdict(row) for row in self.evidence]}

    def feedback(self, most: int = 3) -> str:
        """The verdict in words for a model: which behaviour, which return, which component, against which solution."""
        if self.verdict == "not_audited":
            return "The reward was not audited: no scripted solution of this task exists."
        if self.verdict == "sound":
            return "No scripted agent that fails the task earns as much as a scripted solution."
        winners = [row for row in self.evidence if row.beaten is not None]
        lines = [
            "The reward can be gamed: agents that never solve the task earn at least as much as agents that do "
            f"(mean discounted return of what is paid, gamma {self.gamma:g}, from {winners[0].episodes} starts)."
        ]
        lines += [_in_words(row) for row in winners[:most]]
        if len(winners) > most:
            others = ", ".join(row.behaviour for row in winners[most:])
            lines.append(f"Also: {others}.")
        lines.append(
            "Make what is paid over and over impossible to collect without progress: pay for a change once, take "
            "back what is undone, or write the term as a potential; a solution must earn more than any of these."
        )
        return "\n".join(lines)


def audit(
    scripted: ScriptedEpisodes | None, reward: RewardFunction, *, gamma: float, task_weight: float
) -> AuditReport:
    """Pay every scripted behaviour by ``reward`` and compare exploits with solutions.

    Without scripted solutions the verdict is ``not_audited``, never a pass. Exploits that run to the time limit are
    compared with the weakest solution; a solution with a twin counts for its twin alone (``ScriptedEpisodes.twins``).
    Exploits that end the episode early (quitters) are compared with the best solution: any cost per step makes a
    sufficiently slow solution worse than ending at once, and is not gamed for that.
    Raises what ``reward`` raises (``RewardFailure``).
    """
    if scripted is None or not scripted.solutions:
        return AuditReport(verdict="not_audited", evidence=(), gamma=gamma, task_weight=task_weight)
    behaviours = [*scripted.solutions.items(), *scripted.exploits.items()]
    episodes = [episode for _, runs in behaviours for episode in runs]
    earned = _returns(episodes, reward, gamma, task_weight)
    limit = max(len(e) for e in episodes)
    rows: list[tuple[Evidence, Array]] = []
    at = 0
    for i, (name, runs) in enumerate(behaviours):
        parts = {part: values[at : at + len(runs)] for part, values in earned.items()}
        at += len(runs)
        role: Role = "solution" if i < len(scripted.solutions) else _role(runs, limit)
        rows.append(_evidence(name, role, runs, parts))
    judged = _judge(rows, scripted.twins)
    gamed = any(row.beaten is not None for row in judged)
    return AuditReport(verdict="gamed" if gamed else "sound", evidence=judged, gamma=gamma, task_weight=task_weight)


def _role(runs: Sequence[Episode], limit: int) -> Role:
    """An exploit whose episodes mostly end well before the limit of ``limit`` steps gains by quitting."""
    early = sum(e.terminated and len(e) < limit for e in runs)
    return "quitter" if 2 * early > len(runs) else "exploit"


def _evidence(name: str, role: Role, runs: Sequence[Episode], parts: dict[str, Array]) -> tuple[Evidence, Array]:
    """One behaviour's row, and its return from each start."""
    total: Array = np.sum(list(parts.values()), axis=0)
    means = sorted(((part, float(values.mean())) for part, values in parts.items()), key=lambda p: -p[1])
    row = Evidence(
        behaviour=name,
        role=role,
        mean_return=float(total.mean()),
        components=tuple(means),
        episodes=len(runs),
        mean_length=float(np.mean([len(e) for e in runs])),
    )
    return row, total


def _judge(rows: Sequence[tuple[Evidence, Array]], twins: Mapping[str, str]) -> tuple[Evidence, ...]:
    """Mark the exploits that earn at least as much as the solution they are held against."""
    solutions = [row for row in rows if row[0].role == "solution"]
    judged = []
    for row, returns in rows:
        if row.role == "solution":
            judged.append(row)
            continue
        rival, rival_returns = _rival(row, solutions, twins)
        slack = _slack(rival.mean_return)
        if row.mean_return >= rival.mean_return - slack:
            share = float(np.mean(returns >= rival_returns - slack))
            row = replace(row, beaten=rival.behaviour, beaten_return=rival.mean_return, beaten_share=share)
        judged.append(row)
    return tuple(sorted(judged, key=lambda row: (row.beaten is None, -row.mean_return)))


def _rival(
    exploit: Evidence, solutions: Sequence[tuple[Evidence, Array]], twins: Mapping[str, str]
) -> tuple[Evidence, Array]:
    """The solution that an exploit is held against."""
    if exploit.role == "quitter":
        return max(solutions, key=lambda row: row[0].mean_return)
    held = [row for row in solutions if twins.get(row[0].behaviour, exploit.behaviour) == exploit.behaviour]
    return min(held, key=lambda row: row[0].mean_return)


def _slack(value: float) -> float:
    """Rounding of float32 sums: two behaviours that are paid the same must count as tied."""
    return 1e-5 * (1.0 + abs(value))


def _in_words(row: Evidence) -> str:
    part, value = row.components[0]
    share = f"{row.beaten_share:.0%}" if row.beaten_share is not None else "all"
    return (
        f"- {row.behaviour!r} earns {row.mean_return:.3g} in {row.mean_length:.0f} steps, most of it ({value:.3g}) "
        f"from {part!r}; the solution {row.beaten!r} earns {row.beaten_return:.3g}. "
        f"It earns at least as much from {share} of the starts."
    )


class _Batch(NamedTuple):
    """Episodes side by side, padded to the longest."""

    transitions: Transitions
    native: Array
    """``(T, R)`` float32, zero in the padding."""
    mask: Array
    """``(T, R)`` bool: the steps that were taken."""


def _returns(episodes: Sequence[Episode], reward: RewardFunction, gamma: float, task_weight: float) -> dict[str, Array]:
    """Discounted return of each paid part, ``(len(episodes),)`` float64 each, in the order of ``episodes``.

    Episodes of like length share a call, so that little is padded and few calls are made.
    """
    order = np.argsort([len(e) for e in episodes], kind="stable")
    out: dict[str, Array] = {}
    for index in _groups(order, episodes):
        batch = _padded([episodes[i] for i in index])
        reward.restart()
        answer = reward(batch.transitions)
        ended = batch.transitions.terminated | batch.transitions.truncated
        cut = replace(batch.transitions, terminated=ended)
        parts = {_NATIVE: np.float32(task_weight) * batch.native} if task_weight else {}
        parts |= components(answer, cut, gamma)
        weight = batch.mask * gamma ** np.arange(len(batch.mask), dtype=np.float64)[:, None]
        for part, values in parts.items():
            total = out.setdefault(part, np.zeros(len(episodes)))
            total[index] = (np.where(batch.mask, values, 0.0) * weight).sum(axis=0)
    reward.restart()
    return out or {_NATIVE: np.zeros(len(episodes))}


def _groups(order: Array, episodes: Sequence[Episode]) -> Iterator[Array]:
    """Cut the indices, shortest episode first, into runs of at most ``_CALL_TRANSITIONS`` padded steps."""
    group: list[int] = []
    for i in order:
        if group and (len(group) + 1) * len(episodes[i]) > _CALL_TRANSITIONS:
            yield np.array(group)
            group = []
        group.append(int(i))
    yield np.array(group)


def _padded(episodes: Sequence[Episode]) -> _Batch:
    """One row per episode, walked in time order; the last step is repeated into the padding."""
    lengths = np.array([len(e) for e in episodes])
    mask = np.arange(lengths.max())[:, None] < lengths
    native = np.zeros(mask.shape, np.float32)
    for row, episode in enumerate(episodes):
        native[: len(episode), row] = episode.reward
    return _Batch(transitions=side_by_side(episodes), native=native, mask=mask)
