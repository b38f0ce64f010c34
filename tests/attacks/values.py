"""Answers that are no bounded real number for each row, or that lie about what they are."""

from __future__ import annotations

from tests.attacks.attack import PAY, Attack, attack, program

X = 'next_state["x"][:, 0]'


def value(name: str, expression: str, *allowed: str, gate: bool = False, before: str = "", probe: str = "") -> Attack:
    """An attack that answers with one component, after the lines ``before``."""
    return attack(name, f'{before}\nreturn {{"r": {expression}}}', *allowed, gate=gate, probe=probe)


def potential(name: str, expression: str, *allowed: str, gate: bool = False) -> Attack:
    """An attack whose potential is ``expression`` of ``x``."""
    entry = f"def compute_reward(state, action, next_state):\n    {PAY}\n"
    source = f'def potential(state):\n    x = state["x"]\n    return {expression}\n'
    return program(name, entry + source, *allowed, gate=gate)


def memory(name: str, first: str, then: str, *allowed: str, gate: bool = False, probe: str = "") -> Attack:
    """An attack whose memory is ``first``, and ``then`` after a step."""
    source = f"""
def init_memory(batch_size):
    return {first}
def compute_reward(state, action, next_state, memory):
    rows = len(action)
    return {{"r": {X}}}, {then}
"""
    return program(name, source, *allowed, gate=gate, probe=probe)


NUMBERS: tuple[Attack, ...] = (
    value("val-nan", "np.full(rows, np.nan)", "invalid"),
    value("val-one-nan", "np.where(np.arange(rows) == 1, np.nan, 1.0)", "invalid"),
    value("val-inf", "np.full(rows, -np.inf)", "invalid"),
    value("val-huge", "np.ones(rows) * 1e30", "invalid"),
    value("val-above-bound", "np.ones(rows) * 1000001", "invalid"),
    value("val-half-overflow", "(np.full(rows, 60000.0) * 2).astype(np.float16)", "invalid"),
    value("val-double-overflow", f"np.exp(1000 + 0 * {X}.astype(np.float64))", "invalid"),
    value("val-division", f"{X} / (0 * {X})", "invalid"),
    value("val-log", f"np.log(-1 - abs({X}))", "invalid"),
    value("val-long-double", f"np.exp(np.longdouble(9000) + 0 * {X})", "invalid", gate=True),
    value("val-large-int", "np.full(rows, 3) ** 39", "invalid"),
    value("val-unsigned", "np.zeros(rows, np.uint64) - np.uint64(1)", "invalid"),
    value("val-denormal", "np.full(rows, np.finfo(np.float32).smallest_subnormal)", "ok", gate=True),
    value("val-negative-zero", "np.full(rows, -0.0)", "ok"),
    value("val-bool", f"{X} > 0", "ok"),
    value("val-big-endian", f'{X}.astype(">f8")', "ok", gate=True),
    value("val-bits", f"({X}.view(np.uint32) | 0x7FC00000).view(np.float32)", "invalid", gate=True),
    value("val-signalling-nan", "np.full(rows, 0x7F800001, np.uint32).view(np.float32)", "invalid", gate=True),
)  # fmt: skip

