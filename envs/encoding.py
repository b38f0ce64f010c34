"""What a policy sees: an environment's own observation, flattened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.episode import Array
from envs.errors import UserError
from envs.grid.cells import observed
from envs.vector import Observation

Encode = Callable[[Any], Array]
VIEW = (7, 7, 3)
NUMERIC = (spaces.Box, spaces.Discrete, spaces.MultiBinary, spaces.MultiDiscrete, spaces.Dict, spaces.Tuple)


def encoder(space: gymnasium.Space[Any]) -> tuple[Observation, Encode]:
    """How observations of a space are flattened to ``(size,)``; text is left out, it is not for a network.

    MiniGrid's dictionary with a 7x7 view becomes the 56 uint8 of the ``grid`` kind; all else float32.
    Raises ``UserError`` for a space that has no fixed flat size.
    """
    if _is_minigrid(space):
        return Observation(kind="grid", size=56), _grid
    space, pick = _numeric(space)
    if not space.is_np_flattenable:
        raise UserError(f"observations of {space} cannot be flattened; wrap the environment so that they can")
    size = spaces.flatdim(space)

    def encode(obs: Any) -> Array:
        return np.asarray(spaces.flatten(space, pick(obs)), dtype=np.float32)

    return Observation(kind="continuous", size=size), encode


def _grid(obs: Any) -> Array:
    return observed(obs["image"], int(obs["direction"]))


def _is_minigrid(space: Any) -> bool:
    keys = {"image", "direction", "mission"}
    return isinstance(space, spaces.Dict) and set(space.spaces) == keys and space["image"].shape == VIEW


def _numeric(space: Any) -> tuple[Any, Callable[[Any], Any]]:
    """A dictionary without its texts, and how to cut an observation down to it."""
    if not isinstance(space, spaces.Dict):
        return space, lambda obs: obs
    kept: dict[str, Any] = {key: part for key, part in space.spaces.items() if isinstance(part, NUMERIC)}
    return spaces.Dict(kept), lambda obs: {key: obs[key] for key in kept}
