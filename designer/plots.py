"""Figures of a report as inline SVG: learning curves, final fitness for each seed, one quantity over a training."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from designer.store import Json
from envs.episode import Array

with chdir(Path(__file__).parent):
    # Matplotlib reads a matplotlibrc of the current folder first, which may be part of what somebody sent.
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, MaxNLocator

SEEDS_FOR_QUARTILES = 5
"""With fewer seeds than this a band spans all of them."""
COLORS = {
    "designed": "#1f5fa8",
    "learning": "#5aa0d8",
    "native": "#667085",
    "human": "#b45f1d",
    "raw": "#2f7d5b",
    "uniform": "#8a4f9e",
}
_DASHES = {
    "designed": "-",
    "learning": (0, (3, 1.5)),
    "native": (0, (5, 2)),
    "human": (0, (2, 1.4)),
    "raw": (0, (7, 2, 1.5, 2)),
    "uniform": (0, (1, 1)),
}
_INK, _FAINT = "#475467", "#e4e7ec"
_STYLE: Any = {
    "axes.edgecolor": "#98a2b3",
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "grid.color": _FAINT,
    "grid.linewidth": 0.7,
    "svg.fonttype": "none",
    "text.color": _INK,
    "text.parse_math": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
}
_METADATA: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What one arm's training left behind, and how it is drawn."""

    label: str
    look: str
    """``designed``, or the control's name: picks color and dashes."""
    record: Json
    """As ``training.json`` or ``confirmation.json`` holds it."""


def seed_curves(record: Json, read: Callable[[Json], float | None]) -> tuple[Array, Array]:
    """``(N,)`` env steps and ``(S, N)`` values of a quantity, a row for each seed that has any.

    Points without a value are bridged in a straight line; NaN before a seed's first and after its last value.
    """
    courses = [seed["curve"] for seed in record["seeds"] if seed["curve"]]
    steps = np.array([p["env_steps"] for p in max(courses, key=len, default=[])], dtype=float)
    rows = []
    for course in courses:
        known = [(p["env_steps"], value) for p in course if (value := read(p)) is not None]
        if known:
            x, y = zip(*known, strict=True)
            rows.append(np.interp(steps, x, y, left=np.nan, right=np.nan))
    return steps, np.array(rows, dtype=float).reshape(len(rows), len(steps))


def curve_of(measure: str) -> str:
    """What a point of a curve calls the quantity that the task's fitness is about."""
    return "success" if measure == "success_rate" else "task_return"


def has_curve(record: Json, read: Callable[[Json], float | None]) -> bool:
    """Whether there is anything to draw."""
    return bool(seed_curves(record, read)[1].size)


def smoothed(record: Json, key: str) -> Json:
    """The record, each point of ``key`` averaged with its neighbours, weighted by the episodes that ended.

    The episodes of a short stretch are not alike: those that end early are the successes, and those that run into
    the time limit all end together, so raw points swing between the two.
    """

    def mean(points: list[Json]) -> float | None:
        known = [(p["episodes"], p[key]) for p in points if p[key] is not None]
        total = sum(n for n, _ in known)
        return sum(n * value for n, value in known) / total if total else None

    def smooth(curve: list[Json]) -> list[Json]:
        windows = (curve[max(0, i - 1) : i + 2] for i in range(len(curve)))
        return [{**p, key: mean(window)} for p, window in zip(curve, windows, strict=True)]

    return {**record, "seeds": [{**seed, "curve": smooth(seed["curve"])} for seed in record["seeds"]]}


def learning_curves(arms: Sequence[Trained], measure: str) -> Markup:
    """Smoothed mean over seeds with a band, one line for each arm, over the env steps of one learner."""
    key = curve_of(measure)

    def draw(axes: Axes) -> None:
        for arm in reversed(arms):
            found = seed_curves(smoothed(arm.record, key), lambda point: point[key])
            _line(axes, *found, look=arm.look, label=arm.label)
        axes.set_xlabel("env steps of one learner")
        axes.set_ylabel(_words(measure))
        _bound(axes, measure, upright=True)

    return _svg(draw, (5.3, 3.3), "curves")


