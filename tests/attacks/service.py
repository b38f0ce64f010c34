"""The service around the program: its frames, its pipe, its zygote, the memory that it shares with the host."""

from __future__ import annotations

from tests.attacks.attack import PAY, Attack, attack, system_call

GOOD = '{"components": ["r"], "potential": False, "memory": None, "mutated": []}'
BODY = "bytes(4 * rows)"

SEND = """
def send(text, body=b"", size=None, more=b""):
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    size = len(body) if size is None else size
    data = b"RSW1" + len(text).to_bytes(4, "little") + size.to_bytes(8, "little") + text + body + more
    while data:
        data = data[os.write(3, data):]
"""


def forged(name: str, send: str, *allowed: str, then: str = "os._exit(0)") -> Attack:
    """An attack that writes an answer's frame itself: the arguments of ``send`` above."""
    return attack(name, f"import json, os{SEND}send({send})\n{then}", *allowed)


ORIGINALS = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mremap.restype = ctypes.c_void_p
frame = sys._getframe()
while "kept" not in frame.f_locals:
    frame = frame.f_back
place = np.frombuffer(frame.f_locals["kept"], np.uint8).ctypes.data
"""
"""Finds the worker's own view of the inputs, at ``place``."""

SHARED = """
import ctypes, mmap, sys
frame = sys._getframe()
while "kept" not in frame.f_locals:
    frame = frame.f_back
place = np.frombuffer(frame.f_locals["kept"], np.uint8)
size = ctypes.c_size_t(-(-len(place) // 4096) * 4096)
page = ctypes.c_void_p(place.ctypes.data)
libc = ctypes.CDLL(None, use_errno=True)
"""
"""Finds the mapping of the host's own bytes; the docker and the embedded jail both make one."""


def shared(name: str, lines: str, *allowed: str) -> Attack:
    """An attack on the mapping that the host writes its next call into."""
    return attack(name, SHARED + lines, *allowed)


FRAMES: tuple[Attack, ...] = (
    forged("srv-forged-answer", f"{GOOD}, {BODY}", "ok"),
    forged("srv-empty-frame", 'b""', "protocol"),
    attack("srv-no-magic", 'import os\nos.write(3, b"RSW2" + bytes(12))\nos._exit(0)', "protocol"),
    forged("srv-frame-and-more", f'{GOOD}, {BODY}, None, b"left for the next call"', "protocol"),
    forged("srv-two-answers", f"{GOOD}, {BODY}", "protocol", then=PAY),
    forged("srv-short-body", f"{GOOD}, bytes(4 * rows - 1)", "protocol"),
    forged("srv-announced-more", f"{GOOD}, {BODY}, 4 * rows + 1", "protocol"),
    forged("srv-announced-huge", f"{GOOD}, {BODY}, 2**63", "protocol"),
    forged("srv-announced-negative", f"{GOOD}, {BODY}, 2**64 - 1", "protocol"),
    forged("srv-forged-nan", f"{GOOD}, np.full(rows, np.nan, np.float32).tobytes()", "invalid"),
    forged("srv-forged-huge", f"{GOOD}, np.full(rows, 3e38, np.float32).tobytes()", "invalid"),
    forged("srv-forged-names", f'{{**{GOOD}, "components": ["a b"]}}, {BODY}', "protocol"),
    forged("srv-forged-twins", f'{{**{GOOD}, "components": ["r", "r"]}}, {BODY} * 2', "protocol"),
    forged("srv-forged-count", f'{{**{GOOD}, "components": [f"c{{i}}" for i in range(33)]}}, {BODY} * 33', "protocol"),
    forged("srv-forged-mutation", f'{{**{GOOD}, "mutated": ["../secret"]}}, {BODY}', "protocol"),
    forged("srv-forged-type", f'{{**{GOOD}, "components": {{"r": 1}}}}, {BODY}', "protocol"),
    forged("srv-forged-no-rows", f'{{**{GOOD}, "memory": [["m", "f", [0]]]}}, {BODY}', "protocol"),
    forged("srv-forged-object", f'{{**{GOOD}, "memory": [["m", "object", [rows]]]}}, {BODY} + bytes(8 * rows)',
           "protocol"),
    forged("srv-forged-memory-huge", f'{{**{GOOD}, "memory": [["m", "bool", [rows, 1 << 24, 1 << 24]]]}}, {BODY}',
           "protocol"),
    forged("srv-forged-memory-zero",
           f'{{**{GOOD}, "memory": [["m", "bool", [rows, 0, 1 << 24, 1 << 24, 1 << 24]]]}}, {BODY}', "protocol"),
    forged("srv-forged-memory-depth",
           f'{{**{GOOD}, "memory": [["m", "bool", [rows] + [1] * 60]]}}, {BODY} + bytes(rows)', "protocol"),
    forged("srv-forged-kind", '{"error": {"kind": "worker_died", "message": "not mine"}}', "protocol"),
    forged("srv-forged-verdict", '{"error": {"kind": "rejected", "message": "not mine"}}', "protocol"),
    forged("srv-forged-checked", '{"checked": True}', "protocol"),
    forged("srv-json-deep", 'b"[" * 60000', "protocol"),
    forged("srv-json-integer", 'b"[" + b"9" * 60000 + b"]"', "protocol"),
    forged("srv-json-nan", """b'{"components": NaN}'""", "protocol"),
    forged("srv-json-long", 'b"{" + b" " * 70000 + b"}"', "protocol"),
    forged("srv-json-bytes", 'b"\\xff\\xfe{}\\x00\\xd8"', "protocol"),
    forged("srv-json-surrogate", """b'{"error": {"kind": "exception", "message": "\\\\ud800"}}'""", "exception"),
    forged("srv-pipe-full", "b'', bytes(1 << 24)", "protocol"),
)  # fmt: skip

