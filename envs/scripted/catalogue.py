"""Which tasks have scripted agents, and their episodes: the same starts for every behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from envs.episode import Episode
from envs.scripted import grid
from envs.scripted.grid_plan import NoPlan
from envs.task import TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedEpisodes:
    """Episodes by behaviour; episode ``i`` of every behaviour begins from the same start."""

    solutions: Mapping[str, tuple[Episode, ...]]
    """Agents that solve the task, fast or slow; every episode succeeds."""
    exploits: Mapping[str, tuple[Episode, ...]]
    """Agents that do something else up to the time limit, or end the episode badly; no episode succeeds."""


def episodes(task: TaskSpec, *, starts: int = 20, seed: int = 0) -> ScriptedEpisodes | None:
    """Record every scripted behaviour of the task from ``starts`` seeded starts.

    None where there is no scripted solution. Only behaviours that exist from every start are kept: a solution that
    fails from one, or an exploit that happens to succeed from one, is left out.
    """
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(starts, np.uint32) >> 1]
    if task.extractor != "grid":
        return None
    try:
        played = list(grid.play(task, seeds))
    except NoPlan:
        return None
    solutions = _everywhere([won for won, _ in played], success=True)
    exploits = _everywhere([lost for _, lost in played], success=False)
    return ScriptedEpisodes(solutions=solutions, exploits=exploits) if solutions and exploits else None


def _everywhere(played: list[Mapping[str, Episode]], *, success: bool) -> dict[str, tuple[Episode, ...]]:
    """The behaviours that came out as they should from every start."""
    out = {}
    for name in played[0]:
        runs = tuple(start[name] for start in played if name in start and start[name].success == success)
        if len(runs) == len(played):
            out[name] = runs
    return out
