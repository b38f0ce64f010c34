"""One copy of a multi-agent task: a PettingZoo environment of MPE, its learning agents and its team's reward.

The agents that learn are all of simple_spread's and the predators of simple_tag, whose prey acts on a fixed policy
(``envs.scripted.prey``). They are asked in turn and move at once, as behind PettingZoo's parallel API, whose wrappers
cost as much again as the simulation.

The team's reward is what MPE pays each of them, counted once, since it pays all of them the same. In simple_spread
with ``local_ratio = 0`` that is minus the sum over the landmarks of the nearest agent's distance. In simple_tag it is
10 for each predator that touches the prey after the step: two predators at it make 20 for the team in that step, not
20 for each of three. Were agents paid differently, it would be the mean over them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from envs.episode import Array
from envs.errors import UserError
from envs.extractors import mpe
from envs.scripted.prey import flee
from envs.task import TaskSpec


class TeamStep(NamedTuple):
    """One step of a team."""

    observation: Array
    """``(n, size)`` float32, before any reset."""
    reward: float
    """The team's."""
    terminated: bool
    truncated: bool
    """Never true where ``terminated`` is."""


class Team:
    """The learning agents of one copy of the environment, in a fixed order. It never resets itself."""

    def __init__(self, task: TaskSpec) -> None:
        """Raises ``UserError`` where MPE is not installed, or its number of learning agents is not the task's."""
        self._env = _environment(task)
        # Every copy would keep a canvas of 2 MB that nothing draws on; closing it would also close all others'.
        self._env.screen = None
        self.world: Any = self._env.world
        self.names = [agent.name for agent in mpe.learners(self.world)]
        """PettingZoo's names of the agents that learn."""
        if len(self.names) != task.agents:
            raise UserError(f"{task.env_id} has {len(self.names)} agents that learn; the task says {task.agents}")
        self._hunted = mpe.prey(self.world)

    @property
    def observation_space(self) -> Any:
        """Of one agent; all have the same."""
        return self._env.observation_space(self.names[0])

    @property
    def action_space(self) -> Any:
        """Of one agent; all have the same."""
        return self._env.action_space(self.names[0])

    def reset(self, seed: int | None = None) -> Array:
        """Begin an episode, of the copy's own stream where no seed is given; ``(n, size)`` float32 observations."""
        self._env.reset(seed=seed)
        return self._observations()

    def step(self, actions: Array) -> TeamStep:
        """Let every agent take its action, ``(n,)`` codes, all at once. An episode that ended must be reset first."""
        chosen = {name: int(action) for name, action in zip(self.names, actions, strict=True)}
        chosen |= {agent.name: self._flight(agent) for agent in self._hunted}
        for name in self._env.agents:
            # The world stands still until the last of them has said what it does.
            self._env.step(chosen[name])
        terminated = any(self._env.terminations.values())
        return TeamStep(
            observation=self._observations(),
            reward=sum(float(self._env.rewards[name]) for name in self.names) / len(self.names),
            terminated=terminated,
            truncated=not terminated and any(self._env.truncations.values()),
        )

    def _flight(self, agent: Any) -> int:
        return flee(agent.state.p_pos, np.array([hunter.state.p_pos for hunter in mpe.learners(self.world)]))

    def _observations(self) -> Array:
        return np.stack([self._env.observe(name) for name in self.names]).astype(np.float32)

    def close(self) -> None:
        """Free the environment."""
        self._env.close()


def _environment(task: TaskSpec) -> Any:
    try:
        module = import_module(f"mpe2.{task.env_id}")
    except ImportError as error:
        raise UserError(
            f"{task.env_id} needs a package that is not installed: {error}. "
            f"Remedy: pip install 'rewardsmith[{task.extra or 'mpe'}]'"
        ) from error
    return module.raw_env(max_cycles=task.episode_steps, **dict(task.env_kwargs))
