"""The functions that a reward program must and may define: signatures, returns, names of components."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.errors import Violation
from sandbox.names import Function, own_nodes, parameters
from sandbox.program import ENTRY_POINT, Form

_TRANSITION = ("state", "action", "next_state")
_RESERVED = "potential"
NO_POTENTIAL = (
    "A latent reward is paid by its decoder, and a `potential` by nobody. Return what it measures as a factor of "
    "`compute_latent`, after the step or as its change; where `compute_latent` calls it, give it another name."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a program's functions promise, as far as it is plain to see."""

    violations: tuple[Violation, ...]
    has_potential: bool
    has_memory: bool
    components: tuple[str, ...]
    """Names in the order of writing; empty where they are made at run time."""


def read_entry(tree: ast.Module, form: Form) -> Entry:
    """Check the entry point, ``potential`` and ``init_memory`` of a program."""
    defined = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    name = ENTRY_POINT[form]
    function, memory = defined.get(name), "init_memory" in defined
    violations = list(_twice(tree, (name, "potential", "init_memory")))
    components: tuple[str, ...] = ()
    wanted = (*_TRANSITION, "memory") if memory else _TRANSITION
    if function is None:
        violations.append(_missing(tree, name, wanted))
    else:
        violations += _signature(function, wanted, memory)
        violations += _returns(function, memory)
        components = _components(function)
        violations += _names(function, components)
    if form == "latent" and "potential" in defined:
        violations.append(_violation("potential", NO_POTENTIAL, defined["potential"]))
    for helper, arguments in (("potential", ("state",)), ("init_memory", ("batch_size",))):
        if helper in defined:
            violations += _signature(defined[helper], arguments, None)
            if not any(r.value for r in _return_statements(defined[helper])):
                violations.append(_violation("return", f"`{helper}` must return a value.", defined[helper]))
    return Entry(
        violations=tuple(violations), has_potential="potential" in defined, has_memory=memory, components=components
    )


def _violation(rule: str, message: str, node: ast.AST | None) -> Violation:
    line = getattr(node, "lineno", None)
    return Violation(stage="gate", kind="rejected", rule=rule, message=message, line=line)


def _twice(tree: ast.Module, names: tuple[str, ...]) -> Iterator[Violation]:
    seen: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name in names and node.name in seen:
                yield _violation("entry_point", f"`{node.name}` is defined twice. Keep one.", node)
            seen.add(node.name)
    for part in own_nodes(tree.body):
        bound: list[str] = []
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            bound = [part.id]
        elif isinstance(part, ast.Import | ast.ImportFrom):
            bound = [(alias.asname or alias.name).split(".")[0] for alias in part.names]
        for name in set(bound) & set(names):
            # However it is bound, it would be called without having been read as what it is.
            yield _violation("entry_point", f"`{name}` must be one function: Define it with `def` alone.", part)


def _missing(tree: ast.Module, name: str, wanted: tuple[str, ...]) -> Violation:
    others = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = f" The program defines only {', '.join(f'`{o}`' for o in others[:6])}." if others else ""
    return _violation("entry_point", f"Define `def {name}({', '.join(wanted)}):` at top level.{found}", None)


def _signature(function: Function, wanted: tuple[str, ...], memory: bool | None) -> Iterator[Violation]:
    exact = f"def {function.name}({', '.join(wanted)}):"
    if isinstance(function, ast.AsyncFunctionDef):
        yield _violation("async", f"`{function.name}` must be a plain function. Write exactly `{exact}`", function)
    arguments = function.args
    plain = [a.arg for a in arguments.args]
    if len(parameters(arguments)) != len(plain) or plain != list(wanted):
        message = f"The signature of `{function.name}` is wrong. Write exactly `{exact}`"
        if memory is False and plain == [*_TRANSITION, "memory"]:
            message = (
                f"`{function.name}` takes memory, but `init_memory` is missing. Define `def"
                " init_memory(batch_size):` at top level (it returns a dict of arrays), or write"
                f" exactly `{exact}`"
            )
        elif memory and plain == list(_TRANSITION):
            message = f"`init_memory` is defined, so write exactly `{exact}` and return (components, memory)."
        yield _violation("signature", message, function)
    elif any(not (isinstance(d, ast.Constant) and d.value is None) for d in arguments.defaults):
        yield _violation("signature", f"Parameters take no defaults. Write exactly `{exact}`", function)


def _return_statements(function: Function) -> list[ast.Return]:
    return [n for n in own_nodes(function.body) if isinstance(n, ast.Return)]


def _returns(function: Function, memory: bool) -> Iterator[Violation]:
    shape = "return (components, memory)" if memory else 'return {"name": array, ...}'
    returns = _return_statements(function)
    if not returns:
        yield _violation("return", f"`{function.name}` returns nothing. End it with `{shape}`.", function)
    for node in returns:
        value = node.value
        single = isinstance(value, ast.BinOp | ast.Compare | ast.Constant | ast.List | ast.UnaryOp) or value is None
        wrong = isinstance(value, ast.Dict | ast.DictComp) if memory else isinstance(value, ast.Tuple)
        if single or wrong or (isinstance(value, ast.Tuple) and len(value.elts) != 2):
            what = "a dict of named components and the memory" if memory else "one dict of named components"
            yield _violation("return", f"`{function.name}` must return {what}: `{shape}`.", node)
        first = value.elts[0] if isinstance(value, ast.Tuple) and value.elts else value
        if isinstance(first, ast.Dict) and not first.keys:
            yield _violation("return", f"`{function.name}` returns no component. Name at least one.", node)


def _names(function: Function, components: tuple[str, ...]) -> Iterator[Violation]:
    for name in components:
        if name == _RESERVED:
            message = "`potential` is the name of the component that the system adds. Call this component otherwise."
            yield _violation("component", message, function)
        elif not (name.isidentifier() and name.isascii() and len(name) <= 64):
            message = (
                f"The component {name[:64]!r} needs a name of ASCII letters, digits and underscores,"
                " such as `near_goal`."
            )
            yield _violation("component", message, function)


def _components(function: Function) -> tuple[str, ...]:
    """Component names where every one is written out as text; else nothing."""
    names: dict[str, None] = {}
    returned = [_first(r.value) for r in _return_statements(function)]
    variables = {r.id for r in returned if isinstance(r, ast.Name)}
    sources = [r for r in returned if r is not None and not isinstance(r, ast.Name)]
    kinds = ast.Assign | ast.AnnAssign | ast.Call
    nodes = [n for n in own_nodes(function.body) if isinstance(n, kinds)] if variables else []
    for node in sorted(nodes, key=lambda n: (n.lineno, n.col_offset)):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in variables:
                sources.append(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if name in variables:
                sources.append(value)
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name), slice=key)]) if name in variables:
                sources.append(ast.Dict(keys=[key], values=[key]))
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="update"), args=[value]) if (
                name in variables
            ):
                sources.append(value)
    for source in sources:
        keys = _keys(source)
        if keys is None:
            return ()
        names.update(dict.fromkeys(keys))
    return tuple(names)


def _first(value: ast.expr | None) -> ast.expr | None:
    return value.elts[0] if isinstance(value, ast.Tuple) and value.elts else value


def _keys(node: ast.expr) -> list[str] | None:
    match node:
        case ast.Dict(keys=keys):
            texts = [k.value for k in keys if isinstance(k, ast.Constant) and isinstance(k.value, str)]
            return texts if len(texts) == len(keys) else None
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
            named = [k.arg for k in keywords if k.arg is not None]
            return named if len(named) == len(keywords) else None
    return None
