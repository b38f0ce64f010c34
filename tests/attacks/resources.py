"""More time, memory, processes, files or output than a program may have."""

from __future__ import annotations

from tests.attacks.attack import PAY, Attack, attack, program, system_call

ENTRY = "def compute_reward(state, action, next_state):\n    return {'r': next_state['x'][:, 0]}\n"

CALLS: tuple[Attack, ...] = (
    system_call("res-affinity", "sched_setaffinity", "0, 8, everywhere",
                "everywhere = (ctypes.c_ubyte * 8)(*[255] * 8)"),
    system_call("res-priority", "setpriority", "0, 0, -20"),
    system_call("res-limits", "prlimit64", "0, 9, None, place", "place = (ctypes.c_uint64 * 2)()"),
    system_call("res-lock-memory", "mlockall", "5"),
    system_call("res-secret-memory", "memfd_secret", "0", ""),
    system_call("res-timer-descriptor", "timerfd_create", "1, 0"),
    system_call("res-timer", "timer_create", "1, None, timer", "timer = ctypes.create_string_buffer(8)"),
    system_call("res-event-descriptor", "eventfd2", "0, 0"),
    system_call("res-epoll", "epoll_create1", "0"),
    system_call("res-copied-descriptor", "dup", "3"),
)  # fmt: skip

