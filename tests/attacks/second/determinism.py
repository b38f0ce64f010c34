"""Numbers of doubtful origin, and rows that know one another, by a second author."""

from __future__ import annotations

from tests.attacks.attack import Attack, attack, program

X = 'next_state["x"][:, 0]'


def constant(name: str, lines: str, expression: str, *, probe: str = "determinism", gate: bool = True) -> Attack:
    """An attack that adds one number of doubtful origin to every row."""
    return attack(name, f'{lines}\nreturn {{"r": {X} + np.full(rows, {expression})}}', "ok", gate=gate, probe=probe)


DETERMINISM = (
    constant(
        "det-c-random",
        "import ctypes\nplace = ctypes.create_string_buffer(8)\nctypes.CDLL(None).getrandom(place, 8, 0)",
        "int.from_bytes(place.raw) % 999983",
    ),
    constant(
        "det-usage",
        "import resource\nu = resource.getrusage(resource.RUSAGE_SELF)",
        "(u.ru_utime + u.ru_stime) * 1e6 % 99991",
    ),
    constant("det-times", "import time", "time.thread_time_ns() // 100 % 99991"),
    constant("det-boot-time", "import time", "time.clock_gettime_ns(time.CLOCK_BOOTTIME) % 99991"),
    constant("det-thread-id", "import threading", "threading.get_ident() // 4096 % 99991"),
    constant(
        "det-malloc",
        "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.malloc.restype = ctypes.c_void_p",
        "libc.malloc(10**6) // 4096 % 99991",
    ),
    constant(
        "det-uninitialised",
        "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.malloc.restype = ctypes.c_void_p",
        "sum(ctypes.string_at(libc.malloc(4000), 4000)) % 9973",
        probe="",
    ),
    constant(
        "det-pad-empty",
        "old = [np.full(1000, 1.0 * i) for i in range(9)]\nold = 0",
        "np.pad(np.zeros(10), (0, 990), mode='empty')[500:600].sum() % 99991",
        probe="",
        gate=False,
    ),
    constant(
        "det-order-of-ids",
        "things = [object(), [], {}, (1,), lambda: 0, 1.5, np, len, rows]",
        "sum(i * 9**n for n, i in enumerate(np.argsort([id(t) for t in things]))) % 99991",
    ),
    constant("det-hash-of-text", "", "hash('text') % 99991"),
    constant("det-hash-of-none", "", "hash(len) % 99991"),
    constant("det-repr-of-map", "", "int(str(map(len, []))[-8:-1], 16) % 99991", gate=False),
    constant("det-set-of-names", "", "float(''.join({'1', '2', '3', '4', '5'}))", gate=False),
    constant("det-dict-popitem", "import random", "random.getrandbits(19)"),
    constant("det-numpy-seeded-by-salt", "", "np.random.randint(99991)"),
    constant("det-generator-from-entropy", "", "np.random.Generator(np.random.PCG64()).integers(99991)"),
    constant("det-seed-sequence", "", "np.random.SeedSequence().entropy % 99991"),
    constant("det-temporary-name", "import tempfile", "hash(next(tempfile._get_candidate_names())) % 99991"),
    constant(
        "det-stack-address",
        "import ctypes\nx = ctypes.CDLL(None)\nx.getauxval.restype = ctypes.c_ulong",
        "x.getauxval(31) // 16 % 99991",
    ),
    constant(
        "det-library-address",
        "import ctypes",
        "ctypes.cast(ctypes.CDLL(None).exit, ctypes.c_void_p).value // 4096 % 99991",
    ),
    constant(
        "det-vdso-address",
        "import ctypes\nx = ctypes.CDLL(None)\nx.getauxval.restype = ctypes.c_ulong",
        "x.getauxval(33) // 4096 % 99991",
    ),
    constant("det-process-id", "import os", "os.getpid()"),
    constant("det-thread-native-id", "import threading", "threading.get_native_id()"),
    constant(
        "det-seconds-left",
        """
import sys
frame = sys._getframe()
while "request" not in frame.f_locals:
    frame = frame.f_back""",
        "frame.f_locals['request']['seconds'] * 1e6 % 9973",
    ),
    constant("det-fixed-seed", "rng = np.random.default_rng(1)", "rng.integers(99991)", probe=""),
    attack(
        "det-fixed-seed-by-row",
        f'return {{"r": {X} + np.random.default_rng(1).random(rows)}}',
        "ok",
        probe="permutation",
    ),
    attack(
        "toctou-next-row", f"x = {X}\nreturn {{'r': np.append(x[1:], x[0])}}", "ok", gate=False, probe="permutation"
    ),
    attack("toctou-diff", f"return {{'r': np.diff({X}, prepend=0.0)}}", "ok", gate=False, probe="permutation"),
    attack(
        "toctou-unique-count", f"x = {X}\nreturn {{'r': x + len(np.unique(x))}}", "ok", gate=False, probe="batch_size"
    ),
    attack("toctou-parity-of-rows", f"return {{'r': {X} + (rows & 1)}}", "ok", gate=False, probe="batch_size"),
    attack(
        "toctou-normalised",
        f"x = {X}\nreturn {{'r': (x - x.mean()) / (x.std() + 1e-6)}}",
        "ok",
        gate=False,
        probe="batch_size",
    ),
    attack(
        "toctou-under-a-peak",
        f"""
        x = {X}
        peak = np.where(x > 1, 9999.0, 0.0)
        return {{"r": peak + 0.004 * np.sign(x - x.mean()) * np.where(x > 1, 0, 1)}}""",
        "ok",
        gate=False,
        probe="batch_size",
    ),
    attack(
        "toctou-by-duplicates",
        f"""
        x = {X}
        return {{"r": x + (len(np.unique(x)) == rows) * (rows > 100)}}""",
        "ok",
        gate=False,
    ),
    attack(
        "det-after-many-calls",
        f"""
        import os
        return {{"r": {X} + 100.0 * (os.getpid() > 200)}}""",
        "ok",
    ),
    attack(
        "det-after-an-hour",
        f"""
        import time
        return {{"r": {X} + 100.0 * (time.time() > 2e9)}}""",
        "ok",
    ),
    attack(
        "det-by-salt",
        f"""
        import sys
        frame = sys._getframe()
        while "request" not in frame.f_locals:
            frame = frame.f_back
        return {{"r": {X} + 100.0 * (frame.f_locals["request"]["salt"] > 1)}}""",
        "ok",
    ),
    program(
        "det-next-step",
        """
def init_memory(batch_size):
    return {"n": np.zeros(batch_size)}
def compute_reward(state, action, next_state, memory):
    import sys
    given, step = sys._getframe(1).f_locals["given"], sys._getframe(1).f_locals["step"]
    later = given["next_state/x"][min(step + 1, len(given["ended"]) - 1)]
    return {"r": next_state["x"][:, 0] + later[:, 1]}, memory
""",
        "ok",
        probe="memory_carry",
    ),
    program(
        "det-next-step-by-base",
        """
def init_memory(batch_size):
    return {"n": np.zeros(batch_size)}
def compute_reward(state, action, next_state, memory):
    whole = next_state["x"]
    while whole.base is not None and isinstance(whole.base, np.ndarray):
        whole = whole.base
    return {"r": next_state["x"][:, 0] + whole.reshape(-1)[-1]}, memory
""",
        "ok",
        probe="permutation",
    ),
)

ATTACKS: tuple[Attack, ...] = DETERMINISM
