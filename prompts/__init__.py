"""The words given to models, and the JSON schemas of their replies; text only."""

from __future__ import annotations

from importlib.resources import files


def text(name: str) -> str:
    """A prompt or a schema of this folder, by file name."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
