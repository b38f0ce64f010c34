"""The page docs/tasks.md: every listed task with the curves that its controls were measured at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envs.task import TaskSpec

Json = dict[str, Any]
BARS = "▁▂▃▄▅▆▇█"
WIDTH = 12

HEAD = """# Listed tasks and their controls

Written by `python benchmarks/controls.py --table` from the files in `benchmarks/results/controls/`.

Every row is a measurement at the task's budget and PPO settings: `native` is paid what the environment pays, `human`
also what a person's dense reward pays (`envs/human/`), `random` acts uniformly at random. Fitness is the success rate,
or the mean undiscounted return, of the final policy with sampled actions on 100 held-out episodes a seed: the
interquartile mean over the seeds, with its 95 % bootstrap interval. The bars are the training curve, the mean over the
seeds, from the first step of the budget to its last; all bars of a row share one scale, which starts at the row's
lowest value and ends at its highest (0 and 1 for success rates). A bar counts the episodes that ended in its part of
the budget; the first episodes to end are the short ones, so early bars flatter where success ends an episode.

`learns` names the arms whose fitness minus the random policy's, seed by seed, has its 95 % interval above 0 at this
budget; where there is none, the task's file says `budget = "gpu"`.
"""


def document(tasks: Sequence[tuple[TaskSpec, Json | None]]) -> str:
    """The whole page, from each task and its result; a task without a result has a row that says so."""
    parts = [HEAD]
    for measure, title in (("success_rate", "Success rate"), ("return", "Return")):
        parts.append(f"\n## {title}\n")
        parts.append("| task | env steps | random | native | curve | human | curve | learns |")
        parts.append("|---|--:|--:|--:|---|--:|---|---|")
        parts += [row(task, record) for task, record in tasks if task.fitness.kind == measure]
    return "\n".join([*parts, *_footer([record for _, record in tasks if record is not None])]) + "\n"


def row(task: TaskSpec, record: Json | None) -> str:
    """One line of the table."""
    if record is None:
        return f"| `{task.id}` | {task.env_steps:,} | | not measured | | | | |"
    low, high = _scale(record)
    cells = [f"`{task.id}`", f"{task.env_steps:,}", _number(record["random"]["mean"])]
    for arm in ("native", "human"):
        found = record[arm]
        cells += ["", ""] if found is None else [_fitness(found["summary"]), f"`{bars(_means(found), low, high)}`"]
    learns = ", ".join(arm for arm in ("native", "human") if arm in record["learns"]) or "no: GPU budget"
    return "| " + " | ".join([*cells, learns]) + " |"


def bars(values: Sequence[float | None], low: float, high: float) -> str:
    """A curve in ``WIDTH`` characters; a blank where no episode ended."""
    if len(values) > WIDTH:
        values = [values[round(i * (len(values) - 1) / (WIDTH - 1))] for i in range(WIDTH)]
    span = (high - low) or 1.0
    return "".join(
        " " if v is None else BARS[min(len(BARS) - 1, max(0, int((v - low) / span * len(BARS))))] for v in values
    )


def _means(arm: Json) -> list[float | None]:
    return [point[1] for point in arm["curve"]["points"]]


def _scale(record: Json) -> tuple[float, float]:
    if record["measure"] == "success_rate":
        return 0.0, 1.0
    seen = [v for arm in ("native", "human") if record[arm] for v in _means(record[arm]) if v is not None]
    return min(seen), max(seen)


def _fitness(found: Json) -> str:
    if found["low"] is None:
        return _number(found["iqm"])
    return f"{_number(found['iqm'])} [{_number(found['low'])}, {_number(found['high'])}]"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _footer(records: Sequence[Json]) -> list[str]:
    versions = sorted({f"{k} {v}" for r in records for k, v in r["versions"].items() if k != "rewardsmith"})
    seeds = sorted({len(r["seeds"]) for r in records})
    return [
        "",
        f"Seeds of each arm: {', '.join(map(str, seeds))}. Measured on a CPU, one thread.",
        f"Versions: {', '.join(versions)}.",
    ]
