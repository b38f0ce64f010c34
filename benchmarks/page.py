"""A table's place in a page of ``docs/``: between two marks that name the command which writes it."""

from __future__ import annotations

from pathlib import Path


def put(page: Path, command: str, text: str) -> None:
    """Exchange what stands between the marks of ``command`` for ``text``. Raises ValueError without marks."""
    begin, end = f"<!-- written by python -m {command} -->", f"<!-- end of {command} -->"
    whole = page.read_text(encoding="utf-8")
    if begin not in whole or end not in whole:
        raise ValueError(f"{page} has no place for {command}: write {begin} and {end} where it belongs")
    before, rest = whole.split(begin, 1)
    page.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")
