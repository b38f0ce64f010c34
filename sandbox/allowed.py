"""The gate's allow-list as data: what a reward program may name, call and hold. All else is refused.

The list is a filter for quality and a cheap first wall. What keeps hostile code in is the jail.
"""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PLAIN: Final = _words(
    """Module Expr Return If IfExp Pass Break Continue NamedExpr Compare BoolOp UnaryOp Dict List Tuple Set
    Slice Starred Subscript ListComp DictComp SetComp GeneratorExp comprehension keyword JoinedStr Import
    ImportFrom alias"""
)
"""Kinds of syntax node that need no rule beyond those on what they hold; ``rules.py`` has a rule for each
other kind that may stand. Imports have rules of their own."""

SOURCE_BYTES: Final = 16 * 1024
"""Longest source, in bytes of UTF-8."""
NODES: Final = 3000
"""Most nodes of a syntax tree."""
DEPTH: Final = 80
"""Deepest nesting of a syntax tree, and of brackets in the text."""
LARGEST_INT: Final = 10**9
LARGEST_FLOAT: Final = 1e30
LARGEST_EXPONENT: Final = 64
"""Largest constant in ``x ** n`` and ``x << n``."""
LARGEST_SIZE: Final = 1_000_000
"""Most elements in a list, a range or an array whose size is a constant."""

IMPORTS: Final = _words("numpy numpy.linalg math typing __future__")
TYPING: Final = _words(
    "Any Callable Dict Final Iterable List Mapping NamedTuple Optional Sequence Tuple Union annotations"
)
"""Names that may be imported for annotations and used nowhere else (``annotations`` is of ``__future__``)."""

MATH: Final = _words(
    """acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh degrees dist e erf erfc exp exp2
    expm1 fabs floor fmod fsum hypot inf isclose isfinite isinf isnan log log10 log1p log2 nan pi pow
    radians remainder sin sinh sqrt tan tanh tau trunc"""
)

UNARY: Final = _words(
    """abs absolute arccos arccosh arcsin arcsinh arctan arctanh cbrt ceil cos cosh deg2rad degrees exp
    exp2 expm1 fabs floor invert isfinite isinf isnan log log10 log1p log2 logical_not negative positive
    rad2deg radians reciprocal rint sign signbit sin sinh sqrt square tan tanh trunc"""
)
"""Element-wise functions of one array: a second positional argument would be an output to write into."""

BINARY: Final = _words(
    """add arctan2 bitwise_and bitwise_or bitwise_xor copysign divide equal float_power floor_divide fmax
    fmin fmod greater greater_equal heaviside hypot left_shift less less_equal logaddexp logaddexp2
    logical_and logical_or logical_xor maximum matmul minimum mod multiply nextafter not_equal power
    remainder right_shift subtract true_divide vecdot"""
)
"""Element-wise functions of two arrays: a third positional argument would be an output to write into."""

BEFORE_OUT: Final[dict[str, int]] = {
    **dict.fromkeys(UNARY, 1),
    **dict.fromkeys(BINARY, 2),
    **dict.fromkeys(_words("all any argmax argmin amax amin max min median concatenate stack dot round outer"), 2),
    **dict.fromkeys(_words("choose nanargmax nanargmin nanmax nanmedian nanmin ptp"), 2),
    **dict.fromkeys(_words("sum mean std var prod cumsum cumprod clip take percentile quantile"), 3),
    **dict.fromkeys(_words("nanmean nanstd nansum"), 3),
    "trace": 5,
    **dict.fromkeys(_words("add.reduce multiply.reduce logical_and.reduce logical_or.reduce"), 3),
    **dict.fromkeys(_words("maximum.reduce minimum.reduce maximum.accumulate minimum.accumulate"), 3),
}
"""How many positional arguments a function takes before the one that it writes into."""

