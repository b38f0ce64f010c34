"""Rules on calls: who may be called, and with which arguments."""

from __future__ import annotations

import ast

from sandbox import allowed
from sandbox.constants import size, too_large
from sandbox.names import SHARED, Reading


def check_call(reading: Reading, node: ast.Call) -> None:
    """Refuse what is wrong with a call itself; its parts are read by the caller."""
    path = reading.path(node.func)
    if path is not None:
        _check_module_call(reading, node, path)
    elif isinstance(node.func, ast.Name):
        _check_named_call(reading, node, node.func.id)
    elif isinstance(node.func, ast.Attribute):
        _check_method(reading, node, node.func)
    elif not (isinstance(node.func, ast.Call) and reading.path(node.func.func) == "numpy.vectorize"):
        reading.refuse(node, "call", "Only a named function can be called. Give the function a name with `def` first.")
    for keyword in node.keywords:
        _check_keyword(reading, node, keyword, path)


def _check_keyword(reading: Reading, node: ast.Call, keyword: ast.keyword, path: str | None) -> None:
    if keyword.arg is None and (path is not None or not isinstance(node.func, ast.Name)):
        reading.refuse(node, "call", "`**` hides the arguments of this call. Write them out.")
    elif keyword.arg == "out" and not _fresh(reading, keyword.value):
        advice = "Use the value that the function returns, for example np.where(mask, a / np.where(mask, b, 1), 0)."
        reading.refuse(node, "out", f"`out=` writes into an array that exists already. {advice}")
    elif keyword.arg == "where" and path is not None and _elementwise(path):
        if all(k.arg != "out" for k in node.keywords):
            message = "`where=` leaves the other elements undefined. Write np.where(mask, value, 0)."
            reading.refuse(node, "out", message)
    elif keyword.arg == "overwrite_input":
        reading.refuse(node, "out", "`overwrite_input=` changes the array in place. Leave it out.")
    elif keyword.arg == "dtype":
        _check_dtype(reading, keyword.value)
    elif keyword.arg == "copy" and path == "numpy.nan_to_num":
        _check_copies(reading, node, keyword.value)


def _check_copies(reading: Reading, node: ast.Call, copy: ast.expr) -> None:
    if ast.unparse(copy) != "True":
        reading.refuse(node, "store", "`copy` may change the array in place. Leave it out.")


def _elementwise(path: str) -> bool:
    return path.partition(".")[2] in allowed.UNARY | allowed.BINARY


def _fresh(reading: Reading, node: ast.expr) -> bool:
    path = reading.path(node.func) if isinstance(node, ast.Call) else None
    return path is not None and path.partition(".")[2] in allowed.FRESH


def _check_dtype(reading: Reading, node: ast.expr) -> None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in allowed.DTYPES:
        reading.refuse(node, "dtype", f"The dtype {node.value[:20]!r} may not be used. Use np.float32 or np.int64.")


def _check_module_call(reading: Reading, node: ast.Call, path: str) -> None:
    name = path.partition(".")[2]
    if any(isinstance(argument, ast.Starred) for argument in node.args):
        reading.refuse(node, "call", "`*` hides the arguments of this call. Write them out.")
    most = allowed.BEFORE_OUT.get(name) if path.startswith("numpy.") else None
    if most is not None and len(node.args) > most:
        takes = {1: "one array", 2: "two arrays"}.get(most, f"{most} positional arguments")
        advice = f"Nest the calls: np.{name}(np.{name}(a, b), c)." if name in allowed.BINARY else "Leave it out."
        message = f"`np.{name}` takes {takes}: argument {most + 1} would be written into. {advice}"
        reading.refuse(node, "out", message)
    if name in allowed.SIZED and _asked(reading, node, name) > allowed.LARGEST_SIZE:
        message = f"`np.{name}` would make more than {allowed.LARGEST_SIZE} elements. Make arrays of the batch's size."
        reading.refuse(node, "size", message)
    if name in allowed.TYPED:
        for argument in node.args[1:]:
            _check_dtype(reading, argument)
    if name == "nan_to_num" and len(node.args) > 1:
        _check_copies(reading, node, node.args[1])
    if name in ("power", "float_power", "pow", "left_shift") and len(node.args) == 2:
        _check_power(reading, node)


def _asked(reading: Reading, node: ast.Call, name: str) -> float:
    """How many elements the constants among a call's arguments ask for."""
    sizes = [*node.args[allowed.SIZED[name]], *(k.value for k in node.keywords if k.arg in allowed.SIZES)]
    largest = size(sizes, reading.scopes)
    return largest**2 if name in allowed.SQUARE and len(sizes) == 1 else largest


def _check_power(reading: Reading, node: ast.Call) -> None:
    reason = too_large(ast.Pow(), node.args[0], node.args[1], reading.scopes)
    if reason:
        reading.refuse(node, "size", reason)


def _check_named_call(reading: Reading, node: ast.Call, name: str) -> None:
    scope = reading.scope(name)
    if scope is not None:
        if name in scope.parameters:
            message = f"`{name}` is a parameter and cannot be called. Call a function of the program by its own name."
            reading.refuse(node, "call", message)
        return
    if name == "range" and size(node.args, reading.scopes) > allowed.LARGEST_SIZE:
        reading.refuse(node, "size", "The range is too long. Use array operations over the batch.")
    elif name == "iter" and len(node.args) != 1:
        reading.refuse(node, "call", "`iter` takes one argument here.")
    elif name == "pow" and len(node.args) >= 2:
        _check_power(reading, node)
    elif name == "isinstance" and len(node.args) == 2:
        _check_types(reading, node.args[1])


def _check_types(reading: Reading, node: ast.expr) -> None:
    for part in node.elts if isinstance(node, ast.Tuple) else [node]:
        path = reading.path(part) or ""
        plain = isinstance(part, ast.Name) and part.id in allowed.TYPES
        if not plain and path.removeprefix("numpy.") not in allowed.NUMPY_TYPES:
            reading.refuse(
                node, "call", "`isinstance` may ask for np.ndarray and builtin types only. Remove the check."
            )


def _check_method(reading: Reading, node: ast.Call, func: ast.Attribute) -> None:
    whose = reading.owner(func.value) if func.attr in allowed.MUTATORS and len(reading.scopes) > 1 else None
    if whose:
        text = ast.unparse(func.value)[:60]
        advice = "Make a new dict, list or array in the function and change that."
        reading.refuse(node, "store", f"`.{func.attr}` changes `{text}`, which {SHARED[whose]}. {advice}")
    if func.attr == "astype" and node.args:
        _check_dtype(reading, node.args[0])
    most = allowed.METHOD_BEFORE_OUT.get(func.attr)
    if most is not None and len(node.args) > most:
        reading.refuse(node, "out", f"Argument {most + 1} of `.{func.attr}` would be written into. Leave it out.")
    if func.attr == "repeat" and size(node.args, reading.scopes) > allowed.LARGEST_SIZE:
        reading.refuse(node, "size", "The array would be repeated too often. Make arrays of the batch's size.")
