"""Which tasks have scripted agents, and their episodes: the same starts for every behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from envs.episode import Episode
from envs.scripted import control, grid
from envs.scripted.grid_plan import NoPlan
from envs.scripted.grid_scripts import TWINS
from envs.task import TaskSpec

_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedEpisodes:
    """Episodes by behaviour; episode ``i`` of every behaviour begins from the same start."""

    solutions: Mapping[str, tuple[Episode, ...]]
    """Agents that solve the task from every start, fast or slow."""
    exploits: Mapping[str, tuple[Episode, ...]]
    """Agents that do something else up to the time limit, or end the episode badly; none solves the task."""
    twins: Mapping[str, str]
    """Solutions that lose most of the time limit in one way -> the exploits that lose all of it in that way.

    A reward may well punish that way of losing time (turning on the spot, say), which makes such a solution worse
    than losing time in another way, and is no defect of the reward. So it is held against its twin alone.
    """


def episodes(task: TaskSpec, *, starts: int = 20, seed: int = 0) -> ScriptedEpisodes | None:
    """Record every scripted behaviour of the task from ``starts`` starts, drawn by ``seed``.

    None where there is no scripted solution. Starts that a controller cannot solve are replaced by others (a task
    where most starts are such has no scripted solution). Behaviours that do not exist from every start are left out.
    """
    twins: Mapping[str, str]
    if task.extractor == "grid":
        play, twins = grid.play, TWINS
    elif task.env_id in control.TABLE:
        play, twins = control.play, control.TABLE[task.env_id].twins
    else:
        return None
    # Gymnasium takes seeds below 2**31 everywhere; half the range of a uint32.
    seeds = np.random.SeedSequence(seed).generate_state(_TRIES * starts, np.uint32) >> 1
    try:
        played = list(islice(play(task, map(int, seeds)), starts))
    except NoPlan:
        return None
    if len(played) < starts:
        return None
    solutions = _everywhere([won for won, _ in played])
    exploits = _everywhere([lost for _, lost in played])
    return ScriptedEpisodes(solutions=solutions, exploits=exploits, twins=twins)


def supports(task: TaskSpec) -> bool:
    """Whether somebody wrote scripts for this kind of task; a grid that no plan solves still has no episodes."""
    return task.extractor == "grid" or task.env_id in control.TABLE


def _everywhere(played: Sequence[Mapping[str, Episode]]) -> dict[str, tuple[Episode, ...]]:
    """The behaviours that exist from every start."""
    names = [name for name in played[0] if all(name in start for start in played)]
    return {name: tuple(start[name] for start in played) for name in names}
