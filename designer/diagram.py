"""Draws the loop's diagram from the graph itself, into a page: ``python -m designer.diagram PAGE``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import cast

from designer.candidate import Slots
from designer.graph import run_graph
from designer.loop import Loop

_BLOCK = re.compile(r"(<!-- diagram -->\n```mermaid\n).*?(\n```\n<!-- end -->)", re.DOTALL)


def mermaid() -> str:
    """The run's graph with the slot's graph inside it, as Mermaid text. Nothing of a run is needed to draw it."""
    loop = object.__new__(Loop)
    slots = object.__new__(Slots)
    return cast(str, run_graph(loop, slots).compile().get_graph(xray=True).draw_mermaid(with_styles=False)).strip()


def redraw(page: str) -> str:
    """The page with its diagram drawn anew. Raises ``ValueError`` where it has no place for one."""
    if not _BLOCK.search(page):
        raise ValueError("the page has no <!-- diagram --> block")
    return _BLOCK.sub(lambda found: found[1] + mermaid() + found[2], page)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(redraw(target.read_text(encoding="utf-8")), encoding="utf-8")
