"""How a command ends: its exit code, and the last words of an interrupted run.

Imports nothing that Python itself has not loaded: ``designer.main`` needs it before the path is in order.
"""

import os
import sys

from designer.printable import printable

DONE, REFUSED, USER, INFRA, DEFECT, INTERRUPTED = 0, 1, 2, 3, 70, 130


def interrupted(run: str) -> None:
    """Say how an interrupted run goes on. Safe within a signal handler, where streams must not be used."""
    cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
    told = printable(f"interrupted. What was paid for is kept; go on with `rewardsmith resume {run}`.")
    os.write(2, f"{cursor}rewardsmith: {told}\n".encode())
