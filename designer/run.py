"""One run from its settings to its scorecard: what it has at hand, how it goes on, how it is interrupted."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from types import FrameType

from designer.agents import Agents
from designer.arms import confirming
from designer.asking import Models
from designer.budget import Budget, Interrupted
from designer.candidate import Slots
from designer.checks import Verifier
from designer.exits import INTERRUPTED
from designer.graph import Answer, walk
from designer.loop import Loop
from designer.settings import DesignSettings
from designer.store import Json, RunStore
from designer.trainings import Trainings
from envs import catalog
from envs.errors import UserError
from envs.task import TaskSpec
from sandbox.choose import choose
from sandbox.errors import InfraError
from sandbox.service import Sandbox
from training.result import Progress

GRACE = 5.0
"""Seconds that threads get to end after an interrupt, before the process ends without them."""


def task_of(settings: DesignSettings) -> TaskSpec:
    """The task that the settings name. Raises ``UserError``."""
    if settings.env is None:
        task = catalog.load(settings.task)
    else:
        task = catalog.from_sentence(settings.task, settings.env, state=settings.state, fitness=settings.fitness)
    return task if settings.env_steps is None else replace(task, env_steps=settings.env_steps)


def recorded_task(store: RunStore, settings: DesignSettings) -> TaskSpec:
    """The task of a run as its folder tells it, so that looking at a run imports nothing that it names.

    Raises ``UserError``.
    """
    if settings.env is None:
        return task_of(settings)
    found = store.read_json("task.json")
    if found is None:
        raise UserError(f"{store.root} holds no task.json: `rewardsmith resume {store.root}` writes it.")
    return TaskSpec.from_json(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run, opened."""

    store: RunStore
    settings: DesignSettings
    task: TaskSpec
    sandbox: Sandbox
    budget: Budget
    loop: Loop
    slots: Slots

    @classmethod
    def open(cls, store: RunStore, settings: DesignSettings, watch: Callable[[str, Progress], None]) -> Run:
        """Put together what the run needs. Raises ``UserError`` or ``InfraError``."""
        task = task_of(settings)
        if settings.env is not None:
            store.write_json("task.json", asdict(task))
        sandbox = choose(settings.sandbox, runtime=settings.sandbox_runtime)
        confirmation = confirming(task, settings.form) * settings.confirm_seeds
        # Until a program was trained, time for one is kept too: controls alone confirm nothing.
        budget = Budget(settings.caps, store, kept_learners=settings.seeds + confirmation)
        store.event("opened", task=task.id, sandbox=sandbox.name, layers=list(sandbox.layers))
        verifier = Verifier(task, sandbox, learners=settings.seeds, seed=settings.seed)
        agents = Agents(Models(settings, store, budget), store)
        trainings = Trainings(task, settings, store, budget, sandbox, watch)
        loop = Loop(task=task, settings=settings, store=store, budget=budget, agents=agents, trainings=trainings)
        slots = Slots(task=task, settings=settings, store=store, agents=agents, verifier=verifier)
        return cls(store=store, settings=settings, task=task, sandbox=sandbox, budget=budget, loop=loop, slots=slots)

    def go(self, answer: Answer, stopping: Callable[[], None]) -> Json:
        """Run from wherever the run stands to its scorecard. The caller holds the run (``alone``).

        ``stopping`` is called within the signal handler on Ctrl-C and SIGTERM, then ``KeyboardInterrupt`` is
        raised; threads that hang then get ``GRACE`` seconds. Raises ``Paused`` when a review is not answered.
        """
        try:
            with _interruptible(self.budget, stopping), closing(self._connect()) as connection:
                walk(self.loop, self.slots, connection, answer, commented=self._has_new_comment())
        except Interrupted as error:
            raise KeyboardInterrupt(str(error)) from error
        except sqlite3.OperationalError as error:
            raise InfraError(f"{self.store.path('state.sqlite')}: {error}. Mend it and resume the run.") from error
        except sqlite3.DatabaseError as error:
            raise UserError(f"{self.store.path('state.sqlite')} is broken ({error}): start a new run.") from error
        card: Json = self.store.read_json("scorecard.json") or {}
        return card

    def _has_new_comment(self) -> bool:
        """Whether a person commented after the last scorecard was written."""
        events = list(self.store.events())
        finished = max((i for i, e in enumerate(events) if e["event"] == "finished"), default=-1)
        return any(e["event"] == "feedback" for e in events[finished + 1 :])

    def _connect(self) -> sqlite3.Connection:
        for suffix in ("", "-wal", "-shm", "-journal"):
            path = self.store.path(f"state.sqlite{suffix}")
            # SQLite follows links and waits for pipes.
            if path.is_symlink() or (path.exists() and not path.is_file()):
                raise UserError(f"{path} is no regular file: start a new run.")
        connection = sqlite3.connect(self.store.path("state.sqlite"), check_same_thread=False)
        connection.execute("pragma journal_mode=wal")
        return connection


@contextmanager
def alone(store: RunStore) -> Iterator[None]:
    """Hold the run's lock: two processes on one run would train everything twice. Raises ``UserError``."""
    with store.lock() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"{store.root} is being worked on by another process; wait for it or stop it.") from error
        yield


@contextmanager
def _interruptible(budget: Budget, stopping: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the run soon, whatever its threads wait for; what was kept stays kept."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    ending = threading.Timer(GRACE, os._exit, args=(INTERRUPTED,))
    ending.daemon = True

    def stop(number: int, frame: FrameType | None) -> None:
        budget.interrupt()
        if not ending.is_alive():
            stopping()
            ending.start()
        raise KeyboardInterrupt(str(Interrupted()))

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        ending.cancel()
        for number, handler in old.items():
            signal.signal(number, handler)
