"""Hostile reward programs, one row each: what it tries, and what may come of it when nothing but the jail stands.

Whether an attack achieved its aim is never read off its answer alone: ``Canaries`` on the host judge it. Names
between ``@`` signs are filled in with the canaries' addresses. A program that reads the secret (it begins with
``@PREFIX@``) pays it out as ``leak``, byte by byte; one that did something else it must not pays out ``@WIN@``.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

PRELOAD = (
    *("socket", "subprocess", "ctypes", "threading", "pickle", "multiprocessing", "mmap", "fcntl", "signal", "os"),
    *("sys", "gc", "re", "atexit", "shutil", "urllib.request", "inspect", "tempfile", "glob", "io", "pathlib"),
    *("resource", "select", "time", "types", "posix", "platform", "asyncio", "pty"),
    *("importlib.util", "linecache", "encodings.idna"),
)
"""Modules that an attacker would want, imported in the worker beforehand: a failed import contains nothing."""

PRELUDE = """\
import numpy as np

def leak(data, rows):
    values = np.zeros(rows, np.float32)
    found = np.frombuffer(bytes(data)[:rows], np.uint8)
    values[: len(found)] = found
    return {"leak": values}

"""

CLEAN = ("ok", "exception")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One hostile program and the outcomes that count as contained."""

    id: str
    family: str
    source: str
    allowed: frozenset[str]
    """``ok`` or error kinds."""


def attack(name: str, body: str, *allowed: str) -> Attack:
    """An attack whose ``body`` is the body of ``compute_reward``; its family is the first part of its name."""
    function = "def compute_reward(state, action, next_state):\n    rows = len(action)\n"
    source = PRELUDE + function + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ") + "\n"
    return Attack(id=name, family=name.split("-")[0], source=source, allowed=frozenset(allowed))


PAY = "return {'progress': next_state['x'][:, 0] - state['x'][:, 0]}"

