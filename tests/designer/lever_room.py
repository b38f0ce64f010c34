"""A grid that is none of MiniGrid's: a lever to pull and an exit to leave by, with fields of its own names."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

MOVES = ((1, 0), (-1, 0), (0, 1), (0, -1))


class LeverRoom(gym.Env[Any, Any]):
    """A 9x9 room: pull the lever, then leave by the exit. Actions: four moves, and pulling."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(0, 8, (7,), np.float32)
        self.action_space = spaces.Discrete(5)

    def _obs(self) -> np.ndarray[Any, Any]:
        return np.array([*self.walker, *self.lever, float(self.pulled), *self.exit], np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        cells = self.np_random.permutation(81)[:3]
        self.walker, self.lever, self.exit = (np.array([c % 9, c // 9]) for c in cells)
        self.pulled = 0
        return self._obs(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if action < len(MOVES):
            self.walker = np.clip(self.walker + MOVES[action], 0, 8)
        elif (self.walker == self.lever).all():
            self.pulled = 1
        done = bool(self.pulled and (self.walker == self.exit).all())
        return self._obs(), float(done), done, False, {}


def told(env: Any, obs: Any, info: Any) -> dict[str, Any]:
    """What is in the room.

    walker_xy: where the walker stands, column and row, in cells
    lever_xy: where the lever is, in cells
    lever_state: 0 up, 1 pulled
    exit_xy: where the exit is, in cells
    """
    room = env.unwrapped
    return {
        "walker_xy": room.walker.astype(np.int64),
        "lever_xy": room.lever.astype(np.int64),
        "lever_state": np.int64(room.pulled),
        "exit_xy": room.exit.astype(np.int64),
    }


def untold(env: Any, obs: Any, info: Any) -> dict[str, Any]:
    room = told(env, obs, info)
    names = {"robot": "walker_xy", "switch": "lever_xy", "switch_on": "lever_state", "way_out": "exit_xy"}
    return {mine: room[its] for mine, its in names.items()}


gym.register("LeverRoom-v0", LeverRoom, max_episode_steps=150)
