"""Two families, never mixed: the program is bad, or the machinery is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "rejected",
    "setup",
    "exception",
    "memory",
    "timeout",
    "output_limit",
    "killed",
    "protocol",
    "invalid",
    "nondeterministic",
    "not_rowwise",
    "worker_died",
]
"""The closed list of what can be wrong with a program; ``worker_died`` is infrastructure, never the program's fault."""

KINDS: tuple[str, ...] = get_args(Kind)

Stage = Literal["gate", "sandbox", "probe", "audit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that is wrong with a program, told so that a model can mend it."""

    stage: Stage
    kind: Kind
    rule: str
    """Short name of the rule (``import``, ``shape``, ``finite`` ...)."""
    message: str
    line: int | None = None
    """Line of the program's source, where there is one."""


class CandidateError(Exception):
    """A bad design: feedback for the designer, never a traceback for the user."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.message)
        self.violation = violation


class InfraError(Exception):
    """The sandbox (or a model, or a device) is unavailable: retried, then the run stops resumable, exit code 3."""
