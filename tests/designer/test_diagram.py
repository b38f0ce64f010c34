"""The diagram in the documentation is the graph that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from designer.diagram import mermaid, redraw


def test_the_documented_diagram_is_the_graph_that_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "loop.md").read_text(encoding="utf-8")
    assert redraw(page) == page, "run: make docs"
    for node in ("write", "check", "criticize", "settle"):
        assert node in mermaid()


def test_a_page_without_a_place_for_it_is_told() -> None:
    with pytest.raises(ValueError, match="diagram"):
        redraw("# A page")
