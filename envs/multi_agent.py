"""Teams as a vector environment whose every row is one agent: a plain loop over copies, in this process.

The agents of copy ``e`` of ``n`` are the rows ``e * n`` to ``e * n + n - 1``. They share its episodes, begin and end
together, and are each paid an ``n``-th of the team's reward, so that the rows of a copy sum up to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from envs.episode import Array
from envs.extractors.mpe import read_team
from envs.task import TaskSpec
from envs.team import Team
from envs.vector import Observation, Step, split_seed


class MultiAgentVectorEnvironment:
    """MPE's tasks, ``task.agents`` rows for each copy; a copy's whole future depends on its first row's seed alone.

    State is read before a finished copy is reset, so ``next_state`` at an episode's end is the final state. No episode
    is a success, and none has a score.
    """

    def __init__(
        self,
        task: TaskSpec,
        seeds: Sequence[int],
        *,
        device: str | torch.device = "cpu",
        split: Literal["train", "test"] = "train",
    ) -> None:
        """``seeds``: one for each row, of which each copy takes its first.

        Raises ``ValueError`` where the rows do not make whole copies, ``UserError`` where MPE is not installed.
        """
        if not seeds or len(seeds) % task.agents:
            raise ValueError(f"{len(seeds)} rows make no whole copies of {task.agents} agents")
        self._task, self._device, self._agents = task, torch.device(device), task.agents
        self._seeds = [split_seed(seed, split) for seed in seeds[:: task.agents]]
        self._teams = [Team(task) for _ in self._seeds]
        self.num_envs = len(seeds)
        self.observation = Observation(kind="continuous", size=int(self._teams[0].observation_space.shape[0]))
        self._obs: Array = np.zeros((self.num_envs, self.observation.size), dtype=np.float32)
        self._state: dict[str, Array] = {f.name: np.zeros((self.num_envs, *f.shape), f.dtype) for f in task.state}
        self._withheld = np.zeros(len(self._teams))
        """What each copy's team has earned in the running episode, where it is paid at its end."""

    def reset(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Start every copy anew from its seed."""
        for copy, seed in enumerate(self._seeds):
            self._begin(copy, seed)
        return self._tensor(self._obs), self._tensors()

    def _begin(self, copy: int, seed: int | None = None) -> None:
        self._withheld[copy] = 0.0
        self._look(copy, self._teams[copy].reset(seed))

    def _look(self, copy: int, observation: Array) -> None:
        """Take down what a copy's agents see, and its state where anybody reads it."""
        rows = self._rows(copy)
        self._obs[rows] = observation
        if self._state:
            state = read_team(self._teams[copy].world)
            for name, values in self._state.items():
                values[rows] = state[name]

    def _rows(self, copy: int) -> slice:
        return slice(copy * self._agents, (copy + 1) * self._agents)

    def step(self, action: Tensor) -> Step:
        """Take one action in every row, ``(M,)`` int64; finished copies are reset within the step."""
        actions = action.detach().cpu().numpy().reshape(-1, self._agents)
        reward, flags = np.zeros(len(self._teams)), np.zeros((2, len(self._teams)), dtype=bool)
        for copy, team in enumerate(self._teams):
            taken = team.step(actions[copy])
            self._look(copy, taken.observation)
            reward[copy], flags[:, copy] = taken.reward, (taken.terminated, taken.truncated)
        ended = flags.any(0)
        if self._task.episodic:
            self._withheld += reward
            reward = np.where(ended, self._withheld, 0.0)
        final_observation, next_state = self._tensor(self._obs), self._tensors()
        for copy in np.flatnonzero(ended).tolist():
            self._begin(copy)
        return Step(
            observation=self._tensor(self._obs),
            reward=self._each((reward / self._agents).astype(np.float32)),
            terminated=self._each(flags[0]),
            truncated=self._each(flags[1]),
            success=self._tensor(np.zeros(self.num_envs, dtype=bool)),
            score=None,
            state=self._tensors() if ended.any() else next_state,
            next_state=next_state,
            final_observation=final_observation,
        )

    def select(self, rows: Tensor) -> None:
        """Keep only these rows, which go on undisturbed. Raises ``ValueError`` unless they are whole copies."""
        wanted = np.array(rows.tolist(), dtype=np.int64)
        keep = wanted[:: self._agents] // self._agents
        if not np.array_equal(wanted, (keep[:, None] * self._agents + np.arange(self._agents)).ravel()):
            raise ValueError(f"the {self._agents} rows of a copy are kept or dropped together")
        for copy in set(range(len(self._teams))) - set(keep.tolist()):
            self._teams[copy].close()
        self._teams, self._seeds = [self._teams[i] for i in keep], [self._seeds[i] for i in keep]
        self.num_envs = len(wanted)
        self._obs, self._withheld = self._obs[wanted], self._withheld[keep]
        self._state = {name: values[wanted] for name, values in self._state.items()}

    def close(self) -> None:
        """Close every copy."""
        for team in self._teams:
            team.close()

    def _each(self, values: Array) -> Tensor:
        """What each copy has, for each of its rows."""
        return self._tensor(values.repeat(self._agents))

    def _tensor(self, values: Array) -> Tensor:
        return torch.from_numpy(values.copy()).to(self._device)

    def _tensors(self) -> dict[str, Tensor]:
        return {name: self._tensor(values) for name, values in self._state.items()}
