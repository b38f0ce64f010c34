"""Answers that are no rewards, by a second author."""

from __future__ import annotations

from functools import partial

from tests.attacks import values
from tests.attacks.attack import PAY, Attack, attack, program
from tests.attacks.values import X, memory

value = partial(values.value, gate=True)


VALUES = (
    value("val-half", f"{X}.astype(np.float16)", "ok", gate=False),
    value("val-half-subnormal", "np.full(rows, 6e-8, np.float16)", "ok", gate=False),
    value("val-tiny-double", "np.full(rows, 1e-320)", "ok", gate=False),
    value("val-bound", "np.full(rows, 1000000)", "ok", gate=False),
    value("val-just-above", "np.full(rows, np.nextafter(1e6, 2e6))", "invalid", gate=False),
    value("val-last-nan", "np.where(np.arange(rows) == rows - 1, np.nan, 0.0)", "invalid", gate=False),
    value("val-mixed-inf", "np.where(np.arange(rows) % 2 == 1, np.inf, -np.inf)", "invalid", gate=False),
    value("val-nan-payload", f"{X} + np.float32(np.nan)", "invalid", gate=False),
    value("val-long-double-huge", "np.full(rows, np.longdouble('1e4000'))", "invalid"),
    value("val-long-double-small", f"{X}.astype(np.longdouble)", "ok", gate=True),
    value("val-big-endian-half", f'{X}.astype(">f2")', "ok"),
    value("val-big-endian-int", 'np.arange(rows).astype(">i8")', "ok"),
    value("val-negative-stride", f"{X}[::-1][::-1]", "ok", gate=False),
    value("val-zero-stride-small", "np.broadcast_to(np.float32(0.5), (rows,))", "ok", gate=False),
    value("val-fortran", "np.asfortranarray(next_state['x'])[:, 0]", "ok"),
    value("val-list", f"{X}.tolist()", "ok", gate=False),
    value("val-tuple", f"tuple({X}.tolist())", "ok", gate=False),
    value("val-range", "range(rows)", "ok", gate=False),
    value("val-array-module", "array.array('d', [1.0] * rows)", "ok", before="import array"),
    value("val-bytearray", "bytearray(rows)", "ok", "invalid"),
    value("val-bytes-object", "bytes(rows)", "invalid"),
    value("val-memoryview", f"memoryview({X}.copy())", "ok"),
    value("val-generator-value", "(1.0 for _ in range(rows))", "invalid", gate=False),
    value("val-set-value", "{1.0, 2.0}", "invalid", gate=False),
    value("val-map-value", "map(float, range(rows))", "invalid", gate=False),
    value("val-decimals", "[decimal.Decimal(1)] * rows", "invalid", before="import decimal"),
    value("val-fractions", "[fractions.Fraction(1, 3)] * rows", "invalid", before="import fractions"),
    value("val-object-floats", "np.array([1.0] * rows, 'O')", "invalid"),
    value("val-object-hidden-type", "np.zeros(rows, dtype='ob' + 'ject')", "invalid", gate=False),
    value("val-none-values", "[None] * rows", "invalid", gate=False),
    value("val-number-text", "['1.0'] * rows", "invalid", gate=False),
    value("val-complex-real", f"{X}.astype(complex)", "invalid"),
    value("val-void", "np.zeros(rows, 'V4')", "invalid"),
    value("val-record", f"np.rec.fromarrays([{X}])", "invalid", "exception"),
    value("val-chars", "np.char.array(['a'] * rows)", "invalid", "exception"),
    value("val-nat", "np.full(rows, np.datetime64('NaT'))", "invalid"),
    value("val-empty-dimension", "np.zeros((rows, 0))", "invalid", gate=False),
    value("val-row", "np.zeros((1, rows))", "invalid", gate=False),
    value("val-many-dimensions", "np.zeros((rows,) + (1,) * 60)", "invalid", gate=False),
    value("val-too-many-dimensions", "np.zeros((rows,) + (1,) * 90)", "exception", gate=False),
    value(
        "val-deep-list",
        "deep",
        "invalid",
        "exception",
        gate=False,
        before="deep = 1.0\nfor _ in range(100):\n    deep = [deep]",
    ),
    value("val-self-list", "deep", "invalid", "exception", before="deep = []\ndeep.append(deep)", gate=False),
    value(
        "val-index-object",
        "[Number() for _ in range(rows)]",
        "invalid",
        before="class Number:\n    def __float__(self):\n        return 1.0",
    ),
    value(
        "val-hostile-float",
        "[Number() for _ in range(rows)]",
        "exception",
        before="class Number(float):\n    def __float__(self):\n        raise SystemExit",
    ),
    value(
        "val-array-struct",
        "Odd()",
        "invalid",
        "exception",
        before="class Odd:\n    @property\n    def __array_struct__(self):\n        return 5",
    ),
    value(
        "val-array-interface-shape",
        "Odd()",
        "exception",
        "invalid",
        before="""
class Odd:
    __array_interface__ = {"shape": (-1,), "typestr": "<f4", "data": (1, True), "version": 3}""",
    ),
    value(
        "val-array-interface-far",
        "Odd()",
        "killed",
        "invalid",
        before="""
class Odd:
    __array_interface__ = {"shape": (rows,), "typestr": "<f4", "data": (64, True), "version": 3}""",
    ),
    value("val-dlpack", "np.from_dlpack(state['x'])[:, 0]", "ok"),
    value(
        "val-changing-shape",
        "Odd()",
        "ok",
        "invalid",
        before="""
class Odd:
    calls = 0
    def __array__(self, *a, **k):
        Odd.calls += 1
        return np.zeros(rows + Odd.calls - 1)""",
    ),
    attack("val-keyword-names", f'return {{"class": {X}, "None": {X}, "_": {X}, "__class__": {X}}}', "ok", gate=False),
    attack("val-64-letters", f'return {{"a" * 64: {X}}}', "ok", gate=False),
    attack("val-32-components", f'return {{f"c{{i}}": {X} for i in range(32)}}', "ok", gate=False),
    attack("val-none-name", f"return {{None: {X}}}", "invalid", gate=False),
    attack("val-tuple-name", f"return {{(1, 2): {X}}}", "invalid", gate=False),
    attack("val-empty-name", f'return {{"": {X}}}', "invalid"),
    attack("val-wide-name", f'return {{"\uff52": {X}}}', "invalid"),
    attack("val-newline-name", f'return {{"r\\n": {X}}}', "invalid"),
    attack("val-markup-name", f'return {{"<script>": {X}}}', "invalid"),
    attack("val-str-subclass-name", f"class Name(str):\n    pass\nreturn {{Name('r'): {X}}}", "invalid"),
    attack("val-user-dict", f"import collections\nreturn collections.UserDict(r={X})", "invalid"),
    attack("val-ordered-dict", f"import collections\nreturn collections.OrderedDict(r={X})", "ok"),
    attack("val-default-dict", f'import collections\nd = collections.defaultdict(list)\nd["r"] = {X}\nreturn d', "ok"),
    attack("val-exception-returned", "return ValueError('x')", "invalid"),
    attack("val-class-returned", "return dict", "invalid", gate=False),
    attack(
        "val-hostile-type-name",
        """
        class Named(type):
            __name__ = property(lambda cls: 1 / 0)
        class Odd(metaclass=Named):
            pass
        return Odd()""",
        "exception",
        "invalid",
    ),
    program(
        "val-potential-number", f"potential = 5\ndef compute_reward(state, action, next_state):\n    {PAY}\n", "ok"
    ),
    program(
        "val-potential-class",
        f"class potential:\n    def __init__(self, state): pass\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "invalid",
    ),
    program(
        "val-potential-hidden",
        f"potential, _ = (lambda state: state['x'][:, 0]), 1\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "ok",
    ),
    program(
        "val-potential-imported",
        f"from numpy import sum as potential\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "invalid",
        "exception",
    ),
    program(
        "val-potential-raises",
        f"def potential(state):\n    return state['y']\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "exception",
        gate=False,
    ),
    program(
        "val-potential-dict",
        f"def potential(state):\n    return {{'p': state['x'][:, 0]}}\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "invalid",
        gate=False,
    ),
    program(
        "val-potential-inf",
        f"def potential(state):\n    return np.where(state['x'][:, 0] > 0, np.inf, 0.0)\ndef compute_reward(state, action, next_state):\n    {PAY}\n",
        "invalid",
        gate=False,
    ),
    program(
        "val-entry-rebound",
        f"def compute_reward(state, action, next_state):\n    {PAY}\ncompute_reward: int = lambda *a: {{'r': np.ones(len(a[1]))}}\n",
        "ok",
    ),
    program(
        "val-entry-class",
        "class compute_reward(dict):\n    def __init__(self, s, a, n):\n        self['r'] = np.zeros(len(a))\n",
        "ok",
    ),
    program("val-entry-missing", "def reward(state, action, next_state):\n    return {'r': action}\n", "setup"),
    program("val-entry-number", "compute_reward = 5\n", "setup"),
    program("val-entry-arguments", "def compute_reward(state):\n    return {'r': state}\n", "exception"),
    program("val-entry-async", f"async def compute_reward(state, action, next_state):\n    {PAY}\n", "invalid"),
    memory(
        "val-memory-big-endian", "{'n': np.zeros(batch_size, '>f8')}", "{'n': memory['n'] + 1}", "invalid", gate=True
    ),
    memory("val-memory-unicode-name", "{'größe': np.zeros(batch_size)}", "memory", "invalid"),
    memory("val-memory-long-name", "{'n' * 65: np.zeros(batch_size)}", "memory", "invalid", gate=False),
    memory("val-memory-nine-dimensions", "{'n': np.zeros((batch_size,) + (1,) * 8)}", "memory", "invalid"),
    memory("val-memory-zero-size", "{'n': np.zeros((batch_size, 0))}", "memory", "ok", "invalid"),
    memory("val-memory-zero-huge", "{'n': np.zeros((batch_size, 0, 1 << 20))}", "memory", "invalid", gate=True),
    memory("val-memory-empty", "{}", "memory", "ok"),
    memory("val-memory-nan", "{'n': np.full(batch_size, np.nan)}", "memory", "ok", "invalid"),
    memory(
        "val-memory-half", "{'n': np.zeros(batch_size, np.float16)}", "{'n': memory['n'] + 70000.0}", "ok", "invalid"
    ),
    memory("val-memory-bool", "{'n': np.zeros(batch_size, bool)}", "{'n': memory['n'] | True}", "ok"),
    memory("val-memory-broadcast", "{'n': np.broadcast_to(1.0, (batch_size,))}", "memory", "ok"),
    memory(
        "val-memory-alias",
        "{'n': np.zeros(batch_size), 'm': np.zeros(batch_size)}",
        "{'n': memory['n'], 'm': memory['n']}",
        "ok",
    ),
    memory("val-memory-self", "{'n': np.zeros(batch_size)}", "{'n': state['x'][:, 0].astype(np.float64)}", "ok"),
    memory("val-memory-subclass", "{'n': np.ma.zeros(batch_size)}", "memory", "ok", "invalid", gate=True),
    memory("val-memory-scalar", "{'n': 0.0}", "memory", "invalid"),
    memory("val-memory-complex", "{'n': np.zeros(batch_size, complex)}", "memory", "invalid", gate=True),
    memory("val-memory-unsigned", "{'n': np.zeros(batch_size, np.uint8)}", "{'n': memory['n'] - np.uint8(1)}", "ok"),
    program(
        "val-memory-not-callable", f"init_memory = 3\ndef compute_reward(state, action, next_state):\n    {PAY}\n", "ok"
    ),
    program(
        "val-memory-not-returned",
        f"def init_memory(batch_size):\n    return {{'n': np.zeros(batch_size)}}\ndef compute_reward(state, action, next_state, memory):\n    {PAY}\n",
        "invalid",
    ),
)

ATTACKS: tuple[Attack, ...] = VALUES