def final_fitness(arms: Sequence[Trained], measure: str) -> Markup:
    """A dot for each seed's final fitness, the interquartile mean as a tick, its 95 % interval as a bar."""

    def draw(axes: Axes) -> None:
        for row, arm in enumerate(arms):
            color, fitness = COLORS[arm.look], arm.record["fitness"]
            values = [s["fitness"] for s in arm.record["seeds"] if s["fitness"] is not None]
            offsets = 0.2 + 0.09 * (np.arange(len(values)) % 3)
            axes.plot(values, row + offsets, "o", ms=5.5, mec="white", mew=0.7, color=color, alpha=0.75, clip_on=False)
            if fitness["low"] is not None:
                axes.plot([fitness["low"], fitness["high"]], [row - 0.12] * 2, color=color, lw=6, alpha=0.3)
            if fitness["iqm"] is not None:
                axes.plot([fitness["iqm"]] * 2, [row - 0.24, row], color=color, lw=2.4)
        axes.set_yticks(range(len(arms)), [_plain(arm.label) for arm in arms])
        axes.set_ylim(len(arms) - 0.4, -0.5)
        axes.set_xlabel(f"final {_words(measure)}, one dot a seed")
        axes.spines["left"].set_visible(False)
        _bound(axes, measure, upright=False)

    return _svg(draw, (5.3, 3.3), "fitness")


def course(record: Json, read: Callable[[Json], float | None], *, salt: str) -> Markup:
    """One quantity over the training as a small figure: mean over seeds with a band. ``salt`` is its own name."""

    def draw(axes: Axes) -> None:
        _line(axes, *seed_curves(record, read), look="designed", label="")
        low, high = axes.get_ylim()
        if low < 0 < high:
            axes.axhline(0, color="#98a2b3", lw=0.8)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.grid(axis="y")

    return _svg(draw, (3.4, 1.9), salt)


def _line(axes: Axes, steps: Array, values: Array, *, look: str, label: str) -> None:
    seen = np.isfinite(values).any(axis=0) if values.size else np.zeros(len(steps), dtype=bool)
    if not seen.any():
        return
    steps, values = steps[seen], values[:, seen]
    ends = (25, 75) if len(values) >= SEEDS_FOR_QUARTILES else (0, 100)
    low, high = np.nanpercentile(values, ends, axis=0)
    axes.fill_between(steps, low, high, color=COLORS[look], alpha=0.14, lw=0)
    dashes: Any = _DASHES[look]
    axes.plot(steps, np.nanmean(values, axis=0), color=COLORS[look], ls=dashes, lw=2, label=_plain(label))


def _bound(axes: Axes, measure: str, *, upright: bool) -> None:
    """Grid and limits; a success rate is shown on its whole scale."""
    if upright:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlim(left=0)
    if measure == "success_rate":
        (axes.set_ylim if upright else axes.set_xlim)(-0.03, 1.03)
    axes.grid(axis="y" if upright else "x")
    axes.set_axisbelow(True)


def _words(measure: str) -> str:
    return {"success_rate": "success rate", "return": "episodic return"}.get(measure, _plain(measure))


def _plain(text: str) -> str:
    """A label without what no font can show."""
    return "".join(c if c.isprintable() else "?" for c in text)[:40]


def _svg(draw: Callable[[Axes], None], inches: tuple[float, float], salt: str) -> Markup:
    """The figure as an ``<svg>`` element that scales with its column; equal data give equal text."""
    buffer = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": salt}):
        figure = Figure(figsize=inches, layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.subplots()
        axes.patch.set_visible(False)
        draw(axes)
        figure.savefig(buffer, format="svg", metadata=_METADATA)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    # Ids such as "axes_1" would stand in every figure of the page, and the rule for * would reach all of it.
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    return Markup(text)
