"""What a worker's frame means: an answer in bounds, or what is wrong with the program. Runs on the host."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sandbox.errors import CandidateError, Kind, Violation
from sandbox.frames import MAX_HEADER, Frame, Malformed, decode, split
from sandbox.service import Answer, Array
from sandbox.wire import (
    DTYPES,
    MAX_COMPONENTS,
    MAX_DIMENSIONS,
    MAX_MAGNITUDE,
    MAX_MEMORY_ARRAYS,
    MAX_MEMORY_BYTES,
    MAX_MESSAGE,
    MAX_NAME,
    MEMORY_EXIT,
    PREFIX,
)

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
CLAIMS: dict[str, Kind] = {k: k for k in ("setup", "exception", "memory", "invalid")}
"""What a child may say of its own program; all else is for the zygote and the host to say."""
ENDS = frozenset({"exit", "signal", "deadline", "output_limit"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the host asked for, and so the only shapes that it takes."""

    steps: int
    rows: int
    inputs: frozenset[str]
    """Names of the input arrays."""

    @property
    def limit(self) -> int:
        """The most bytes that a child may write."""
        values = (MAX_COMPONENTS + 2) * 4 * self.steps * self.rows
        return PREFIX.size + MAX_HEADER + values + MAX_MEMORY_BYTES


def failure(kind: Kind, rule: str, message: str, line: int | None = None) -> CandidateError:
    """A bad program, as the error that the designer hears of."""
    return CandidateError(Violation(stage="sandbox", kind=kind, rule=rule, message=message, line=line))


def read_end(frame: Frame, deadline: float) -> memoryview:
    """The bytes that a child left behind, if it ended as it should. Raises CandidateError or Malformed."""
    end, code = frame.header.get("end"), frame.header.get("code")
    if not isinstance(end, str) or end not in ENDS or type(code) is not int:
        raise Malformed("the worker does not say how its child ended")
    if end == "deadline" or (end == "signal" and code == signal.SIGXCPU):
        raise failure("timeout", "deadline", f"no answer within {deadline:g} s")
    if end == "output_limit":
        raise failure("output_limit", "output", "the program wrote more than an answer can hold")
    if end == "signal":
        names = {int(number): number.name for number in signal.Signals}
        raise failure("killed", "signal", f"the program's process was ended by {names.get(code, code)}")
    if code == MEMORY_EXIT:
        raise failure("memory", "memory", "the program needs more memory than it may have")
    return frame.body


def read_child(data: memoryview, limit: int) -> Frame:
    """The child's own frame. Raises CandidateError: what it complains of, or ``protocol``."""
    try:
        frame = decode(data, max_body=limit)
    except Malformed as error:
        raise failure("protocol", "frame", f"the program left no answer: {error}") from error
    if "error" in frame.header:
        raise complaint(frame.header["error"])
    return frame


def complaint(said: Any) -> CandidateError:
    """A child's own words about its program, cut to size."""
    if not isinstance(said, dict) or not isinstance(said.get("message"), str):
        return failure("protocol", "frame", "the program left no answer")
    kind, rule, line = said.get("kind"), said.get("rule"), said.get("line")
    if not isinstance(kind, str) or kind not in CLAIMS:
        return failure("protocol", "frame", "the program's answer names no kind of error that it may name")
    text = "".join(letter if letter.isprintable() else " " for letter in said["message"][:MAX_MESSAGE])
    at = line if type(line) is int and 0 < line < 1 << 20 else None
    return failure(CLAIMS[kind], rule if isinstance(rule, str) and NAME.fullmatch(rule) else kind, text, at)


def read_answer(frame: Frame, expected: Expected) -> Answer:
    """The answer to a call, every number in bounds. Raises CandidateError (``protocol`` or ``invalid``)."""
    try:
        names, memory, mutated = header_of(frame.header, expected)
        batch = (expected.steps, expected.rows)
        singles = 2 if frame.header["potential"] else 0
        parts = [("float32", batch)] * (len(names) + singles) + [(dtype, shape) for _, dtype, shape in memory or ()]
        arrays = split(frame.body, parts)
    except Malformed as error:
        raise failure("protocol", "frame", str(error)) from error
    floats = arrays[: len(names) + singles]
    for label, values in zip([*names, "potential(state)", "potential(next_state)"], floats, strict=False):
        in_bounds(label, values)
    left = arrays[len(floats) :]
    return Answer(
        components=dict(zip(names, floats, strict=False)),
        potential=floats[-2] if singles else None,
        next_potential=floats[-1] if singles else None,
        memory=None if memory is None else {name: a for (name, _, _), a in zip(memory, left, strict=True)},
        mutated=mutated,
    )


Remembered = list[tuple[str, str, tuple[int, ...]]]


def header_of(header: Mapping[str, Any], expected: Expected) -> tuple[list[str], Remembered | None, tuple[str, ...]]:
    """Component names, memory's layout and mutated inputs that ``header`` claims. Raises Malformed."""
    names, mutated = header.get("components"), header.get("mutated")
    if type(header.get("potential")) is not bool or not isinstance(names, list) or not isinstance(mutated, list):
        raise Malformed("the program's answer lacks a field")
    if not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
        raise Malformed(f"a component's name is no identifier of at most {MAX_NAME} letters")
    if not 1 <= len(names) <= MAX_COMPONENTS or len(set(names)) != len(names):
        raise Malformed(f"the program's answer has not 1 to {MAX_COMPONENTS} different components")
    if not all(isinstance(name, str) and name in expected.inputs for name in mutated):
        raise Malformed("the program's answer names an input that it did not get")
    memory = header.get("memory")
    return names, None if memory is None else memory_of(memory, expected.rows), tuple(dict.fromkeys(mutated))


def memory_of(said: Any, rows: int) -> Remembered:
    """The layout of a program's memory, within its caps. Raises Malformed."""
    if not isinstance(said, list) or len(said) > MAX_MEMORY_ARRAYS:
        raise Malformed("the program's memory is no short list of arrays")
    parts: Remembered = []
    total = 0
    for entry in said:
        if not isinstance(entry, list) or len(entry) != 3:
            raise Malformed("an array of the program's memory lacks a name, dtype or shape")
        name, dtype, shape = entry
        if not isinstance(name, str) or not NAME.fullmatch(name) or not isinstance(dtype, str) or dtype not in DTYPES:
            raise Malformed("an array of the program's memory has a bad name or dtype")
        if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or shape[:1] != [rows]:
            raise Malformed("an array of the program's memory has a bad shape")
        if not all(type(size) is int and 0 <= size <= MAX_MEMORY_BYTES for size in shape):
            raise Malformed("an array of the program's memory has a bad size")
        count = np.dtype(dtype).itemsize
        for size in shape:
            # A size of zero must not hide others whose product no array can have.
            count *= max(size, 1)
        total += count
        parts.append((name, dtype, tuple(shape)))
    if total > MAX_MEMORY_BYTES or len({name for name, _, _ in parts}) != len(parts):
        raise Malformed("the program's memory is too large, or names an array twice")
    return parts


def in_bounds(label: str, values: Array) -> None:
    """Raise CandidateError (``invalid``) unless every value is finite and of bounded magnitude."""
    low, high = float(values.min()), float(values.max())
    if not (low >= -MAX_MAGNITUDE and high <= MAX_MAGNITUDE):
        rule = "magnitude" if np.isfinite(low) and np.isfinite(high) else "finite"
        raise failure("invalid", rule, f"{label} spans {low:g} to {high:g}; the bound is {MAX_MAGNITUDE:g}")
