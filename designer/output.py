"""What commands print: JSON for scripts, and a console as wide as its reader needs."""

from __future__ import annotations

import json
from typing import Annotated

import tyro
from rich.console import Console

from designer.store import finite

AsJson = Annotated[bool, tyro.conf.arg(name="json")]
FILE_WIDTH = 140


def print_json(data: object) -> None:
    """``data`` as JSON on standard output, without numbers that JSON does not have."""
    print(json.dumps(finite(data), indent=1, ensure_ascii=False))


def wide_console(*, stderr: bool = False) -> Console:
    """A console of the terminal's width; wide where the output goes into a file, so that tables stay whole."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=FILE_WIDTH)


def one_thread() -> None:
    """One thread a process: a second one loses more than it gains next to a busy neighbour."""
    import torch

    torch.set_num_threads(1)
