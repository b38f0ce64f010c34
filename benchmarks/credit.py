"""What a latent reward is worth where only outcomes are known, beside decoders on raw inputs and other controls.

    python -m benchmarks.credit                      train what is missing, then print the table
    python -m benchmarks.credit --write              and put it into docs/performance.md, with its figure
    python -m benchmarks.credit --no-training        of what is there alone
    python -m benchmarks.credit --tasks reacher-episodic --arms raw-rd hand-ridge

Every arm has the same five seeds, the task's own settings and the same budget. Decoders that learn by gradient descent
are given more of it than by default. What is done lies in
``results/credit/<task>/<arm>.json`` and is not done again; Ctrl-C loses the arm under way. The programs lie in
``results/latents.json`` with who wrote them, when and at what cost.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks.machine import commit, machine
from benchmarks.page import put

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
BUDGETS = {
    "halfcheetah-episodic": 300_000,
    "reacher-episodic": 300_000,
    "doorkey-6x6-episodic": 200_000,
    "lavagap-s7-episodic": 200_000,
    "simple-spread-episodic": 300_000,
}
"""Env steps of a learner by task."""
LATENTS = ("hand", "one-shot", "loop")
DECODERS = ("ridge", "rd", "rrd", "rrdu")
ARMS = (
    "dense", "uniform", *(f"raw-{d}" for d in DECODERS), *(f"{kind}-{d}" for kind in LATENTS for d in ("ridge", "rrdu"))
)  # fmt: skip
"""What an arm reads, and what its decoder is; ``dense`` is the native reward at each step, ``uniform`` reads nothing.

In grid tasks the native reward comes at an episode's end alone, so ``dense`` is the task as it is.
"""
SEEDS = (0, 1, 2, 3, 4)


def programs() -> dict[str, dict[str, Any]]:
    """Task -> kind -> ``{"source", "by", ...}``."""
    kept: dict[str, dict[str, Any]] = json.loads((RESULTS / "latents.json").read_text(encoding="utf-8"))
    return kept


def program_of(task: str, arm: str, known: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Id of the program that an arm reads; None where it reads none, or there is none yet."""
    from sandbox.program import RewardProgram

    kept = known.get(task, {}).get(arm.rpartition("-")[0])
    return RewardProgram(kept["source"], "latent").id if kept else None


def train_arm(task_id: str, arm: str, seeds: Sequence[int]) -> dict[str, Any]:
    """All seeds of an arm at once: curves ``[[env steps, return], ...]``, areas, fitness."""
    import torch

    from designer.jailed import JailedReward
    from envs import catalog
    from sandbox.embedded import EmbeddedSandbox
    from sandbox.program import RewardProgram
    from training.credit.raw_inputs import RawInputs
    from training.credit.settings import Credit
    from training.result import Learner
    from training.train import train

    torch.set_num_threads(1)
    task = catalog.load(task_id)
    if arm == "dense":
        task = replace(task, episodic=False)
    with ExitStack() as jails:
        reward: Any = None
        credit: Credit | None = None
        read, _, method = arm.rpartition("-")
        if read:
            credit = Credit(method=method, updates=16, rows=2_048, learning_rate=1e-3)  # type: ignore[arg-type]
            reward = RawInputs(task.action)
        if read in LATENTS:
            program = RewardProgram(programs()[task_id][read]["source"], "latent")
            reward = jails.enter_context(JailedReward(EmbeddedSandbox(), program))
        elif arm == "uniform":
            credit = Credit(method="uniform")
        learners = [Learner(arm=arm, seed=seed, reward=reward, credit=credit) for seed in seeds]
        began = time.perf_counter()
        found = train(task, learners, env_steps=BUDGETS[task_id], evaluation_episodes=50)
    measure = "success" if task.fitness.kind == "success_rate" else "task_return"
    return {
        "commit": commit(),
        "program": program_of(task_id, arm, programs()),
        "seconds": round(time.perf_counter() - began, 1),
        "seeds": list(seeds),
        "fitness": [each.fitness for each in found],
        "area": [each.area for each in found],
        "curves": [[[p.env_steps, getattr(p, measure)] for p in each.curve] for each in found],
        "importance": found[0].attribution and dict(found[0].attribution.importance),
    }


