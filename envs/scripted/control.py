"""Scripted controllers, recorded: classic control and LunarLander."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any

import gymnasium

from envs.episode import Array, Episode
from envs.make import make_env
from envs.record import Policy, record
from envs.scripted.classic import CONTROLLERS, Controller
from envs.scripted.lander import LANDERS
from envs.task import TaskSpec

TABLE = {**CONTROLLERS, "LunarLander-v3": LANDERS}
"""Controllers by Gymnasium id."""

Played = tuple[Mapping[str, Episode], Mapping[str, Episode]]


def play(task: TaskSpec, seeds: Iterable[int]) -> Iterator[Played]:
    """From each start that every solution solves, the episodes of the solutions and of the exploits by behaviour.

    An exploit that happens to solve the task from a start is left out there.
    """
    controllers = TABLE[task.env_id]
    env = make_env(task)
    try:
        for seed in seeds:
            won = {name: _record(env, task, c, seed) for name, c in controllers.solutions.items()}
            if not all(map(controllers.solved, won.values())):
                continue
            lost = {name: _record(env, task, c, seed) for name, c in controllers.exploits.items()}
            yield won, {name: e for name, e in lost.items() if not (controllers.solved(e) or e.success)}
    finally:
        env.close()


def _record(env: gymnasium.Env[Any, Any], task: TaskSpec, controller: Controller, seed: int) -> Episode:
    return record(env, task, _policy(controller), seed)


def _policy(controller: Controller) -> Policy:
    """A controller with a clock of its own, as a policy of one episode."""
    clock = count()

    def act(env: gymnasium.Env[Any, Any], observation: Any, state: Mapping[str, Array]) -> Any:
        return controller(state, next(clock))

    return act
