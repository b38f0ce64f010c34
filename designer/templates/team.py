"""A designed reward for a team, as a wrapper of PettingZoo's parallel environments.

It needs PettingZoo and what ``wrapper.py`` beside it needs, where it is said what is paid: here to each agent for its
own step, its share of the task's reward being the team's by the number of agents. Constructing the wrapper runs
``reward.py`` and ``state.py`` with all the rights of this process: read both first.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.error import ResetNeeded
from pettingzoo import ParallelEnv  # type: ignore[import-untyped]
from pettingzoo.utils import BaseParallelWrapper  # type: ignore[import-untyped]

if TYPE_CHECKING or __package__:
    from .wrapper import BundledReward
else:  # a folder whose name Python cannot import: this file was loaded by its path
    _spec = importlib.util.spec_from_file_location(f"{__name__}_wrapper", Path(__file__).with_name("wrapper.py"))
    _wrapper = sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_wrapper)
    BundledReward = _wrapper.BundledReward


class DesignedTeamReward(BaseParallelWrapper):  # type: ignore[misc]
    """Pays every agent of a team the designed reward of its own step.

    The team is who learned in training: all agents of simple_spread, the predators of simple_tag. The others are paid
    as ever. In a team's infos ``task_reward`` is an agent's share of what the environment itself pays the team,
    and ``reward_components`` and ``reward_factors`` are as in ``DesignedReward``.
    """

    def __init__(self, env: Any, path: str | None = None) -> None:
        """Load the bundle in the folder ``path`` (None: this file's own). Runs its code.

        Raises ValueError when a file differs from its hash in ``manifest.json``, TypeError and ValueError for an
        environment that is not parallel or not the one that the reward was designed for.
        """
        if not isinstance(env, ParallelEnv):
            raise TypeError(f"{env} is no parallel environment of PettingZoo: make it with parallel_env()")
        super().__init__(env)
        self._reward = BundledReward(path)
        self.manifest = self._reward.manifest
        if env.metadata.get("name") != self.manifest["env_id"]:
            raise ValueError(f"this reward is for {self.manifest['env_id']}, not for {env.metadata.get('name')}")
        self.team: list[str] = []
        """Names of the agents that this reward pays, known from the first reset on."""

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode; the reward's memory, where it has any, starts anew.

        Raises ValueError for a team of another size.
        """
        observations, infos = self.env.reset(seed=seed, options=options)
        self.team = [agent.name for agent in self._reward.reader.learners(self.env.unwrapped.world)]
        if len(self.team) != self.manifest["agents"]:
            raise ValueError(f"the team has {len(self.team)} agents, manifest.json says {self.manifest['agents']}")
        self._reward.restart(len(self.team), self._reward.read_state(self.env.unwrapped.world))
        return observations, infos

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """Take a step of all agents; the team is paid the designed reward, as Python floats.

        Raises gymnasium's ResetNeeded before the first reset. After an episode's end nothing happens.
        """
        if not self.team:
            raise ResetNeeded("call reset first: this wrapper reads the state from an episode's beginning on")
        if not self.env.agents:
            return {}, {}, {}, {}, {}
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        count = len(self.team)
        # What an agent is paid in training of the team's reward, which is the mean of what its agents are paid here.
        native = sum(float(rewards[name]) for name in self.team) / count / count
        paid = self._reward(
            np.array([actions[name] for name in self.team], dtype=np.int64),
            self._reward.read_state(self.env.unwrapped.world),
            native,
            terminated=any(terminations.values()),
            truncated=any(truncations.values()),
        )
        told = {name: dict(infos[name]) for name in self.team}
        for row, info in enumerate(told.values()):
            paid.tell(info, row, native)
        rewards = {**rewards, **dict(zip(self.team, paid.reward.tolist(), strict=True))}
        return observations, rewards, terminations, truncations, {**infos, **told}
