"""The fields that a user's ``--state module:function`` returns, found by calling it during random play."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np

from envs.blackbox import calling, load_function
from envs.episode import Array
from envs.errors import UserError
from envs.task import DType, Field

OPTION = "--state"
RESETS, STEPS = 4, 40
KINDS: dict[str, DType] = {"f": "float32", "i": "int64", "u": "int64", "b": "bool"}
Read = Callable[[Any, Any, dict[str, Any]], Mapping[str, Any]]


def discover(path: str, env: gymnasium.Env[Any, Any], seed: int = 0) -> tuple[Field, ...]:
    """The fields that the function returns over a few resets and random steps.

    A line ``name: text`` of the function's docstring becomes the field's meaning; the range that was seen is added.
    Raises ``UserError`` where it does not return a dict of numeric arrays with names, shapes and dtypes that stay.
    """
    function = load_function(path, OPTION)
    samples = [_named(path, sample) for sample in _play(path, function, env, seed)]
    for sample in samples:
        if _kinds(sample) != _kinds(samples[0]):
            raise UserError(
                f"{OPTION} {path} must return the same names, shapes and dtypes at every step; "
                f"it returned {_kinds(samples[0])} and then {_kinds(sample)}"
            )
    said = dict(re.findall(r"^\s*(\w+):\s+(.+?)\s*$", function.__doc__ or "", re.MULTILINE))
    return tuple(_field(name, [s[name] for s in samples], said.get(name)) for name in samples[0])


def _play(path: str, function: Read, env: gymnasium.Env[Any, Any], seed: int) -> list[Any]:
    samples = []
    env.action_space.seed(seed)
    with calling(f"the environment or {OPTION} {path}"):
        for episode in range(RESETS):
            obs, info = env.reset(seed=seed + episode)
            samples.append(function(env, obs, info))
            for _ in range(STEPS):
                obs, _, terminated, truncated, info = env.step(env.action_space.sample())
                samples.append(function(env, obs, info))
                if terminated or truncated:
                    break
    return samples


def _named(path: str, sample: Any) -> dict[str, Array]:
    if not isinstance(sample, Mapping) or not sample:
        raise UserError(
            f"{OPTION} {path} must return a dict of field name -> array, as in "
            f"{{'position': np.array([x, y])}}; it returned {type(sample).__name__}"
        )
    arrays = {}
    for name, value in sample.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise UserError(f"{OPTION} {path}: the field name {name!r} is not an identifier such as cart_position")
        arrays[name] = np.asarray(value)
        if arrays[name].dtype.kind not in KINDS:
            raise UserError(
                f"{OPTION} {path}: the field {name!r} must hold numbers; "
                f"it holds {type(value).__name__} ({arrays[name].dtype})"
            )
    return arrays


def _dtype(array: Array) -> DType:
    return "uint8" if array.dtype == np.uint8 else KINDS[array.dtype.kind]


def _kinds(sample: Mapping[str, Array]) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (array.shape, _dtype(array)) for name, array in sample.items()}


def _field(name: str, seen: list[Array], meaning: str | None) -> Field:
    values = np.stack(seen)
    span = f"between {values.min():g} and {values.max():g} in random play" if values.size else "empty"
    words = (meaning or f"The user's field {name}").rstrip(".")
    return Field(name=name, meaning=f"{words}; {span}.", unit="1", dtype=_dtype(seen[0]), shape=tuple(seen[0].shape))
