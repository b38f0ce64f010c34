"""The command line: which commands there are. Each is a function whose parameters are its options."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import tyro

from designer.exits import DONE
from designer.file_commands import train, verify
from designer.machine_commands import doctor, sandbox, tasks
from designer.output import print_line
from designer.run_commands import design, diff, export, report, resume, show

COMMANDS = (design, resume, show, diff, report, export, verify, train, sandbox, tasks, doctor)


def run(arguments: Sequence[str]) -> int:
    """Parse and run; the command's exit code. Unusable arguments end with exit code 2."""
    if list(arguments) == ["--version"]:
        print_line(f"rewardsmith {version('rewardsmith')}")
        return DONE
    app = tyro.extras.SubcommandApp()
    for command in COMMANDS:
        app.command(command)
    result = app.cli(
        prog="rewardsmith",
        description="Designs reward functions, shows why they can be trusted, and exports them.",
        args=list(arguments) or ["--help"],
    )
    return int(result)
