"""Warm workers, and whose turn it is: what stands between many programs and few processors."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from sandbox.errors import InfraError
from sandbox.started import Worker

WAITING = 256
"""Calls that may wait for their turn."""
HASH_SEEDS = 2
"""Salts that differ modulo this are answered by workers with another hash seed and another memory layout."""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pool:
    """Hands each program workers that no other program has seen, and lets a few calls compute at a time.

    A call's deadline begins with its turn, so that no program is blamed for those before it. Safe for many threads.
    """

    def __init__(
        self,
        launch: Callable[[int], Worker],
        *,
        ahead: int = HASH_SEEDS,
        running: int | None = None,
        waiting: int = WAITING,
    ) -> None:
        """``launch(hash_seed)`` starts a worker. Those of the hash seeds below ``ahead`` are started before they are
        wanted; ``running`` calls compute at once (one a processor when None).
        """
        running = running or processors()
        self._seeds = range(ahead)
        self._launch = launch
        self._waiting = waiting
        self._slots = threading.BoundedSemaphore(running)
        self._line = threading.BoundedSemaphore(running + waiting)
        self._lock = threading.Lock()
        self._warm: dict[int, Future[Worker]] = {}
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="sandbox")

    def add(self, hash_seed: int, worker: Worker) -> None:
        """Keep a started worker for the next program."""
        self._warm[hash_seed] = Future()
        self._warm[hash_seed].set_result(worker)

    def worker(self, hash_seed: int) -> Worker:
        """A started worker that no program has seen; the next ones start meanwhile. Raises InfraError."""
        with self._lock:
            warm = self._warm.pop(hash_seed, None)
            for seed in set(self._seeds) - set(self._warm):
                self._warm[seed] = self._ahead.submit(self._launch, seed)
        if warm is not None:
            try:
                return warm.result()
            except InfraError:
                pass  # what went wrong some time ago may go well now
        return self._launch(hash_seed)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until one of the running calls ends. Raises InfraError where too many wait already."""
        if not self._line.acquire(blocking=False):
            raise InfraError(f"more than {self._waiting} calls wait for the sandbox")
        try:
            with self._slots:
                yield
        finally:
            self._line.release()
