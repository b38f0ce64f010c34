"""How large the constants of a reward program are, worked out without running anything."""

from __future__ import annotations

import ast
import math

from sandbox import allowed
from sandbox.names import Scope


def number(node: ast.AST | None, scopes: list[Scope]) -> float | None:
    """The number that an expression of constants stands for (``inf`` where it is too large), or None."""
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() as value):
            return _float(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            positive = number(operand, scopes)
            return None if positive is None else -positive
        case ast.Name(id=name):
            for scope in reversed(scopes):
                if name in scope.bound:
                    return scope.numbers.get(name)
            return None
        case ast.BinOp(left=left, op=op, right=right):
            a, b = number(left, scopes), number(right, scopes)
            return None if a is None or b is None else _combine(op, a, b)
        case ast.Call(func=ast.Name(id="int" | "float" | "abs" | "round"), args=[argument]):
            return number(argument, scopes)
    return None


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _combine(op: ast.operator, a: float, b: float) -> float | None:
    try:
        match op:
            case ast.Add():
                return a + b
            case ast.Sub():
                return a - b
            case ast.Mult():
                return a * b
            case ast.Div() | ast.FloorDiv():
                return a / b
            case ast.Pow():
                return math.pow(a, b)
            case ast.LShift():
                return a * math.pow(2.0, b)
    except OverflowError:
        return math.inf
    except (ValueError, ZeroDivisionError):
        return None
    return None


def size(arguments: list[ast.expr], scopes: list[Scope]) -> float:
    """The largest array that constants among the arguments ask for; the numbers of a tuple are multiplied."""
    largest = 0.0
    for argument in arguments:
        parts = argument.elts if isinstance(argument, ast.Tuple | ast.List) else [argument]
        # What is not a number (a difference of infinite constants) is no size either.
        known = [math.inf if math.isnan(n) else abs(n) for n in (number(p, scopes) for p in parts) if n is not None]
        largest = max(largest, math.prod(n for n in known if n > 0) if known else 0.0)
    return largest


def too_large(op: ast.operator, left: ast.expr, right: ast.expr, scopes: list[Scope]) -> str | None:
    """Why an operation may make something huge (a power, a shift, a repeated sequence), or None."""
    a, b = number(left, scopes), number(right, scopes)
    if isinstance(op, ast.Pow | ast.LShift):
        return _huge_power(op, a, b)
    if isinstance(op, ast.Mult):
        return _repeated(left, b) or _repeated(right, a)
    return None


def _repeated(sequence: ast.expr, times: float | None) -> str | None:
    if _is_text(sequence) and (times is None or times > 1000 or not isinstance(sequence, ast.Constant | ast.JoinedStr)):
        return "Text must not be repeated. Write the name out."
    match sequence:
        case ast.List() | ast.Tuple() | ast.ListComp() if times is not None and times > allowed.LARGEST_SIZE:
            return f"A list must not be repeated {times:.0g} times. Use np.zeros or np.full of the batch size."
    return None


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _huge_power(op: ast.operator, base: float | None, exponent: float | None) -> str | None:
    if exponent is not None and abs(exponent) > allowed.LARGEST_EXPONENT:
        return f"The exponent {exponent:g} is too large. Write a power of at most {allowed.LARGEST_EXPONENT}."
    if base is not None and exponent is not None:
        result = _combine(op, base, exponent)
        if result is not None and abs(result) > allowed.LARGEST_FLOAT:
            return "This constant power is too large. Write a number of ordinary size."
    return None
