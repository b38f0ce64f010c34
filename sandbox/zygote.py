"""The zygote: imports numpy once, proves the lock, then forks a child for each call and hands on its answer.

It interprets nothing that a program wrote but the length of its frame: what a child says goes to the host as the body
of a frame of the zygote's own, which tells how the child ended. Before the next call nothing else is left alive in its
process namespace.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import os
import platform
import resource
import select
import signal
import time
from typing import Any, NamedTuple

import numpy as np

from sandbox.lock import LIBC, PR_SET_DUMPABLE, prctl, self_test
from sandbox.wire import PREFIX, read_frame, write_frame
from sandbox.worker import child

# numpy and Python import these on first use, and the locked child can open no file.
LAZY = (
    *("numpy.ma", "numpy.linalg", "numpy.fft", "numpy.polynomial", "numpy.random", "numpy.lib.stride_tricks"),
    *("numpy.ctypeslib", "__future__", "collections.abc", "dataclasses", "decimal", "fractions", "functools"),
    *("itertools", "operator", "statistics", "typing", "unicodedata", "encodings.utf_8", "encodings.latin_1"),
    *("encodings.ascii", "encodings.unicode_escape"),
)
CHUNK = 1 << 20
HIGH_FD = 10
SELF_TEST_MEMORY = 256 << 20
FIRST_PAUSE = 2e-5
"""Seconds before the second look at a child that has said all and is about to end."""
REAP_SECONDS = 0.04
"""How long an answer waits for a killed child to be gone."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_THRESHOLD = 32 << 20
"""The most that glibc takes on machines of 64 bits (mallopt(3))."""


class Ended(NamedTuple):
    """What came of a child."""

    end: str
    """``exit``, ``signal``, ``deadline``, ``output_limit`` or ``host`` (nobody is left to answer)."""
    code: int
    """Its exit status or signal."""
    said: bytearray
    """What it wrote, where it ended by itself."""
    gone: bool
    """Whether nothing of it is left. One that has left a whole frame and closed its pipe has answered, and is not
    waited for: giving memory back can take longer than answering."""


def is_whole(said: bytearray) -> bool:
    """Whether this is as long as a frame says that it is; what it says else, the host will see."""
    if len(said) < PREFIX.size:
        return False
    _, header_size, body_size = PREFIX.unpack_from(said)
    return bool(len(said) == PREFIX.size + header_size + body_size)


def collect(pid: int, answer: int, seconds: float, limit: int) -> Ended:
    """Read what the child writes to ``answer``, ``limit`` bytes at most, until it ends or has to be ended."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    poll.register(answer, select.POLLIN)
    poll.register(0, 0)  # only the hang-up of a host that is gone
    # One block: a child that writes byte by byte must not cost an object for each.
    said = bytearray()
    end, status, talking, pause = "", 0, True, FIRST_PAUSE
    while not end:
        left = max(0.0, deadline - time.monotonic())
        ready = dict(poll.poll(left * 1000 if talking else 0))
        if 0 in ready:
            end = "host"
        elif answer in ready:
            data = os.read(answer, min(CHUNK, limit + 1 - len(said)))
            said += data
            end = "output_limit" if len(said) > limit else ""
            if not data:
                if is_whole(said):
                    return Ended("exit", 0, said, gone=False)
                poll.unregister(answer)
                talking = False
        elif left == 0:
            end = "deadline"
        if not talking and not end:
            done, status = os.waitpid(pid, os.WNOHANG)
            end = "ended" if done else ""
            if not done:
                time.sleep(min(pause, left))
                pause = min(2 * pause, 1e-3)
    if end != "ended":
        os.kill(pid, signal.SIGKILL)
        return Ended(end, 0, bytearray(), gone=reap(pid, REAP_SECONDS))
    code = os.waitstatus_to_exitcode(status)
    return Ended("exit", code, said, True) if code >= 0 else Ended("signal", -code, bytearray(), True)


def reap(pid: int, seconds: float) -> bool:
    """Whether a killed child is gone; waits ``seconds`` at most, since much memory takes its time to be given back."""
    until, pause = time.monotonic() + seconds, FIRST_PAUSE
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > until:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 1e-3)
    return True


def sweep() -> None:
    """Kill and reap all else in this process namespace; nothing to do where this is not its first process."""
    if os.getpid() != 1:
        return
    try:
        os.kill(-1, signal.SIGKILL)
        while os.waitpid(-1, 0):
            continue
    except (ProcessLookupError, ChildProcessError):
        return


def keep_freed_memory() -> None:
    """Let the allocator of every child use its memory again: each page that it asks for anew costs a fault."""
    with contextlib.suppress(AttributeError):  # another C library than glibc
        LIBC.mallopt(M_MMAP_THRESHOLD, LARGEST_THRESHOLD)
        LIBC.mallopt(M_TRIM_THRESHOLD, 1 << 30)


def prepare(preload: list[str]) -> int:
    """Import what the locked child could not. Returns the bytes of address space that this process has."""
    for name in (*LAZY, *preload):
        importlib.import_module(name)
    os.environ.clear()
    keep_freed_memory()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def serve(base: int, inputs: int | None, null: int, layers: list[str], missing: list[str]) -> None:
    """Prove the lock, say ready, then answer frames until the host is gone.

    ``base``: this process's address space in bytes, the floor of every child's. ``inputs``: a file through which
    the host shares its arrays. ``null``: the null device.
    """
    prctl(PR_SET_DUMPABLE, 0)
    # Out of the way of the numbers that a child takes for itself.
    null = fcntl.fcntl(null, fcntl.F_DUPFD, HIGH_FD)
    inputs = None if inputs is None else fcntl.fcntl(inputs, fcntl.F_DUPFD, HIGH_FD)
    broken = self_test(base + SELF_TEST_MEMORY)
    walls = [*layers, "process-per-call", "rlimits", "no-new-privs", "seccomp"]
    about: dict[str, Any] = {"layers": walls, "missing": missing, "broken": list(broken)}
    write_frame(1, {**about, "python": platform.python_version(), "numpy": np.__version__}, [])
    gc.collect()
    gc.freeze()
    while not broken and (frame := read_frame(0)) is not None:
        request, body = frame
        request["memory"] += base + len(body)
        receive, answer = os.pipe()
        with contextlib.suppress(OSError):  # a wider pipe is only quicker
            fcntl.fcntl(answer, fcntl.F_SETPIPE_SZ, CHUNK)
        pid = os.fork()
        if pid == 0:
            child(request, body, inputs, answer, null)
        os.close(answer)
        ended = collect(pid, receive, request["seconds"], request["limit"])
        os.close(receive)
        if ended.gone:
            sweep()
        if ended.end == "host":
            return
        write_frame(1, {"end": ended.end, "code": ended.code}, [ended.said])
        if not ended.gone:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            sweep()


def main(options: dict[str, Any]) -> None:
    """The worker of a container, which is jail enough around it.

    ``options``: ``preload`` modules, ``inputs`` a file or None.
    """
    null = os.open("/dev/null", os.O_RDWR)
    inputs = os.open(options["inputs"], os.O_RDONLY) if options["inputs"] else None
    base = prepare(options["preload"])
    LIBC.clearenv()
    serve(base, inputs, null, [], [])
