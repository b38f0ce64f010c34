"""How much memory a population takes: what one more learner costs, and one more environment of each.

    python -m benchmarks.memory            print the table
    python -m benchmarks.memory --write    and put it into docs/performance.md

The peak of a process that trains for two rollouts, less that of one that has imported the same and trains nothing.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import tyro

from benchmarks.machine import commit, machine
from benchmarks.page import put
from benchmarks.ways import STEPS, population

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
SIZES = ((1, 16), (8, 16), (24, 16), (48, 16), (96, 16), (24, 8), (24, 32), (24, 64))
"""Learners, and environments of each."""


def peak(learners: int, envs: int) -> float:
    """Bytes at the peak of a process of its own; with no learners, of its imports."""
    code = f"from benchmarks.memory import tell; tell({learners}, {envs})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PAGE.parents[1])
    return float(json.loads(done.stdout))


def tell(learners: int, envs: int) -> None:
    """Train, and print the peak."""
    import torch

    torch.set_num_threads(1)
    # One learner at least: the layouts and the tables are there however many there are.
    population(max(1, learners), 1, envs if learners else 1, jailed=False, rollouts=2)()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main(write: bool = False) -> None:
    """Measure and print.

    Args:
        write: Keep the table.
    """
    floor = peak(0, 1)
    found = {size: (peak(*size) - floor) / 1e6 for size in SIZES}
    by_learners = [(learners, used) for (learners, envs), used in found.items() if envs == 16]
    slope, _ = np.polyfit(*np.array(by_learners).T, 1)
    by_rows = [(learners * envs, used) for (learners, envs), used in found.items() if learners == 24]
    row_slope, _ = np.polyfit(*np.array(by_rows).T, 1)
    lines = [
        f"{machine()}, commit {commit()}. `python -m benchmarks.memory --write`",
        "",
        f"| learners | environments of each | MB above one small learner, whose process takes {floor / 1e6:,.0f} |",
        "|---|---|---|",
        *(f"| {learners} | {envs} | {used:,.0f} |" for (learners, envs), used in found.items()),
        "",
        f"One more learner with 16 environments costs {slope:.1f} MB, one more environment of 24 learners each "
        f"{24 * row_slope:.1f} MB (least squares; rollouts of {STEPS} steps).",
    ]
    print("\n".join(lines))
    if write:
        put(PAGE, "benchmarks.memory", "\n".join(lines))


if __name__ == "__main__":
    tyro.cli(main)
