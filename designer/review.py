"""The review before training: the programs are shown to a person, who accepts, rejects or comments."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.syntax import Syntax

from designer.display import Display
from designer.store import Json, RunStore


def ask(console: Console, display: Display, store: RunStore, waiting: Json) -> Json | None:
    """Ask about every waiting program; None when nobody answers (end of input), which leaves the run paused."""
    rejected: list[str] = []
    with display.suspended():
        for candidate in waiting["candidates"]:
            facts = store.candidate(candidate) or {}
            console.rule(f"{candidate}: {facts['idea']}", align="left")
            console.print(Syntax(store.program(candidate).source, "python", word_wrap=True))
            while True:
                console.print("[a]ccept, [r]eject, or [c]omment (a comment reaches the next design): ", end="")
                line = sys.stdin.readline()
                if not line:
                    return None
                word, _, rest = line.strip().partition(" ")
                if word in ("a", "accept"):
                    break
                if word in ("r", "reject"):
                    rejected.append(candidate)
                    break
                if word in ("c", "comment"):
                    text = rest
                    if not text:
                        console.print("comment: ", end="")
                        text = sys.stdin.readline().strip()
                    if text:
                        store.add_feedback(f"On program {candidate}: {text}")
    return {"reject": rejected}
