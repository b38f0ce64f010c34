"""Rules on assignments: a program may write into what it made, never into its inputs or the module."""

from __future__ import annotations

import ast

from sandbox.constants import number
from sandbox.names import SHARED, Owner, Reading, target_names


def bind(reading: Reading, target: ast.expr, value: ast.expr | None) -> None:
    """Note what a target stands for after an assignment; refuse a write into what is not the function's."""
    match target:
        case ast.Name(id=name):
            known = number(value, reading.scopes)
            own(reading, name, reading.owner(value) if value is not None else None)
            reading.scopes[-1].numbers.pop(name, None)
            if known is not None:
                reading.scopes[-1].numbers[name] = known
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            for at, part in enumerate(parts):
                bind(reading, part, values[at] if len(values) == len(parts) else value)
        case ast.Starred(value=inner):
            bind(reading, inner, value)
        case ast.Subscript(value=container) if len(reading.scopes) > 1:
            whose = reading.owner(container)
            if whose:
                what = f"`{ast.unparse(container)[:60]}` {SHARED[whose]} and must not be written into."
                advice = "Make a new array with np.where, or start from a .copy()."
                reading.refuse(target, "store", f"{what} {advice}")


def augment(reading: Reading, node: ast.AugAssign) -> None:
    """Refuse ``x += y`` where ``x`` is not the function's own: numpy would change it in place."""
    if not isinstance(node.target, ast.Name):
        bind(reading, node.target, None)
        return
    name, whose = node.target.id, reading.owner(node.target)
    if whose:
        instead = ast.unparse(ast.BinOp(left=node.target, op=node.op, right=ast.Name(id="...")))
        advice = f"Write `{name} = {instead}` so that a new array is made, or start from a .copy()."
        reading.refuse(node, "store", f"`{name}` {SHARED[whose]}, and this changes it in place. {advice}")
    reading.scopes[-1].numbers.pop(name, None)


def loop(reading: Reading, target: ast.expr, over: ast.expr) -> None:
    """Note that a loop's names are what it runs over."""
    bind(reading, target, None)
    whose = reading.owner(over)
    for name in target_names(target):
        own(reading, name, whose)


def own(reading: Reading, name: str, whose: Owner | None) -> None:
    """Note whose memory a name shares from here on."""
    if whose:
        reading.scopes[-1].owners[name] = whose
    else:
        reading.scopes[-1].owners.pop(name, None)


def constants(reading: Reading, node: ast.Assign | ast.AnnAssign) -> None:
    """Note the module's constants that functions could change."""
    if isinstance(node.value, ast.Constant | ast.Lambda) or number(node.value, reading.scopes) is not None:
        return
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    for target in targets:
        for name in target_names(target):
            own(reading, name, "module")
