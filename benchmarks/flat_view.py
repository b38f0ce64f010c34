"""What Stable-Baselines3 is shown and paid of MiniGrid: the same view and direction, as a flat vector."""

from __future__ import annotations

from typing import Any

import gymnasium
import minigrid  # noqa: F401  registers its environments
import numpy as np


class FlatView(gymnasium.ObservationWrapper[Any, Any, Any]):
    """The 7x7x3 view and the direction as 148 float32 numbers."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(0.0, 10.0, (148,), np.float32)

    def observation(self, observation: Any) -> Any:
        return np.append(observation["image"].reshape(-1), observation["direction"]).astype(np.float32)


class Paid(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Pays a potential of ours on top of the native reward, which ``info["native"]`` keeps."""

    def __init__(self, env: gymnasium.Env[Any, Any], program: str, task: Any) -> None:
        super().__init__(env)
        names: dict[str, Any] = {}
        exec(compile(program, "<program>", "exec"), names)
        self._potential, self._gamma, self._weight = names["potential"], task.ppo.gamma, task.task_weight
        self._fields = [field.name for field in task.state]

    def _phi(self, observation: Any) -> float:
        from envs.extractors.grid import read_state

        state = read_state(self.env, observation, {})
        return float(self._potential({name: state[name][None] for name in self._fields})[0])

    def reset(self, **kwargs: Any) -> Any:
        observation, info = self.env.reset(**kwargs)
        self._before = self._phi(observation)
        return observation, info

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        after = self._phi(observation)
        paid = self._weight * float(reward) + self._gamma * (0.0 if terminated else after) - self._before
        self._before = after
        return observation, paid, terminated, truncated, {**info, "native": float(reward)}


class EncodedView(gymnasium.ObservationWrapper[Any, Any, Any]):
    """The features that our policies compute from the view."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        from training.observation import GridEncoder

        super().__init__(env)
        self._encode = GridEncoder("cpu")
        self.observation_space = gymnasium.spaces.Box(-1.0, 6.0, (GridEncoder.size,), np.float32)

    def observation(self, observation: Any) -> Any:
        import torch

        raw = np.append(observation["image"].reshape(-1), observation["direction"]).astype(np.uint8)
        return self._encode(torch.from_numpy(raw)[None, None])[0, 0].numpy().astype(np.float32)


def encoded_view(env_id: str) -> gymnasium.Env[Any, Any]:
    """One environment with our own features."""
    return EncodedView(gymnasium.make(env_id))


def flat_view(env_id: str, seed: int, program: str | None = None, task: Any = None) -> gymnasium.Env[Any, Any]:
    """One environment, seeded; with a program of ``task`` it is paid that potential as well."""
    env: gymnasium.Env[Any, Any] = gymnasium.make(env_id)
    env = FlatView(env if program is None else Paid(env, program, task))
    env.reset(seed=seed)
    return env
