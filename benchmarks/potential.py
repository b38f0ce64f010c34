"""How many steps a hand-written potential saves: DoorKey-8x8 until 90 % of held-out episodes succeed, 24 seeds.

    python -m benchmarks.potential            print the table
    python -m benchmarks.potential --write    and put it into docs/performance.md

The trainings of ``benchmarks.solve``, ours alone, with a cap that native trainings can meet; one that is not solved
within it counts with the cap. The interval is a bootstrap over seeds, in pairs: a seed has the same layouts and first
weights both ways.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tyro

from benchmarks.machine import commit, machine
from benchmarks.page import put
from benchmarks.solve import one_side

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
CAP = 1_000_000
RESAMPLES = 10_000


def ratio(ours: list[float], native: list[float]) -> tuple[float, float, float]:
    """The ratio of medians, with its 95 % interval."""
    both = np.array([ours, native])
    drawn = np.random.default_rng(0).integers(0, both.shape[1], (RESAMPLES, both.shape[1]))
    medians = np.median(both[:, drawn], axis=2)
    low, high = np.quantile(medians[0] / medians[1], [0.025, 0.975])
    return float(np.median(both[0]) / np.median(both[1])), float(low), float(high)


def main(task: str = "doorkey-8x8", cap: int = CAP, write: bool = False) -> None:
    """Measure and print.

    Args:
        task: A task with a hand-written reward.
        cap: Env steps of a training at most.
        write: Keep the table.
    """
    lines = [
        f"{machine()}, commit {commit()}. `python -m benchmarks.potential --write`",
        "",
        f"| {task}, reward | solved within {cap:,} | steps until solved, median [quartiles] |",
        "|---|---|---|",
    ]
    steps: dict[str, list[float]] = {}
    for reward in ("human", "native"):
        found = sorted(one_side("ours", task, reward == "human", cap)["trainings"], key=lambda each: each["seed"])
        steps[reward] = [each["steps"] for each in found]
        low, middle, high = np.quantile(steps[reward], [0.25, 0.5, 0.75])
        solved = sum(each["solved"] for each in found)
        lines.append(f"| {reward} | {solved:.0f} of {len(found)} | {middle:,.0f} [{low:,.0f}, {high:,.0f}] |")
        print(lines[-1], file=sys.stderr)
    share, low, high = ratio(steps["human"], steps["native"])
    lines.append(f"| human over native | | {share:.2f} [{low:.2f}, {high:.2f}] |")
    print("\n".join(lines))
    if write:
        put(PAGE, "benchmarks.potential", "\n".join(lines))


if __name__ == "__main__":
    tyro.cli(main)