NUMPY: Final = (
    UNARY
    | BINARY
    | frozenset(BEFORE_OUT)
    | _words(
        """allclose append apply_along_axis arange argpartition argsort argwhere array array_equal array_split
    asarray ascontiguousarray atleast_1d atleast_2d atleast_3d average bincount block broadcast_arrays
    broadcast_to ceil clip column_stack convolve copy corrcoef count_nonzero cov cross cumulative_sum
    delete diag diagonal diff digitize dstack ediff1d einsum expand_dims eye flatnonzero flip fliplr
    flipud full full_like gradient hsplit hstack identity indices inner insert interp intersect1d
    isclose isin isscalar ix_ kron lexsort linspace logspace meshgrid moveaxis nan_to_num nanargmax
    nanargmin nanmax nanmean nanmedian nanmin nanstd nansum ndim nonzero ones ones_like pad permute_dims
    piecewise ptp ravel real ravel_multi_index repeat reshape roll rollaxis rot90 searchsorted select
    shape sinc size sort split squeeze swapaxes take_along_axis tensordot tile trace transpose trapezoid
    tri tril triu unique unravel_index unwrap vander vectorize vsplit vstack where zeros zeros_like e
    euler_gamma inf nan newaxis pi bool bool_ double float16 float32 float64 floating int16 int32
    int64 int8 int_ integer intp longlong number single uint16 uint32 uint64 uint8 finfo iinfo
    linalg.cross linalg.det linalg.inv linalg.matrix_norm
    linalg.norm linalg.pinv linalg.solve linalg.trace linalg.vector_norm linalg.eigvalsh
    linalg.matrix_power linalg.multi_dot"""
    )
)
"""Dotted paths below ``numpy``."""

SIZED: Final[dict[str, slice]] = {
    **dict.fromkeys(_words("full identity indices ones zeros"), slice(0, 1)),
    **dict.fromkeys(_words("eye tri"), slice(0, 2)),
    **dict.fromkeys(_words("pad repeat tile vander"), slice(1, 2)),
    **dict.fromkeys(_words("linspace logspace"), slice(2, 3)),
    "arange": slice(0, 3),
}
"""Functions of numpy whose arguments set how much memory they take, and which positional ones do."""
SQUARE: Final = _words("eye identity tri")
"""Those that make a square where one size is given."""
SIZES: Final = _words("M N dimensions n num pad_width repeats reps shape")
"""The same arguments by name."""
TYPED: Final = _words(
    "arange array asarray ascontiguousarray eye full full_like identity ones ones_like zeros zeros_like"
)
"""Functions of numpy that take a data type by position."""
FRESH: Final = _words("full full_like ones ones_like zeros zeros_like")
"""Functions of numpy whose result is new, and so may be written into (``out=np.zeros_like(x)``)."""
VIEWS: Final = _words(
    """array_split asarray ascontiguousarray atleast_1d atleast_2d atleast_3d broadcast_arrays broadcast_to diagonal
    expand_dims flip fliplr flipud hsplit moveaxis permute_dims ravel real reshape rollaxis rot90 split squeeze
    swapaxes transpose vsplit"""
)
"""Functions and methods whose result may share memory with what they were given."""

ATTRIBUTES: Final = _words("T dtype eps imag itemsize max min nbytes ndim real shape size smallest_normal tiny")
MUTATORS: Final = _words("append clear extend fill insert pop remove setdefault update sort")
"""Methods that change what they are called on: fine on what the function made itself."""
METHOD_BEFORE_OUT: Final[dict[str, int]] = {
    **dict.fromkeys(_words("all any argmax argmin dot max min round"), 1),
    **dict.fromkeys(_words("clip cumprod cumsum mean prod std sum take var"), 2),
    "trace": 4,
}
"""How many positional arguments a method takes before the one that it writes into."""
NOT_VALUES: Final = _words("iter pow range")
"""Builtins that must be called where they are named: there are rules on their arguments."""
METHODS: Final = (
    MUTATORS
    | _words(
        """all any argmax argmin argsort astype clip conj copy cumprod cumsum diagonal dot flatten item max
    mean min nonzero prod ravel repeat reshape round squeeze std sum swapaxes take tolist trace
    transpose var count get index items keys values endswith join lower replace split startswith strip
    upper is_integer"""
    )
    | VIEWS
)
"""Methods of arrays, dicts, lists and strings."""

