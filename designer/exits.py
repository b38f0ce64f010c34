"""How a command ends: its exit code, and the last words of an interrupted run."""

from __future__ import annotations

import os
import sys

DONE, REFUSED, USER, INFRA, DEFECT, INTERRUPTED = 0, 1, 2, 3, 70, 130


def interrupted(run: str) -> None:
    """Say how an interrupted run goes on. Safe within a signal handler, where streams must not be used."""
    cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
    text = f"{cursor}rewardsmith: interrupted. What was paid for is kept; go on with `rewardsmith resume {run}`.\n"
    os.write(2, text.encode())
