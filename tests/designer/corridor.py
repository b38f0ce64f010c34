"""A user's own environment, as a module in the folder that the command is started from."""

from __future__ import annotations

import os
import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

GOAL, STEPS = 10, 24
FAILS_AFTER = int(os.environ.get("CORRIDOR_FAILS_AFTER", "0"))
"""Steps of this process after which the environment raises; 0 for never."""
SECONDS = float(os.environ.get("CORRIDOR_SECONDS", "0"))
"""Time that each step takes."""
_steps = 0


class Corridor(gymnasium.Env[Any, Any]):
    """A corridor to walk along; its end pays 1."""

    def __init__(self, continuous: bool = False) -> None:
        self.observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32) if continuous else spaces.Discrete(2)
        self.place = 0

    def _seen(self) -> Any:
        return np.array([self.place / GOAL, 1.0], dtype=np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(0, 2))
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        global _steps
        _steps += 1
        if SECONDS:
            time.sleep(SECONDS)
        if FAILS_AFTER and _steps > FAILS_AFTER:
            raise ZeroDivisionError("the corridor fell in")
        self.place = max(0, self.place + (1 if float(np.asarray(action).ravel()[0]) > 0 else -1))
        done = self.place >= GOAL
        return self._seen(), float(done), done, False, {}


def read_state(env: Any, obs: Any, info: dict[str, Any]) -> dict[str, Any]:
    """place: steps from the corridor's start"""
    return {"place": np.array(env.unwrapped.place)}


def score(episode: Any) -> float:
    return float(episode.reward.sum()) - 0.001 * len(episode)


for name, continuous in (("Corridor-v0", False), ("Slide-v0", True)):
    if name not in gymnasium.registry:
        gymnasium.register(name, entry_point=Corridor, max_episode_steps=STEPS, kwargs={"continuous": continuous})