BUILTINS: Final = _words(
    """False None True abs all any bool dict divmod enumerate filter float int isinstance iter len list map
    max min next pow range reversed round slice sorted str sum tuple zip"""
)
ITERATORS: Final = _words("enumerate filter iter map reversed zip")
"""Builtins whose result is used up by reading: refused at module level, where it would be hidden state."""
TYPES: Final = _words("bool dict float int list object str tuple")
"""Builtins that annotations may name, besides ``numpy`` types."""
NUMPY_TYPES: Final = _words("ndarray generic floating integer number bool_ bool") | _words(
    "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64"
)
DTYPES: Final = _words(
    """bool float float16 float32 float64 int int8 int16 int32 int64 uint8 uint16 uint32 uint64 f2 f4 f8 i1
    i2 i4 i8 u1"""
)
"""Data types that may be given as text (``x.astype("float32")``)."""
ERRSTATE: Final = _words("all divide invalid over under")
"""Arguments of ``with np.errstate(...)``, the one ``with`` that is let through."""

_FILES = (
    "fromfile genfromtxt load loads loadtxt memmap save savetxt savez lib ctypeslib frombuffer fromstring DataSource"
)

INSTEAD: Final[dict[str, str]] = {
    "np": "Import it first: `import numpy as np`.",
    **{f"numpy.{name}": "A reward reads its arguments only. Remove it." for name in _FILES.split()},
    "numpy.linalg": "Write np.linalg.norm, or another of its functions, in full.",
    "nonlocal": "Pass the value as an argument and return it.",
    "class": "Write plain functions over arrays; a reward needs no class.",
    "while": "Use array operations, or a for loop over a small fixed range.",
    "with": "Remove it. Only `with np.errstate(...)` may stand.",
    "try": ("Remove it and guard the values instead, for example np.where(d > 1e-6, n / np.maximum(d, 1e-6), 0.0)."),
    "raise": ("Remove it: the inputs always have the shapes of the state schema, so nothing need be raised."),
    "assert": "Remove it: the inputs always have the shapes of the state schema.",
    "global": (
        "A reward depends on its arguments alone. To compare with the past use init_memory and the 4-argument form."
    ),
    "del": "Remove it; names need not be deleted.",
    "yield": "Return a dict of arrays from a plain function.",
    "async": "Write a plain `def`.",
    "match": "Use if/elif, or np.select over arrays.",
    "decorator": "Remove the decorator.",
    "getattr": 'Read the fields of the dict by name: state["field"].',
    "hasattr": 'Every field of the state schema is there: read state["field"].',
    "print": "Remove it: nothing can be printed from a reward.",
    "type": "Remove it: the types of all fields are fixed by the state schema.",
    "set": "Use a tuple or np.isin.",
    "hash": "Compute from the state's numbers instead.",
    "id": "Compute from the state's numbers instead.",
    "numpy.random": ("A reward must be deterministic: equal transitions earn equal rewards. Remove the randomness."),
    "numpy.empty": "It holds whatever was in memory. Use np.zeros.",
    "numpy.empty_like": "It holds whatever was in memory. Use np.zeros_like.",
    "numpy.errstate": "Use it only as `with np.errstate(divide='ignore'):`.",
    "numpy.ndarray": ("Use np.zeros or np.array to make an array; np.ndarray may stand in annotations only."),
    "numpy.float": "Use np.float32.",
    "numpy.int": "Use np.int64.",
    "numpy.object": "Use a numeric dtype.",
    "numpy.trapz": "Use np.trapezoid.",
    "numpy.in1d": "Use np.isin.",
    "numpy.copyto": "Use np.where, which returns a new array.",
    "numpy.put": "Use np.where, which returns a new array.",
    "numpy.putmask": "Use np.where, which returns a new array.",
    "math.factorial": "Write the number itself.",
    "format": 'Use an f-string with plain names, such as f"joint_{i}".',
    "sort": "Use np.sort, which returns a new array.",
    "to": "The arrays are numpy arrays: use .astype(np.float32).",
    "float": "The arrays are numpy arrays: use .astype(np.float32).",
    "unsqueeze": "The arrays are numpy arrays: use x[:, None].",
    "norm": "The arrays are numpy arrays: use np.linalg.norm(x, axis=-1).",
    "clamp": "The arrays are numpy arrays: use np.clip.",
    "torch": "The arrays are numpy arrays: use numpy instead.",
    "jax": "The arrays are numpy arrays: use numpy instead.",
    "scipy": "Write the formula with numpy.",
    "random": ("A reward must be deterministic: equal transitions earn equal rewards. Remove the randomness."),
    "time": "A reward depends on its arguments alone; it has no clock.",
}
"""What to write instead of something that is refused, by its name."""
