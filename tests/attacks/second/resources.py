"""Time and memory without end, by a second author."""

from __future__ import annotations

from tests.attacks.attack import PAY, Attack, attack, program

X = 'next_state["x"][:, 0]'

RESOURCES = (
    attack(
        "res-page-tables",
        """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
        for at in range(1, 64000):  # a page in every GiB: each wants two tables of its own
            place = libc.mmap((at << 30) + 0x10000000000, 4096, 3, 0x22, -1, 0)
            if place == 2**64 - 1:
                raise MemoryError
            ctypes.memset(place, 1, 1)
        return {"pages": np.full(rows, at)}""",
        "memory",
        "ok",
        "timeout",
        "killed",
    ),
    attack(
        "res-page-tables-and-loop",
        """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
        for at in range(1, 64000):
            place = libc.mmap((at << 30) + 0x10000000000, 4096, 3, 0x22, -1, 0)
            if place != 2**64 - 1:
                ctypes.memset(place, 1, 1)
        while True:
            pass""",
        "timeout",
    ),
    attack(
        "res-fill-and-loop",
        """
        import mmap
        kept = []
        try:
            while True:
                kept.append(mmap.mmap(-1, 1 << 23, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
                kept[-1].madvise(mmap.MADV_NOHUGEPAGE)
                kept[-1][::4096] = bytes(1 << 11)
        except OSError:
            pass
        while True:
            pass""",
        "timeout",
    ),
    attack(
        "res-shared-fill-and-loop",
        """
        import mmap
        kept = []
        try:
            while True:
                kept.append(mmap.mmap(-1, 1 << 23))
                kept[-1][::4096] = bytes(1 << 11)
        except OSError:
            pass
        while True:
            pass""",
        "timeout",
    ),
    attack(
        "res-hidden-shared-pages",
        """
        import mmap
        kept = []
        try:
            while True:
                kept.append(mmap.mmap(-1, 1 << 23))
                kept[-1][::4096] = bytes(1 << 11)
                kept[-1].madvise(mmap.MADV_DONTNEED)  # they stay, but nobody's resident size counts them
        except OSError:
            pass
        return {"blocks": np.full(rows, len(kept))}""",
        "ok",
        "memory",
        "timeout",
    ),
    attack(
        "res-many-mappings",
        """
        import ctypes, mmap
        libc = ctypes.CDLL(None, use_errno=True)
        block = mmap.mmap(-1, 1 << 28, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        start = ctypes.addressof(ctypes.c_char.from_buffer(block))
        for page in range(0, 1 << 16, 2):
            if libc.mprotect(ctypes.c_void_p(start + 4096 * page), ctypes.c_size_t(4096), 1):
                raise MemoryError
        while True:
            pass""",
        "timeout",
        "memory",
    ),
    attack(
        "res-stingy-drip",
        """
        import os
        piece = b"R" * 16
        while True:
            os.write(3, piece)""",
        "timeout",
        "output_limit",
    ),
    attack(
        "res-drip-after-flood",
        """
        import os
        os.write(3, bytes(1 << 20))
        piece = b"R" * 8
        write = os.write
        while True:
            write(3, piece)""",
        "timeout",
        "output_limit",
    ),
    attack(
        "res-drip-from-c",
        """
        import ctypes
        write = ctypes.PyDLL(None).write
        while True:
            write(3, b"R", 1)""",
        "timeout",
    ),
    attack(
        "res-fault-handler-loop",
        """
        import ctypes, signal
        signal.signal(signal.SIGSEGV, lambda *a: None)
        ctypes.memset(0, 1, 1)
        """
        + PAY,
        "timeout",
        "killed",
    ),
    attack(
        "res-alternate-stack-loop",
        """
        import ctypes, signal
        libc = ctypes.CDLL(None)
        place = ctypes.cast(libc.sched_yield, ctypes.c_void_p).value
        libc.signal(11, ctypes.c_void_p(place))
        ctypes.memset(0, 1, 1)
        return won(rows)""",
        "timeout",
    ),
    attack(
        "res-futex",
        """
        import ctypes
        word = ctypes.c_int(0)
        ctypes.CDLL(None).syscall(202, ctypes.byref(word), 128, 0, None, None, 0)
        """
        + PAY,
        "timeout",
    ),
    attack(
        "res-pi-futex",
        """
        import ctypes
        word = ctypes.c_int(1)
        libc = ctypes.CDLL(None)
        while True:
            libc.syscall(202, ctypes.byref(word), 6, 0, None, None, 0)""",
        "timeout",
        "killed",
    ),
    attack(
        "res-absolute-sleep",
        """
        import ctypes
        far = (ctypes.c_long * 2)(1 << 60, 0)
        while True:
            ctypes.CDLL(None).syscall(230, 1, 1, far, None)""",
        "timeout",
    ),
    attack("res-c-sleep", "import ctypes\nctypes.PyDLL(None).sleep(1000)\n" + PAY, "timeout", "exception", "ok"),
    attack(
        "res-semaphore",
        """
        import ctypes
        libc = ctypes.PyDLL(None)
        semaphore = ctypes.create_string_buffer(64)
        libc.sem_init(semaphore, 1, 0)
        libc.sem_wait(semaphore)
        """
        + PAY,
        "timeout",
    ),
    attack("res-poll-answer", "import select\np = select.poll()\np.register(3, 0)\np.poll()\n" + PAY, "timeout"),
    attack("res-yield", "import os\nwhile True:\n    os.sched_yield()", "timeout"),
    attack("res-random-bytes", "import os\nwhile True:\n    os.getrandom(1 << 25)", "timeout"),
    attack(
        "res-move-mappings",
        """
        import ctypes, mmap
        libc = ctypes.CDLL(None)
        libc.mremap.restype = ctypes.c_void_p
        libc.mmap.restype = ctypes.c_void_p
        size = ctypes.c_size_t(1 << 27)
        a = libc.mmap(None, size, 3, 0x8022, -1, ctypes.c_long(0))
        b = libc.mmap(None, size, 0, 0x4022, -1, ctypes.c_long(0))
        while True:
            libc.mremap(ctypes.c_void_p(a), size, size, 3, ctypes.c_void_p(b))
            a, b = b, a""",
        "timeout",
        "killed",
    ),
    attack(
        "res-protect-back-and-forth",
        """
        import ctypes, mmap
        libc = ctypes.CDLL(None)
        block = mmap.mmap(-1, 1 << 28, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        block.madvise(mmap.MADV_NOHUGEPAGE)
        block[::4096] = bytes(1 << 16)
        start = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(block)))
        while True:
            libc.mprotect(start, ctypes.c_size_t(1 << 28), 1)
            libc.mprotect(start, ctypes.c_size_t(1 << 28), 3)""",
        "timeout",
    ),
    attack(
        "res-drop-and-fault",
        """
        import mmap
        block = mmap.mmap(-1, 1 << 28, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        while True:
            block[::4096] = bytes(1 << 16)
            block.madvise(mmap.MADV_DONTNEED)""",
        "timeout",
    ),
    attack(
        "res-populate",
        """
        import ctypes, mmap
        libc = ctypes.CDLL(None)
        block = mmap.mmap(-1, 3 << 27, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        start = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(block)))
        while True:
            for advice in (23, 25, 21, 20, 12, 14, 4):
                libc.madvise(start, ctypes.c_size_t(3 << 27), advice)""",
        "timeout",
    ),
    attack(
        "res-huge-page-mapping",
        """
        import mmap
        mmap.mmap(-1, 1 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)
        return won(rows)""",
        "exception",
    ),
    attack(
        "res-locked-mapping",
        """
        import mmap
        mmap.mmap(-1, 1 << 26, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x2000)
        return won(rows)""",
        "exception",
    ),
    attack(
        "res-grows-down",
        """
        import mmap, ctypes
        block = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100)
        start = ctypes.addressof(ctypes.c_char.from_buffer(block))
        for page in range(1, 1 << 20):
            ctypes.memset(start - 4096 * page, 1, 1)
        return won(rows)""",
        "killed",
    ),
    attack(
        "res-brk-storm",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        while True:
            libc.sbrk(ctypes.c_long(1 << 24))
            libc.sbrk(ctypes.c_long(-(1 << 24)))""",
        "timeout",
        "killed",
    ),
    attack(
        "res-unmap-everything",
        """
        import ctypes
        ctypes.CDLL(None).munmap(ctypes.c_void_p(0), ctypes.c_size_t(0x7FFFFFFFF000))
        return won(rows)""",
        "killed",
    ),
    attack(
        "res-blas-without-memory",
        """
        kept = []
        try:
            while True:
                kept.append(np.ones(1 << 18))
        except MemoryError:
            pass
        try:
            while True:
                kept.append(bytearray(1 << 14))
        except MemoryError:
            pass
        kept[0].reshape(512, 512) @ kept[1].reshape(512, 512)
        return {"r": kept[0][:rows]}""",
        "memory",
        "timeout",
    ),
    attack(
        "res-blas-first-use",
        """
        kept = [np.ones(1 << 16)]
        for _ in range(100000):
            kept.append(np.ones(1 << 18))
            if len(kept) % 8 == 0:
                kept[0].reshape(256, 256) @ kept[0].reshape(256, 256)
        return {"r": kept[0][:rows]}""",
        "memory",
        "timeout",
        gate=False,
    ),
    attack(
        "res-solve-without-memory",
        """
        kept = []
        for _ in range(100000):
            kept.append(np.ones(1 << 18))
            np.linalg.inv(np.eye(200))
        return {"r": kept[0][:rows]}""",
        "memory",
        "timeout",
        gate=False,
    ),
    attack(
        "res-fft-without-memory",
        """
        kept = []
        while True:
            kept.append(np.fft.fft(np.ones(1 << 17)))""",
        "memory",
        "timeout",
    ),
    attack(
        "res-sort-without-memory",
        """
        kept = [np.arange(1 << 22)]
        while True:
            kept.append(np.sort(kept[0], kind="stable"))
            kept.append(np.argsort(kept[0][:100000], kind="stable"))""",
        "memory",
        "timeout",
    ),
    attack(
        "res-strings-without-memory",
        """
        kept = {}
        n = 0
        while True:
            n += 1
            kept[f"name{n}" * 50] = (n, [n])""",
        "memory",
        "timeout",
    ),
    attack("res-huge-message", 'raise ValueError("x" * 400_000_000)', "memory", "exception", "timeout"),
    attack(
        "res-huge-exception-group",
        """
        error = ValueError("leaf")
        for _ in range(100000):
            error = ExceptionGroup("group", [error])
        raise error""",
        "exception",
        "killed",
    ),
    attack(
        "res-memory-error-storm",
        """
        class Heavy(Exception):
            def __str__(self):
                kept = []
                while True:
                    kept.append(bytearray(1 << 22))
        raise Heavy""",
        "memory",
        "timeout",
    ),
    attack("res-list-times", 'return {"r": np.full(rows, len([0] * 10**10))}', "memory"),
    attack("res-tuple-times", 'n = 10**5\nreturn {"r": np.full(rows, len((0,) * n * n))}', "memory", gate=False),
    attack("res-dict-from-range", 'return {"r": np.full(rows, len(dict.fromkeys(range(10**9))))}', "memory", "timeout"),
    attack("res-zero-fill", 'return {"r": np.full(rows, len("a".zfill(10**11)))}', "memory"),
    attack("res-tabs", 'return {"r": np.full(rows, len("\\t".expandtabs(10**11)))}', "exception", "memory"),
    attack("res-precision", 'return {"r": np.full(rows, len(f"{1.5:.2147483000f}"))}', "memory", "exception"),
    attack("res-int-bytes", 'return {"r": np.full(rows, len((1).to_bytes(10**11, "big")))}', "memory", "exception"),
    attack("res-comb", 'import math\nreturn {"r": np.full(rows, math.comb(10**7, 5 * 10**6) % 7)}', "timeout"),
    attack(
        "res-decimal",
        """
        import decimal
        decimal.getcontext().prec = 10**8
        return {"r": np.full(rows, float(decimal.Decimal(2).sqrt()))}""",
        "timeout",
        "memory",
    ),
    attack("res-hex-int", 'return {"r": np.full(rows, int("f" * 10**7, 16) * int("e" * 10**7, 16) % 3)}', "timeout"),
    attack(
        "res-replace",
        """
        text = "a" * 10**5
        return {"r": np.full(rows, len(text.replace("a", text)))}""",
        "memory",
    ),
    attack("res-join", 'return {"r": np.full(rows, len(",".join(map(str, range(10**9)))))}', "memory", "timeout"),
    attack(
        "res-product",
        'import itertools\nreturn {"r": np.full(rows, len([*itertools.product(range(99), repeat=9)]))}',
        "memory",
        "timeout",
    ),
    attack(
        "res-tee",
        """
        import itertools
        a, b = itertools.tee(itertools.count())
        for _ in a:
            pass""",
        "memory",
        "timeout",
    ),
    attack(
        "res-lzma",
        """
        import lzma
        bomb = lzma.compress(bytes(1 << 24), preset=0)
        kept = [lzma.decompress(bomb) for _ in range(1000)]
        return {"r": np.full(rows, len(kept))}""",
        "memory",
        "timeout",
    ),
    attack(
        "res-struct",
        'import struct\nreturn {"r": np.full(rows, len(struct.pack("99999999999x")))}',
        "memory",
        "exception",
    ),
    attack("res-arange", 'return {"r": np.arange(10**11)[:rows]}', "memory"),
    attack("res-linspace", 'return {"r": np.linspace(0, 1, 10**10)[:rows]}', "memory"),
    attack("res-eye", 'return {"r": np.eye(10**6)[0, :rows]}', "memory"),
    attack("res-tri", 'n = 10**6\nreturn {"r": np.tri(n)[0, :rows]}', "memory"),
    attack("res-vander", 'return {"r": np.vander(next_state["x"][:, 0], 10**9)[:, 0]}', "memory"),
    attack("res-diag", 'return {"r": np.diag(np.arange(10.0**5))[0, :rows]}', "memory", gate=False),
    attack("res-kron", 'x = np.arange(20000.0)\nreturn {"r": np.kron(x, x)[:rows]}', "memory", "timeout", gate=False),
    attack(
        "res-meshgrid",
        'x = np.arange(10000.0)\nreturn {"r": np.meshgrid(x, x, x)[0][0, 0, :rows]}',
        "memory",
        gate=False,
    ),
    attack("res-convolve", 'x = np.arange(10.0**6)\nreturn {"r": np.convolve(x, x)[:rows]}', "timeout", gate=False),
    attack("res-bincount", 'return {"r": np.bincount(np.array([10**11]))[:rows]}', "memory", gate=False),
    attack("res-bincount-small", 'return {"r": np.bincount(np.array([10**9]) * 10)[:rows]}', "memory", gate=False),
    attack(
        "res-matrix-power",
        'return {"r": np.linalg.matrix_power(np.eye(1500), 10**9)[0, :rows]}',
        "timeout",
    ),
    attack("res-cov", 'return {"r": np.cov(np.ones((20000, 20)))[0, :rows]}', "memory", gate=False),
    attack(
        "res-broadcast-sum",
        'return {"r": np.full(rows, np.broadcast_to(1.0, (10**9, 10**9)).sum())}',
        "timeout",
        "exception",
        gate=False,
    ),
    attack(
        "res-fromiter", 'import itertools\nreturn {"r": np.fromiter(itertools.count(), float)}', "memory", "timeout"
    ),
    attack(
        "res-array-of-range",
        'return {"r": np.array(range(10**6) , dtype=np.float64).repeat(1000)[:rows]}',
        "memory",
        gate=False,
    ),
    attack(
        "res-vectorize",
        'f = np.vectorize(lambda a, b: a)\nx = np.arange(10.0**6)\nreturn {"r": f(x[:, None], x)[0]}',
        "memory",
        "timeout",
        gate=False,
    ),
    attack(
        "res-strided-sum",
        """
        huge = np.lib.stride_tricks.as_strided(state["x"], (10**9, 10**9), (0, 0))
        return {"r": np.full(rows, huge.sum())}""",
        "timeout",
    ),
    attack(
        "res-strided-walk",
        """
        far = np.lib.stride_tricks.as_strided(state["x"], (10**9,), (1 << 20,))
        return {"r": np.full(rows, far.sum())}""",
        "killed",
    ),
    attack("res-endless-alias", "again = iter\nfor _ in again(int, 1):\n    pass\n" + PAY, "timeout"),
    attack(
        "res-growing-list",
        "seen = [1]\nfor one in seen:\n    seen.append(one)\n" + PAY,
        "timeout",
        "memory",
        gate=False,
    ),
    program(
        "res-recursion-by-table",
        f"""
def again(x):
    for one in TABLE:
        x = one(x)
    return x
TABLE = (again,)
def compute_reward(state, action, next_state):
    again(1)
    {PAY}
""",
        "exception",
        gate=False,
    ),
    attack(
        "res-endless-keys",
        f"""
        class Endless(dict):
            def __iter__(self):
                while True:
                    yield "r"
        return Endless(r={X})""",
        "timeout",
    ),
    attack(
        "res-endless-length",
        f"""
        class Endless(dict):
            def __len__(self):
                while True:
                    pass
        return Endless(r={X})""",
        "timeout",
    ),
    attack(
        "res-endless-array",
        """
        class Endless:
            def __array__(self, *a, **k):
                while True:
                    pass
        return {"r": Endless()}""",
        "timeout",
    ),
    attack(
        "res-endless-sequence",
        """
        class Endless:
            def __len__(self):
                return 10**12
            def __getitem__(self, at):
                return 1.0
        return {"r": Endless()}""",
        "memory",
        "timeout",
    ),
    attack(
        "res-endless-finalizer",
        """
        class Endless:
            def __del__(self):
                while True:
                    pass
        Endless()
        """
        + PAY,
        "timeout",
    ),
    attack(
        "res-failing-finalizer",
        """
        class Failing:
            def __del__(self):
                def deeper():
                    deeper()
                deeper()
        for _ in range(10):
            Failing()
        """
        + PAY,
        "ok",
    ),
    attack(
        "res-endless-traceback",
        """
        class Bad(Exception):
            @property
            def __traceback__(self):
                class Frame:
                    pass
                frame = Frame()
                frame.tb_frame = frame.f_code = frame
                frame.co_filename = "x"
                frame.tb_next = frame
                return frame
        raise Bad""",
        "timeout",
        "exception",
    ),
    program(
        "res-endless-potential",
        f"""
def compute_reward(state, action, next_state):
    {PAY}
def potential(state):
    while True:
        pass
""",
        "timeout",
    ),
    program(
        "res-potential-memory",
        f"""
def compute_reward(state, action, next_state):
    {PAY}
def potential(state):
    return np.zeros(10**12)[: len(state["x"])]
""",
        "memory",
    ),
    program(
        "res-endless-memory",
        f"""
def init_memory(batch_size):
    while True:
        pass
def compute_reward(state, action, next_state, memory):
    return {{"r": {X}}}, memory
""",
        "timeout",
    ),
    program(
        "res-top-level-memory",
        f"""
KEPT = np.zeros((10**6, 10**6))
def compute_reward(state, action, next_state):
    {PAY}
""",
        "memory",
    ),
    program(
        "res-top-level-exit",
        f"""
import os
os._exit(3)
def compute_reward(state, action, next_state):
    {PAY}
""",
        "protocol",
    ),
    program(
        "res-top-level-raise",
        f"""
1 / 0
def compute_reward(state, action, next_state):
    {PAY}
""",
        "exception",
    ),
    program(
        "res-folded-shift",
        f"X = (1 << 10**9) % 7\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "ok",
        "timeout",
    ),
    program(
        "res-folded-repeat",
        f'X = "a" * 10**9 * 10**3\ndef compute_reward(state, action, next_state):\n    {PAY}\n',
        "memory",
    ),
    program(
        "res-folded-power",
        f"X = 9 ** 9 ** 9 ** 9\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "timeout",
        "memory",
    ),
    program(
        "res-nested-lambda",
        "X = " + "lambda: " * 3000 + f"1\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "setup",
    ),
    program(
        "res-nested-choice",
        "X = " + "1 if 1 else " * 3000 + f"1\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "setup",
    ),
    program(
        "res-nested-not",
        "X = " + "not " * 5000 + f"1\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "setup",
    ),
    program(
        "res-nested-call",
        "X = abs" + "()" * 8000 + f"\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "setup",
    ),
    program(
        "res-nested-index",
        "X = abs" + "[0]" * 6000 + f"\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "setup",
    ),
    program(
        "res-nested-elif",
        "def f(x):\n    if x:\n        pass\n"
        + "    elif x:\n        pass\n" * 2000
        + f"def compute_reward(state, action, next_state):\n    {PAY}\n",
        "setup",
        "ok",
        "killed",
    ),
    program(
        "res-nested-blocks",
        "".join(" " * at + "if 1:\n" for at in range(99))
        + " " * 99
        + "pass\n"
        + f"def compute_reward(state, action, next_state):\n    {PAY}\n",
        "ok",
    ),
    program(
        "res-nested-loops",
        "def f():\n"
        + "".join(" " * at + "for _ in ():\n" for at in range(1, 25))
        + " " * 25
        + "pass\n"
        + f"def compute_reward(state, action, next_state):\n    {PAY}\n",
        "setup",
    ),
    program(
        "res-nested-comprehension",
        "X = "
        + "[" * 80
        + "0"
        + " for _ in ()]" * 80
        + f"\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "ok",
        "setup",
        gate=True,
    ),
    program(
        "res-long-line",
        "X = [" + "0," * 200000 + f"]\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "ok",
        "timeout",
        "timeout",
    ),
    program(
        "res-many-arguments",
        "def f("
        + ",".join(f"a{i}" for i in range(5000))
        + f"): pass\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "ok",
    ),
    program(
        "res-many-strings",
        "X = " + "'a' " * 20000 + f"\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "ok",
    ),
    program(
        "res-nested-formats",
        "X = " + "f'{" * 3 + "1" + "}'" * 3 + f"\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "setup",
        "ok",
    ),
    program("res-null-byte", f"X = 1\x00\ndef compute_reward(state, action, next_state):\n    {PAY}\n", "setup"),
    program("res-surrogate", f"X = '\ud800'\ndef compute_reward(state, action, next_state):\n    {PAY}\n", "setup"),
    program(
        "res-coding-cookie",
        f"# coding: rot13\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "ok",
        gate=False,
    ),
    program(
        "res-form-feeds",
        "\x0c" * 500 + f"\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "ok",
        gate=False,
    ),
    program("res-byte-order-mark", f"\ufeffdef compute_reward(state, action, next_state):\n    {PAY}\n", "setup"),
    program(
        "res-name-for-gate",
        "".join(f"a{i}=" for i in range(900))
        + "1\n"
        + "["
        + ",".join(f"b{i}" for i in range(900))
        + f"]\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "exception",
    ),
)

ATTACKS: tuple[Attack, ...] = RESOURCES
