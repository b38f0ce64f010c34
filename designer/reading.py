"""Reading a run that somebody else may have written or changed: what does not fit in it is said."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from designer.regular_files import DISK
from designer.store import RunStore
from envs.errors import UserError

_OF_DATA = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    OSError,
    EOFError,
    SyntaxError,
    zipfile.BadZipFile,
)
"""What JSON of another shape, broken archives and unparsable programs raise where they are read."""
_LONGEST = 200
"""Most characters of an error's own words."""


@contextmanager
def reading(store: RunStore) -> Iterator[None]:
    """Read and show what a run holds. Raises ``UserError`` that names the file and the problem where it does not fit.

    The error itself stays its cause: in a run that nobody changed it would be a defect of ours.
    """
    try:
        yield
    except Exception as error:
        if not _of_data(error):
            raise
        words = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
        raise UserError(
            f"{store.root} is not a run as rewardsmith writes it: {words} ({_where(error)}; the file that was read "
            f"last is {store.last_read}). If nobody changed it, this is a defect of ours: please report it."
        ) from error


def _of_data(error: Exception) -> bool:
    """Whether what a run holds may have raised this, rather than the disk or the reader of our output."""
    if isinstance(error, BrokenPipeError) or (isinstance(error, OSError) and error.errno in DISK):
        return False
    from jinja2 import TemplateError
    from rich.errors import ConsoleError

    return isinstance(error, (*_OF_DATA, TemplateError, ConsoleError))


def _where(error: Exception) -> str:
    """The line of ours that met the problem."""
    place, trace = "", error.__traceback__
    here = Path(__file__).parent.parent
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(here) and file != Path(__file__):
            place = f"at {file.relative_to(here)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place or "nowhere of ours"
