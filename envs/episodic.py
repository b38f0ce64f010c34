"""Tasks whose reward is withheld until an episode ends, when its sum is paid: nothing but the outcome is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium

from envs.task import TaskSpec

SUFFIX = "-episodic"
"""What the id of a task ends with whose reward is withheld."""


def episodic(task: TaskSpec) -> TaskSpec:
    """The task with its reward withheld.

    A hand-written reward is no control there: it may hold the terms of what is withheld.
    """
    told = "The reward is not told step by step: what an episode was worth is known when it has ended."
    return replace(task, id=task.id + SUFFIX, description=f"{task.description} {told}", episodic=True, human=None)


class EpisodicReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Pays nothing until the last step of an episode, and there the sum."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._sum = 0.0

    def reset(self, **kwargs: Any) -> Any:
        """Begin a new sum."""
        self._sum = 0.0
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> Any:
        """As the environment's, but for the reward."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._sum += float(reward)
        return observation, self._sum if terminated or truncated else 0.0, terminated, truncated, info
