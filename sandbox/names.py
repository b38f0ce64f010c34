"""What a name in a reward program stands for: a module's function, a parameter, a local value, an alias."""

from __future__ import annotations

import ast
import difflib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from sandbox import allowed
from sandbox.errors import Violation

Function = ast.FunctionDef | ast.AsyncFunctionDef
Owner = Literal["input", "module"]
"""Whose memory a value may share: a parameter's, or a constant's of the module."""
SHARED: dict[Owner, str] = {"input": "belongs to the function's inputs", "module": "belongs to the module"}


@dataclass(slots=True)
class Scope:
    """The names of one function (or lambda, or the module), filled while its body is read in order."""

    bound: set[str]
    parameters: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    """Names bound by ``def`` or to a lambda."""
    owners: dict[str, Owner] = field(default_factory=dict)
    """Names whose value may share memory that the function does not own."""
    numbers: dict[str, float] = field(default_factory=dict)
    """Names that hold a constant number."""


@dataclass(slots=True)
class Reading:
    """What is known at one point of reading a program, and what was found wrong so far."""

    paths: dict[str, str] = field(default_factory=dict)
    """Imported names: local name -> dotted path (``np`` -> ``numpy``)."""
    annotations: set[str] = field(default_factory=set)
    """Imported names that may stand in annotations only."""
    scopes: list[Scope] = field(default_factory=list)
    """The module's scope, then those of the functions around this point, innermost last."""
    found: list[Violation] = field(default_factory=list)
    guesses: int = 5
    """How many more names may be guessed: a guess costs a comparison with every other name."""

    def refuse(self, node: ast.AST, rule: str, message: str) -> None:
        """Note one violation at the node's line."""
        line = getattr(node, "lineno", None)
        self.found.append(Violation(stage="gate", kind="rejected", rule=rule, message=message, line=line))

    def nearest(self, name: str, names: Iterable[str], cutoff: float = 0.6) -> list[str]:
        """The name most like ``name``, if there is one and a guess is left."""
        self.guesses -= 1
        some = itertools.islice((n for n in sorted(names) if len(n) <= _LONGEST_GUESS), _MOST_COMPARED)
        return difflib.get_close_matches(name[:_LONGEST_GUESS], some, n=1, cutoff=cutoff) if self.guesses >= 0 else []

    def path(self, node: ast.expr) -> str | None:
        """The dotted path (``numpy.linalg.norm``) that an expression names, or None."""
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in self.paths:
            return ".".join([self.paths[node.id], *reversed(attributes)])
        return None

    def scope(self, name: str) -> Scope | None:
        """The innermost scope that binds ``name``."""
        return next((scope for scope in reversed(self.scopes) if name in scope.bound), None)

    def owner(self, node: ast.expr) -> Owner | None:
        """Whose memory an expression may share; None for what the function made itself.

        Only what is plain to see is found: an index by a variable counts as a copy, since it may be a mask.
        Writes into the inputs that slip through are found when the program runs.
        """
        match node:
            case ast.Name(id=name):
                scope = self.scope(name)
                return scope.owners.get(name) if scope else None
            case ast.Subscript(value=value, slice=index):
                return self.owner(value) if _basic(index) else None
            case ast.Attribute(value=value, attr="T" | "real" | "imag"):
                return self.owner(value)
            case ast.IfExp(body=body, orelse=orelse):
                return self.owner(body) or self.owner(orelse)
            case ast.NamedExpr(value=value) | ast.Starred(value=value):
                return self.owner(value)
            case ast.Call(func=func, args=arguments):
                path = self.path(func)
                if path is not None:
                    shares = path.partition(".")[2] in allowed.VIEWS or _copies_not(node)
                    return next(filter(None, map(self.owner, arguments)), None) if shares else None
                names = allowed.VIEWS | {"get", "items", "values"}
                if isinstance(func, ast.Attribute) and (func.attr in names or _copies_not(node)):
                    return self.owner(func.value)
        return None


def _copies_not(call: ast.Call) -> bool:
    """Whether a call asks not to copy (``np.array(x, copy=False)``, ``x.astype(float, copy=False)``)."""
    return any(k.arg == "copy" and ast.unparse(k.value) != "True" for k in call.keywords)


_LONGEST_GUESS, _MOST_COMPARED = 40, 200
_LEAVES = frozenset({"arg", "attr", "ctx", "id", "lineno", "name", "op", "ops", "type_comment"})
_FIELDS = {
    kind: tuple(name for name in kind._fields if name not in _LEAVES and kind is not ast.Constant)
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes right below one, without contexts and operators; several times as fast as ``ast.iter_child_nodes``."""
    found: list[ast.AST] = []
    for name in _FIELDS[type(node)]:
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            found.append(value)
        elif isinstance(value, list):
            found += [part for part in value if isinstance(part, ast.AST)]
    return found


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements of a body, those in its functions, branches and loops too, in order."""
    for statement in body:
        yield statement
        for name in ("body", "orelse", "finalbody"):
            yield from statements(getattr(statement, name, []))


def parameters(arguments: ast.arguments) -> list[ast.arg]:
    """Every parameter, in order, ``*args`` and ``**kwargs`` among them."""
    extra = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]


def own_nodes(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """All nodes of a body; of the functions and lambdas in it only themselves, not their insides."""
    stack: list[ast.AST] = list(body)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            stack.extend(children(node))


def scope_of(body: list[ast.stmt], arguments: ast.arguments | None = None) -> Scope:
    """The names that a body binds, and its parameters."""
    given = {a.arg for a in parameters(arguments)} if arguments else set()
    scope = Scope(bound=set(given), parameters=given)
    for node in own_nodes(body):
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                scope.bound.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            scope.bound.add(node.name)
            scope.functions.add(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            scope.functions.update(t.id for t in node.targets if isinstance(t, ast.Name))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            scope.bound.update((a.asname or a.name).split(".")[0] for a in node.names)
    return scope


def target_names(target: ast.expr) -> list[str]:
    """Names that an assignment's or a loop's target binds."""
    return [n.id for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def _basic(index: ast.expr) -> bool:
    """Whether an index is surely one that gives a view (numbers, slices, None, ``...``)."""
    match index:
        case ast.Constant() | ast.Slice():
            return True
        case ast.UnaryOp(operand=ast.Constant()):
            return True
        case ast.Attribute(attr="newaxis"):
            return True
        case ast.Tuple(elts=parts):
            return all(_basic(part) for part in parts)
    return False
