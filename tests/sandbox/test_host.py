"""The host against workers that lie, flood, stall or die: its own clock and its own caps decide."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import sandbox.wire
from sandbox.answers import Expected
from sandbox.errors import CandidateError, InfraError
from sandbox.frames import encode
from sandbox.host import JailedService
from sandbox.link import PipeLink
from sandbox.pool import Pool
from sandbox.program import RewardProgram
from sandbox.started import Worker
from tests.sandbox.canaries import example_call

WIRE = Path(sandbox.wire.__file__)
CALL = example_call()
READY = '{"layers": [], "missing": [], "broken": []}'
HEADER = f"""
import importlib.util, json, os, struct, sys, time
spec = importlib.util.spec_from_file_location("wire", {str(WIRE)!r})
wire = importlib.util.module_from_spec(spec)
spec.loader.exec_module(wire)
wire.write_frame(1, json.loads({READY!r}), [])
def child(header, body=b""):
    text = json.dumps(header).encode()
    wire.write_frame(1, {{"end": "exit", "code": 0}}, [wire.PREFIX.pack(wire.MAGIC, len(text), len(body)), text, body])
if wire.read_frame(0)[0]["op"] == "check":
    child({{"checked": True}})
    wire.read_frame(0)
"""
GOOD = '{"components": ["r"], "potential": False, "memory": None, "mutated": []}'


def liar(script: str) -> Callable[[int], Worker]:
    """Starts fake workers that check any program, and then behave as ``script`` says."""

    def start(hash_seed: int) -> Worker:
        command = [sys.executable, "-S", "-c", HEADER + script]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0)
        return Worker(PipeLink(process), None)

    return start


def asked(script: str, deadline: float = 5.0) -> BaseException | None:
    """What comes of a call to a fake worker."""
    with JailedService(RewardProgram("fake"), Pool(liar(script), ahead=0), memory=0) as service:
        try:
            service.evaluate(CALL, deadline=deadline)
        except (CandidateError, InfraError) as error:
            return error
    return None


def kind(error: BaseException | None) -> str:
    return error.violation.kind if isinstance(error, CandidateError) else type(error).__name__


def test_a_true_answer_of_a_fake_worker_is_taken() -> None:
    assert asked(f"child({GOOD}, bytes(256)); wire.read_frame(0)") is None


@pytest.mark.parametrize(
    "script",
    [
        "os.write(1, wire.PREFIX.pack(wire.MAGIC, 10, 2 << 30)); time.sleep(60)",
        "os.write(1, wire.PREFIX.pack(wire.MAGIC, 2 << 30, 0)); time.sleep(60)",
        "os.write(1, b'x' * 100); time.sleep(60)",
        "os.write(1, wire.PREFIX.pack(wire.MAGIC, 2, 0) + b'[]'); time.sleep(60)",
        "wire.write_frame(1, {'end': 'fine', 'code': 0}, []); time.sleep(60)",
        "wire.write_frame(1, {'end': 'exit', 'code': True}, []); time.sleep(60)",
        "wire.write_frame(1, {'end': 'exit', 'code': 0}, [b'junk']); time.sleep(60)",
        f"child({GOOD}, bytes(255)); time.sleep(60)",
        f"child({GOOD}, bytes(260)); time.sleep(60)",
        f"child({{**{GOOD}, 'components': ['r', 'r']}}, bytes(512)); time.sleep(60)",
        f"child({{**{GOOD}, 'components': ['not a name']}}, bytes(256)); time.sleep(60)",
        f"child({{**{GOOD}, 'components': [1]}}, bytes(256)); time.sleep(60)",
        f"child({{**{GOOD}, 'components': []}}); time.sleep(60)",
        f"child({{**{GOOD}, 'potential': 1}}, bytes(256)); time.sleep(60)",
        f"child({{**{GOOD}, 'mutated': ['made up']}}, bytes(256)); time.sleep(60)",
        f"child({{**{GOOD}, 'memory': [['m', 'object', [64]]]}}, bytes(768)); time.sleep(60)",
        f"child({{**{GOOD}, 'memory': [['m', 'float64', [64, 1 << 24, 1 << 24, 1 << 24]]]}}); time.sleep(60)",
        f"child({{**{GOOD}, 'memory': [['m', 'bool', [-64]]]}}, bytes(256)); time.sleep(60)",
        f"child({{**{GOOD}, 'memory': [['m', 'bool', [64]], ['m', 'bool', [64]]]}}, bytes(384)); time.sleep(60)",
        "child({'error': {'kind': 'worker_died', 'message': 'not mine'}}); time.sleep(60)",
        "child({'error': 'none'}); time.sleep(60)",
        "child({'checked': True}); time.sleep(60)",
    ],
)
def test_a_lie_is_a_protocol_error(script: str) -> None:
    began = time.monotonic()
    assert kind(asked(script)) == "protocol"
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("value", ["float('nan')", "float('inf')", "-1.1e6", "1e30"])
def test_numbers_out_of_bounds_are_refused_by_the_host_itself(value: str) -> None:
    body = f"struct.pack('f', 0.0) * 63 + struct.pack('f', {value})"
    assert kind(asked(f"child({GOOD}, {body}); wire.read_frame(0)")) == "invalid"


@pytest.mark.parametrize(
    "script",
    [
        "time.sleep(60)",
        "while True:\n    os.write(1, b'R'); time.sleep(0.3)",
        "os.write(1, wire.PREFIX.pack(wire.MAGIC, 2, 100) + b'{}' + bytes(99)); time.sleep(60)",
    ],
)
def test_a_slow_worker_ends_at_the_hosts_own_deadline(script: str) -> None:
    began = time.monotonic()
    error = asked(script, deadline=0.5)
    assert kind(error) == "timeout"
    # A second for starting the fake worker's interpreter.
    assert time.monotonic() - began < 0.5 + 0.15 + 1.0


def test_a_worker_that_dies_is_started_once_more_and_never_blamed_on_the_program() -> None:
    starts: list[int] = []
    begin = liar("os._exit(1)")

    def counted(hash_seed: int) -> Worker:
        starts.append(hash_seed)
        return begin(hash_seed)

    with JailedService(RewardProgram("fake"), Pool(counted, ahead=0), memory=0) as service, pytest.raises(InfraError):
        service.evaluate(CALL)
    assert len(starts) == 2


def test_a_program_that_answers_before_it_is_asked_does_not_pass_its_check() -> None:
    """Its top level wrote a frame of its own, and left."""
    forged = HEADER.replace('child({"checked": True})', "child({})")

    def start(hash_seed: int) -> Worker:
        pipe = subprocess.PIPE
        process = subprocess.Popen([sys.executable, "-S", "-c", forged], stdin=pipe, stdout=pipe, bufsize=0)
        return Worker(PipeLink(process), None)

    with pytest.raises(CandidateError) as found:
        JailedService(RewardProgram("fake"), Pool(start, ahead=0), memory=0)
    assert found.value.violation.kind == "protocol"


def test_an_engine_that_takes_its_time_does_not_hold_up_the_error() -> None:
    """What is late is ended beside the error, not before it."""
    ended: list[float] = []

    class Slow(PipeLink):
        def kill(self) -> None:
            time.sleep(1.5)
            super().kill()
            ended.append(time.monotonic())

    def start(hash_seed: int) -> Worker:
        pipe = subprocess.PIPE
        command = [sys.executable, "-S", "-c", HEADER + "time.sleep(60)"]
        return Worker(Slow(subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0)), None)

    service = JailedService(RewardProgram("fake"), Pool(start, ahead=0), memory=0)
    began = time.monotonic()
    with pytest.raises(CandidateError) as found:
        service.evaluate(CALL, deadline=0.3)
    assert time.monotonic() - began < 0.3 + 0.15
    assert found.value.violation.kind == "timeout"
    time.sleep(max(0.0, began + 3 - time.monotonic()))
    assert len(ended) == 1


def test_words_of_a_child_are_cut_and_cleaned() -> None:
    said = "{'kind': 'exception', 'rule': 'x y', 'message': '\\x1b[31m' + 'a' * 5000, 'line': 10 ** 9}"
    error = asked(f"child({{'error': {said}}}); time.sleep(60)")
    assert isinstance(error, CandidateError)
    assert error.violation.message.isprintable()
    assert len(error.violation.message) <= 600
    assert (error.violation.rule, error.violation.line) == ("exception", None)


def test_a_kernel_without_the_lock_is_refused() -> None:
    broken = HEADER.replace('"broken": []', '"broken": ["open", "fork"]')
    command = [sys.executable, "-S", "-c", broken]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    with pytest.raises(InfraError, match=r"open, fork.*docker"):
        Worker(PipeLink(process), None).await_ready()


def test_the_most_that_is_read_is_known_beforehand() -> None:
    expected = Expected(steps=1, rows=64, inputs=frozenset())
    assert len(encode({}, 0)) < expected.limit < 17 << 20
