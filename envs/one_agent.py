"""One agent of a team as a Gymnasium environment: for what plays a single agent, such as probes and records."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from envs.episode import Array
from envs.task import TaskSpec
from envs.team import Team


class OneAgent(gymnasium.Env[Array, int]):
    """The first agent of a team; its teammates act at random, from the seed that ``reset`` is given.

    It is paid as its row of the vector environment is: the team's reward by the number of agents.
    """

    def __init__(self, task: TaskSpec) -> None:
        self._team = Team(task)
        self.world = self._team.world
        """MPE's own, where the state is read."""
        self.agent = 0
        """Which of the team's agents this is."""
        self.observation_space = self._team.observation_space
        self.action_space = self._team.action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Begin an episode: the one that a vector environment's copy would begin from this seed."""
        super().reset(seed=seed)
        return self._team.reset(seed)[self.agent], {}

    def step(self, action: int) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Take this agent's action, and draw those of its teammates."""
        count = len(self._team.names)
        actions = self.np_random.integers(self._team.action_space.n, size=count)
        actions[self.agent] = action
        step = self._team.step(np.asarray(actions))
        return step.observation[self.agent], step.reward / count, step.terminated, step.truncated, {}

    def close(self) -> None:
        """Free the environment."""
        self._team.close()
