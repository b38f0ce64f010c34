"""What a run has spent, against its hard caps: one owner for money, tokens, environment steps and minutes."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from designer.settings import Caps
from designer.store import RunStore

WRITTEN_EVERY = 10.0
"""Seconds between two notes of the environment steps taken."""
MARGIN = 1.5
"""What is kept of the minutes, over what was measured: machines are not even."""


class CapReached(Exception):
    """A hard cap is reached; ``name`` says which (``max_tokens`` ...). Ends the run cleanly with the best so far."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is reached")
        self.name = name


class Interrupted(Exception):
    """The person (or a signal) asked the run to stop; it can be resumed."""

    def __init__(self) -> None:
        super().__init__("the run was asked to stop")


@dataclass(slots=True)
class Spent:
    """Sums so far. ``usd`` is None once a call's price is unknown."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = 0.0
    env_steps: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens


class Budget:
    """Counts what is spent and says when to stop. Thread-safe; rebuilt from the run's folder on resume."""

    def __init__(self, caps: Caps, store: RunStore, *, kept_learners: int = 0) -> None:
        """``kept_learners``: so many are to be trained at the end, and models leave the minutes for that."""
        self.caps = caps
        self._kept_learners = kept_learners
        self.spent = Spent()
        self._store = store
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._learner_seconds = 0.0
        """What a learner took, in the slowest training so far."""
        self._unwritten = 0
        self._written = time.monotonic()
        for reply in store.replies():
            self._add_reply(reply["prompt_tokens"], reply["completion_tokens"], reply["usd"])
        for event in store.events():
            if event["event"] == "env_steps":
                self.spent.env_steps += int(event["steps"])
            elif event["event"] == "training_ended":
                self._add_training(event["seconds"], event["learners"])

    def interrupt(self) -> None:
        """Ask everything that watches this budget to stop."""
        self._stop.set()

    def check_interrupt(self) -> None:
        """Raise ``Interrupted`` once ``interrupt`` was called."""
        if self._stop.is_set():
            raise Interrupted

    def pause(self, seconds: float) -> None:
        """Wait, at most while models may be asked; raises ``Interrupted`` where interrupted meanwhile."""
        left = self.model_seconds_left()
        self._stop.wait(seconds if left is None else min(seconds, left))
        self.check_interrupt()

    def _add_reply(self, prompt: int, completion: int, usd: float | None) -> None:
        self.spent.calls += 1
        self.spent.prompt_tokens += prompt
        self.spent.completion_tokens += completion
        known = self.spent.usd is not None and usd is not None
        self.spent.usd = self.spent.usd + usd if known and self.spent.usd is not None and usd is not None else None

    def add_reply(self, prompt: int, completion: int, usd: float | None) -> None:
        """Count one bought reply."""
        with self._lock:
            self._add_reply(prompt, completion, usd)

    def add_env_steps(self, steps: int, what: str) -> None:
        """Count environment steps; every few seconds they are written down, so that a killed run knows of them."""
        with self._lock:
            if not self._unwritten:
                self._written = time.monotonic()
            self.spent.env_steps += steps
            self._unwritten += steps
        if time.monotonic() - self._written > WRITTEN_EVERY:
            self.write_env_steps(what)

    def write_env_steps(self, what: str) -> None:
        """Write down the environment steps that are not written yet."""
        with self._lock:
            steps, self._unwritten, self._written = self._unwritten, 0, time.monotonic()
        if steps:
            self._store.event("env_steps", steps=steps, what=what)

    def seconds_left(self) -> float | None:
        """Seconds until the cap on minutes; None without one."""
        if self.caps.minutes is None:
            return None
        return max(0.0, self.caps.minutes * 60 - self._store.elapsed)

    def _add_training(self, seconds: float, learners: int) -> None:
        # The slowest counts: one whose program failed at once says nothing of the next.
        self._learner_seconds = max(self._learner_seconds, seconds / learners)

    def add_training(self, seconds: float, learners: int) -> None:
        """Note what a whole training took, and write it down."""
        self._add_training(seconds, learners)
        self._store.event("training_ended", seconds=round(seconds, 3), learners=learners)

    def model_seconds_left(self) -> float | None:
        """Seconds in which models may still be asked, so that confirmation has its own; None without a cap."""
        left = self.seconds_left()
        kept = MARGIN * self._learner_seconds * self._kept_learners
        return None if left is None else max(0.0, left - kept)

    def env_steps_left(self) -> int | None:
        """Environment steps until the cap; None without one."""
        if self.caps.env_steps is None:
            return None
        return max(0, self.caps.env_steps - self.spent.env_steps)

    def check_models(self) -> None:
        """Raise ``CapReached`` where no further reply may be bought, ``Interrupted`` where asked to stop."""
        self.check_interrupt()
        with self._lock:
            if self.caps.tokens is not None and self.spent.tokens >= self.caps.tokens:
                raise CapReached("max_tokens")
            if self.caps.usd is not None and (self.spent.usd is None or self.spent.usd >= self.caps.usd):
                raise CapReached("max_usd")
        if self.model_seconds_left() == 0.0:
            raise CapReached("max_minutes")

    def check_clock(self) -> None:
        """Raise ``CapReached`` once the minutes are used up."""
        if self.seconds_left() == 0.0:
            raise CapReached("max_minutes")
