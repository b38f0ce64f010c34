"""The static gate: may this program be tried at all? It reads the source and runs nothing.

It tells a designer early, and in words, what to write otherwise, and it stops the plain attacks. It is not a
boundary: whatever passes still runs in a jail whose child can only compute. The allow-list is ``allowed.py``.
"""

from __future__ import annotations

import ast
import contextlib
import re
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sandbox import allowed
from sandbox.entry import read_entry
from sandbox.errors import Kind, Violation
from sandbox.names import children
from sandbox.program import Form
from sandbox.rules import broken_rules

_MOST_VIOLATIONS = 20
T = TypeVar("T")
_PARSING = threading.Lock()
_PARSE_ATTEMPTS = 5
"""Other code of this process may parse at the same moment: then the next attempt goes well."""
_BRACKETS = re.compile(r"[(\[{)\]}]")
_COOKIE = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
"""PEP 263: what Python takes for the encoding of a file's bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """What the gate says of one source."""

    ok: bool
    violations: tuple[Violation, ...]
    """In the order of lines; at most 20."""
    has_potential: bool = False
    has_memory: bool = False
    components: tuple[str, ...] = ()
    """Component names where they are plain to see in the source; else empty."""


def check(source: str, form: Form = "reward") -> GateReport:
    """Check any text; never raises. About a millisecond for a source of ordinary length."""
    violation = _size(source)
    if violation is not None:
        return _refused(violation)
    tree = _parse(source)
    if isinstance(tree, Violation):
        return _refused(tree)
    violation = _shape(tree)
    if violation is not None:
        return _refused(violation)
    entry = read_entry(tree, form)
    found = [*broken_rules(tree), *entry.violations]
    if not found:
        violation = _compile(tree)
        found = [violation] if violation else []
    unique = {(v.rule, v.line, v.message): v for v in found}
    ordered = sorted(unique.values(), key=lambda v: v.line or 0)
    return GateReport(
        ok=not found,
        violations=tuple(ordered[:_MOST_VIOLATIONS]),
        has_potential=entry.has_potential,
        has_memory=entry.has_memory,
        components=entry.components,
    )


def _refused(violation: Violation) -> GateReport:
    return GateReport(ok=False, violations=(violation,))


def _violation(rule: str, message: str, line: int | None = None, kind: Kind = "rejected") -> Violation:
    return Violation(stage="gate", kind=kind, rule=rule, message=message, line=line)


def _size(source: str) -> Violation | None:
    length = len(source) if len(source) > allowed.SOURCE_BYTES else len(source.encode("utf-8", "surrogatepass"))
    if length > allowed.SOURCE_BYTES:
        most = allowed.SOURCE_BYTES
        return _violation("size", f"The source has more than {most} bytes. Write a shorter program.")
    depth = deepest = 0
    for bracket in _BRACKETS.finditer(source):
        depth = depth + 1 if bracket.group() in "([{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    if deepest > allowed.DEPTH:
        return _violation("depth", "Brackets are nested too deeply. Split the expression into named steps.")
    return _cookie(source)


def _cookie(source: str) -> Violation | None:
    """Refuse a source that says how its bytes are to be read: a loader of files might read another program in it."""
    for number, line in enumerate(re.split(r"\r\n|[\r\n\f]", source)[:4]):
        found = _COOKIE.match(line)
        if found and found[1].lower().replace("_", "-") not in ("utf-8", "utf8"):
            message = f"The comment declares the encoding {found[1][:40]!r}. Remove it: programs are UTF-8."
            return _violation("encoding", message, number + 1)
    return None


def _alone(work: Callable[[], T]) -> T:
    """What threads must not do at once: CPython 3.11 counts the depth of all the trees that they read together."""

    def quietly() -> T:
        # An invalid escape in a docstring is no fault; where warnings are errors it would become one.
        with _PARSING, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return work()

    for _ in range(_PARSE_ATTEMPTS - 1):
        with contextlib.suppress(SystemError):
            return quietly()
    return quietly()


def parsed(source: str) -> ast.Module:
    """The tree of a program's source; every thread of the host parses through here. Raises whatever ``ast`` does."""
    return _alone(lambda: ast.parse(source))


def _parse(source: str) -> ast.Module | Violation:
    try:
        return parsed(source)
    except SyntaxError as error:
        fence = " Send plain Python, without Markdown fences." if "```" in source else ""
        message = f"The source is not valid Python: {error.msg}.{fence}"
        return _violation("syntax", message, error.lineno, "setup")
    except (ValueError, UnicodeError):
        return _violation("syntax", "The source holds characters that Python refuses. Use plain text.", None, "setup")
    except (RecursionError, MemoryError, SystemError):
        return _violation("depth", "The source is nested too deeply. Split it into named steps.")


def _shape(tree: ast.Module) -> Violation | None:
    """Refuse a tree too large or too deep to be read by a recursive reader."""
    count, depth = 0, 0
    level: list[ast.AST] = [tree]
    while level:
        count, depth = count + len(level), depth + 1
        if count > allowed.NODES:
            return _violation("size", f"The program has more than {allowed.NODES} syntax nodes. Write a shorter one.")
        if depth > allowed.DEPTH:
            return _violation("depth", "The program is nested too deeply. Split it into named steps.")
        level = [child for node in level for child in children(node)]
    return None


def _compile(tree: ast.Module) -> Violation | None:
    """What the compiler refuses though the grammar allows it (``break`` outside a loop ...)."""
    try:
        _alone(lambda: compile(tree, "<program>", "exec", dont_inherit=True))
    except SyntaxError as error:
        return _violation("syntax", f"The source is not valid Python: {error.msg}.", error.lineno, "setup")
    except (ValueError, RecursionError, MemoryError, OverflowError):
        return _violation("syntax", "The source cannot be compiled. Write it in simpler steps.", None, "setup")
    return None
