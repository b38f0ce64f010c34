"""The real command in a process of its own, and what can be seen of that process from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REWARDSMITH = Path(sys.executable).with_name("rewardsmith")
PATIENCE = 240.0
"""Seconds that a test waits for something before it fails."""


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY") and not k.startswith("PYTHON")}
    return {**kept, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **more}


def start(*arguments: object, cwd: Path | None = None, output: Path | None = None) -> subprocess.Popen[bytes]:
    """Begin a command; what it prints goes to the file ``output``."""
    with (output or Path(os.devnull)).open("ab") as file:
        return subprocess.Popen(
            [str(REWARDSMITH), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=environment(),
            cwd=cwd,
        )


def call(
    *arguments: object, cwd: Path | None = None, stdin: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """A whole command: its exit code, standard output and standard error."""
    return subprocess.run(
        [str(REWARDSMITH), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        env=environment(**variables),
        cwd=cwd,
        timeout=PATIENCE,
    )


def until(found: Callable[[], Any], process: subprocess.Popen[bytes] | None = None) -> Any:
    """Wait for something to be true; also ends, with the last answer, when the process has ended."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := found()):
        if process is not None and process.poll() is not None:
            return found()
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
    return answer


def events(root: Path) -> list[dict[str, Any]]:
    """The run's whole events so far; a line that is being written is left out."""
    try:
        text = (root / "events.jsonl").read_text()
    except FileNotFoundError:
        return []
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def descendants(pid: int) -> dict[int, str]:
    """Processes below this one, each with its start time, which tells it from a later one of the same number."""
    parents, born = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            parents[int(entry.name)], born[int(entry.name)] = int(stat[1]), stat[19]
    found: dict[int, str] = {}
    below = [pid]
    while below:
        parent = below.pop()
        children = [p for p, its in parents.items() if its == parent and p not in found]
        found.update({p: born[p] for p in children})
        below += children
    return found


def alive(processes: dict[int, str]) -> list[int]:
    """Those of ``descendants`` that still run; a zombie does not."""
    return [p for p, born in processes.items() if (stat := _stat(p)) and stat[19] == born and stat[0] not in "ZX"]


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the command's name: state, parent, ..., start time at index 19."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
