"""Live progress in the terminal: what each candidate is doing, curves as sparklines, cost against the caps."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from designer.budget import Budget
from designer.store import Json
from training.result import Progress

_BARS = "▁▂▃▄▅▆▇█"
_SAY = {
    "written": "slot {slot[candidate]}: wrote {candidate}: {idea}",
    "checked": "slot {slot[candidate]}: {candidate} {status} {rules}",
    "criticized": "slot {slot[candidate]}: critic on {candidate}: approve = {approve}",
    "bad_reply": "bad reply of the {slot[role]}: {problem}",
    "model_failed": "no reply (attempt {attempt}): {problem}",
    "slot_dropped": "slot {slot[candidate]}: dropped: {reason}",
    "training_started": "training {arms} on seeds {seeds} ({purpose})",
    "trained": "{arm}: {purpose} fitness {fitness}",
    "analyzed": "analysed {candidate}: change {level}",
    "iteration_done": "iteration {iteration} done; best so far {best} with fitness {fitness}",
    "not_confirmed": "{candidate} is not confirmed: {reason}",
}


def sparkline(values: Sequence[float | None], low: float = 0.0, high: float = 1.0) -> str:
    """A curve as block characters, from ``low`` to ``high``; a dot where a value is missing."""
    span = (high - low) or 1.0

    def bar(value: float | None) -> str:
        if value is None:
            return "·"
        return _BARS[min(7, max(0, int((value - low) / span * 8)))]

    return "".join(bar(v) for v in values)


def own_scale(values: Sequence[float | None]) -> str:
    """A sparkline between the curve's own smallest and largest values."""
    known = [v for v in values if v is not None]
    return sparkline(values, min(known), max(known)) if known else ""


def clock(seconds: float) -> str:
    """Seconds as ``m:ss``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Display:
    """Shows a run while it works: a live panel on a terminal, one line for each step of the work elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.budget: Budget | None = None
        self._lock = threading.Lock()
        self._slots: dict[int, str] = {}
        self._curves: dict[str, list[float | None]] = {}
        self._progress: tuple[str, Progress] | None = None
        self._told = 0
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Without the live panel, while a person is asked something."""
        if self._live:
            self._live.stop()
        yield
        if self._live:
            self._live.start()

    def event(self, record: Json) -> None:
        """Show one event of the run."""
        kind = record["event"]
        with self._lock:
            slot = record.get("slot")
            if isinstance(slot, dict) and kind in ("written", "checked", "criticized", "slot_dropped"):
                told = record.get("status") or {"written": "checking", "slot_dropped": "dropped"}.get(kind, kind)
                self._slots[slot["candidate"]] = f"{record.get('candidate') or ''} {told}"
            if kind in ("iteration_done", "trained"):
                self._progress = None
            if kind == "iteration_done":
                self._slots.clear()
            if kind in _SAY:
                told = {name: f"{v:.3g}" if isinstance(v, float) else v for name, v in record.items()}
                self.console.print(Text(f"{clock(record['elapsed']):>6}  {_SAY[kind].format(**told)}"), soft_wrap=True)
            self._refresh()

    def progress(self, purpose: str, progress: Progress) -> None:
        """Show where the training population stands."""
        with self._lock:
            if self._progress is None or self._progress[0] != purpose:
                self._told = 0
                if progress.latest:  # an evaluation stands beside the curves of the training that it ends
                    self._curves = {}
            self._progress = (purpose, progress)
            for arm, point in progress.latest.items():
                shown = point.success if point.success is not None else point.task_return
                self._curves.setdefault(arm, []).append(shown)
            share = 10 * progress.env_steps // max(1, progress.of_env_steps)
            if self._live is None and share > self._told:
                self._told = share
                self.console.print(f"        {self._training_line()}", soft_wrap=True)
            self._refresh()

    def _training_line(self) -> str:
        assert self._progress is not None
        purpose, progress = self._progress
        return f"{purpose}: {progress.in_words()}"

    def _refresh(self) -> None:
        if self._live:
            self._live.update(self._panel())

    def _panel(self) -> RenderableType:
        parts: list[RenderableType] = []
        if self._slots and self._progress is None:
            table = Table("slot", "candidate", box=None, pad_edge=False)
            for slot, text in sorted(self._slots.items()):
                table.add_row(str(slot), text)
            parts.append(table)
        if self._progress is not None:
            table = Table("arm", "curve (first seed)", "now", box=None, pad_edge=False)
            for arm, values in self._curves.items():
                known = [v for v in values if v is not None]
                now = f"{known[-1]:.2f}" if known else "-"
                table.add_row(arm, own_scale(values[-40:]), now)
            parts += [table, Text(self._training_line())]
        if self.budget is not None:
            parts.append(Text(cost_line(self.budget), style="dim"))
        return Group(*parts)


def cost_line(budget: Budget) -> str:
    """What was spent so far, each beside its cap."""
    spent, caps = budget.spent, budget.caps
    usd = "unknown" if spent.usd is None else f"${spent.usd:.4f}"
    rows = [
        ("env steps", f"{spent.env_steps:,}", caps.env_steps and f"{caps.env_steps:,}"),
        ("tokens", f"{spent.tokens:,}", caps.tokens and f"{caps.tokens:,}"),
        ("money", usd, caps.usd and f"${caps.usd:g}"),
    ]
    told = [f"{name} {value}" + (f" of {cap}" if cap else "") for name, value, cap in rows]
    left = budget.seconds_left()
    return " · ".join([*told, *([f"{clock(left)} of {caps.minutes:g} min left"] if left is not None else [])])
