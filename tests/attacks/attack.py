"""What an attack is, how one is written down, and what each of them finds around it.

Whether an attack achieved its aim is never read off its answer alone: ``Canaries`` on the host judge it. Names between
``@`` signs are filled in: with the canaries' addresses (``@SECRET@``), or with this machine's number of a system call
(``@sys_mount@``). A program that reads the secret (it begins with ``@PREFIX@``) pays it out by ``leak``, byte by byte;
one that did something else it must not pays out ``won``.
"""

from __future__ import annotations

import platform
import re
import textwrap
from dataclasses import dataclass

from sandbox.program import Form

FAMILIES = {
    "esc": "escape",
    "exf": "exfiltration",
    "res": "resources",
    "lib": "library",
    "torch": "library",
    "tam": "tampering",
    "val": "values",
    "det": "determinism",
    "toctou": "determinism",
    "srv": "service",
}
"""First part of an attack's id -> its family."""

PRELOAD = (
    *("socket", "subprocess", "ctypes", "threading", "pickle", "multiprocessing", "mmap", "fcntl", "signal", "os"),
    *("sys", "gc", "re", "atexit", "shutil", "urllib.request", "inspect", "tempfile", "glob", "io", "pathlib"),
    *("resource", "select", "time", "types", "posix", "platform", "asyncio", "pty", "importlib.util", "linecache"),
    *("encodings.idna", "numpy.f2py", "numpy.testing", "sqlite3", "logging.handlers", "runpy", "ctypes.util"),
    *("multiprocessing.shared_memory", "concurrent.futures.process", "uuid", "secrets", "string", "codecs", "json"),
    *("faulthandler", "zipfile", "webbrowser"),
    *("zoneinfo", "decimal", "fractions", "array", "bz2", "lzma", "gzip", "tarfile", "dbm.dumb", "shelve"),
    *("pdb", "code", "cProfile", "tracemalloc", "trace", "queue", "sched", "selectors", "ssl", "smtplib", "ftplib"),
    *("socketserver", "http.server", "xmlrpc.client", "configparser", "csv", "wave", "difflib", "textwrap", "heapq"),
    *("py_compile", "compileall", "zipimport", "zipapp", "pwd", "grp", "termios", "tty", "syslog", "locale"),
    *("gettext", "getpass", "statistics", "numpy.lib.format", "numpy.ma", "marshal", "unittest.mock"),
)
"""Modules that an attacker would want, imported in the worker beforehand: a failed import contains nothing."""

PRELUDE = """\
import numpy as np

def leak(data, rows):
    values = np.zeros(rows, np.float32)
    found = np.frombuffer(bytes(data)[:rows], np.uint8)
    values[: len(found)] = found
    return {"leak": values}

def won(rows):
    return leak(b"@WIN@", rows)

"""
STAND_IN = """\
import numpy as np

def leak(data, rows):
    return {"leak": data}

def won(rows):
    return {"won": rows}

"""
"""The prelude as the gate is shown it: it would refuse the real one, and so say nothing about the attack."""

PAY = "return {'progress': next_state['x'][:, 0] - state['x'][:, 0]}"
"""The honest end of a body."""

