"""The learning curves of `benchmarks.credit` as one figure, a panel for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from training.statistics import iqm

LOOKS: dict[str, tuple[str, Any]] = {
    "dense": ("#667085", (0, (5, 2))),
    "uniform": ("#8a4f9e", (0, (1, 1))),
    "raw-rrdu": ("#2f7d5b", (0, (7, 2, 1.5, 2))),
    "raw-ridge": ("#79b591", (0, (3, 1.5))),
    "hand-ridge": ("#b45f1d", "-"),
    "one-shot-ridge": ("#5aa0d8", (0, (4, 1))),
    "loop-ridge": ("#1f5fa8", "-"),
}
"""Arms that are drawn: color and dashes. All others stand in the table alone."""
SMOOTHED = 5
"""Points of a curve that are averaged; a point holds the episodes of one rollout."""


def course(curves: Sequence[Sequence[Sequence[float]]], steps: np.ndarray) -> np.ndarray:
    """``(S, N)``: each seed's curve, smoothed, at these env steps; NaN before its first episode ended."""
    rows = []
    for curve in curves:
        known = np.array([point for point in curve if point[1] is not None], dtype=float).reshape(-1, 2)
        window = np.ones(min(SMOOTHED, len(known)) or 1)
        mean = np.convolve(known[:, 1], window, "same") / np.convolve(np.ones(len(known)), window, "same")
        rows.append(np.interp(steps, known[:, 0], mean, left=np.nan) if len(known) else np.full(len(steps), np.nan))
    return np.array(rows)


def draw(found: Mapping[str, Mapping[str, Any]], budgets: Mapping[str, int], path: Path) -> None:
    """Write the figure: interquartile means over seeds, bands between the quartiles."""
    with mpl.rc_context({"svg.hashsalt": "credit", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False}):
        columns = 3
        lines = -(-(len(found) + 1) // columns)
        figure = Figure(figsize=(10.5, 2.9 * lines), layout="constrained")
        panels = figure.subplots(lines, columns, squeeze=False).flat
        for panel, (task, arms) in zip(panels, found.items(), strict=False):
            steps = np.linspace(0, budgets[task], 61)[1:]
            for arm in (name for name in LOOKS if name in arms):
                values = course(arms[arm]["curves"], steps)
                seen = np.isfinite(values).all(axis=0)
                color, dashes = LOOKS[arm]
                middle = [iqm(column) for column in values[:, seen].T]
                low, high = np.percentile(values[:, seen], (25, 75), axis=0)
                panel.fill_between(steps[seen], low, high, color=color, alpha=0.12, lw=0)
                panel.plot(steps[seen], middle, color=color, ls=dashes, lw=1.7)
            panel.set_title(task, fontsize=9.5)
            panel.xaxis.set_major_formatter(EngFormatter(sep=""))
            panel.xaxis.set_major_locator(MaxNLocator(4))
            panel.spines["right"].set_visible(False)
            panel.grid(axis="y", color="#e4e7ec", lw=0.7)
        rest = list(figure.axes)[len(found) :]
        for panel in rest:
            panel.set_axis_off()
        shown = [arm for arm in LOOKS if any(arm in arms for arms in found.values())]
        handles = [mpl.lines.Line2D([], [], color=LOOKS[a][0], ls=LOOKS[a][1], lw=1.7, label=a) for a in shown]
        rest[0].legend(handles=handles, loc="center left", frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Creator": None, "Date": None}, facecolor="white")
