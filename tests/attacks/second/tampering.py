"""Writes into inputs, the worker and later calls, by a second author."""

from __future__ import annotations

from tests.attacks.attack import PAY, Attack, attack

X = 'next_state["x"][:, 0]'


def mutation(name: str, lines: str, *allowed: str, gate: bool = True, probe: str = "mutation") -> Attack:
    """An attack that writes into an input, and pays the honest reward."""
    return attack(name, lines + "\n" + PAY, *(allowed or ("ok",)), gate=gate, probe=probe)


TAMPERING = (
    mutation("tam-max-out", 'state["x"].max(0, next_state["x"][0])'),
    mutation("tam-take-out", 'state["x"].take(np.arange(rows)[::-1], 0, next_state["x"])'),
    mutation("tam-choose-out", 'np.choose(np.zeros(rows, np.int64), [0 * state["x"][:, 0]], state["x"][:, 0])'),
    mutation("tam-nansum-out", 'np.nansum(state["x"] + 1, 0, None, next_state["x"][0])'),
    mutation("tam-ptp-out", 'np.ptp(state["x"], 0, state["x"][0])'),
    mutation("tam-trace-out", 'np.trace(np.ones((3, 3, 4)), 0, 0, 1, None, state["x"][0])'),
    mutation("tam-round-out", 'state["x"].round(0, state["x"])'),
    mutation("tam-dot-out", 'state["x"].dot(np.zeros((4, 4), np.float32), next_state["x"])'),
    mutation("tam-any-out", 'f = (state["x"] + 1).argmax\nf(1, action)', gate=False),
    mutation("tam-median-overwrite", 'np.median(state["x"].T, axis=1, overwrite_input=True)'),
    mutation("tam-quantile-overwrite", 'np.percentile(state["x"], 50, axis=0, overwrite_input=True)'),
    mutation("tam-alias-array", 'y = np.array(state["x"], copy=None)\ny[:] = 7'),
    mutation("tam-alias-rot", 'y = np.rot90(state["x"])\ny[:] = 7'),
    mutation("tam-alias-broadcast", 'y = np.broadcast_arrays(state["x"], 1.0)[0]\ny[:] = 7', "ok", "exception"),
    mutation("tam-alias-einsum", 'y = np.einsum("ij->ji", state["x"])\ny[:] = 7', gate=False),
    mutation("tam-alias-max", 'y = max([state["x"][0]], key=len)\ny[:] = 7', gate=False),
    mutation("tam-alias-choice", 'y = (0 * action if rows < 0 else [state])[0]["x"]\ny[:] = 7', gate=False),
    mutation("tam-alias-lambda", 'f = lambda z: z\ny = f(state["x"])\ny[:] = 7', gate=False),
    mutation("tam-alias-zip", 'for y, _ in zip(state["x"], action):\n    y[:] = 7', gate=False),
    mutation(
        "tam-alias-vectorize",
        """
def write(row):
    other = [row][0]
    other[:] = 7
    return 0.0
np.apply_along_axis(write, 1, state["x"])""",
        "ok",
        gate=False,
    ),
    mutation("tam-copyto", 'np.copyto(state["x"], 7)'),
    mutation("tam-put", 'np.put(state["x"], [0, 1], 7)'),
    mutation("tam-place", 'np.place(state["x"], state["x"] > 0, [7])'),
    mutation("tam-putmask", 'np.putmask(state["x"], state["x"] > 0, 7)'),
    mutation("tam-put-along", 'np.put_along_axis(state["x"], np.zeros((rows, 1), int), 7, 1)'),
    mutation("tam-fill-diagonal", 'np.fill_diagonal(state["x"], 7)'),
    mutation("tam-flat", 'state["x"].flat[:] = 7'),
    mutation("tam-setfield", 'state["x"].setfield(7, np.float32)'),
    mutation("tam-byteswap", 'state["x"].byteswap(True)', "ok", "invalid", probe=""),
    mutation("tam-partition", 'state["x"].partition(5, axis=0)'),
    mutation("tam-shuffle", 'np.random.shuffle(state["x"])'),
    mutation("tam-ufunc-at", 'np.add.at(state["x"], 0, 7)'),
    mutation("tam-nditer", 'for v in np.nditer(state["x"], op_flags=[["readwrite"]]):\n    v[...] = 7'),
    mutation("tam-strided", 'np.lib.stride_tricks.as_strided(state["x"], (4,), (4,))[:] = 7'),
    mutation("tam-memoryview", 'memoryview(state["x"]).cast("B")[:4] = b"abcd"', "ok", "invalid", probe=""),
    mutation("tam-memset", 'import ctypes\nctypes.memset(state["x"].ctypes.data, 7, 16)'),
    mutation("tam-view", 'state["x"].view(np.int32)[:] ^= 1'),
    mutation("tam-recarray", 'state["x"].view([("a", "f4")])["a"][:] = 7'),
    mutation("tam-base", 'state["x"].base[:] = state["x"].base[::-1].copy()', "ok", "exception", probe=""),
    mutation("tam-neighbour-field", 'import ctypes\nctypes.memset(state["x"].ctypes.data + state["x"].nbytes, 7, 16)'),
    attack(
        "tam-restored",
        """
        kept = state["x"].copy()
        state["x"][:] = 7
        moved = state["x"][:, 0] * 2
        state["x"][:] = kept
        return {"r": moved + next_state["x"][:, 0]}""",
        "ok",
    ),
    attack(
        "tam-negative-zero", f'state["x"][:] = np.where(state["x"] == 0, -0.0, state["x"])\nreturn {{"r": {X}}}', "ok"
    ),
    attack(
        "tam-replaced-entries", 'state["x"] = state["x"] * 2\nnext_state.clear()\nreturn {"r": state["x"][:, 0]}', "ok"
    ),
    attack("tam-read-only", 'state["x"].flags.writeable = False\nstate["x"].setflags(write=False)\n' + PAY, "ok"),
    attack("tam-resize", 'state["x"].resize((1, 1), refcheck=False)\n' + PAY, "exception"),
    attack(
        "tam-ended",
        """
        import sys
        frame = sys._getframe()
        while "given" not in frame.f_locals:
            frame = frame.f_back
        frame.f_locals["given"]["ended"][:] = True
        """
        + PAY,
        "ok",
    ),
    attack(
        "tam-request",
        """
        import sys
        frame = sys._getframe()
        while "request" not in frame.f_locals:
            frame = frame.f_back
        frame.f_locals["request"].update(rows=1, steps=1, limit=10**12, seconds=10**6)
        """
        + PAY,
        "ok",
    ),
    attack(
        "tam-class-lie",
        """
        import sys
        class Bad(Exception):
            kind, rule = "worker_died", "mine"
            @property
            def __class__(self):
                return sys.modules["sandbox.worker"].Fault
        raise Bad("not mine")""",
        "protocol",
    ),
    attack(
        "tam-claimed-timeout",
        """
        import sys
        raise sys.modules["sandbox.worker"].Fault("timeout", "deadline", "no answer within 0.6 s")""",
        "protocol",
    ),
    attack(
        "tam-claimed-rejection",
        """
        import sys
        raise sys.modules["sandbox.worker"].Fault("nondeterministic", "x", "y")""",
        "protocol",
    ),
    attack(
        "tam-claimed-kind-list",
        """
        import sys
        raise sys.modules["sandbox.worker"].Fault(["setup"], "x", "y")""",
        "protocol",
    ),
    attack(
        "tam-claimed-line",
        """
        error = SyntaxError("x")
        error.lineno = 10**4000
        raise ValueError from error""",
        "exception",
    ),
    attack(
        "tam-huge-line",
        """
        error = SyntaxError("x")
        error.lineno = 1 << 10**6
        raise ValueError from error""",
        "exception",
        "protocol",
    ),
    attack(
        "tam-line-object",
        """
        error = SyntaxError("x")
        error.lineno = [float("nan")]
        raise ValueError from error""",
        "exception",
        "protocol",
    ),
    attack(
        "tam-patched-json",
        """
        import json
        json.dumps = lambda *a, **k: "x" * (1 << 26)
        """
        + PAY,
        "output_limit",
        "protocol",
    ),
    attack(
        "tam-patched-struct",
        """
        import sys
        class Liar:
            size = 16
            def pack(self, *a):
                return b"RSW1" + bytes([255]) * 12
        sys.modules["sandbox.wire"].PREFIX = Liar()
        """
        + PAY,
        "protocol",
    ),
    attack("tam-patched-write", "import os\nos.write = lambda fd, data: 1\n" + PAY, "protocol"),
    attack("tam-endless-write", "import os\nos.write = lambda fd, data: 0\n" + PAY, "timeout"),
    attack(
        "tam-patched-complaint",
        """
        import sys
        def endless(error):
            while True:
                pass
        sys.modules["sandbox.worker"].complaint = endless
        1 / 0""",
        "timeout",
    ),
    attack(
        "tam-patched-exit",
        """
        import os, sys
        def endless(status):
            while True:
                pass
        os._exit = endless
        """
        + PAY,
        "ok",
    ),
    attack(
        "tam-exit-raises",
        """
        import os
        def refuse(status):
            raise KeyboardInterrupt
        os._exit = refuse
        """
        + PAY,
        "ok",
    ),
    attack(
        "tam-second-zygote",
        """
        import os, sys
        os._exit = lambda status: None
        os.getpid = lambda: 1
        sys.modules["sandbox.zygote"].read_frame = lambda fd: ({"memory": 0}, b"")
        """
        + PAY,
        "ok",
        "timeout",
    ),
    attack(
        "tam-excepthook",
        'import sys\nsys.excepthook = sys.unraisablehook = lambda *a: open("@FOLDER@/hook", "w")\n1 / 0',
        "exception",
    ),
    attack(
        "tam-switch-interval", "import sys\nsys.setswitchinterval(1e-9)\nsys.set_int_max_str_digits(0)\n" + PAY, "ok"
    ),
    attack(
        "tam-int-digits",
        """
        import sys
        sys.set_int_max_str_digits(0)
        return {"r": np.full(rows, len(str(1 << 10**7)))}""",
        "timeout",
    ),
    attack(
        "tam-cleared-objects",
        """
        import gc
        for found in gc.get_objects():
            if type(found) is list:
                found.clear()
        """
        + PAY,
        "ok",
        "exception",
        "protocol",
        "killed",
    ),
    attack(
        "tam-cleared-dicts",
        """
        import gc
        for found in gc.get_objects():
            if type(found) is dict:
                found.clear()
        """
        + PAY,
        "ok",
        "exception",
        "protocol",
        "killed",
    ),
    attack(
        "tam-cursed-array",
        """
        import gc
        gc.get_referents(np.ndarray.__dict__)[0]["min"] = lambda self, *a: 0.0
        gc.get_referents(np.ndarray.__dict__)[0]["max"] = lambda self, *a: 0.0
        np.mean(1.0)
        return {"r": np.full(rows, np.nan)}""",
        "invalid",
        "exception",
    ),
    attack(
        "tam-cursed-text",
        """
        import ctypes, gc
        gc.get_referents(str.__dict__)[0]["isidentifier"] = lambda self: True
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(str))
        return {"a b": np.zeros(rows)}""",
        "protocol",
        "invalid",
    ),
    attack(
        "tam-cursed-dict",
        f"""
        import ctypes, gc
        gc.get_referents(dict.__dict__)[0]["items"] = lambda self: [("r", np.zeros(1))]
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(dict))
        return {{"r": {X}}}""",
        "invalid",
        "exception",
        "protocol",
        "ok",
    ),
    attack(
        "tam-finalize", "import ctypes\nctypes.pythonapi.Py_FinalizeEx()\n" + PAY, "killed", "protocol", "exception"
    ),
    attack("tam-api-exit", "import ctypes\nctypes.pythonapi.Py_Exit(0)", "protocol", "killed"),
    attack("tam-fatal-error", 'import ctypes\nctypes.pythonapi.Py_FatalError(b"x")', "killed"),
    attack("tam-no-lock-of-threads", "import ctypes\nctypes.PyDLL(None).PyEval_SaveThread()\n" + PAY, "killed"),
    attack(
        "tam-error-set",
        """
        import ctypes
        class Odd(BaseException):
            pass
        ctypes.PyDLL(None).PyErr_SetNone(ctypes.py_object(Odd))
        """
        + PAY,
        "exception",
        "killed",
        "protocol",
    ),
    attack("tam-c-exit", "import ctypes\nctypes.CDLL(None).exit(0)", "protocol"),
    attack("tam-thread-exit", "import ctypes\nctypes.CDLL(None).syscall(@sys_exit_thread@, 0)", "protocol"),
    attack(
        "tam-pthread-exit",
        "import ctypes\nctypes.CDLL(None).pthread_exit(None)",
        "protocol",
        "killed",
        "ok",
        "exception",
        "memory",
    ),
    attack("tam-quick-exit", "import ctypes\nctypes.CDLL(None).quick_exit(1)", "protocol"),
    attack("tam-exit-status", "import os\nos._exit(255)", "protocol"),
    attack("tam-exit-odd", "import os\nos._exit(24)", "protocol"),
    attack("tam-raise-kill", "import ctypes\nctypes.CDLL(None)['raise'](9)\n" + PAY, "ok"),
    attack("tam-raise-xcpu", "import signal\nsignal.raise_signal(signal.SIGXCPU)\n" + PAY, "exception"),
    attack(
        "tam-pthread-kill",
        "import signal, threading\nsignal.pthread_kill(threading.get_ident(), 9)\n" + PAY,
        "exception",
    ),
    attack(
        "tam-interrupt-main",
        "import _thread\n_thread.interrupt_main()\nfor _ in range(1000):\n    pass\n" + PAY,
        "exception",
        "ok",
    ),
    attack("tam-base-exception", "class Odd(BaseException):\n    pass\nraise Odd", "exception"),
    attack("tam-stop-iteration", "raise StopIteration(state)", "exception"),
    attack(
        "tam-cause-cycle",
        """
        a, b = ValueError("a"), ValueError("b")
        a.__cause__, b.__cause__ = b, a
        a.__context__, b.__context__ = b, a
        raise a""",
        "exception",
    ),
    attack(
        "tam-raising-del",
        """
        class Held:
            def __del__(self):
                raise SystemExit
        held = [Held() for _ in range(1000)]
        del held
        """
        + PAY,
        "ok",
    ),
    attack(
        "tam-str-not-text",
        "class Bad(Exception):\n    def __str__(self):\n        return 5\nraise Bad",
        "protocol",
        "exception",
    ),
    attack(
        "tam-str-subclass",
        """
        class Text(str):
            def __getitem__(self, at):
                raise SystemExit
            def __format__(self, spec):
                return "x" * 10**7
        class Bad(Exception):
            def __str__(self):
                return Text("bad")
        raise Bad""",
        "exception",
        "protocol",
    ),
    attack(
        "tam-str-hostile-recursion",
        """
        class Bad(Exception):
            def __str__(self):
                return str(self)
        raise Bad""",
        "protocol",
        "exception",
    ),
)

ATTACKS: tuple[Attack, ...] = TAMPERING