NUMBERS = {
    "ioctl": (16, 29), "dup": (32, 23), "setitimer": (38, 103), "sendfile": (40, 71), "socketpair": (53, 199),
    "clone": (56, 220), "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186), "ptrace": (101, 117),
    "ftruncate": (77, 46), "syslog": (103, 116), "setsid": (112, 157), "personality": (135, 92),
    "setpriority": (141, 140), "mlockall": (151, 230), "modify_ldt": (154, 999), "pivot_root": (155, 41),
    "prctl": (157, 167), "arch_prctl": (158, 999), "chroot": (161, 51), "sched_setaffinity": (203, 122),
    "remap_file_pages": (216, 234), "timer_create": (222, 107), "mq_open": (240, 180), "add_key": (248, 217),
    "keyctl": (250, 219), "splice": (275, 76), "vmsplice": (278, 75), "timerfd_create": (283, 85),
    "fallocate": (285, 47), "signalfd4": (289, 74), "eventfd2": (290, 19), "epoll_create1": (291, 20),
    "inotify_init1": (294, 26), "perf_event_open": (298, 241), "fanotify_init": (300, 262),
    "prlimit64": (302, 261), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "setns": (308, 268),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272), "seccomp": (317, 277),
    "bpf": (321, 280), "execveat": (322, 281), "userfaultfd": (323, 282), "copy_file_range": (326, 285),
    "pkey_mprotect": (329, 288), "io_uring_setup": (425, 425), "open_tree": (428, 428), "fsopen": (430, 430),
    "pidfd_open": (434, 434), "clone3": (435, 435), "openat2": (437, 437), "pidfd_getfd": (438, 438),
    "memfd_secret": (447, 447),
    "reboot": (169, 142), "init_module": (175, 105), "finit_module": (313, 273), "kexec_load": (246, 104),
    "iopl": (172, 999), "swapon": (167, 224), "acct": (163, 89), "sethostname": (170, 161),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "mount": (165, 40), "umount2": (166, 39),
    "move_mount": (429, 429), "unshare": (272, 97), "sync": (162, 81), "statx": (332, 291), "utimensat": (280, 88),
    "getdents64": (217, 61), "readlinkat": (267, 78), "unlinkat": (263, 35), "mknodat": (259, 33),
    "fchmodat": (268, 53), "getxattr": (191, 8), "fcntl": (72, 25), "pipe2": (293, 59), "dup3": (292, 24),
    "socket": (41, 198), "rt_sigqueueinfo": (129, 138), "tgkill": (234, 131), "tkill": (200, 130), "kill": (62, 129),
    "pidfd_send_signal": (424, 424), "process_madvise": (440, 440), "wait4": (61, 260), "membarrier": (324, 283),
    "sched_setscheduler": (144, 119), "ioprio_set": (251, 30), "migrate_pages": (256, 238), "mbind": (237, 235),
    "mincore": (27, 232), "msync": (26, 227), "mlock": (149, 228), "pkey_alloc": (330, 289),
    "landlock_create_ruleset": (444, 444), "io_setup": (206, 0), "futex_waitv": (449, 449), "cachestat": (451, 451),
    "sysinfo": (99, 179), "uname": (63, 160), "getppid": (110, 173), "set_robust_list": (273, 99), "rseq": (334, 293),
    "quotactl": (179, 60), "setuid": (105, 146), "capset": (126, 91), "mseal": (462, 462), "statmount": (457, 457),
    "set_tid_address": (218, 96), "getcpu": (309, 168), "map_shadow_stack": (453, 453), "pause": (34, 999),
    "rt_sigsuspend": (130, 133), "rt_sigtimedwait": (128, 137), "preadv": (295, 69), "tee": (276, 77),
    "lsm_get_self_attr": (459, 459), "exit_thread": (60, 93), "get_mempolicy": (239, 236), "memfd_create": (319, 279),
}  # fmt: skip
"""System calls on x86_64 and aarch64 (asm/unistd.h); 999 where a machine has no such call."""


HARMFUL = frozenset({"tam-signal", "res-fork-bomb", "res-disk", "srv-kill-zygote", "esc-ptrace"})
"""Attacks that could bring down the machine where a wall is missing: not for ``benchmarks/layers.py``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One hostile program and what must become of it."""

    id: str
    family: str
    source: str
    allowed: frozenset[str]
    """``ok`` or error kinds: what counts as contained when nothing but the jail stands."""
    gate: bool
    """Whether the gate must refuse it; where not, its form is that of an honest program."""
    probe: str
    """The rule of the probe that must refuse it, where it answers with harmless numbers; else empty."""
    form: Form = "reward"

    @property
    def harmful(self) -> bool:
        """Whether it must not be run where a wall is missing."""
        return self.id in HARMFUL

    def for_gate(self) -> str:
        """The source as the gate is shown it."""
        return re.sub("@[A-Z_]+@", "7", self.source.replace(PRELUDE, STAND_IN))


def program(name: str, source: str, *allowed: str, gate: bool = True, probe: str = "") -> Attack:
    """An attack whose whole ``source`` after the prelude is given."""
    machine = 1 if platform.machine() == "aarch64" else 0
    numbered = re.sub("@sys_([a-z0-9_]+)@", lambda found: str(NUMBERS[found[1]][machine]), source)
    return Attack(
        id=name,
        family=FAMILIES[name.split("-")[0]],
        source=PRELUDE + textwrap.dedent(numbered).strip("\n") + "\n",
        allowed=frozenset(allowed),
        gate=gate,
        probe=probe,
    )


def attack(name: str, body: str, *allowed: str, gate: bool = True, probe: str = "") -> Attack:
    """An attack whose ``body`` is the body of ``compute_reward``."""
    function = "def compute_reward(state, action, next_state):\n    rows = len(action)\n"
    source = function + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return program(name, source, *allowed, gate=gate, probe=probe)


def system_call(name: str, call: str, arguments: str, before: str = "", then: str = "return won(rows)") -> Attack:
    """An attack that makes one system call past Python: it is won where the kernel does not refuse."""
    lines = ["import ctypes, os, struct", "libc = ctypes.CDLL(None, use_errno=True)"]
    lines += textwrap.dedent(before).strip("\n").splitlines()
    lines += [f"result = libc.syscall(@sys_{call}@, {arguments})", "if result >= 0:", "    " + then]
    return attack(name, "\n".join([*lines, "raise OSError(ctypes.get_errno(), 'refused')"]), "exception")
