"""Code of the user's own, named ``module:function``: found, or refused in words that say what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from envs.errors import UserError

THEIRS = (Exception, SystemExit, BaseExceptionGroup)
"""What a user's own code may raise; an interrupt is the person's, not the code's."""
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
    """Import a user's module. Raises ``UserError`` where it is missing, broken, or cannot be served."""
    top = name.split(".")[0]
    if top in RESERVED:
        raise UserError(_reserved(f"{option}: {name}", top))
    _look_here_too()
    if not top or (top not in sys.modules and find_spec(top) is None):
        raise UserError(
            f"{option}: there is no module {name!r}. It must lie in the current directory "
            "or be installed in this Python environment."
        )
    with calling(f"{option}: importing the module {name}"):
        return import_module(name)


def _look_here_too() -> None:
    """Let modules be found in the current folder, after all others. It is on the path for nobody but the user's own."""
    try:
        here = os.getcwd()  # noqa: PTH109
    except OSError:
        return
    if here not in sys.path:
        sys.path.append(here)


@contextmanager
def calling(what: str) -> Iterator[None]:
    """Run code of the user's own: whatever it raises is theirs to mend, so it becomes a ``UserError``."""
    try:
        yield
    except UserError:
        raise
    except THEIRS as error:
        raise explained(what, error) from error


def explained(what: str, error: BaseException) -> UserError:
    """What went wrong in the user's own code, with its innermost line, or which name it cannot have."""
    taken = _taken(error)
    if taken:
        return UserError(_reserved(what, taken))
    return UserError(f"{what} failed: {in_words(error)}{_where(error)}")


def in_words(error: BaseException) -> str:
    """An error of the user's own code with its kind; its words where it has any that can be had."""
    try:
        words = str(error)
    except THEIRS:
        words = "(its text cannot be had)"
    return f"{type(error).__name__}: {words}"


def _where(error: BaseException) -> str:
    """The innermost line of the traceback that lies in a file, as `` (file:line)``."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<") and not isinstance(error, SyntaxError):
            place = f" ({file}:{trace.tb_lineno})"
        trace = trace.tb_next
    return place


def _taken(error: BaseException) -> str | None:
    """Which of our packages an import met where the user meant one of their own."""
    if isinstance(error, ImportError):
        owner = (error.name or "").split(".")[0]
        return owner if owner in RESERVED else None
    if isinstance(error, AttributeError):
        return next((name for name in RESERVED if error.obj is sys.modules.get(name) is not None), None)
    return None


def _reserved(what: str, package: str) -> str:
    return (
        f"{what} needs a package of your own named {package!r}, but rewardsmith has one of that name. Remedy: "
        f"give yours another name (as in my_{package}), or install it as a package under another name."
    )