def measured(tasks: Sequence[str], arms: Sequence[str], *, training: bool = True) -> dict[str, dict[str, Any]]:
    """Every arm that has a result, after training those that lack one, or whose program or seeds are others by now.

    Latent arms without a program are left out, and without ``training`` all that would have to be trained.
    """
    found: dict[str, dict[str, Any]] = {}
    known = programs()
    for task in tasks:
        for arm in arms:
            program = program_of(task, arm, known)
            if program is None and arm.rpartition("-")[0] in LATENTS:
                continue
            path = RESULTS / "credit" / task / f"{arm}.json"
            result = _read(path)
            if result is None or not _holds(result, program):
                if not training:
                    continue
                print(f"{task} {arm} ...", file=sys.stderr, flush=True)
                path.parent.mkdir(parents=True, exist_ok=True)
                result = twin(task, arm, program) or train_arm(task, arm, SEEDS)
                whole = path.with_suffix(".part")  # an interrupted write leaves no half a result
                whole.write_text(json.dumps(result) + "\n", encoding="utf-8")
                whole.replace(path)
            found.setdefault(task, {})[arm] = result
            print(f"{task} {arm}: {np.mean(result['fitness']):.3g} in {result['seconds']:.0f} s", file=sys.stderr)
    return found


def _holds(result: Mapping[str, Any], program: str | None) -> bool:
    return result["program"] == program and result["seeds"] == list(SEEDS)


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def twin(task: str, arm: str, program: str | None) -> dict[str, Any] | None:
    """The result of the very same program under another name, which training it again would give once more."""
    decoder = arm.rpartition("-")[2]
    others = [RESULTS / "credit" / task / f"{kind}-{decoder}.json" for kind in LATENTS if program is not None]
    return next((told for told in map(_read, others) if told and _holds(told, program)), None)


def gain(found: Mapping[str, Mapping[str, Any]], arm: str, control: str) -> tuple[float, float, float] | None:
    """Mean over tasks of the paired difference in area, with its 95 % interval; None where a task lacks an arm.

    Areas are scaled to 0 and 1 at the worst and best arm's mean of a task. Seeds are drawn anew within each task
    (stratified bootstrap, Agarwal et al. 2021).
    """
    rng, drawn = np.random.default_rng(0), []
    for arms in found.values():
        if arm not in arms or control not in arms:
            return None
        means = [np.mean(each["area"]) for each in arms.values()]
        width = max(means) - min(means) or 1.0
        pairs = (np.array(arms[arm]["area"]) - np.array(arms[control]["area"])) / width
        drawn.append(pairs[rng.integers(0, len(pairs), (10_000, len(pairs)))].mean(1))
    every = np.mean(drawn, axis=0)
    low, high = np.quantile(every, [0.025, 0.975])
    return float(every.mean()), float(low), float(high)


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures as Markdown."""
    from training.statistics import summary

    def told(values: Sequence[float]) -> str:
        one = summary(values)
        return f"{one['iqm']:.3g} [{one['low']:.3g}, {one['high']:.3g}]"

    lines = [
        f"{machine()}. `python -m benchmarks.credit --write`",
        "",
        "| task, env steps | arm | fitness at the end, IQM | mean of the curve, IQM | commit |",
        "|---|---|---|---|---|",
    ]
    for task, arms in found.items():
        lines += [
            f"| {task}, {BUDGETS[task]:,} | {arm}{_same(arm, arms)} | {told(each['fitness'])} | {told(each['area'])} | "
            f"{each['commit'][:7]} |"
            for arm, each in arms.items()
        ]
    for kind, decoder in ((kind, decoder) for kind in LATENTS for decoder in ("ridge", "rrdu")):
        for control in dict.fromkeys((f"raw-{decoder}", "raw-rrdu", "dense")):
            difference = gain(found, f"{kind}-{decoder}", control)
            if difference is not None:
                mean, low, high = difference
                lines.append(
                    f"| all, scaled | {kind}-{decoder} less {control} | | {mean:.3f} [{low:.3f}, {high:.3f}] | |"
                )
    return "\n".join(lines)


def _same(arm: str, arms: Mapping[str, Any]) -> str:
    """Said of a loop's best that is the one-shot program itself."""
    kind, _, decoder = arm.rpartition("-")
    first = arms.get(f"one-shot-{decoder}", {}) if kind == "loop" else {}
    return " (the one-shot program)" if first and first["program"] == arms[arm]["program"] else ""


def main(
    tasks: tuple[str, ...] = tuple(BUDGETS), arms: tuple[str, ...] = ARMS, training: bool = True, write: bool = False
) -> None:
    """Train what is missing, and print.

    Args:
        tasks: Task ids.
        arms: Arms.
        training: Whether to train what is missing.
        write: Keep the table and the figure of the curves.
    """
    found = measured(tasks, arms, training=training)
    print(table(found))
    if write:
        from benchmarks.credit_figure import draw

        put(PAGE, "benchmarks.credit", table(found))
        draw(found, BUDGETS, PAGE.parent / "figures" / "latent-rewards.svg")


if __name__ == "__main__":
    tyro.cli(main)
