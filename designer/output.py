"""What commands print: JSON for scripts, and a console as wide as its reader needs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import tyro
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from designer.printable import printable
from designer.store import finite

AsJson = Annotated[bool, tyro.conf.arg(name="json")]
FILE_WIDTH = 140


def print_json(data: object) -> None:
    """``data`` as JSON on standard output, without numbers that JSON does not have.

    All of it is ASCII: a terminal is sent no character that commands it, and every locale can hold it.
    """
    print(json.dumps(finite(data), indent=1, ensure_ascii=True))


def print_line(text: str, *, stderr: bool = False) -> None:
    """One line as it stands, without a console's wrapping."""
    print(printable(text), file=sys.stderr if stderr else sys.stdout)


class PlainConsole(Console):
    """Shows text as the data that it is.

    Nothing in it is markup, an emoji's name or worth a color, and no character of it commands the terminal. What rich
    itself sends to the terminal are styles and control segments, which are no text.
    """

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as text, before anybody asks how wide it is."""
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Everything that a console writes comes through here, what is inside of tables and groups as well."""
        if isinstance(renderable, Text) and renderable.plain != (plain := printable(renderable.plain)):
            # Before the lines are broken, so that they are broken where they end.
            renderable = renderable.copy()
            renderable.plain = plain
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


def wide_console(*, stderr: bool = False) -> PlainConsole:
    """A console of the terminal's width; wide where the output goes into a file, so that tables stay whole."""
    console = PlainConsole(stderr=stderr)
    return console if console.is_terminal else PlainConsole(stderr=stderr, width=FILE_WIDTH)


def one_thread() -> None:
    """One thread a process: a second one loses more than it gains next to a busy neighbour."""
    import torch

    torch.set_num_threads(1)