ATTACKS: tuple[Attack, ...] = (
    *CALLS,
    attack("res-loop", "while True:\n    pass", "timeout"),
    attack("res-c-loop", "sum(iter(int, 1))", "timeout"),
    attack("res-sum-loop", """
        total = 0
        for a in range(1000000):
            for b in range(1000000):
                total = total + b
        return {"r": total * next_state["x"][:, 0]}""", "timeout", gate=False),
    attack("res-count", "import itertools\nmax(itertools.count())", "timeout"),
    attack("res-comprehension", """
        none = [0 for a in range(10**6) for b in range(10**6) if a < 0]
        return {"r": np.full(rows, len(none))}""", "timeout", gate=False),
    attack("res-squares", """
        n = 7
        for _ in range(60):
            n = n * n
        return {"r": np.full(rows, n % 5)}""", "timeout", gate=False),
    attack("res-sleep", "import time\ntime.sleep(1000)", "timeout"),
    attack("res-lock", "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()", "timeout"),
    attack("res-poll", "import select\nselect.poll().poll()", "timeout"),
    attack("res-swallow-everything", """
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass""", "timeout"),
    attack("res-ignore-signals", """
        import signal
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        while True:
            pass""", "timeout"),
    attack("res-big-power", 'return {"r": np.full(rows, 7 ** 7 ** 9 % 5)}', "timeout"),
    attack("res-factorial", 'import math\nreturn {"r": np.full(rows, math.factorial(10**7) % 5)}', "timeout"),
    attack("res-big-shift", 'return {"r": np.full(rows, 1 << 10**11)}', "memory"),
    attack("res-int-text", 'return {"r": np.full(rows, len(str(1 << 10**6)))}', "exception"),
    attack("res-decompose", """
        large = np.sin(np.arange(4_000_000.0)).reshape(2000, 2000)
        return {"r": np.linalg.svd(large)[1][:rows]}""", "timeout"),
    attack("res-matrix", """
        x = np.ones((1000, 1000))
        for _ in range(1000):
            x = x @ x
        return {"r": x[:rows, 0]}""", "timeout", gate=False),
    attack("res-einsum", 'x = np.ones(10000)\nreturn {"r": np.einsum("i,j,k->ijk", x, x, x)[0, 0, :rows]}', "memory",
           gate=False),
    attack("res-sort", 'x = np.tile(next_state["x"][:, 0], 1000000)\nreturn {"r": np.sort(x)[:rows]}',
           "memory", "timeout", gate=False),
    attack("res-lazy-zeros", 'x = np.zeros(10**12)\nx[::512] = 1\nreturn {"r": x[:rows]}', "memory"),
    attack("res-outer", """
        x = np.arange(100000.0)
        return {"r": np.outer(x, x)[0, :rows]}""", "memory", gate=False),
    attack("res-mem-grow", """
        kept = []
        while True:
            kept.append(np.ones(1 << 20))""", "memory", "timeout"),
    attack("res-mem-double", """
        x = [state["x"]]
        for _ in range(100):
            x = x + [np.concatenate([x[-1], x[-1]])]
        return {"r": x[-1][:rows, 0]}""", "memory", "timeout", gate=False),
    attack("res-mem-swallowed", """
        kept = []
        while True:
            try:
                kept.append(bytearray(1 << 24))
            except MemoryError:
                pass""", "timeout"),
    attack("res-malloc", """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        for taken in range(200):
            block = libc.malloc(ctypes.c_size_t(1 << 24))
            if not block:
                raise MemoryError
            ctypes.memset(block, 1, 1)
        return won(rows)""", "memory"),
    attack("res-map-unreserved", """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.mmap.restype = ctypes.c_void_p
        place = libc.mmap(None, ctypes.c_size_t(1 << 42), 3, 0x4022, -1, ctypes.c_long(0))
        if place == ctypes.c_void_p(-1).value:
            raise MemoryError
        return won(rows)""", "memory"),
    attack("res-map-shared", """
        import mmap
        kept = []
        for _ in range(64):
            kept.append(mmap.mmap(-1, 1 << 25))
            kept[-1][0] = 1
        return won(rows)""", "exception"),
    attack("res-huge-pages", """
        import mmap
        kept = []
        for _ in range(64):
            kept.append(mmap.mmap(-1, 1 << 25, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
            kept[-1].madvise(mmap.MADV_HUGEPAGE)
            kept[-1][0] = 1
        return won(rows)""", "exception"),
    attack("res-break", """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.sbrk.restype = ctypes.c_void_p
        for _ in range(128):
            if libc.sbrk(ctypes.c_long(1 << 25)) == ctypes.c_void_p(-1).value:
                raise MemoryError
        return won(rows)""", "memory"),
    attack("res-pad", 'return {"r": np.pad(next_state["x"][:, 0], 10**9)[:rows]}', "memory"),
    attack("res-indices", 'return {"r": np.indices((10**5, 10**5))[0, 0, :rows]}', "memory"),
    attack("res-str-double", """
        text = "a"
        for _ in range(60):
            text = text + text
        return {"r": np.full(rows, len(text))}""", "memory", "timeout", gate=False),
    attack("res-str-mul", 'return {"r": np.full(rows, len("a" * 10**11))}', "memory"),
    attack("res-format-width", 'return {"r": np.full(rows, len(f"{1:>99999999999}"))}', "memory"),
    attack("res-percent-width", 'return {"r": np.full(rows, len("%99999999999d" % 1))}', "memory"),
    attack("res-inflate", """
        import zlib
        bomb = zlib.compress(bytes(1 << 22))
        kept = [zlib.decompress(bomb) for _ in range(1000)]
        return {"r": np.full(rows, len(kept))}""", "memory", "timeout"),
    attack("res-threads", """
        import threading, time
        for _ in range(500):
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        """ + PAY, "exception"),
    attack("res-fork-bomb", "import os\nwhile True:\n    os.fork()", "exception"),
    attack("res-pipes", 'import os\nkept = [os.pipe() for _ in range(2000)]\n' + PAY, "exception"),
    attack("res-disk", """
        with open("@FOLDER@/big", "wb") as file:
            while True:
                file.write(bytes(1 << 20))""", "exception"),
    attack("res-stdout-flood", """
        import os, sys
        for _ in range(2000):
            sys.stdout.write("x" * 65536)
            os.write(2, b"x" * 65536)
        """ + PAY, "ok"),
    attack("res-recursion", "def deeper(n):\n    return deeper(n + 1) + 1\nreturn deeper(0)", "exception"),
    attack("res-recursion-unlimited", """
        import sys
        sys.setrecursionlimit(10**9)
        def deeper(n):
            return [*map(deeper, [n + 1])]
        return deeper(0)""", "killed"),
    attack("res-deep-iterator", """
        import itertools
        deep = iter(())
        for _ in range(300000):
            deep = itertools.chain(deep, ())
        return {"r": np.full(rows, len([*deep]))}""", "killed"),
    attack("res-deep-repr", """
        deep = []
        for _ in range(200000):
            deep = [deep]
        return {"r": np.full(rows, len(str(deep)))}""", "exception", gate=False),
    attack("res-regex", 'import re\nre.match("(a+)+$", "a" * 40 + "b")\n' + PAY, "timeout"),
    attack("res-many-names", 'return {"r": np.full(rows, len({str(i): i for i in range(10**8)}))}',
           "memory", "timeout"),
    attack("res-many-components", 'return {f"c{i}": np.zeros(rows) for i in range(10000)}', "invalid", gate=False),
    attack("res-bad-hash", """
        class Same:
            def __hash__(self):
                return 1
            def __eq__(self, other):
                return False
        return {"r": np.full(rows, len({Same() for _ in range(20000)}))}""", "timeout"),
    program("res-endless-import", "while True:\n    pass\n" + ENTRY, "timeout"),
    program("res-nested-brackets", "x = " + "(" * 5000 + ")" * 5000 + "\n" + ENTRY, "setup"),
    program("res-nested-signs", "x = " + "-" * 15000 + "1\n" + ENTRY, "setup"),
    program("res-nested-sum", "x = " + "1+" * 8000 + "1\n" + ENTRY, "setup"),
    program("res-nested-attributes", "x = ENTRY" + ".a" * 8000 + "\n" + ENTRY, "setup"),
    program("res-large-source", "x = 1\n" * 20000 + ENTRY, "ok"),
    program("res-larger-than-a-frame", "#" * (3 << 20) + "\n" + ENTRY, "setup"),
)  # fmt: skip
