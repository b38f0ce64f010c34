"""Measure the controls of listed tasks: what the native reward, and a person's, teach within the task's budget.

    python benchmarks/controls.py                        every task whose result is missing or out of date
    python benchmarks/controls.py doorkey-6x6 cartpole   these tasks
    python benchmarks/controls.py --table                write docs/tasks.md from the results

Each task leaves one file in ``benchmarks/results/controls``. A task whose file carries the hash of its present
settings and the asked number of seeds is skipped, so an interrupted measurement goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro

from designer.arms import controls
from designer.jailed import JailedReward
from envs import catalog
from envs.episode import Array
from envs.make_vector import make_vector
from envs.task import TaskSpec
from sandbox.choose import choose
from training.result import Learner, Point, Progress, TrainingResult
from training.seeding import derive
from training.statistics import paired_interval, summary
from training.train import train

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results" / "controls"
TABLE = ROOT / "docs" / "tasks.md"
RANDOM_EPISODES = 100
"""Episodes of the random policy, all seeds together."""
DEADLINE = 60.0
"""Seconds that a call of the jailed reward may take; generous, as the machine may be shared."""
PACKAGES = {"grid": "minigrid", "box2d": "box2d", "mujoco": "mujoco", "mpe": "mpe2"}


USUAL = {"episodic": False, "agents": 1}


def settings_hash(task: TaskSpec) -> str:
    """First 16 hex digits of SHA-256 over all that a control's training depends on.

    That is everything but the words (description, meanings, units), the extra to install, and ``budget``, which
    is the verdict that the measurement leads to. A person's reward counts by its source.
    """
    facts = asdict(task)
    for words in ("description", "state", "action", "extra", "budget", "human"):
        del facts[words]
    # Said of few tasks: what is as usual is as if it could not be said.
    facts = {name: value for name, value in facts.items() if value != USUAL.get(name)}
    facts["state"] = [(f.name, f.dtype, f.shape) for f in task.state]
    facts["action"] = (task.action.kind, task.action.size, task.action.low, task.action.high)
    facts["human"] = task.human_source()
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def stored(task_id: str) -> Json | None:
    """The committed result of a task, or None."""
    path = RESULTS / f"{task_id}.json"
    found: Json | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    return found


def learning_arms(record: Json) -> list[str]:
    """The arms that learn: the 95 % interval of their fitness minus the random policy's, by seed, lies above 0."""
    measured = [arm for arm in ("native", "human") if record[arm] is not None]
    gaps = {arm: paired_interval(record[arm]["fitness"], record["random"]["fitness"]) for arm in measured}
    return [arm for arm, gap in gaps.items() if gap is not None and gap[0] > 0]


