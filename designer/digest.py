"""Evidence as compact text: curves, component statistics, and what happened step by step in an episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from designer.store import Json
from envs.episode import Array, Episode
from envs.task import Field, TaskSpec

LINES = 30
"""Most lines of one episode."""
_LARGEST = 8
"""Fields with more numbers than this are left out of an episode's text."""


def _number(value: float) -> float:
    return float(f"{value:.3g}")


def thin(values: Sequence[float | None], points: int = 8) -> list[float | None]:
    """At most ``points`` of a curve, its first and last among them, with 3 significant digits."""
    if len(values) > points:
        values = [values[i] for i in np.linspace(0, len(values) - 1, points).round().astype(int)]
    return [None if v is None else _number(v) for v in values]


def mean_curve(record: Json, key: str) -> list[float | None]:
    """A curve's mean over seeds, point by point; None where no seed has a value."""
    columns = zip(*(seed["curve"] for seed in record["seeds"]), strict=False)
    out: list[float | None] = []
    for column in columns:
        known = [point[key] for point in column if point[key] is not None]
        out.append(sum(known) / len(known) if known else None)
    return out


def curves(record: Json) -> Json:
    """A training's curves over its seeds, thinned for a prompt."""
    steps = [point["env_steps"] for point in record["seeds"][0]["curve"]]
    names = ("success", "task_return", "length", "entropy")
    return {"env_steps": thin(steps), **{name: thin(mean_curve(record, name)) for name in names}}


def component_course(record: Json) -> Json:
    """Component -> mean over the training, thinned, and the mean, min and max at its end."""
    out: Json = {}
    for name in record["seeds"][0]["curve"][-1]["components"] if record["seeds"][0]["curve"] else ():
        points = [seed["curve"] for seed in record["seeds"]]
        course = [
            float(np.mean([p["components"][name][0] for p in column if name in p["components"]] or [0.0]))
            for column in zip(*points, strict=False)
        ]
        last = [curve[-1]["components"].get(name, (0.0, 0.0, 0.0)) for curve in points]
        out[name] = {
            "course": thin(course, 6),
            "end_mean": _number(float(np.mean([v[0] for v in last]))),
            "end_min": _number(min(v[1] for v in last)),
            "end_max": _number(max(v[2] for v in last)),
        }
    return out


def _show(field: Field, value: Array) -> str:
    if field.values and value.ndim == 0:
        meaning = dict(field.values).get(int(value))
        return f"{int(value)} ({meaning})" if meaning else str(int(value))
    if value.ndim == 0:
        return f"{float(value):.3g}" if field.dtype == "float32" else str(value.item())
    return "[" + ",".join(f"{v:.3g}" if field.dtype == "float32" else str(v) for v in value.ravel().tolist()) + "]"


def _action(task: TaskSpec, value: Any) -> str:
    if task.action.kind == "discrete":
        code = int(value)
        meaning = task.action.meanings[code] if code < len(task.action.meanings) else str(code)
        return meaning.split(" (")[0]
    return "[" + ",".join(f"{v:.2f}" for v in np.atleast_1d(value).tolist()) + "]"


def episode_text(task: TaskSpec, episode: Episode, components: Mapping[str, Array] | None = None) -> list[str]:
    """Lines ``step: action | field=value`` with the fields that the step changed; the middle of a long one is left out.

    ``components``: each ``(L,)``, what the program paid at each step, shown where it is not zero.
    """
    fields = [f for f in task.state if int(np.prod(f.shape, dtype=int)) <= _LARGEST]
    start = ", ".join(f"{f.name}={_show(f, episode.state[f.name][0])}" for f in fields)
    lines = [f"start: {start}"]
    length = len(episode)
    head = range(min(length, LINES // 2))
    tail = range(max(len(head), length - LINES // 2), length)
    for step in (*head, *tail):
        if step == tail.start and tail.start > len(head):
            lines.append(f"... {tail.start - len(head)} steps left out")
        changed = [
            f"{f.name}={_show(f, episode.next_state[f.name][step])}"
            for f in fields
            if not np.array_equal(episode.state[f.name][step], episode.next_state[f.name][step])
        ]
        paid = [f"{k}:{v[step]:+.3g}" for k, v in (components or {}).items() if abs(v[step]) > 1e-9]
        parts = [f"{step}: {_action(task, episode.action[step])}", " ".join(changed) or "nothing changed"]
        lines.append(" | ".join([*parts, *([" ".join(paid)] if paid else [])]))
    end = "terminated" if episode.terminated else "time limit"
    lines.append(f"end: {end} after {length} steps, {'success' if episode.success else 'no success'}")
    return lines