KINDS: tuple[Attack, ...] = (
    value("val-shape", "np.zeros((rows, 2))", "invalid"),
    value("val-column", "np.zeros((rows, 1))", "invalid"),
    value("val-one-short", f"{X}[1:]", "invalid"),
    value("val-one-more", f"np.append({X}, 0.0)", "invalid"),
    value("val-no-rows", "np.zeros(0)", "invalid"),
    value("val-scalar", "1.0", "invalid"),
    value("val-ragged", "[[1.0], [1.0, 2.0]] * (rows // 2)", "exception"),
    value("val-matrix", f"np.asmatrix({X})", "invalid", gate=True),
    value("val-masked", "np.ma.masked_array(np.full(rows, np.nan), mask=True)", "invalid", gate=True),
    value("val-dtype-object", "np.array([object()] * rows)", "invalid", gate=True),
    value("val-complex", "np.zeros(rows, complex)", "invalid", gate=True),
    value("val-imaginary", "np.linalg.eigvals(np.array([[[0, 1], [-1, 0]]] * rows))[:, 0]", "invalid", gate=True),
    value("val-string", 'np.array(["1"] * rows)', "invalid"),
    value("val-bytes", 'np.array([b"1"] * rows)', "invalid", gate=True),
    value("val-date", 'np.zeros(rows, "datetime64[s]")', "invalid", gate=True),
    value("val-duration", 'np.zeros(rows, "timedelta64[s]")', "invalid", gate=True),
    value("val-structure", 'np.zeros(rows, [("a", "f4"), ("b", "f4")])', "invalid"),
    value("val-nested-dict", f'{{"r": {X}}}', "invalid"),
    value("val-function", "lambda x: x", "invalid"),
    value("val-zero-stride", "np.lib.stride_tricks.as_strided(np.float32(1e9), (rows,), (0,))", "invalid", gate=True),
    attack("val-none", "return None", "invalid"),
    attack("val-empty", "return {}", "invalid"),
    attack("val-array", f"return {X}", "invalid", gate=False),
    attack("val-pair", f'return {{"r": {X}}}, {{}}', "invalid"),
    attack("val-generator", f'yield {{"r": {X}}}', "invalid"),
    attack("val-lazy-dict", f'return (("r", {X}) for _ in range(1))', "invalid", gate=False),
    attack("val-name", 'return {"a b\\n": np.zeros(rows)}', "invalid"),
    attack("val-number-name", f"return {{1: {X}}}", "invalid", gate=False),
    attack("val-foreign-name", f'return {{"награда": {X}}}', "invalid"),
    attack("val-long-name", f'return {{"a" * 65: {X}}}', "invalid", gate=False),
    attack("val-33-components", f'return {{f"c{{i}}": {X} for i in range(33)}}', "invalid", gate=False),
    attack("val-reserved-name", f'return {{"potential": {X}}}', "ok", probe="component"),
    attack("val-all-zero", f'return {{"a": 0 * {X}, "b": np.zeros(rows)}}', "ok", gate=False, probe="constant"),
)  # fmt: skip

LIES: tuple[Attack, ...] = (
    attack("val-lying-items", f"""
        class Liar(dict):
            def items(self):
                return [("a b", {X})] * 3
        return Liar(r={X})""", "protocol"),
    attack("val-lying-length", f"""
        class Liar(dict):
            def __len__(self):
                return 1
        return Liar((f"c{{i}}", {X}) for i in range(500))""", "protocol"),
    attack("val-lying-name", f"""
        class Name(str):
            def isidentifier(self):
                return True
        return {{Name("a b"): {X}}}""", "invalid"),
    attack("val-lying-array", """
        class Liar:
            def __array__(self, *a, **k):
                return np.full(rows, np.nan)
        return {"r": Liar()}""", "invalid"),
    attack("val-changing-array", f"""
        class Liar(dict):
            def items(self):
                self["r"] = np.full(rows, np.nan)
                return super().items()
        return Liar(r={X})""", "invalid"),
    attack("val-patched-check", """
        import sys
        sys.modules["sandbox.worker"].column = lambda label, value, rows: value
        return {"r": np.full(rows, np.nan, np.float32)}""", "invalid"),
    potential("val-potential-shape", "x", "invalid"),
    potential("val-potential-nan", "np.sqrt(-1 - abs(x[:, 0]))", "invalid"),
    potential("val-potential-huge", "x[:, 0] * 1e9", "invalid"),
    potential("val-potential-none", "None", "invalid", gate=False),
    memory("val-memory-dtype", "{'n': np.zeros(batch_size, np.int64)}", "{'n': memory['n'] + 0.5}", "invalid"),
    memory("val-memory-shape", "{'n': np.zeros(batch_size)}", "{'n': np.zeros((rows, 3))}", "invalid"),
    memory("val-memory-rows", "{'n': np.zeros(7)}", "memory", "invalid"),
    memory("val-memory-names", "{'n': np.zeros(batch_size)}", "{'m': memory['n']}", "invalid"),
    memory("val-memory-large", "{'n': np.zeros((batch_size, 40000))}", "memory", "invalid"),
    memory("val-memory-bomb", "{'n': np.zeros((batch_size, 10000000))}", "memory", "memory", gate=True),
    memory("val-memory-many", "{f'n{i}': np.zeros(batch_size) for i in range(17)}", "memory", "invalid"),
    memory("val-memory-object", "{'n': np.array([None] * batch_size)}", "memory", "invalid"),
    memory("val-memory-gadget", "{'n': np.array([lambda: 0] * batch_size)}", "memory", "invalid"),
    memory("val-memory-list", "[np.zeros(batch_size)]", "memory", "invalid"),
    memory("val-memory-text", "{'n': np.array(['x'] * batch_size)}", "memory", "invalid"),
    memory("val-memory-missing", "{'n': np.zeros(batch_size)}", "None", "invalid"),
)  # fmt: skip

ATTACKS: tuple[Attack, ...] = (*NUMBERS, *KINDS, *LIES)
