"""The pool: own workers for every program, turns, deadlines that begin with a turn, a line that does not grow."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sandbox.container import DockerSandbox
from sandbox.embedded import EmbeddedSandbox
from sandbox.errors import CandidateError, InfraError
from sandbox.pool import Pool
from sandbox.program import RewardProgram
from sandbox.service import Sandbox
from sandbox.started import Worker
from tests.sandbox.canaries import example_call
from tests.sandbox.test_lifetime import CHOOSY, HONEST, children, stand_ready, within

FEW, MANY = example_call(rows=4), example_call(rows=5)
DEADLINE = 0.5
LATE = 0.15
"""Seconds after a deadline within which the answer must be there."""
PROGRAMS = 16


def two_at_a_time(sandbox: Sandbox) -> EmbeddedSandbox | DockerSandbox:
    return EmbeddedSandbox(running=2) if sandbox.name == "embedded" else DockerSandbox(running=2)


def test_endless_loops_wait_for_their_turn_and_end_at_their_own_deadlines(sandbox: Sandbox) -> None:
    pool = two_at_a_time(sandbox)
    services = [pool.serve(RewardProgram(CHOOSY + f"# {i}\n")) for i in range(PROGRAMS)]
    stand_ready(pool.pool)
    before = children(os.getpid())
    ends: list[float] = []

    def ask(index: int) -> str:
        try:
            services[index].evaluate(FEW, deadline=DEADLINE)
        except CandidateError as error:
            ends.append(time.monotonic())
            return error.violation.kind
        return "ok"

    began = time.monotonic()
    with ThreadPoolExecutor(PROGRAMS) as threads:
        assert list(threads.map(ask, range(PROGRAMS))) == ["timeout"] * PROGRAMS
    rounds = [end - began for end in sorted(ends)]
    for place, end in enumerate(rounds):
        turn = place // 2 + 1
        assert turn * DEADLINE - 0.05 <= end <= turn * (DEADLINE + LATE)
    assert within(2, lambda: len(children(os.getpid()) - before) == 0), "no child of a call is left"
    for service in services:
        np.testing.assert_array_equal(service.evaluate(MANY).components["r"], MANY.next_state["x"][..., 0])
        service.close()


def test_a_longer_line_than_agreed_is_refused() -> None:
    pool = Pool(lambda seed: pytest.fail("no worker is wanted"), ahead=0, running=1, waiting=1)
    inside, leave = threading.Event(), threading.Event()

    def compute() -> None:
        with pool.turn():
            inside.set()
            leave.wait(10)

    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(compute), threads.submit(compute)]
        inside.wait(10)
        time.sleep(0.1)
        with pytest.raises(InfraError, match="more than 1 calls wait"), pool.turn():
            pass
        leave.set()
        for call in calls:
            call.result()
    with pool.turn():
        pass


def test_programs_never_share_a_worker(sandbox: Sandbox) -> None:
    pool = two_at_a_time(sandbox).pool
    with ThreadPoolExecutor(4) as threads:
        workers = list(threads.map(pool.worker, [0, 1, 0, 1, 0, 0]))
    assert len({id(worker) for worker in workers}) == 6
    for worker in workers:
        assert worker.await_ready()["broken"] == []
        worker.kill()


def test_a_warm_worker_that_died_is_replaced() -> None:
    sandbox = EmbeddedSandbox()
    first = sandbox.pool.worker(0)
    sandbox.pool.add(0, first)
    os.kill(first.link.process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    with sandbox.serve(RewardProgram(HONEST)) as service:
        np.testing.assert_array_equal(service.evaluate(MANY).components["r"], MANY.next_state["x"][..., 0])


def test_a_start_ahead_that_failed_is_tried_again() -> None:
    failed: list[int] = []
    sandbox = EmbeddedSandbox()

    def launch(seed: int) -> Worker:
        if not failed and threading.current_thread().name.startswith("sandbox"):
            failed.append(seed)
            raise InfraError("too many processes just now")
        return sandbox._launch(seed)

    pool = Pool(launch, ahead=1)
    for _ in range(2):
        pool.worker(0).kill()
    assert failed == [0]
