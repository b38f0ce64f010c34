"""The host's side of one jail: asks with a deadline, believes nothing, kills what is late, starts anew what died."""

from __future__ import annotations

import contextlib
import time
from types import TracebackType
from typing import Self

import numpy as np

from sandbox.answers import Expected, failure, read_answer, read_child, read_end
from sandbox.errors import CandidateError, InfraError
from sandbox.frames import Frame, Malformed, lay_out
from sandbox.link import Gone, Late, inline
from sandbox.pool import HASH_SEEDS, Pool
from sandbox.program import RewardProgram
from sandbox.service import Answer, Array, Call
from sandbox.started import Worker

CHECK_SECONDS = 5.0
"""How long a program may take to be compiled and executed at its top level."""
GRACE_SECONDS = 0.1
"""How long after a deadline the zygote may take to say so before the whole jail is killed."""


def arrays_of(call: Call) -> tuple[dict[str, Array], Expected]:
    """A call's arrays by wire name, and the answer it allows. Raises ValueError for shapes that do not fit."""
    if call.ended.ndim != 2 or call.ended.size == 0 or call.ended.dtype != np.bool_:
        raise ValueError(f"ended must be bool (T, R), not {call.ended.dtype} {call.ended.shape}")
    steps, rows = call.ended.shape
    arrays = {f"state/{name}": array for name, array in call.state.items()}
    arrays |= {f"next_state/{name}": array for name, array in call.next_state.items()}
    arrays |= {"action": call.action, "ended": call.ended}
    for name, array in arrays.items():
        if array.shape[:2] != (steps, rows):
            raise ValueError(f"{name} has shape {array.shape}, expected ({steps}, {rows}, ...)")
    for name, array in (call.memory or {}).items():
        if array.shape[:1] != (rows,):
            raise ValueError(f"memory {name} has shape {array.shape}, expected ({rows}, ...)")
        arrays[f"memory/{name}"] = array
    return arrays, Expected(steps=steps, rows=rows, inputs=frozenset(arrays))


class JailedService:
    """One program in one kind of jail: a fresh process for each call, a fresh jail after each death.

    Not for two threads at once.
    """

    def __init__(self, program: RewardProgram, pool: Pool, *, memory: int) -> None:
        """``memory``: bytes that a program may use besides its inputs.

        Raises CandidateError where the program does not compile or fails at its top level, or InfraError.
        """
        self.program = program
        self._pool, self._memory = pool, memory
        self._workers: dict[int, Worker] = {}
        self._open = True
        try:
            self._check()
        except (CandidateError, InfraError):
            self.close()
            raise

    def evaluate(self, call: Call, *, salt: int = 0, deadline: float = 10.0) -> Answer:
        """Answer one call within ``deadline`` seconds. Raises CandidateError, InfraError or ValueError (the call)."""
        if not self._open:
            raise InfraError("this sandbox service is closed")
        arrays, expected = arrays_of(call)
        return read_answer(self._ask("call", arrays, expected, salt, deadline), expected)

    def _check(self) -> None:
        frame = self._ask("check", {}, Expected(steps=0, rows=0, inputs=frozenset()), 0, CHECK_SECONDS)
        if frame.header.get("checked") is not True:
            raise failure("protocol", "frame", "the program answered before it was asked")

    def _ask(self, op: str, arrays: dict[str, Array], expected: Expected, salt: int, deadline: float) -> Frame:
        for _ in range(2):
            with contextlib.suppress(Gone):
                worker = self._worker(salt % HASH_SEEDS)
                with self._pool.turn():
                    return self._attempt(worker, op, arrays, expected, salt, deadline)
        raise InfraError("the sandbox's worker died twice during one call")

    def _worker(self, seed: int) -> Worker:
        """The program's own worker with this hash seed, ready. Raises InfraError."""
        if seed not in self._workers:
            self._workers[seed] = self._pool.worker(seed)
        self._workers[seed].await_ready()
        return self._workers[seed]

    def _attempt(
        self, worker: Worker, op: str, arrays: dict[str, Array], expected: Expected, salt: int, deadline: float
    ) -> Frame:
        began = time.monotonic()
        layout = lay_out(arrays)
        if worker.shared is not None:
            worker.shared.fill(layout, arrays)
        header = {
            "op": op, "source": self.program.source, "entry": self.program.entry_point, "salt": salt,
            "steps": expected.steps, "rows": expected.rows, "arrays": layout.entries, "bytes": layout.size,
            "shared": worker.shared is not None, "memory": self._memory, "limit": expected.limit,
            "seconds": max(0.001, began + deadline - time.monotonic()),
        }  # fmt: skip
        body = b"" if worker.shared is not None else inline(layout, arrays)
        try:
            until = began + deadline + GRACE_SECONDS
            frame = worker.ask(header, body, until=until, max_body=expected.limit)
            left = read_end(frame, deadline)
        except (Gone, Late, Malformed) as error:
            del self._workers[salt % HASH_SEEDS]
            worker.abandon()
            if isinstance(error, Late):
                raise failure("timeout", "deadline", f"no answer within {deadline:g} s") from error
            if isinstance(error, Malformed):
                raise failure("protocol", "frame", str(error)) from error
            raise
        return read_child(left, expected.limit)

    def close(self) -> None:
        """End the jails; harmless when repeated."""
        self._open = False
        while self._workers:
            self._workers.popitem()[1].kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
