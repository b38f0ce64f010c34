"""Stable-Baselines3 as a peer: what it is shown and paid of MiniGrid, and its PPO under a task's settings."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import minigrid  # noqa: F401  registers its environments
import numpy as np

if TYPE_CHECKING:
    from envs.task import TaskSpec


def flat(image: Any, direction: Any) -> Any:
    """``(..., 7, 7, 3)`` and ``(...,)`` as ``(..., 148)`` float32."""
    lead = np.shape(direction)
    return np.concatenate([np.reshape(image, (*lead, 147)), np.reshape(direction, (*lead, 1))], -1, dtype=np.float32)


class FlatView(gymnasium.ObservationWrapper[Any, Any, Any]):
    """The 7x7x3 view and the direction as 148 float32 numbers."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(0.0, 10.0, (148,), np.float32)

    def observation(self, observation: Any) -> Any:
        return flat(observation["image"], observation["direction"])


class EncodedView(gymnasium.ObservationWrapper[Any, Any, Any]):
    """The features that our policies compute from the view."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        from training.observation import GridEncoder

        super().__init__(env)
        self._encode = GridEncoder("cpu")
        self.observation_space = gymnasium.spaces.Box(-1.0, 6.0, (GridEncoder.size,), np.float32)

    def observation(self, observation: Any) -> Any:
        import torch

        from envs.grid.cells import observed

        codes = observed(observation["image"], int(observation["direction"]))
        return self._encode(torch.from_numpy(codes)[None, None])[0, 0].numpy().astype(np.float32)


class Paid(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Pays a task's hand-written potential on top of the native reward, which ``info["native"]`` keeps."""

    def __init__(self, env: gymnasium.Env[Any, Any], task: TaskSpec) -> None:
        super().__init__(env)
        assert task.human is not None
        written = importlib.import_module(f"envs.human.{Path(task.human).stem}")
        self._potential, self._gamma, self._weight = written.potential, task.ppo.gamma, task.task_weight
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


def encoded_view(env_id: str) -> gymnasium.Env[Any, Any]:
    """One environment with our own features."""
    return EncodedView(gymnasium.make(env_id))


def flat_view(env_id: str, seed: int, paid: TaskSpec | None = None) -> gymnasium.Env[Any, Any]:
    """One environment, seeded; ``paid`` names the task whose hand-written potential it pays as well."""
    env: gymnasium.Env[Any, Any] = gymnasium.make(env_id)
    env = FlatView(env if paid is None else Paid(env, paid))
    env.reset(seed=seed)
    return env


def ppo(task: TaskSpec, env: Any, seed: int, **policy: Any) -> Any:
    """SB3's PPO with the settings of a task; ``policy`` goes to its policy class."""
    from stable_baselines3 import PPO

    settings = task.ppo
    rate = settings.learning_rate
    return PPO(
        "MlpPolicy",
        env,
        device="cpu",
        seed=seed,
        n_steps=settings.steps,
        batch_size=settings.envs * settings.steps // settings.minibatches,
        n_epochs=settings.epochs,
        learning_rate=(lambda left: rate * left) if settings.anneal else rate,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        clip_range=settings.clip,
        ent_coef=settings.entropy,
        vf_coef=settings.value,
        max_grad_norm=settings.max_grad_norm,
        policy_kwargs={"net_arch": list(settings.hidden), **policy},
    )
