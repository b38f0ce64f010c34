"""Reads a program's syntax tree against the allow-list and collects what breaks it; nothing is run."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable
from typing import Any

from sandbox import allowed
from sandbox.calls import check_call
from sandbox.constants import too_large
from sandbox.errors import Violation
from sandbox.imports import check_annotation, known, read_imports, refuse_path
from sandbox.names import Function, Reading, children, own_nodes, parameters, scope_of
from sandbox.stores import augment, bind, constants, loop

_WORDS = {
    **dict.fromkeys(("AsyncWith", "AsyncFor", "AsyncFunctionDef", "Await"), "async"),
    "ClassDef": "class",
    "TryStar": "try",
    "Delete": "del",
    "YieldFrom": "yield",
}
_FORMAT = re.compile(r"[<>^=+,]{0,3}\d{0,2}(\.\d{1,2})?[bcdeEfFgGnosxX%]?")
_PRESENT = frozenset(dir(builtins))


def broken_rules(tree: ast.Module) -> list[Violation]:
    """Every way in which a program leaves the allow-list, in the order of reading.

    ``tree`` must be shallow enough for a recursive reader.
    """
    return _Reader(tree).reading.found


class _Reader:
    """One reading of one program, function after function, statement after statement."""

    def __init__(self, tree: ast.Module) -> None:
        self.reading = Reading(scopes=[scope_of(tree.body)])
        self.refuse = self.reading.refuse
        self.inside: list[str] = []
        """Names of the functions around this point."""
        self.called: set[ast.expr] = set()
        """What stands where something is called."""
        self.calls: dict[str, set[str]] = {}
        """Which functions of the program each of its functions names."""
        self.defined: dict[str, ast.AST] = {}
        self.rules: dict[type[ast.AST], Callable[[Any], None]] = {
            ast.Constant: self._constant,
            ast.FormattedValue: self._formatted,
            ast.BinOp: self._binary,
            ast.Name: self._name,
            ast.Call: self._call,
            ast.Attribute: self._dotted,
            ast.With: self._with,
            ast.FunctionDef: self._function,
            ast.Lambda: self._lambda,
            ast.Assign: self._assign,
            ast.AnnAssign: self._declare,
            ast.AugAssign: self._augment,
            ast.For: self._for,
        }
        read_imports(self.reading, tree.body)
        for statement in tree.body:
            self._top_level(statement)
        self._recursion()

    def _top_level(self, node: ast.stmt) -> None:
        match node:
            case ast.Expr(value=ast.Constant()):
                return
            case ast.Assign() | ast.AnnAssign():
                self._read(node)
                constants(self.reading, node)
                self._iterators(node)
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
                self.refuse(node, "top_level", "Remove the `if __name__ == ...` block: nothing runs it.")
            case ast.Expr() | ast.If() | ast.For() | ast.AugAssign() | ast.With():
                what = "Only imports, constants and functions may stand outside functions."
                self.refuse(node, "top_level", f"{what} Move this into the function that needs it, or drop it.")
            case _:
                self._read(node)

    def _iterators(self, node: ast.stmt) -> None:
        for part in own_nodes([node]):
            called = part.func if isinstance(part, ast.Call) else None
            once = isinstance(called, ast.Name) and called.id in allowed.ITERATORS
            if once or isinstance(part, ast.GeneratorExp):
                self.refuse(part, "module_state", "An iterator kept at module level is hidden state. Make it a tuple.")

    def _recursion(self) -> None:
        for name in self.calls:
            seen: set[str] = set()
            frontier = [name]
            while frontier:
                new = self.calls.get(frontier.pop(), set()) - seen
                seen |= new
                frontier.extend(new)
            if name in seen:
                advice = "Use array operations or a for loop over a small fixed range."
                message = f"`{name}` calls itself, directly or through another function. {advice}"
                self.refuse(self.defined[name], "recursion", message)

    # A method for each kind of node that has a rule.

    def _read(self, node: ast.AST) -> None:
        kind = type(node)
        rule = self.rules.get(kind)
        if rule is not None:
            rule(node)
        elif kind.__name__ in allowed.PLAIN:
            for part in children(node):
                self._read(part)
        else:
            word = _WORDS.get(kind.__name__, kind.__name__.lower())
            self.refuse(node, word, f"`{word}` may not be used. {allowed.INSTEAD.get(word, 'Remove it.')}")

    def _constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bytes | complex):
            kind = type(value).__name__
            self.refuse(node, "constant", f"A constant of type {kind} has no use in a reward. Remove it.")
        elif isinstance(value, int) and abs(value) > allowed.LARGEST_INT:
            self.refuse(node, "constant", f"The integer is too large: use at most {allowed.LARGEST_INT}.")
        elif isinstance(value, float) and abs(value) > allowed.LARGEST_FLOAT:
            self.refuse(node, "constant", "The number is too large. Write np.inf, or a number of ordinary size.")

    def _formatted(self, node: ast.FormattedValue) -> None:
        if isinstance(node.format_spec, ast.JoinedStr):
            parts = node.format_spec.values
            text = "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in parts)
            if not _FORMAT.fullmatch(text):
                self.refuse(node, "format", 'Write a plain and short format, such as f"{x:.2f}".')
        self._read(node.value)

    def _binary(self, node: ast.BinOp) -> None:
        self._operation(node, node.op, node.left, node.right)
        self._read(node.left)
        self._read(node.right)

    def _operation(self, node: ast.AST, op: ast.operator, left: ast.expr, right: ast.expr) -> None:
        reason = too_large(op, left, right, self.reading.scopes)
        if reason:
            self.refuse(node, "size", reason)
        text = isinstance(left, ast.JoinedStr) or isinstance(getattr(left, "value", None), str)
        if isinstance(op, ast.Mod) and text:
            self.refuse(node, "format", f"Text must not be formatted with `%`. {allowed.INSTEAD['format']}")

    def _name(self, node: ast.Name) -> None:
        name = node.id
        if name.startswith("__"):
            self.refuse(
                node, "underscore", f"`{name}` may not be used: two leading underscores are refused. Remove it."
            )
        elif isinstance(node.ctx, ast.Load):
            self._load(node, name)
        elif name in self.reading.paths or name in self.reading.annotations:
            self.refuse(node, "rebind", f"`{name}` is an imported name. Give this value another name.")

    def _load(self, node: ast.Name, name: str) -> None:
        path = self.reading.paths.get(name)
        if path in allowed.IMPORTS:
            self.refuse(node, "module", f"`{name}` is a module and cannot be a value. Write `{name}.` and a function.")
        elif name in self.reading.annotations:
            self.refuse(node, "annotation", f"`{name}` may not be a value. Use it in annotations only.")
        elif path is None:
            scope = self.reading.scope(name)
            if scope is None and name in allowed.NOT_VALUES and node not in self.called:
                self.refuse(node, "builtin", f"`{name}` must be called where it is named.")
            elif scope is None:
                if name not in allowed.BUILTINS:
                    self._refuse_name(node, name)
            elif name in scope.functions:
                for reader in self.inside:
                    self.calls[reader].add(name)

    def _refuse_name(self, node: ast.Name, name: str) -> None:
        advice = allowed.INSTEAD.get(name, "")
        if name in _PRESENT:
            self.refuse(node, "builtin", f"The builtin `{name}` may not be used. {advice or 'Remove it.'}")
            return
        names = {n for scope in self.reading.scopes for n in scope.bound} | set(self.reading.paths)
        close = self.reading.nearest(name, names)
        guess = f"Did you mean `{close[0]}`?" if close else "Define it, or read it from `state` or `next_state`."
        self.refuse(node, "name", f"`{name}` is not defined. {advice or guess}")

    def _call(self, node: ast.Call) -> None:
        check_call(self.reading, node)
        self.called.add(node.func)
        if isinstance(node.func, ast.Attribute):
            self._attribute(node.func)
        else:
            self._read(node.func)
        for argument in (*node.args, *node.keywords):
            self._read(argument)

    def _dotted(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            what = ast.unparse(node)[:60]
            self.refuse(node, "store", f"`{what} = ...` sets an attribute. Bind a new local name instead.")
        elif self._attribute(node) and node.attr in allowed.MUTATORS:
            self.refuse(node, "attribute", f"`.{node.attr}` must be called where it is named.")

    def _attribute(self, node: ast.Attribute) -> bool:
        """Check a dotted name. Returns whether it belongs to a value rather than to a module."""
        path, name = self.reading.path(node), node.attr
        if path is not None:
            if not known(path):
                refuse_path(self.reading, node, path)
            return False
        if name.startswith("_"):
            self.refuse(node, "underscore", f"`.{name}` may not be used: a leading underscore is refused. Remove it.")
        elif name not in allowed.ATTRIBUTES and name not in allowed.METHODS:
            advice = allowed.INSTEAD.get(name, "Use a function of numpy, or a plain expression.")
            self.refuse(node, "attribute", f"`.{name}` may not be used. {advice}")
        self._read(node.value)
        return True

    def _with(self, node: ast.With) -> None:
        if any(item.optional_vars is not None or not self._quiet(item.context_expr) for item in node.items):
            self.refuse(node, "with", f"`with` may not be used. {allowed.INSTEAD['with']}")
        self._body(node.body)

    def _quiet(self, call: ast.expr) -> bool:
        """Whether a context is ``np.errstate`` with plain arguments: it only silences warnings."""
        if not isinstance(call, ast.Call) or self.reading.path(call.func) != "numpy.errstate" or call.args:
            return False
        return all(k.arg in allowed.ERRSTATE and isinstance(k.value, ast.Constant) for k in call.keywords)

    def _function(self, node: ast.FunctionDef) -> None:
        for decorator in node.decorator_list:
            self.refuse(decorator, "decorator", f"Decorators may not be used. {allowed.INSTEAD['decorator']}")
        if node.name in self.reading.paths or node.name.startswith("__"):
            self.refuse(node, "rebind", f"`{node.name}` cannot be the name of a function. Choose another.")
        for annotation in (*(a.annotation for a in parameters(node.args)), node.returns):
            check_annotation(self.reading, annotation)
        self._named(node.name, node, lambda: self._enter(node, node.body))

    def _lambda(self, node: ast.Lambda) -> None:
        self._enter(node, [ast.Expr(value=node.body)])

    def _named(self, name: str, node: ast.stmt, read: Callable[[], None]) -> None:
        """Read a function that has a name, noting which functions it names itself."""
        self.calls.setdefault(name, set())
        self.defined[name] = node
        self.inside.append(name)
        read()
        self.inside.pop()

    def _enter(self, node: Function | ast.Lambda, body: list[ast.stmt]) -> None:
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if isinstance(default, ast.Constant | ast.UnaryOp | ast.Name | ast.Attribute):
                self._read(default)
            elif default is not None:
                message = "A default must be a plain number, text or None. Make the value in the body."
                self.refuse(default, "default", message)
        for argument in parameters(node.args):
            if argument.arg in self.reading.paths or argument.arg.startswith("__"):
                self.refuse(argument, "rebind", f"`{argument.arg}` cannot be a parameter's name. Choose another.")
        scope = scope_of(body, node.args)
        # A program's memory is its own to write into: it is handed back.
        scope.owners = dict.fromkeys(scope.parameters - {"memory"}, "input")
        self.reading.scopes.append(scope)
        self._body(body)
        self.reading.scopes.pop()

    def _body(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self._read(statement)

    def _assign(self, node: ast.Assign) -> None:
        value = node.value
        if isinstance(value, ast.Lambda) and isinstance(node.targets[0], ast.Name):
            self._named(node.targets[0].id, node, lambda: self._lambda(value))
        else:
            self._read(value)
        for target in node.targets:
            self._read(target)
            bind(self.reading, target, value)

    def _declare(self, node: ast.AnnAssign) -> None:
        check_annotation(self.reading, node.annotation)
        if not isinstance(node.target, ast.Name):
            # Python evaluates such a target even where no value is given.
            self.refuse(node, "annotation", "Only a plain name may be annotated. Leave the annotation out.")
        if node.value is not None:
            self._read(node.value)
        self._read(node.target)
        if node.value is not None:
            bind(self.reading, node.target, node.value)

    def _augment(self, node: ast.AugAssign) -> None:
        self._operation(node, node.op, node.target, node.value)
        self._read(node.value)
        self._read(node.target)
        augment(self.reading, node)

    def _for(self, node: ast.For) -> None:
        self._read(node.iter)
        self._read(node.target)
        loop(self.reading, node.target, node.iter)
        self._body(node.body)
        self._body(node.orelse)
