"""Code of the user's own, named ``module:function``: found, or refused in words that say what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from envs.errors import UserError

RESERVED = ("designer", "envs", "prompts", "sandbox", "training")


def load_function(path: str, option: str) -> Callable[..., Any]:
    """The user's function ``module:function``. Raises ``UserError`` naming the option that gave the path."""
    module_name, colon, name = path.partition(":")
    if not (colon and module_name and name):
        raise UserError(f"{option} {path!r}: write it as module:function, as in my_task:read_state")
    function = getattr(load_module(module_name, option), name, None)
    if not callable(function):
        raise UserError(f"{option} {path!r}: the module {module_name} has no function {name}")
    return function  # type: ignore[no-any-return]


def load_module(name: str, option: str) -> ModuleType:
    """Import a user's module. Raises ``UserError`` where it is missing or cannot be served."""
    if name.split(".")[0] in RESERVED:
        raise UserError(_reserved(name, option, name.split(".")[0]))
    try:
        return import_module(name)
    except (ImportError, AttributeError) as error:
        taken = _taken(error)
        if taken:
            raise UserError(_reserved(name, option, taken)) from error
        if isinstance(error, ModuleNotFoundError) and error.name == name.split(".")[0]:
            raise UserError(
                f"{option}: there is no module {name!r}. It must lie in the current directory "
                "or be installed in this Python environment."
            ) from error
        raise UserError(f"{option}: the module {name} cannot be imported: {error}") from error


def _taken(error: Exception) -> str | None:
    """Which of our packages an import met where the user meant one of their own."""
    if isinstance(error, ImportError):
        owner = (error.name or "").split(".")[0]
    else:
        owner = next((n for n in RESERVED if getattr(error, "obj", None) is sys.modules.get(n)), "")
    return owner if owner in RESERVED else None


def _reserved(module: str, option: str, package: str) -> str:
    return (
        f"{option}: the module {module} imports a package of its own named {package!r}, but rewardsmith has one "
        f"of that name. Remedy: give your package another name (copy it beside {module} as, say, my_{package}), "
        "or install it as a package under another name."
    )
