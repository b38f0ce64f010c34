"""The embedded jail, from inside: namespaces, an empty root, no rights, Landlock; then the zygote.

It runs as a child of the host, before any generated code. A keeper stays outside the process namespace and ends it
when the host is gone. Each wall that this kernel refuses is named as missing; the zygote's seccomp is not optional.
Standard library and ctypes only, Linux only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import select
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.lock import LIBC, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, prctl
from sandbox.zygote import prepare, serve

NAMESPACES = {"mount": 0x20000, "uts": 0x4000000, "ipc": 0x8000000, "pid": 0x20000000, "net": 0x40000000}
CLONE_NEWUSER = 0x10000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 0x40000, 2
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
PR_CAPBSET_DROP = 24
CAPSET = {"x86_64": 126, "aarch64": 91}
LANDLOCK_CREATE, LANDLOCK_RESTRICT = 444, 446
NOBODY = 65534
INSIDE = 65532
"""The user's id inside a user namespace of ours."""


def check(result: int, what: str) -> None:
    """Raise OSError where a libc call failed."""
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def unshare(flags: int) -> bool:
    """``unshare(2)``: whether the kernel agreed."""
    return bool(LIBC.unshare(ctypes.c_int(flags)) == 0)


def enter_namespaces() -> list[str]:
    """New namespaces for this process (and, for processes, its next child). Returns those that we got."""
    together = sum(NAMESPACES.values())
    if os.geteuid() == 0 and unshare(together):
        return list(NAMESPACES)
    uid, gid = os.geteuid(), os.getegid()
    if not unshare(together | CLONE_NEWUSER):
        return []
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{INSIDE} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{INSIDE} {gid} 1")
    return ["user", *NAMESPACES]


def empty_root() -> None:
    """Replace the whole file tree by an empty, read-only one. Raises OSError."""
    nothing, tmp = b"none", b"/tmp"
    check(LIBC.mount(nothing, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None), "private mounts")
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    check(LIBC.mount(b"tmpfs", tmp, b"tmpfs", ctypes.c_ulong(flags), b"size=4k,mode=555"), "mount tmpfs")
    os.chdir(tmp)
    check(LIBC.syscall(PIVOT_ROOT[platform.machine()], b".", b"."), "pivot_root")
    check(LIBC.umount2(b".", MNT_DETACH), "unmount the old root")
    os.chdir("/")
    remount = ctypes.c_ulong(flags | MS_REMOUNT | MS_RDONLY)
    check(LIBC.mount(nothing, b"/", None, remount, None), "read-only root")


def become_nobody() -> None:
    """Give up root: an ordinary user without groups. Raises OSError."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def drop_capabilities() -> None:
    """Empty every capability set of this process. Raises OSError."""
    for number in range(64):
        LIBC.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(number), None, None, None)
    header = struct.pack("=Ii", 0x20080522, 0)
    check(LIBC.syscall(CAPSET[platform.machine()], header, bytes(24)), "capset")


def landlock() -> str:
    """Refuse every file, TCP port, abstract socket and signal to the outside. Returns the layer's name.

    Rights by version of the interface: linux/landlock.h. Raises OSError where the kernel has none.
    """
    LIBC.syscall.restype = ctypes.c_long
    version = LIBC.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    check(version, "Landlock")
    files = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)
    network = 0b11 if version >= 4 else 0
    scoped = 0b11 if version >= 6 else 0
    attributes = struct.pack("=QQQ", (1 << files) - 1, network, scoped)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = LIBC.syscall(LANDLOCK_CREATE, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0))
    check(rules, "Landlock rules")
    check(LIBC.syscall(LANDLOCK_RESTRICT, ctypes.c_int(rules), ctypes.c_uint32(0)), "Landlock restriction")
    os.close(rules)
    return f"landlock-abi{version}"


def walls(got: list[str]) -> tuple[list[str], list[str]]:
    """Raise the walls inside the new namespaces. Returns the names of those that stand and of those that do not."""
    layers = [f"{name}-namespace" for name in got]
    missing = [f"{name}-namespace" for name in NAMESPACES if name not in got]

    def attempt(layer: str, build: Callable[[], str | None]) -> None:
        try:
            layers.append(build() or layer)
        except OSError as error:
            missing.append(f"{layer} ({error})")

    if "mount" in got:
        attempt("empty-root", empty_root)
    else:
        missing.append("empty-root")
    if os.geteuid() == 0:
        attempt("unprivileged-user", become_nobody)
    attempt("no-capabilities", drop_capabilities)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    attempt("landlock", landlock)
    return layers, missing


def keep(pid: int, host: int) -> None:
    """Wait for the jail to end, and end it when the host is gone. Never returns."""
    os.closerange(0, 3)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        watched = [os.pidfd_open(pid)]
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        watched = []
    while os.getppid() == host:
        select.select(watched, [], [], 0.25)
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            os._exit(os.waitstatus_to_exitcode(status) & 0x7F)
    os.kill(pid, signal.SIGKILL)
    os._exit(0)


def main(options: dict[str, Any]) -> None:
    """Build the jail and serve in it. ``options``: ``preload`` modules, ``inputs`` descriptor, ``host`` its pid."""
    null = os.open("/dev/null", os.O_RDWR)
    base = prepare(options["preload"])
    LIBC.clearenv()
    got = enter_namespaces()
    pid = os.fork()
    if pid:
        keep(pid, options["host"])
    layers, missing = walls(got)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(base, options["inputs"], null, layers, missing)
