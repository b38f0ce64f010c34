"""The sandbox as a function service: arrays in, named numbers out, whatever stands between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from numpy.typing import NDArray

from sandbox.program import RewardProgram

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """``R`` rows walked for ``T`` steps in time order; every array is ``(T, R, ...)``."""

    state: Mapping[str, Array]
    action: Array
    next_state: Mapping[str, Array]
    ended: Array
    """``(T, R)`` bool: the episode ended with this step, so the row's memory starts anew after it."""
    memory: Mapping[str, Array] | None = None
    """What the last call left, each ``(R, ...)``; None starts anew. Ignored for programs without memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a program answered, checked by the host: finite, float32, in bounds."""

    components: Mapping[str, Array]
    """Each ``(T, R)`` float32."""
    potential: Array | None
    """``(T, R)`` float32 of ``state``, or None without a ``potential``."""
    next_potential: Array | None
    """``(T, R)`` float32 of ``next_state``."""
    memory: Mapping[str, Array] | None
    """Each ``(R, ...)``; None for programs without memory."""
    mutated: tuple[str, ...] = ()
    """Names of input arrays that the program wrote into (its own copies: the host's are untouched)."""


class RewardService(Protocol):
    """One program, held in a jail, answering calls; a fresh process for each call."""

    program: RewardProgram

    def evaluate(self, call: Call, *, salt: int = 0, deadline: float = 10.0) -> Answer:
        """Answer one call.

        ``salt`` seeds every random generator in the jail: two salts, two answers, shows a program that draws.
        ``deadline`` is in seconds on the host's clock.

        Raises ``CandidateError`` (the program is bad) or ``InfraError`` (the jail is gone).
        """

    def close(self) -> None:
        """End the jail; nothing of it stays behind."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Sandbox(Protocol):
    """A way to hold programs: Docker, or the embedded jail."""

    name: str
    """``docker`` or ``embedded``."""
    layers: tuple[str, ...]
    """The walls in force, outermost first."""
    missing: tuple[str, ...]
    """Walls that this kernel or engine lacks."""

    def describe(self) -> str:
        """One or two plain sentences: which sandbox runs, and what it does not defend."""

    def serve(self, program: RewardProgram) -> RewardService:
        """A new jail for this program. Raises ``CandidateError`` (``setup``) or ``InfraError``."""
