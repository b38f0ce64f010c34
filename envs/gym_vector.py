"""Any Gymnasium environment as a vector environment: a plain loop over single environments, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from envs.encoding import encoder
from envs.episode import Array
from envs.families import reader
from envs.make import make_env
from envs.record import Recorder, allowed, begin, score_function, succeeded, take
from envs.task import TaskSpec
from envs.vector import Step, split_seed


class GymVectorEnvironment:
    """One Gymnasium environment for each row; a row's whole future depends on its own seed alone.

    State is read before a finished row is reset, so ``next_state`` at an episode's end is the final state.
    """

    def __init__(
        self,
        task: TaskSpec,
        seeds: Sequence[int],
        *,
        device: str | torch.device = "cpu",
        split: Literal["train", "test"] = "train",
    ) -> None:
        self._task, self._device = task, torch.device(device)
        self._seeds = [split_seed(seed, split) for seed in seeds]
        self._envs = [make_env(task) for _ in seeds]
        self._read = reader(task)
        self._score = score_function(task)
        self.observation, self._encode = encoder(self._envs[0].observation_space)
        self.num_envs = len(self._envs)
        self._allocate(self.num_envs)

    def _allocate(self, rows: int) -> None:
        dtype = np.uint8 if self.observation.kind == "grid" else np.float32
        self._obs: Array = np.zeros((rows, self.observation.size), dtype=dtype)
        self._state: dict[str, Array] = {f.name: np.zeros((rows, *f.shape), dtype=f.dtype) for f in self._task.state}
        self._returns = np.zeros(rows)
        self._recorders = [Recorder() for _ in range(rows)] if self._score else []

    def reset(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Start every row anew from its seed."""
        for row, seed in enumerate(self._seeds):
            self._begin(row, seed)
        return self._tensor(self._obs), self._tensors(self._state)

    def _begin(self, row: int, seed: int | None = None) -> None:
        env = self._envs[row]
        obs, info = begin(env, seed)
        self._returns[row] = 0.0
        self._obs[row] = self._encode(obs)
        state = self._read(env, obs, info)
        for name, values in self._state.items():
            values[row] = state[name]
        if self._score:
            self._recorders[row] = Recorder()
            self._recorders[row].start(obs, state)

    def step(self, action: Tensor) -> Step:
        """Take one action in every row; finished rows are reset within the step."""
        rows = self.num_envs
        reward, score = np.zeros(rows, dtype=np.float32), np.zeros(rows, dtype=np.float32)
        flags = np.zeros((3, rows), dtype=bool)
        ended = []
        for row, choice in enumerate(allowed(self._task, action.detach().cpu().numpy())):
            env = self._envs[row]
            obs, paid, terminated, truncated, info = take(env, choice)
            state = self._read(env, obs, info)
            self._obs[row] = self._encode(obs)
            for name, values in self._state.items():
                values[row] = state[name]
            reward[row] = paid
            self._returns[row] += float(paid)
            if self._score:
                self._recorders[row].add(choice, float(paid), obs, state)
            if terminated or truncated:
                success = succeeded(self._task.fitness, float(paid), bool(terminated), self._returns[row])
                flags[:, row] = terminated, truncated and not terminated, success
                ended.append(row)
                if self._score:
                    score[row] = self._score(self._recorders[row].episode(bool(terminated), success))
        final_observation, next_state = self._tensor(self._obs), self._tensors(self._state)
        for row in ended:
            self._begin(row)
        return Step(
            observation=self._tensor(self._obs),
            reward=self._tensor(reward),
            terminated=self._tensor(flags[0]),
            truncated=self._tensor(flags[1]),
            success=self._tensor(flags[2]),
            score=self._tensor(score) if self._score else None,
            state=self._tensors(self._state) if ended else next_state,
            next_state=next_state,
            final_observation=final_observation,
        )

    def select(self, rows: Tensor) -> None:
        """Keep only these rows, which go on undisturbed."""
        keep = [int(row) for row in rows]
        for row in set(range(self.num_envs)) - set(keep):
            self._envs[row].close()
        self._envs, self._seeds = [self._envs[i] for i in keep], [self._seeds[i] for i in keep]
        self.num_envs = len(keep)
        self._obs, self._returns = self._obs[keep], self._returns[keep]
        self._state = {name: values[keep] for name, values in self._state.items()}
        self._recorders = [self._recorders[i] for i in keep] if self._score else []

    def close(self) -> None:
        """Close every environment."""
        for env in self._envs:
            env.close()

    def _tensor(self, values: Array) -> Tensor:
        return torch.from_numpy(values.copy()).to(self._device)

    def _tensors(self, state: dict[str, Array]) -> dict[str, Tensor]:
        return {name: self._tensor(values) for name, values in state.items()}
