"""The fields that a user's ``--state module:function`` returns, found by calling it during random play."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np

from envs.blackbox import calling, load_function
from envs.episode import Array
from envs.errors import UserError
from envs.task import DType, Field, Seen

OPTION = "--state"
RESETS, STEPS = 8, 100
KINDS: dict[str, DType] = {"f": "float32", "i": "int64", "u": "int64", "b": "bool"}
Read = Callable[[Any, Any, dict[str, Any]], Mapping[str, Any]]


def discover(path: str, env: gymnasium.Env[Any, Any], seed: int = 0) -> tuple[Field, ...]:
    """The fields that the function returns over a few resets and random steps.

    A line ``name: text`` of the function's docstring becomes the field's meaning; codes in it, as in
    ``lever: 0 up, 1 pulled``, become the field's values. What random play showed of each field is added.
    Raises ``UserError`` where it does not return a dict of numeric arrays with names, shapes and dtypes that stay.
    """
    function = load_function(path, OPTION)
    try:
        inspect.signature(function).bind("env", "obs", "info")
    except TypeError as error:
        raise UserError(f"{OPTION} {path} must take (env, obs, info): {error}") from error
    played = [[_named(path, sample) for sample in episode] for episode in _play(path, function, env, seed)]
    first = played[0][0]
    for sample in (sample for episode in played for sample in episode):
        if _kinds(sample) != _kinds(first):
            raise UserError(
                f"{OPTION} {path} must return the same names, shapes and dtypes at every step; "
                f"it returned {_kinds(first)} and then {_kinds(sample)}"
            )
    said = dict(re.findall(r"^\s*(\w+):\s+(.+?)\s*$", function.__doc__ or "", re.MULTILINE))
    return tuple(_field(name, [np.stack([s[name] for s in e]) for e in played], said.get(name)) for name in first)


def _play(path: str, function: Read, env: gymnasium.Env[Any, Any], seed: int) -> list[list[Any]]:
    """What the function returned, by episode."""
    played = []
    env.action_space.seed(seed)
    with calling(f"the environment or {OPTION} {path}"):
        for episode in range(RESETS):
            obs, info = env.reset(seed=seed + episode)
            samples = [function(env, obs, info)]
            for _ in range(STEPS):
                obs, _, terminated, truncated, info = env.step(env.action_space.sample())
                samples.append(function(env, obs, info))
                if terminated or truncated:
                    break
            played.append(samples)
    return played


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


def _field(name: str, episodes: list[Array], meaning: str | None) -> Field:
    sample = episodes[0][0]
    words = (meaning or f"The user's field {name}").rstrip(".")
    whole = sample.dtype.kind in "iu"
    return Field(
        name=name,
        meaning=f"{words}.",
        unit="1",
        dtype=_dtype(sample),
        shape=tuple(sample.shape),
        values=_codes(words) if whole else (),
        seen=_seen(episodes) if sample.size else None,
    )


def _codes(text: str) -> tuple[tuple[int, str], ...]:
    """The codes that a sentence explains, two at least: ``0 up, 1 pulled``."""
    found = re.findall(r"(?<![\w.-])(-?\d+)\s*(?:[:=]|is|means)?\s+([A-Za-z][\w -]*?)\s*(?=[,;.]|\bor\b|$)", text)
    codes = {int(code): meaning for code, meaning in found}
    return tuple(sorted(codes.items())) if len(codes) > 1 else ()


def _seen(episodes: list[Array]) -> Seen:
    """Range, start and rate of change of one field over episodes of ``(steps, *shape)`` values."""
    starts = np.stack([e[0] for e in episodes])
    same = starts.ndim == 1 and bool((starts == starts[0]).all())
    changed = [(e[1:] != e[:-1]).reshape(len(e) - 1, -1).any(axis=1) for e in episodes if len(e) > 1]
    return Seen(
        low=float(min(e.min() for e in episodes)),
        high=float(max(e.max() for e in episodes)),
        start=float(starts[0]) if same else None,
        changes=round(float(np.concatenate(changed).mean()), 3) if changed else 0.0,
    )