def random_reference(task: TaskSpec, seeds: Sequence[int], *, episodes: int = RANDOM_EPISODES) -> Json:
    """What uniformly random actions reach in the first of the held-out episodes of each seed.

    ``fitness`` is the mean for each seed; ``mean`` and its interval are over all episodes, the interval from the
    normal approximation.
    """
    each = max(1, episodes // len(seeds))
    rows = [derive(seed, "held-out rows", e) for seed in seeds for e in range(each * task.agents)]
    # The agents of a team are paid alike: one of each team is an episode.
    values = _play_randomly(task, rows, np.random.default_rng(list(seeds)))[:: task.agents]
    mean, half = float(values.mean()), 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return {
        "episodes": len(values),
        "mean": mean,
        "low": mean - half,
        "high": mean + half,
        "fitness": [float(own.mean()) for own in values.reshape(len(seeds), each)],
    }


def _play_randomly(task: TaskSpec, rows: Sequence[int], generator: np.random.Generator) -> Array:
    """Success or return of one episode in each row, ``(M,)`` float64."""
    env = make_vector(task, rows, split="test")
    total, success = np.zeros(len(rows)), np.zeros(len(rows))
    playing = np.arange(len(rows))
    try:
        env.reset()
        for taken in range(1, task.episode_steps + 1):
            step = env.step(torch.from_numpy(_random_actions(task, len(playing), generator)))
            ended = (step.terminated | step.truncated).numpy() | (taken == task.episode_steps)
            total[playing] += step.reward.numpy()
            success[playing[ended]] = step.success.numpy()[ended]
            if ended.all():
                break
            if ended.any():
                env.select(torch.from_numpy(np.flatnonzero(~ended)))
                playing = playing[~ended]
    finally:
        env.close()
    return success if task.fitness.kind == "success_rate" else total


def _random_actions(task: TaskSpec, rows: int, generator: np.random.Generator) -> Array:
    if task.action.kind == "discrete":
        return generator.integers(task.action.size, size=rows)
    low, high = (np.array(bound, dtype=np.float32) for bound in (task.action.low, task.action.high))
    return generator.uniform(low, high, (rows, task.action.size)).astype(np.float32)


def measure(task: TaskSpec, seeds: Sequence[int], *, episodes: int = 100) -> Json:
    """Train the native arm, and the human one where there is one, all seeds together, and sum up."""
    arms = controls(task)
    with ExitStack() as jails:
        learners = []
        for arm in arms:
            reward = None
            if arm.program is not None:
                reward = jails.enter_context(JailedReward(choose("embedded"), arm.program, deadline=DEADLINE))
            learners += [Learner(arm=arm.name, seed=seed, reward=reward) for seed in seeds]
        results = train(task, learners, on_rollout=_Watch(task.id), evaluation_episodes=episodes)
    record: Json = {
        "task": task.id,
        "settings": settings_hash(task),
        "measure": task.fitness.kind,
        "env_steps": results[0].env_steps,
        "seeds": list(seeds),
        "native": None,
        "human": None,
        "random": random_reference(task, seeds),
    }
    for arm in arms:
        record[arm.name] = _arm(task, [r for r in results if r.arm == arm.name])
    record["learns"] = learning_arms(record)
    record["above_random"] = bool(record["learns"])
    record["seconds"] = round(results[0].seconds, 1)
    record["versions"] = _versions(task)
    return record


def _arm(task: TaskSpec, results: Sequence[TrainingResult]) -> Json:
    fitness = [r.fitness for r in results]
    points = [_point(task, together) for together in zip(*(r.curve for r in results), strict=True)]
    return {
        "fitness": fitness,
        "summary": summary(fitness),
        "median": statistics.median(fitness),
        "success_rate": [r.evaluation["success_rate"] for r in results],
        "curve": {"columns": ["env_steps", "mean", "min", "max"], "points": points},
        "failure": next((r.failure for r in results if r.failure), None),
    }


def _point(task: TaskSpec, points: Sequence[Point]) -> list[float | None]:
    """Steps, and mean, least and greatest value over the seeds in which an episode ended."""
    own = [p.success if task.fitness.kind == "success_rate" else p.task_return for p in points]
    seen = [value for value in own if value is not None]
    ends = [round(f, 4) for f in (statistics.fmean(seen), min(seen), max(seen))] if seen else [None] * 3
    return [points[0].env_steps, *ends]


class _Watch:
    """Says on the error stream how a training stands, every half minute."""

    def __init__(self, task_id: str) -> None:
        self._task, self._last = task_id, time.monotonic()

    def __call__(self, progress: Progress) -> bool:
        if time.monotonic() - self._last > 30:
            self._last = time.monotonic()
            share = progress.env_steps / progress.of_env_steps
            print(f"  {self._task}: {share:.0%}, {progress.steps_per_second:,.0f} steps/s", file=sys.stderr, flush=True)
        return True


def _versions(task: TaskSpec) -> dict[str, str]:
    names = ["rewardsmith", "torch", "numpy", "gymnasium"]
    if task.extractor in PACKAGES:
        names.append(PACKAGES[task.extractor])
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def up_to_date(task: TaskSpec, seeds: int) -> bool:
    """Whether the stored result is of the task's present settings and of as many seeds or more."""
    record = stored(task.id)
    return record is not None and record["settings"] == settings_hash(task) and len(record["seeds"]) >= seeds


def keep(record: Json) -> None:
    """Write a result whole or not at all; points of a curve stand one a line."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{record['task']}.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(_json(record) + "\n", encoding="utf-8")
    temporary.replace(path)


def _json(value: Any, indent: str = "") -> str:
    """JSON with lists of numbers on one line."""
    inner = indent + "  "
    if isinstance(value, dict):
        rows = [f"{inner}{json.dumps(key)}: {_json(entry, inner)}" for key, entry in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(entry, list) for entry in value):
        return "[\n" + ",\n".join(inner + _json(entry, inner) for entry in value) + f"\n{indent}]"
    return json.dumps(value)


def main(
    tasks: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    *,
    seeds: int = 5,
    again: bool = False,
    table: bool = False,
) -> None:
    """Measure the controls of tasks (all listed ones by default).

    Args:
        tasks: Ids of listed tasks.
        seeds: Seeds of each arm; with fewer than 5 there are no intervals, and so no verdict.
        again: Measure also what is up to date.
        table: Measure nothing; write docs/tasks.md from the results.
    """
    if table:
        sys.path.insert(0, str(ROOT))  # run as a script, this file's own folder is on the path instead
        from benchmarks.tasks_table import document

        TABLE.write_text(document([(task, stored(task.id)) for task in map(catalog.load, catalog.ids())]), "utf-8")
        return
    torch.set_num_threads(1)
    for task in map(catalog.load, tasks or catalog.ids()):
        if not again and up_to_date(task, seeds):
            continue
        record = measure(task, range(seeds))
        record["command"] = f"python benchmarks/controls.py {shlex.quote(task.id)} --seeds {seeds}"
        keep(record)
        print(_line(record), flush=True)


def _line(record: Json) -> str:
    arms = [f"{arm} {record[arm]['summary']['iqm']:.3g}" for arm in ("native", "human") if record[arm]]
    verdict = "above random" if record["above_random"] else "NOT above random"
    reference = f"random {record['random']['mean']:.3g}"
    return f"{record['task']}: {', '.join([*arms, reference])}: {verdict} ({record['seconds']:.0f} s)"


if __name__ == "__main__":
    tyro.cli(main)
