"""Which modules a reward program may import, and which of their functions it may name."""

from __future__ import annotations

import ast

from sandbox import allowed
from sandbox.names import Reading, statements


def read_imports(reading: Reading, body: list[ast.stmt]) -> None:
    """Note what every import of the program binds, and refuse the imports that are not allowed."""
    for node in statements(body):
        if isinstance(node, ast.Import):
            for name in node.names:
                _import(reading, node, name)
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                _import_from(reading, node, name)


def _import(reading: Reading, node: ast.Import, name: ast.alias) -> None:
    if name.name not in allowed.IMPORTS or name.name == "__future__":
        _refuse_import(reading, node, name.name)
        return
    top = name.name.split(".")[0]
    reading.paths[name.asname or top] = name.name if name.asname else top


def _import_from(reading: Reading, node: ast.ImportFrom, name: ast.alias) -> None:
    module, local = node.module or "", name.asname or name.name
    path = f"{module}.{name.name}"
    if node.level or module not in allowed.IMPORTS:
        _refuse_import(reading, node, module or ".")
    elif name.name == "*":
        reading.refuse(node, "import", f"`from {module} import *` hides what is used. Import the names one by one.")
    elif module in ("typing", "__future__"):
        reading.annotations.add(local)
        if name.name not in allowed.TYPING:
            reading.refuse(node, "import", f"`{path}` may not be imported. Remove it.")
    else:
        # Bound even when refused, so that its uses are not reported as undefined names too.
        reading.paths[local] = path
        if path != "numpy.linalg" and not known(path):
            refuse_path(reading, node, path)


def _refuse_import(reading: Reading, node: ast.AST, name: str) -> None:
    top = name.split(".")[0]
    advice = allowed.INSTEAD.get(top, "Write what is needed from it with numpy, or leave it out.")
    reading.refuse(node, "import", f"`{name}` may not be imported: only numpy and math may. {advice}")


def known(path: str) -> bool:
    """Whether a dotted path is on the allow-list."""
    module, _, name = path.partition(".")
    return (module == "numpy" and name in allowed.NUMPY) or (module == "math" and name in allowed.MATH)


def _is_type(path: str) -> bool:
    module, _, name = path.partition(".")
    return (module == "numpy" and name in allowed.NUMPY_TYPES) or (module == "typing" and name in allowed.TYPING)


def refuse_path(reading: Reading, node: ast.AST, path: str) -> None:
    """Refuse a function of a module, with what to write instead."""
    module, _, name = path.partition(".")
    first = f"{module}.{name.split('.')[0]}"
    table = {"numpy": allowed.NUMPY, "math": allowed.MATH}.get(module, frozenset())
    close = reading.nearest(name, table, cutoff=0.8)
    guess = f"Did you mean `{module}.{close[0]}`?" if close else "Write the formula with the basic functions of numpy."
    advice = allowed.INSTEAD.get(path) or allowed.INSTEAD.get(first) or guess
    rule = "underscore" if "._" in path else "module_function"
    reading.refuse(node, rule, f"`{path}` may not be used. {advice}")


def check_annotation(reading: Reading, node: ast.expr | None) -> None:
    """Refuse an annotation that is more than a type's name: annotations are evaluated like other code."""
    parts: list[ast.expr]
    match node:
        case None | ast.Constant():
            return
        case ast.Name(id=name) if name in allowed.TYPES or name in reading.annotations:
            return
        case ast.Name() | ast.Attribute() if _is_type(reading.path(node) or ""):
            return
        case ast.Subscript(value=value, slice=index):
            parts = [value, index]
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            parts = elements
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            parts = [left, right]
        case _:
            what = ast.unparse(node)[:60]
            advice = "Write np.ndarray, or leave it out."
            reading.refuse(node, "annotation", f"The annotation `{what}` may not be used. {advice}")
            return
    for part in parts:
        check_annotation(reading, part)
