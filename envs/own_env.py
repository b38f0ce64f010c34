"""A user's own environment, looked at from outside: spaces, time limit and what a little random play shows."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.blackbox import calling
from envs.encoding import encoder
from envs.episode import Array
from envs.errors import UserError
from envs.extractors import observation
from envs.make import open_env
from envs.task import Action, Field
from envs.user_state import discover

STEPS = 200
DENSE_VALUES = 10
"""More different rewards than this in random play, and most of them not zero: the native reward is dense."""
EPISODE_STEPS = 1000
"""Time limit of an environment that has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found."""

    action: Action
    state: tuple[Field, ...]
    episode_steps: int
    reward_threshold: float | None
    """The return at which the environment itself counts as solved, where it says one."""
    numeric_observation: bool
    """Whether the observation is one box of real numbers, which a running mean and deviation suit."""
    dense_reward: bool


def inspect(env_id: str, state: str | None, seed: int = 0) -> Inspection:
    """Make the environment, play it at random and say what it is. Raises ``UserError`` where it cannot be used.

    ``state`` is the user's ``module:function``, or None for the observation's dimensions.
    """
    env = open_env(env_id)
    with calling(f"the environment {env_id}"), closing(env):
        space: Any = env.observation_space
        encoder(space)
        action = action_of_space(env.action_space)
        rewards = _rewards(env, seed)
        spec = env.spec
        return Inspection(
            action=action,
            state=discover(state, env, seed) if state else _dimensions(space),
            episode_steps=int(
                (spec.max_episode_steps if spec else None) or getattr(env.unwrapped, "max_steps", None) or EPISODE_STEPS
            ),
            reward_threshold=float(spec.reward_threshold) if spec and spec.reward_threshold is not None else None,
            numeric_observation=isinstance(space, spaces.Box) and space.dtype.kind == "f",
            dense_reward=len(np.unique(rewards)) > DENSE_VALUES and bool(np.mean(rewards != 0) > 0.5),
        )


def action_of_space(space: gymnasium.Space[Any]) -> Action:
    """A black box's action space; what its actions do is not known. Raises ``UserError`` for one we cannot drive."""
    if isinstance(space, spaces.Discrete):
        return Action(kind="discrete", size=int(space.n))
    if isinstance(space, spaces.Box) and space.dtype.kind == "f":
        low, high = space.low.ravel().tolist(), space.high.ravel().tolist()
        return Action(kind="continuous", size=len(low), low=tuple(low), high=tuple(high))
    raise UserError(
        f"actions of {space} cannot be learned here: wrap the environment so that its action space is "
        "gymnasium.spaces.Discrete, or a Box of floating-point numbers"
    )


def _dimensions(space: gymnasium.Space[Any]) -> tuple[Field, ...]:
    try:
        return tuple(Field(**described) for described in observation.describe(space))
    except ValueError as error:
        raise UserError(f"{error}; give --state module:function that returns named fields") from error


def _rewards(env: gymnasium.Env[Any, Any], seed: int) -> Array:
    """What a random policy is paid in some steps."""
    rewards = []
    env.action_space.seed(seed)
    with calling("the environment"):
        env.reset(seed=seed)
        for _ in range(STEPS):
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            rewards.append(float(reward))
            if terminated or truncated:
                env.reset()
    return np.array(rewards)