PIPE: tuple[Attack, ...] = (
    attack("srv-answer-flood", """
        import os
        while True:
            os.write(3, b"x" * 65536)""", "output_limit"),
    attack("srv-slow-drip", """
        import os, time
        while True:
            os.write(3, b"R")
            time.sleep(0.05)""", "timeout"),
    attack("srv-fast-drip", """
        import os
        while True:
            os.write(3, b"R")""", "timeout"),
    forged("srv-answer-and-stay", f"{GOOD}, {BODY}", "timeout", then="import time\ntime.sleep(1000)"),
    attack("srv-close-and-stay", """
        import os, time
        os.close(3)
        time.sleep(1000)""", "timeout"),
    attack("srv-close-and-answer", "import os\nos.close(3)\n" + PAY, "protocol"),
    attack("srv-exit", "import os\nos._exit(0)", "protocol"),
    attack("srv-exit-for-memory", "import os\nos._exit(77)", "memory"),
    attack("srv-read-requests", """
        import os
        if os.read(0, 1 << 16) or os.read(1, 1):
            return won(rows)
        """ + PAY, "ok"),
    attack("srv-read-answers", "import os\nos.read(3, 1)\nreturn won(rows)", "exception"),
    attack("srv-write-zygote", """
        import os
        for fd in (0, 1, 2, *range(4, 256)):
            try:
                os.write(fd, b"RSW1" + bytes(12))
            except OSError:
                pass
        """ + PAY, "ok"),
)  # fmt: skip

PROCESSES: tuple[Attack, ...] = (
    system_call("srv-dumpable", "prctl", "4, 1, 0, 0, 0"),
    system_call("srv-death-signal", "prctl", "1, 0, 0, 0, 0"),
    system_call("srv-new-session", "setsid", "None"),
    system_call("srv-zygote-descriptor", "pidfd_getfd", "libc.syscall(@sys_pidfd_open@, os.getpid(), 0), 0, 0"),
    attack("srv-zygote-files", """
        import os
        for pid in (1, os.getppid()):
            for fd in (0, 1, 10, 11):
                os.open(f"/proc/{pid}/fd/{fd}", os.O_RDWR)
        return won(rows)""", "exception"),
    attack("srv-kill-zygote", """
        import os, signal
        for pid in (1, os.getppid()):
            os.kill(pid, signal.SIGKILL)
        return won(rows)""", "exception"),
    attack("srv-stop-itself", """
        import os, signal
        os.kill(os.getpid(), signal.SIGSTOP)
        """ + PAY, "exception"),
    attack("srv-raise-stop", "import signal\nsignal.raise_signal(signal.SIGSTOP)\n" + PAY, "exception"),
    attack("srv-orphan", """
        import os, time
        if os.fork() == 0:
            os.setsid()
            time.sleep(@SLEEP@)
        """ + PAY, "exception"),
    attack("srv-patched-worker", """
        import sys
        worker = sys.modules["sandbox.worker"]
        worker.write_frame = lambda fd, header, parts: None
        worker.child = worker.respond = worker.lock = None
        """ + PAY, "protocol"),
    attack("srv-patched-zygote", """
        import sys
        zygote = sys.modules["sandbox.zygote"]
        zygote.collect = zygote.child = zygote.sweep = zygote.os = None
        """ + PAY, "ok"),
    attack("srv-left-for-next", """
        import builtins, os, sys
        builtins.left = np.left = sys.modules["left"] = 1
        os.environ["LEFT"] = "1"
        """ + PAY, "ok"),
    attack("srv-found-from-last", """
        import builtins, os, sys
        if hasattr(builtins, "left") or "left" in sys.modules or os.environ.get("LEFT"):
            return won(rows)
        """ + PAY, "ok"),
    attack("srv-temporary-file", 'open("/tmp/left", "w").write("for the next call")\nreturn won(rows)', "exception"),
)  # fmt: skip

INPUTS: tuple[Attack, ...] = (
    shared("srv-shared-memset", "ctypes.memset(page, 7, 64)\nreturn won(rows)", "killed"),
    shared("srv-shared-mprotect", """
if libc.mprotect(page, size, 3):
    raise OSError(ctypes.get_errno(), "refused")
ctypes.memset(page, 7, 64)
return won(rows)""", "exception"),
    shared("srv-shared-punch", """
if libc.madvise(page, size, 9):
    raise OSError(ctypes.get_errno(), "refused")
return won(rows)""", "exception"),
    shared("srv-shared-remap", """
libc.mremap.restype = ctypes.c_void_p
place = libc.mremap(page, ctypes.c_size_t(0), size, 1)
if place == ctypes.c_void_p(-1).value:
    raise OSError(ctypes.get_errno(), "no second mapping")
if libc.mprotect(ctypes.c_void_p(place), size, 3):
    raise OSError(ctypes.get_errno(), "refused")
ctypes.memset(place, 7, 64)
return won(rows)""", "exception"),
    shared("srv-shared-drop", """
for advice in (4, 8, 16, 20, 21):
    libc.madvise(page, size, advice)
""" + PAY, "ok"),
    shared("srv-shared-unmap", "libc.munmap(page, size)\n" + PAY, "killed"),
    system_call("srv-shared-truncate", "ftruncate", "fd, 0",
                "fd = next((f for f in range(256) if libc.lseek(f, 0, 2) > 0), 11)"),
)  # fmt: skip

ATTACKS: tuple[Attack, ...] = (*FRAMES, *PIPE, *PROCESSES, *INPUTS)
