"""Families of environments: which extractor reads which environment, and what it says of its state and actions."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from envs.blackbox import calling, load_function
from envs.episode import Array
from envs.errors import UserError
from envs.task import Action, Field, TaskSpec

ReadState = Callable[[Any, Any, dict[str, Any]], dict[str, Array]]
"""``(env, obs, info) -> fields``, each of the schema's dtype and shape."""

FAMILIES = ("grid", "classic", "box2d", "mujoco", "mpe")
"""Files of ``envs/extractors`` that know their environments; ``observation`` reads all others."""


def family_module(name: str) -> ModuleType:
    """The extractor of a family. Raises ``UserError`` for a name that is none."""
    if name not in (*FAMILIES, "observation"):
        raise UserError(f"there is no extractor {name!r}; there are {', '.join(FAMILIES)} and observation")
    return import_module(f"envs.extractors.{name}")


def family_of(env_id: str) -> str | None:
    """The family that knows the environment id, None for a black box."""
    return next((name for name in FAMILIES if family_module(name).handles(env_id)), None)


def state_of(family: str, env_id: str, kwargs: dict[str, Any]) -> tuple[Field, ...]:
    """The schema of the state that a family reads."""
    return tuple(Field(**described) for described in family_module(family).fields(env_id, kwargs))


def action_of(family: str, env_id: str) -> Action:
    """The action space that a family describes."""
    return Action(**family_module(family).actions(env_id))


def reader(task: TaskSpec) -> ReadState:
    """The function that reads the task's state: a family's, or the user's ``module:function``, which is checked."""
    if ":" not in task.extractor:
        read: ReadState = family_module(task.extractor).read_state
        return read
    function = load_function(task.extractor, "--state")
    expected = {f.name: (f.shape, np.dtype(f.dtype)) for f in task.state}

    def checked(env: Any, obs: Any, info: Any) -> dict[str, Array]:
        with calling(f"--state {task.extractor}"):
            given = {name: np.asarray(value) for name, value in function(env, obs, info).items()}
        if {name: value.shape for name, value in given.items()} != {k: shape for k, (shape, _) in expected.items()}:
            found = {name: value.shape for name, value in given.items()}
            raise UserError(
                f"--state {task.extractor} must return the same fields and shapes at every step; now {found}"
            )
        return {name: np.array(given[name], dtype=dtype) for name, (_, dtype) in expected.items()}

    return checked