ATTACKS: tuple[Attack, ...] = (
    attack("esc-subclasses", """
        found = [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == "Popen"][0]
        return leak(found(["cat", "@SECRET@"], stdout=-1).communicate()[0], rows)""", "exception"),
    attack("esc-dunder-import", 'return leak(__import__("os").popen("cat @SECRET@").read().encode(), rows)',
           "exception"),
    attack("esc-format", """
        text = "{0.__class__.__init__.__globals__}".format(__import__("os").environ)
        return leak(text[text.find("@PREFIX@"):].encode(), rows)""", *CLEAN),
    attack("esc-tb-frame", """
        try:
            1 / 0
        except ZeroDivisionError as error:
            frame = error.__traceback__.tb_frame
            while frame.f_back is not None:
                frame = frame.f_back
            return leak(frame.f_globals["__builtins__"].open("@SECRET@", "rb").read(), rows)""", "exception"),
    attack("esc-getattr-concat", """
        import builtins
        return leak(getattr(builtins, "op" + "en")("@SECRET@", "rb").read(), rows)""", "exception"),
    attack("esc-np-ctypeslib", """
        libc = np.ctypeslib.ctypes.CDLL(None)
        if libc.system(b"touch @FOLDER@/system"):
            raise OSError("system was refused")
        """ + PAY, "exception"),
    attack("esc-exec-shell", """
        import os
        os.execv("/bin/sh", ["sh", "-c", "touch @FOLDER@/shell"])""", "exception"),
    attack("esc-fork-exec", """
        import os
        if os.fork() == 0:
            os.execv("/bin/sleep", ["sleep", "@SLEEP@"])
        """ + PAY, "exception"),
    attack("esc-proc-mem", """
        import os
        fd = os.open(f"/proc/{os.getppid()}/mem", os.O_RDWR)
        os.pwrite(fd, b"x", 4096)
        """ + PAY, "exception"),
    attack("esc-ptrace", """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        for pid in (1, os.getpid() - 1, @HOST@):
            if libc.ptrace(16, pid, None, None) == 0:
                return leak(b"@WIN@", rows)
        """ + PAY, *CLEAN),
    attack("esc-trainer-frame", """
        import sys
        frame, names = sys._getframe(), []
        while frame is not None:
            names += [str(v) for v in list(frame.f_locals.values())]
            frame = frame.f_back
        text = " ".join(names)
        return leak(text[text.find("@PREFIX@"):].encode() if "@PREFIX@" in text else b"", rows)""", *CLEAN),
    attack("esc-io-uring", """
        import ctypes
        params = ctypes.create_string_buffer(120)
        ring = ctypes.CDLL(None, use_errno=True).syscall(425, 8, params)
        if ring >= 0:
            return leak(b"@WIN@", rows)
        """ + PAY, *CLEAN),
    attack("esc-memfd-exec", """
        import os
        fd = os.memfd_create("x")
        os.write(fd, b"#!/bin/sh\\ntouch @FOLDER@/memfd\\n")
        os.execve(fd, ["x"], {})""", *CLEAN),
    attack("esc-userns", """
        import ctypes, os
        if ctypes.CDLL(None).unshare(0x10000000) == 0:
            return leak(b"@WIN@", rows)
        """ + PAY, *CLEAN),
    attack("esc-exec-page", """
        import mmap
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        return leak(b"@WIN@", rows)""", "exception"),
    attack("esc-x32", """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        fd = libc.syscall(0x40000002, b"@SECRET@", 0)
        buffer = ctypes.create_string_buffer(64)
        if fd >= 0:
            libc.syscall(0x40000000, fd, buffer, 64)
        return leak(buffer.raw, rows)""", "killed", "ok"),
    attack("exf-file-read", 'return leak(open("@SECRET@", "rb").read(), rows)', "exception"),
    attack("exf-file-write", 'open("@FOLDER@/written", "w").write("x")\n' + PAY, "exception"),
    attack("exf-parent-environ", """
        data = b""
        for pid in (1, "self", @HOST@):
            try:
                data += open(f"/proc/{pid}/environ", "rb").read()
            except OSError:
                pass
        at = data.find(b"@PREFIX@")
        return leak(data[at:] if at >= 0 else b"", rows)""", *CLEAN),
    attack("exf-environ", """
        import os
        return leak(os.environ.get("REWARD_CANARY", "").encode(), rows)""", *CLEAN),
    attack("exf-tcp", """
        import socket
        caller = socket.socket()
        caller.settimeout(1)
        caller.connect(("127.0.0.1", @TCP@))
        """ + PAY, "exception"),
    attack("exf-udp", """
        import socket
        try:
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", @UDP@))
        except OSError:
            pass
        """ + PAY, *CLEAN),
    attack("exf-abstract-unix", """
        import socket
        socket.socket(socket.AF_UNIX).connect("\\0@UNIX@")
        """ + PAY, "exception"),
    attack("exf-vsock", """
        import socket
        socket.socket(40, socket.SOCK_STREAM)
        return leak(b"@WIN@", rows)""", "exception"),
    attack("exf-dockersock", """
        import os, socket
        for path in ("/var/run/docker.sock", "/run/docker.sock", "@DOCKER@"):
            if os.path.exists(path):
                return leak(b"@WIN@", rows)
        """ + PAY, *CLEAN),
    attack("exf-inherited-fd", """
        import os
        data = b""
        for fd in range(256):
            try:
                data += os.pread(fd, 4096, 0)
            except OSError:
                try:
                    data += os.read(fd, 4096) if fd != 3 else b""
                except OSError:
                    pass
        at = data.find(b"@PREFIX@")
        return leak(data[at:] if at >= 0 else b"", rows)""", *CLEAN),
    attack("exf-urlopen", 'import urllib.request\nreturn leak(urllib.request.urlopen('
           '"http://127.0.0.1:@TCP@/", timeout=1).read(), rows)', "exception"),
    attack("lib-np-fromfile", 'return leak(np.fromfile("@SECRET@", np.uint8).tobytes(), rows)', "exception"),
    attack("lib-np-memmap", 'return leak(np.memmap("@SECRET@", np.uint8, "r").tobytes(), rows)', "exception"),
    attack("lib-np-loadtxt", 'return leak(" ".join(np.loadtxt("@SECRET@", str, ndmin=1)).encode(), rows)',
           "exception"),
    attack("lib-np-open-datasource", 'return leak(np.lib.npyio.DataSource().open("@SECRET@").read().encode(), rows)',
           "exception"),
    attack("lib-pickle-gadget", """
        import os, pickle
        class Gadget:
            def __reduce__(self):
                return os.system, ("touch @FOLDER@/pickle",)
        if pickle.loads(pickle.dumps(Gadget())):
            raise OSError("system was refused")
        """ + PAY, "exception"),
    attack("res-loop", "while True:\n    pass", "timeout"),
    attack("res-c-loop", "sum(iter(int, 1))", "timeout"),
    attack("res-sleep", "import time\ntime.sleep(1000)", "timeout"),
    attack("res-mem-grow", """
        kept = []
        while True:
            kept.append(np.ones(1 << 20))""", "memory", "killed", "timeout"),
    attack("res-mem-swallowed", """
        kept = []
        while True:
            try:
                kept.append(bytearray(1 << 24))
            except MemoryError:
                pass""", "memory", "killed", "timeout"),
    attack("res-str-mul", 'return {"r": np.full(rows, len("a" * 10**11))}', "memory", "killed"),
    attack("res-threads", """
        import threading, time
        for _ in range(500):
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        """ + PAY, "exception", "killed", "timeout"),
    attack("res-fork-bomb", "import os\nwhile True:\n    os.fork()", "exception", "killed", "timeout"),
    attack("res-disk", """
        with open("@FOLDER@/big", "wb") as file:
            while True:
                file.write(bytes(1 << 20))""", "exception"),
    attack("res-stdout-flood", """
        import os, sys
        for _ in range(2000):
            sys.stdout.write("x" * 65536)
            os.write(2, b"x" * 65536)
        """ + PAY, "ok", "exception", "timeout"),
    attack("res-answer-flood", """
        import os
        while True:
            os.write(3, b"x" * 65536)""", "output_limit", "protocol"),
    attack("res-recursion", "def deeper(n):\n    return deeper(n + 1) + 1\nreturn deeper(0)",
           "killed", "memory", "exception", "timeout"),
    attack("res-recursion-unlimited", """
        import sys
        sys.setrecursionlimit(10**9)
        def deeper(n):
            return [*map(deeper, [n + 1])]
        return deeper(0)""", "killed", "memory", "exception", "timeout"),
    attack("res-regex", 'import re\nre.match("(a+)+$", "a" * 40 + "b")\n' + PAY, "timeout", "exception"),
    attack("res-many-components", 'return {f"c{i}": np.zeros(rows) for i in range(10000)}', "invalid"),
    attack("tam-inplace", """
        state["x"][:] = 7
        next_state["x"][:] = 7
        action[:] = 0
        """ + PAY, "ok"),
    attack("tam-monkeypatch", """
        import math
        np.mean = np.isfinite = np.asarray = lambda *a, **k: 0
        math.prod = lambda *a: 0
        """ + PAY, *CLEAN, "invalid", "protocol"),
    attack("tam-gc", """
        import gc
        found = [o for o in gc.get_objects() if isinstance(o, dict) and "@PREFIX@" in str(o.get("REWARD_CANARY"))]
        return leak(b"@WIN@" if found else b"", rows)""", *CLEAN),
    attack("tam-atexit", """
        import atexit
        atexit.register(lambda: open("@FOLDER@/atexit", "w").write("x"))
        class Bomb:
            def __del__(self):
                open("@FOLDER@/del", "w").write("x")
        np.bomb = Bomb()
        """ + PAY, *CLEAN),
    attack("tam-signal", """
        import os, signal
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(-1, signal.SIGKILL)
        """ + PAY, "exception", "killed"),
    attack("tam-suicide", "import ctypes\nctypes.string_at(0)\n" + PAY, "killed"),
    attack("tam-abort", "import os\nos.abort()", "killed"),
    attack("tam-stdout-json", """
        import os, sys
        print('{"components": ["r"], "ok": true}', flush=True)
        os.write(1, b"RSW1" + bytes(12))
        """ + PAY, *CLEAN),
    attack("tam-forged-frame", """
        import os
        os.write(3, b"RSW1" + bytes(12))
        os._exit(0)""", "protocol"),
    attack("tam-frame-and-more", """
        import os
        os.write(3, b"RSW1" + (2).to_bytes(4, "little") + bytes(8) + b"{}" + b"left for the next call")
        """ + PAY, "protocol"),
    attack("tam-exit", "import os\nos._exit(0)", "protocol"),
    attack("tam-systemexit", "raise SystemExit(0)", "exception"),
    attack("tam-close-and-stay", """
        import os, time
        os.close(3)
        time.sleep(1000)""", "timeout"),
    attack("tam-alarm", """
        import signal
        signal.signal(signal.SIGALRM, lambda *a: open("@FOLDER@/alarm", "w"))
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        """ + PAY, *CLEAN),
    attack("tam-ndarray-subclass", """
        class Liar(np.ndarray):
            def __array_finalize__(self, other):
                open("@FOLDER@/finalize", "w")
            def min(self):
                return 0.0
        return {"r": np.full(rows, np.nan).view(Liar)}""", "exception", "protocol", "invalid"),
    attack("tam-hostile-str", """
        class Bad(Exception):
            def __str__(self):
                raise SystemExit
        raise Bad""", "exception", "protocol"),
    attack("tam-json-bomb", """
        import os
        text = b"[" * 60000
        os.write(3, b"RSW1" + len(text).to_bytes(4, "little") + bytes(8) + text)
        os._exit(0)""", "protocol"),
    attack("val-nan", 'return {"r": np.full(rows, np.nan)}', "invalid"),
    attack("val-inf", 'return {"r": np.full(rows, -np.inf)}', "invalid"),
    attack("val-huge", 'return {"r": np.full(rows, 1e30)}', "invalid"),
    attack("val-shape", 'return {"r": np.zeros((rows, 2))}', "invalid"),
    attack("val-scalar", 'return {"r": 1.0}', "invalid"),
    attack("val-dtype-object", 'return {"r": np.array([object()] * rows)}', "invalid"),
    attack("val-complex", 'return {"r": np.zeros(rows, complex)}', "invalid"),
    attack("val-string", 'return {"r": np.array(["1"] * rows)}', "invalid"),
    attack("val-none", "return None", "invalid"),
    attack("val-empty", "return {}", "invalid"),
    attack("val-name", 'return {"a b\\n": np.zeros(rows)}', "invalid"),
    attack("det-random", 'import random\nreturn {"r": np.random.rand(rows) + random.random()}', "ok"),
    attack("det-urandom", 'return {"r": np.random.default_rng().random(rows)}', *CLEAN),
    attack("det-id-hash", 'return {"r": np.full(rows, float(hash("salt") % 1000) + id(object()) % 977)}', *CLEAN),
    attack("toctou-rowindex", 'return {"r": np.arange(rows) / rows}', "ok"),
    attack("exf-lowbits", """
        bits = np.unpackbits(np.frombuffer(b"hidden", np.uint8))[:rows]
        return {"r": np.resize(bits, rows) * 1e-6}""", "ok"),
)  # fmt: skip
