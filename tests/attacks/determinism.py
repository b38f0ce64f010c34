"""Answers that depend on more than a row's own inputs: chance, clocks, addresses, the batch, earlier calls."""

from __future__ import annotations

from tests.attacks.attack import Attack, attack, program

X = 'next_state["x"][:, 0]'
MANY = "999983"
"""How many different numbers of doubtful origin: a prime, so that two seldom agree by chance."""
DETERMINISM, PERMUTATION, BATCH_SIZE = "determinism", "permutation", "batch_size"


def constant(name: str, imports: str, expression: str, *, gate: bool = True, probe: str = DETERMINISM) -> Attack:
    """An attack that adds one number of doubtful origin to every row."""
    line = f"import {imports}\n" if imports else ""
    expression = expression.replace("MANY", MANY)
    return attack(name, f'{line}return {{"r": {X} + np.full(rows, {expression})}}', "ok", gate=gate, probe=probe)


def batchwise(name: str, expression: str, probe: str) -> Attack:
    """An attack of honest form, whose row looks at other rows."""
    return attack(name, f'x = {X}\nreturn {{"r": {expression}}}', "ok", gate=False, probe=probe)


ATTACKS: tuple[Attack, ...] = (
    attack("det-random", 'import random\nreturn {"r": np.random.rand(rows) + random.random()}', "ok",
           probe=DETERMINISM),
    attack("det-fresh-generator", 'return {"r": np.random.default_rng().random(rows)}', "ok", probe=DETERMINISM),
    constant("det-urandom", "os", "int.from_bytes(os.urandom(8)) % MANY"),
    constant("det-system-random", "random", "random.SystemRandom().random()"),
    constant("det-secrets", "secrets", "secrets.randbelow(MANY)"),
    constant("det-uuid", "uuid", "uuid.uuid4().int % MANY"),
    constant("det-time", "time", "time.time() % 100"),
    constant("det-monotonic", "time", "time.monotonic_ns() // 1000 % MANY"),
    constant("det-processor-time", "time", "time.process_time_ns() // 10 % MANY"),
    constant("det-date", "datetime", "datetime.datetime.now().microsecond"),
    constant("det-id-hash", "", 'hash("salt") % 11 + id(object()) // 16 % MANY'),
    constant("det-hash-bytes", "", "hash(bytes(range(16))) % MANY"),
    constant("det-address", "", 'np.zeros(1).__array_interface__["data"][0] // 16 % MANY'),
    constant("det-ctypes-address", "", "np.zeros(1).ctypes.data // 16 % MANY"),
    constant("det-text-of-object", "", "int(str(object())[-10:-4], 16) % MANY"),
    constant("det-text-of-function", "", "int(str(lambda: 0)[-10:-4], 16) % MANY", gate=False),
    constant("det-set-order", "", '[int(name) for name in {"1", "2", "3", "4", "5", "6", "7", "8", "9"}][0]',
             gate=False),
    constant("det-generator-state", "", "np.random.get_state()[1][1] % 997"),
    attack("det-salt", f"""
        import sys
        frame = sys._getframe()
        while "request" not in frame.f_locals:
            frame = frame.f_back
        return {{"r": {X} + frame.f_locals["request"]["salt"] % 997}}""", "ok", probe=DETERMINISM),
    attack("det-stack-canary", f"""
        import ctypes
        libc = ctypes.CDLL(None)
        libc.getauxval.restype = ctypes.c_ulong
        drawn = ctypes.string_at(libc.getauxval(25), 8)
        return {{"r": {X} + int.from_bytes(drawn) % {MANY}}}""", "ok", probe=DETERMINISM),
    attack("det-empty", 'return {"r": np.empty(rows) * np.empty((rows, 3)).sum(axis=1)}', "ok", "invalid"),
    attack("det-thread-race", f"""
        import threading
        seen = []
        for _ in range(4):
            threading.Thread(target=seen.append, args=(1,)).start()
        return {{"r": {X} + len(seen)}}""", "exception"),
    program("det-call-counter", f"""
CALLS = []
def compute_reward(state, action, next_state):
    CALLS.append(1)
    return {{"r": {X} + len(CALLS)}}
""", "ok"),
    program("det-mutable-default", f"""
def compute_reward(state, action, next_state, calls=[]):
    calls.append(1)
    return {{"r": {X} + len(calls)}}
""", "ok"),
    program("det-function-attribute", f"""
def compute_reward(state, action, next_state):
    compute_reward.calls = getattr(compute_reward, "calls", 0) + 1
    return {{"r": {X} + compute_reward.calls}}
""", "ok"),
    program("det-steps-counted", f"""
CALLS = []
def init_memory(batch_size):
    return {{"n": np.zeros(batch_size)}}
def compute_reward(state, action, next_state, memory):
    CALLS.append(1)
    return {{"r": {X} + len(CALLS)}}, memory
""", "ok", probe="memory_reset"),
    program("det-memory-across-rows", f"""
def init_memory(batch_size):
    return {{"n": np.zeros(batch_size)}}
def compute_reward(state, action, next_state, memory):
    n = memory["n"] + {X}.mean()
    return {{"r": {X} + n}}, {{"n": n}}
""", "ok", gate=False, probe=BATCH_SIZE),
    program("det-memory-by-row", f"""
def init_memory(batch_size):
    return {{"n": np.arange(batch_size) * 1.0}}
def compute_reward(state, action, next_state, memory):
    return {{"r": {X} + memory["n"]}}, memory
""", "ok", gate=False, probe=PERMUTATION),
    batchwise("toctou-rowindex", "np.arange(rows) / rows", PERMUTATION),
    batchwise("toctou-first-row", "x - x[0]", PERMUTATION),
    batchwise("toctou-neighbour", "x - np.roll(x, 1)", PERMUTATION),
    batchwise("toctou-running-sum", "np.cumsum(x)", PERMUTATION),
    batchwise("toctou-sorted", "np.sort(x)", PERMUTATION),
    batchwise("toctou-alternating", "x * (-1) ** np.arange(rows)", PERMUTATION),
    batchwise("toctou-smoothed", 'np.convolve(x, [0.5, 0.5], "same")[:rows]', PERMUTATION),
    batchwise("toctou-rank", "np.argsort(np.argsort(x)) / 1000", BATCH_SIZE),
    batchwise("toctou-batch-mean", "x - x.mean()", BATCH_SIZE),
    batchwise("toctou-batch-max", "x / abs(x).max()", BATCH_SIZE),
    batchwise("toctou-median", "x > np.median(x)", BATCH_SIZE),
    batchwise("toctou-rows", "x * len(action)", BATCH_SIZE),
    batchwise("toctou-large-batch", "x + (rows > 500)", BATCH_SIZE),
    batchwise("toctou-one-row", "x + (rows == 1)", BATCH_SIZE),
    batchwise("toctou-common-row", "x + np.isin(np.floor(x), np.floor(x[:5]))", PERMUTATION),
    batchwise("toctou-divisible", "x * (1 - rows % 2)", BATCH_SIZE),
)  # fmt: skip
