"""What Stable-Baselines3 is shown of MiniGrid: the same view and direction as our policies, as a flat vector."""

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


def flat_view(env_id: str, seed: int) -> gymnasium.Env[Any, Any]:
    """One environment, seeded."""
    env = FlatView(gymnasium.make(env_id))
    env.reset(seed=seed)
    return env
