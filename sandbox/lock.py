"""The lock: what a child gives up before it sees a line of a generated program. Linux only.

Of some 350 system calls about 30 are left: memory, clocks, locks, its own signal handlers, reading and writing
what is open already, and leaving. Standard library only, for it runs inside the jail.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import math
import os
import platform
import resource
import struct
from collections.abc import Callable
from typing import Any

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
ANSWER_FD = 3
"""The one pipe that a locked child has; 0, 1 and 2 are the null device."""

COMPUTE: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10,
            "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
            "writev": 20, "sched_yield": 24, "mremap": 25, "madvise": 28, "nanosleep": 35, "getpid": 39, "exit": 60,
            "gettimeofday": 96, "getrusage": 98, "times": 100, "sigaltstack": 131, "gettid": 186, "time": 201,
            "futex": 202, "sched_getaffinity": 204, "restart_syscall": 219, "clock_gettime": 228,
            "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "getrandom": 318,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "close": 57, "lseek": 62, "read": 63, "write": 64, "writev": 66, "ppoll": 73, "fstat": 80,
            "exit": 93, "exit_group": 94, "futex": 98, "nanosleep": 101, "clock_gettime": 113, "clock_getres": 114,
            "clock_nanosleep": 115, "sched_getaffinity": 123, "sched_yield": 124, "restart_syscall": 128,
            "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "times": 153,
            "getrusage": 165, "gettimeofday": 169, "getpid": 172, "gettid": 178, "brk": 214, "munmap": 215,
            "mremap": 216, "mmap": 222, "mprotect": 226, "madvise": 233, "getrandom": 278,
        },
    ),
}  # fmt: skip
"""Per machine: the kernel's name of its architecture, and the calls that compute (asm/unistd.h)."""

ADVICE = (4, 8, 14, 15)
"""What memory may be advised: not needed, free, huge pages or none (asm-generic/mman-common.h)."""
LIBC: Any = ctypes.CDLL(None, use_errno=True)


@functools.cache
def compute_filter(machine: str) -> bytes:
    """Classic BPF that allows ``COMPUTE``, refuses other calls with EPERM and kills foreign architectures.

    Of the memory calls only what computing needs: never executable; never shared, for shared pages are not counted as
    this process's own; where the kernel likes, for pages far from one another need tables that nobody counts; no
    second mapping of one there is; no advice that keeps the kernel busy for long. Each jump has two forward offsets
    (linux/filter.h); the data looked at is ``struct seccomp_data``, whose arguments are eight bytes each, from byte 16
    on, low half first.
    """
    arch, table = COMPUTE[machine]
    allow, refuse, kill = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
    load, equal, at_least, has_bits, give = 0x20, 0x15, 0x35, 0x45, 0x06
    number_at, arch_at, prot_exec, map_shared, mremap_fixed, x32 = 0, 4, 4, 1, 2, 0x40000000
    first, second, third, fourth = 16, 24, 32, 40

    def op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    program = [op(load, arch_at), op(equal, arch, 1), op(give, kill)]
    program += [op(load, number_at), op(at_least, x32, 0, 1), op(give, kill)]

    def unless(*faults: tuple[int, int, int, bool]) -> list[bytes]:
        """Look at (argument, comparison, value); the answer that is a fault jumps over the leave behind it all."""
        body: list[bytes] = []
        for at, (argument, comparison, value, fault) in enumerate(faults):
            away = 2 * (len(faults) - at) - 1
            body += [op(load, argument), op(comparison, value, *((away, 0) if fault else (0, away)))]
        return body

    never_executable = (third, has_bits, prot_exec, True)
    anywhere = ((first, equal, 0, False), (first + 4, equal, 0, False))
    checks = {
        "mmap": unless(*anywhere, never_executable, (fourth, has_bits, map_shared, True)),
        "mprotect": unless(never_executable),
        "mremap": unless((second, equal, 0, True), (fourth, has_bits, mremap_fixed, True)),
        "madvise": [
            op(load, third),
            *(op(equal, advice, len(ADVICE) - 1 - at, at == len(ADVICE) - 1) for at, advice in enumerate(ADVICE)),
        ],
    }
    for name, number in table.items():
        body = checks.get(name, [])
        behind = [op(give, allow), op(give, refuse)] if body else [op(give, allow)]
        program += [op(equal, number, 0, len(body) + len(behind)), *body, *behind]
    return b"".join([*program, op(give, refuse)])


def prctl(option: int, value: int, pointer: Any = None) -> None:
    """``prctl(2)``. Raises OSError."""
    if LIBC.prctl(option, ctypes.c_ulong(value), pointer, None, None) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) was refused")


def limit(memory: int, seconds: float) -> None:
    """Hard limits: ``memory`` bytes of address space, ``seconds`` of processor; no files, no processes."""
    limits = {"AS": memory, "CPU": math.ceil(seconds) + 1, "FSIZE": 0, "CORE": 0, "NOFILE": ANSWER_FD + 1}
    for name, wanted in {**limits, "NPROC": 0, "MEMLOCK": 0}.items():
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(number, (value, value))


def lock(memory: int, seconds: float) -> None:
    """Leave this process nothing but computing. Raises OSError where the kernel lacks seccomp."""
    limit(memory, seconds)
    prctl(PR_SET_DUMPABLE, 0)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    code = compute_filter(platform.machine())
    text = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: a count of instructions, padding, their address.
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(text))
    prctl(PR_SET_SECCOMP, 2, ctypes.create_string_buffer(program, len(program)))


def self_test(memory: int) -> tuple[str, ...]:
    """What a locked child could still do, tried in a fork of its own: empty when every call is refused."""
    if platform.machine() not in COMPUTE:
        return (f"no system call table for {platform.machine()}",)
    attempts: dict[str, Callable[[], Any]] = {
        "open": lambda: LIBC.open(b"/", 0),
        "socket": lambda: LIBC.socket(2, 1, 0),
        "fork": lambda: LIBC.fork(),
        "execve": lambda: LIBC.execve(b"/", None, None),
        "kill": lambda: LIBC.kill(1, 0),
        "mprotect": lambda: LIBC.mprotect(ctypes.c_void_p(0), ctypes.c_size_t(0), 4),
        "madvise": lambda: LIBC.madvise(ctypes.c_void_p(0), ctypes.c_size_t(0), 25),
    }
    compute_filter(platform.machine())  # once, here, for every child to come
    pid = os.fork()
    if pid == 0:
        held = 0
        try:
            lock(memory, 5)
            refused = [call() == -1 and ctypes.get_errno() == errno.EPERM for call in attempts.values()]
            held = sum(1 << bit for bit, good in enumerate(refused) if good)
        finally:
            os._exit(held)
    held = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if held < 0:
        return ("the lock killed its own test",)
    return tuple(name for bit, name in enumerate(attempts) if not held >> bit & 1)
