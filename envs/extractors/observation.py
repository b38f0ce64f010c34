"""State of any other environment: its observation, dimension by dimension.

Self-contained (numpy, gymnasium): this very file travels with an exported reward. A box of at most 64 numbers
gives the scalars ``obs_0``, ``obs_1`` ...; a larger one the single field ``obs``; a discrete observation the code
``obs``. A dictionary gives one field for each key (``key_inner`` for nested ones), a tuple one for each place. What
is neither numbers nor codes (text, graphs, sequences) gives no field. Integers become int64, images stay uint8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

MOST_SCALARS = 64


def read_state(env: gymnasium.Env[Any, Any], obs: Any, info: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The observation as named fields, each a fresh array; ``info`` is not read."""
    state: dict[str, np.ndarray[Any, Any]] = {}
    for name, space, value in _leaves(env.observation_space, obs, ""):
        values = np.array(value, dtype=_dtype(space)).reshape(space.shape or ())
        if _scalars(name, space):
            state |= {f"obs_{i}": np.array(number) for i, number in enumerate(values.ravel())}
        else:
            state[name or "obs"] = values
    return state


def _leaves(space: Any, value: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    """Every part that holds numbers or codes as (name, space, value); the name is empty where there is one part."""
    if isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            yield from _leaves(part, value[key] if value is not None else None, _join(name, str(key)))
    elif isinstance(space, spaces.Tuple):
        for i, part in enumerate(space.spaces):
            yield from _leaves(part, value[i] if value is not None else None, _join(name or "obs", str(i)))
    elif isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiBinary | spaces.MultiDiscrete):
        yield name, space, value


def _join(name: str, part: str) -> str:
    part = re.sub(r"\W", "_", part)
    return f"{name}_{part}" if name else part if part.isidentifier() else f"obs_{part}"


def _scalars(name: str, space: Any) -> bool:
    return not name and not isinstance(space, spaces.Discrete) and int(np.prod(space.shape)) <= MOST_SCALARS


def _dtype(space: Any) -> str:
    kind = np.dtype(space.dtype).kind
    if kind == "f":
        return "float32"
    return "bool" if kind == "b" else "uint8" if space.dtype == np.uint8 and len(space.shape) > 1 else "int64"


def fields(env_id: str, kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    """Each field as name, meaning, unit, dtype, shape, low, high, read off the environment's observation space."""
    env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
    space = env.observation_space
    env.close()
    return describe(space)


def describe(space: Any) -> list[dict[str, Any]]:
    """The fields of an observation space. Raises ValueError where two parts get one name, or no part has numbers."""
    out: list[dict[str, Any]] = []
    for name, part, _ in _leaves(space, None, ""):
        field: dict[str, Any] = {"unit": "1", "dtype": _dtype(part)}
        low, high = _bounds(part)
        if _scalars(name, part):
            out += [
                {**field, "name": f"obs_{i}", "meaning": f"Dimension {i} of the observation.", "low": lo, "high": hi}
                for i, (lo, hi) in enumerate(zip(low, high, strict=True))
            ]
            continue
        words = f"The observation's part {name}." if name else "The whole observation."
        least, most = _extreme(low, min), _extreme(high, max)
        out.append({**field, "name": name or "obs", "meaning": words, "shape": tuple(part.shape or ()),
                    "low": least, "high": most})  # fmt: skip
    names = [field["name"] for field in out]
    if not names:
        raise ValueError(f"the observation space {space} holds no numbers")
    if len(set(names)) < len(names):
        raise ValueError(f"two parts of the observation get the same field name: {sorted(names)}")
    return out


def _bounds(space: Any) -> tuple[list[float | None], list[float | None]]:
    """Smallest and largest value of each dimension, None where it is unbounded."""
    if isinstance(space, spaces.Discrete):
        return [int(space.start)], [int(space.start + space.n - 1)]
    if isinstance(space, spaces.MultiBinary):
        size = int(np.prod(space.shape))
        return [0] * size, [1] * size
    if isinstance(space, spaces.MultiDiscrete):
        start = space.start.ravel()
        return start.tolist(), (start + space.nvec.ravel() - 1).tolist()
    if space.dtype == bool:
        return [None] * space.low.size, [None] * space.low.size
    return _finite(space.low), _finite(space.high)


def _finite(values: Any) -> list[float | None]:
    return [number.item() if np.isfinite(number) and abs(number) < 1e30 else None for number in values.ravel()]


def _extreme(values: list[float | None], pick: Any) -> float | None:
    return None if None in values else pick(values)
