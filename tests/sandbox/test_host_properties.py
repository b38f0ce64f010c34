"""Whatever a worker sends, however it is cut and wherever it ends: a typed outcome, in bounded memory and time."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.answers import Expected
from sandbox.errors import KINDS, CandidateError, InfraError
from sandbox.frames import encode
from sandbox.host import JailedService
from sandbox.link import Gone, Late
from sandbox.pool import Pool
from sandbox.program import RewardProgram
from sandbox.service import Answer
from sandbox.started import Worker
from sandbox.wire import DTYPES, MAGIC, PREFIX
from tests.sandbox.canaries import example_call

CALL = example_call(rows=8, steps=2)
READY = encode({"layers": [], "missing": [], "broken": []})
CHECKED = encode({"checked": True})
GOOD = {"components": ["r"], "potential": False, "memory": None, "mutated": []}
FLOOD = 64 << 20
"""Bytes that a flooding worker is ready to send."""
SLACK = 4 << 20
"""Bytes beyond the announced cap that the host may take while it reads."""


class Scripted:
    """A link to a worker that says what it was told to, in pieces, and then is gone, silent, or floods."""

    def __init__(self, said: bytes, pieces: int, end: str) -> None:
        self.said, self.pieces, self.end = memoryview(said), max(1, pieces), end
        self.sent = 0

    def write(self, data: memoryview, until: float) -> None:
        """Nobody listens."""

    def read(self, size: int, until: float) -> bytes:
        size = min(size, self.pieces)
        if len(self.said):
            part, self.said = bytes(self.said[:size]), self.said[size:]
        elif self.end == "gone" or self.sent > FLOOD:
            raise Gone
        elif self.end == "silent":
            raise Late
        else:
            part = b"\xff" * size
        self.sent += len(part)
        return part

    def kill(self) -> None:
        """It is not there anyway."""


def asked(answer: bytes, *, pieces: int = 1 << 16, end: str = "gone") -> tuple[Answer | BaseException, list[Scripted]]:
    """What comes of a call to a worker that starts well and then says ``answer``; and its links."""
    links: list[Scripted] = []

    def start(hash_seed: int) -> Worker:
        links.append(Scripted(READY + zygote(CHECKED) + answer, pieces, end))
        return Worker(links[-1], None)

    with JailedService(RewardProgram("scripted"), Pool(start, ahead=0), memory=0) as service:
        try:
            return service.evaluate(CALL, deadline=5.0), links
        except (CandidateError, InfraError) as error:
            return error, links


def zygote(body: bytes, header: Any = None) -> bytes:
    """A frame of the zygote's around what a child said."""
    return encode({"end": "exit", "code": 0} if header is None else header, len(body)) + body


def child(header: Any, body: bytes) -> bytes:
    return encode(header, len(body)) + body


def judged(found: Answer | BaseException) -> None:
    """An answer is in bounds; anything else is one of the two families, named from the closed list."""
    if isinstance(found, Answer):
        assert set(found.mutated) <= {"state/x", "next_state/x", "action", "ended"}
        for values in found.components.values():
            assert values.shape == (2, 8) and values.dtype == np.float32 and np.isfinite(values).all()
    elif isinstance(found, CandidateError):
        assert found.violation.kind in KINDS and found.violation.kind != "worker_died"
        assert found.violation.message.isprintable()
        assert len(found.violation.message) <= 700
    else:
        assert isinstance(found, InfraError)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
names = st.sampled_from(["r", "potential", "a b", "", "x" * 65, "é", "r\n", "__class__"])
dtypes = st.sampled_from([*sorted(DTYPES), "object", "U9", "V4"])
memories = st.lists(st.tuples(names, dtypes, st.lists(st.integers(-1, 2**40), max_size=4)), max_size=3)
complaints = st.fixed_dictionaries(
    {}, optional={"kind": st.sampled_from([*KINDS, "fine"]) | values, "rule": values, "message": values, "line": values}
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "components": st.lists(names, max_size=4) | values,
        "potential": st.booleans() | values,
        "memory": st.none() | memories | values,
        "mutated": st.lists(st.sampled_from(["state/x", "action", "../x"]), max_size=2) | values,
        "error": complaints | values,
        "checked": values,
    },
)  # fmt: skip
ends = st.sampled_from(["gone", "silent", "flood"])
SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(st.binary(max_size=200), st.integers(1, 40), ends)
@SETTINGS
def test_noise(said: bytes, pieces: int, end: str) -> None:
    judged(asked(said, pieces=pieces, end=end)[0])


@given(headers, st.binary(max_size=200) | st.floats(width=32).map(lambda v: np.full(16, v, "<f4").tobytes()), ends)
@SETTINGS
def test_a_childs_frame_of_any_header_and_body(header: Any, body: bytes, end: str) -> None:
    judged(asked(zygote(child(header, body)), end=end)[0])


@given(st.dictionaries(st.sampled_from(["end", "code", "x"]), values, max_size=3), st.binary(max_size=99), ends)
@SETTINGS
def test_a_zygote_that_was_taken_over(header: Any, body: bytes, end: str) -> None:
    judged(asked(zygote(body, header), end=end)[0])


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
@SETTINGS
def test_sizes_that_are_announced_and_not_sent(a: int, b: int, c: int, d: int) -> None:
    inner = PREFIX.pack(MAGIC, c, d) + b"{}"
    judged(asked(PREFIX.pack(MAGIC, a, b) + b"{}")[0])
    judged(asked(zygote(inner))[0])


@given(st.data())
@SETTINGS
def test_a_good_answer_cut_or_changed_anywhere(data: st.DataObject) -> None:
    whole = bytearray(zygote(child(GOOD, np.arange(16, dtype="<f4").tobytes())))
    found, _ = asked(bytes(whole))
    assert isinstance(found, Answer)
    at = data.draw(st.integers(0, len(whole) - 1))
    judged(asked(bytes(whole[:at]), end=data.draw(ends))[0])
    whole[at] ^= data.draw(st.integers(1, 255))
    judged(asked(bytes(whole))[0])


@pytest.mark.parametrize("pieces", [4096, 1 << 20])
def test_a_flood_is_cut_at_the_cap_and_costs_no_more(pieces: int) -> None:
    cap = Expected(steps=2, rows=8, inputs=frozenset()).limit
    tracemalloc.start()
    began = time.monotonic()
    try:
        found, links = asked(PREFIX.pack(MAGIC, 2, cap) + b"{}", pieces=pieces, end="flood")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    judged(found)
    assert isinstance(found, CandidateError) and found.violation.kind == "protocol"
    assert all(link.sent <= cap + 1024 for link in links)
    assert peak < 2 * cap + SLACK
    assert time.monotonic() - began < 20


def test_a_header_is_never_larger_than_its_cap() -> None:
    found, links = asked(PREFIX.pack(MAGIC, 2**32 - 1, 0), end="flood")
    assert isinstance(found, CandidateError) and links[0].sent < 1024


def test_deep_json_is_a_protocol_error() -> None:
    for text in (b"[" * 60_000, b'{"a":' * 10_000, json.dumps({"components": "r" * 60_000}).encode()):
        found, _ = asked(zygote(PREFIX.pack(MAGIC, len(text), 0) + text))
        assert isinstance(found, CandidateError) and found.violation.kind == "protocol"
