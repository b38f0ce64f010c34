"""Changes to what is not the program's: its inputs, its modules, its process, what is said of it afterwards."""

from __future__ import annotations

from tests.attacks.attack import PAY, Attack, attack


def alias(name: str, line: str, *, gate: bool = False) -> Attack:
    """An attack that writes into an input under the name ``y``, mostly by a way round the gate's rule on that."""
    return attack(name, f"{line}\ny[:] = 7\n{PAY}", "ok", gate=gate, probe="mutation")


ATTACKS: tuple[Attack, ...] = (
    attack("tam-inplace", """
        state["x"][:] = 7
        next_state["x"][:] = 7
        action[:] = 0
        return {"r": state["x"][:, 0]}""", "ok", probe="mutation"),
    attack("tam-sort-inputs", """
        state["x"].sort(axis=0)
        """ + PAY, "ok", probe="mutation"),
    attack("tam-out", 'np.add(state["x"], 1, state["x"])\n' + PAY, "ok", probe="mutation"),
    alias("tam-alias-walrus", '(y := state["x"])'),
    alias("tam-alias-list", 'y = [state["x"]][0]'),
    alias("tam-alias-values", "y = next(iter(state.values()))"),
    alias("tam-alias-flip", 'y = np.flip(state["x"])', gate=True),
    alias("tam-alias-split", 'y = np.split(state["x"], 2)[0]', gate=True),
    alias("tam-alias-copy-false", 'y = state["x"].astype(np.float32, copy=False)', gate=True),
    attack("tam-nan-to-num", """
        y = np.nan_to_num(state["x"] / 0, False)
        np.nan_to_num(np.add.reduce(state["x"], 0, None, state["x"][0]), False)
        """ + PAY, "ok", probe="mutation"),
    attack("tam-hidden-mutation", """
        import sys
        sys.modules["sandbox.worker"].written = lambda request, mine, kept: []
        state["x"][:] = 7
        next_state["x"][:, 0] = 7
        action[:] = 0
        """ + PAY, "ok"),
    attack("tam-monkeypatch", """
        import math
        np.mean = np.isfinite = np.asarray = np.sin = lambda *a, **k: 0
        math.prod = lambda *a: 0
        """ + PAY, "exception"),
    attack("tam-builtins", """
        import builtins
        builtins.isinstance = builtins.len = builtins.all = lambda *a: True
        builtins.type = builtins.sorted = None
        """ + PAY, "protocol"),
    attack("tam-modules", 'import sys\nsys.modules.clear()\n' + PAY, "exception"),
    attack("tam-globals", 'globals().clear()\n' + PAY, "ok"),
    # What is left of an interpreter whose numbers or types were overwritten may say anything, or nothing.
    attack("tam-int-cache", """
        import ctypes
        ctypes.c_long.from_address(id(1) + 24).value = 2
        """ + PAY, "ok", "exception", "protocol", "killed"),
    attack("tam-dtype", """
        import ctypes
        size = np.float32(0).dtype
        ctypes.memset(id(size) + 16, 0, 32)
        """ + PAY, "killed", "exception", "protocol"),
    attack("tam-seterr", 'np.seterr(all="raise")\nnp.setbufsize(16)\nnp.set_printoptions(threshold=1)\n' + PAY, "ok"),
    attack("tam-warnings", """
        import warnings
        warnings.simplefilter("error")
        return {"r": next_state["x"][:, 0].astype(np.complex64).real * np.float32(1e-30)}""", "ok"),
    attack("tam-gc", """
        import gc
        found = [o for o in gc.get_objects() if isinstance(o, dict) and "@PREFIX@" in str(o.get("REWARD_CANARY"))]
        return won(rows) if found else {"r": next_state["x"][:, 0]}""", "ok"),
    attack("tam-gc-callbacks", """
        import gc
        gc.callbacks.append(lambda phase, info: open("@FOLDER@/gc", "w"))
        gc.set_threshold(1)
        """ + PAY, "ok"),
    attack("tam-atexit", """
        import atexit
        atexit.register(lambda: open("@FOLDER@/atexit", "w").write("x"))
        class Bomb:
            def __del__(self):
                open("@FOLDER@/del", "w").write("x")
        np.bomb = Bomb()
        """ + PAY, "ok"),
    attack("tam-finalizer", """
        import weakref
        class Held:
            pass
        held = Held()
        weakref.finalize(held, lambda: open("@FOLDER@/finalize", "w"))
        """ + PAY, "ok"),
    attack("tam-no-exit", """
        import atexit, os
        atexit.register(lambda: open("@FOLDER@/exit", "w"))
        os._exit = lambda status: None
        """ + PAY, "ok"),
    attack("tam-settrace", """
        import sys
        def lie(frame, event, argument):
            if "header" in frame.f_locals:
                frame.f_locals["header"]["components"] = ["x"] * 99
            return lie
        sys.settrace(lie)
        sys.setprofile(lie)
        """ + PAY, "protocol"),
    attack("tam-audit-hook", """
        import sys
        def refuse(event, arguments):
            raise SystemExit
        sys.addaudithook(refuse)
        """ + PAY, "ok"),
    attack("tam-import-hook", """
        import builtins, sys
        sys.meta_path.insert(0, None)
        builtins.__import__ = None
        """ + PAY, "exception"),
    attack("tam-codec", """
        import codecs, json
        codecs.register(lambda name: 1 / 0)
        json.dumps = lambda *a, **k: '{"components": ["forged"], "potential": false, "mutated": []}'
        """ + PAY, "ok"),
    attack("tam-faulthandler", """
        import faulthandler
        faulthandler.dump_traceback(file=3)
        """ + PAY, "protocol"),
    attack("tam-recursion-limit", 'import sys\nsys.setrecursionlimit(1)\n' + PAY, "exception"),
    attack("tam-tight-limit", """
        import sys
        for depth in range(1, 100):
            try:
                sys.setrecursionlimit(depth)
                break
            except RecursionError:
                pass
        """ + PAY, "protocol"),
    attack("tam-stack-of-errors", """
        error = ValueError("x" * 10**6)
        for _ in range(100000):
            error.__cause__, error = error, ValueError("y")
        raise error""", "exception"),
    attack("tam-signal", """
        import os, signal
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(-1, signal.SIGKILL)
        """ + PAY, "exception"),
    attack("tam-suicide", "import ctypes\nctypes.string_at(0)\n" + PAY, "killed"),
    attack("tam-null-call", "import ctypes\nctypes.CFUNCTYPE(None)(64)()\n" + PAY, "killed"),
    attack("tam-abort", "import os\nos.abort()", "killed"),
    attack("tam-stdout-json", """
        import os, sys
        print('{"components": ["r"], "ok": true}', flush=True)
        os.write(1, b"RSW1" + bytes(12))
        """ + PAY, "ok"),
    attack("tam-closed-output", """
        import os, sys
        sys.stdout.close()
        sys.stderr = None
        os.closerange(0, 3)
        """ + PAY, "ok"),
    attack("tam-systemexit", "raise SystemExit(0)", "exception"),
    attack("tam-keyboard-interrupt", "raise KeyboardInterrupt", "exception"),
    attack("tam-generator-exit", "raise GeneratorExit", "exception"),
    attack("tam-alarm", """
        import signal
        signal.signal(signal.SIGALRM, lambda *a: open("@FOLDER@/alarm", "w"))
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        """ + PAY, "exception"),
    attack("tam-ndarray-subclass", """
        class Liar(np.ndarray):
            def __array_finalize__(self, other):
                open("@FOLDER@/finalize", "w")
            def min(self):
                return 0.0
        return {"r": np.full(rows, np.nan).view(Liar)}""", "exception"),
    attack("tam-subclass-bounds", """
        class Liar(np.ndarray):
            def min(self, *a, **k):
                return 0.0
            max = min
        return {"r": np.full(rows, np.nan).view(Liar)}""", "invalid"),
    attack("tam-array-function", """
        class Liar(np.ndarray):
            def __array_function__(self, function, types, args, kwargs):
                open("@FOLDER@/function", "w")
            def __array_ufunc__(self, ufunc, method, *args, **kwargs):
                open("@FOLDER@/ufunc", "w")
        return {"r": np.full(rows, np.inf).view(Liar)}""", "invalid"),
    attack("tam-hostile-str", """
        class Bad(Exception):
            def __str__(self):
                raise SystemExit
        raise Bad""", "exception"),
    attack("tam-endless-str", """
        class Bad(Exception):
            def __str__(self):
                while True:
                    pass
        raise Bad""", "timeout"),
    attack("tam-hostile-class", """
        class Named(type):
            __name__ = property(lambda cls: 1 / 0)
        class Bad(Exception, metaclass=Named):
            pass
        raise Bad""", "protocol"),
    attack("tam-escape-codes", 'raise ValueError("\\x1b[2J\\x07\\u202e\\ud800" + "x" * 10**6)', "exception"),
    attack("tam-long-name", 'raise type("E" * 10**6, (Exception,), {})("x")', "exception"),
)  # fmt: skip
