"""The worker's parts by themselves, on programs of ours, and the zygote's watch over its children.

No jail stands around them here: how they hold hostile code is for ``test_attacks``, this is what they compute.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sandbox.bootstrap import MODULES
from sandbox.frames import decode
from sandbox.host import arrays_of
from sandbox.lock import self_test
from sandbox.program import ENTRY_POINT
from sandbox.wire import MAX_MEMORY_BYTES, write_frame
from sandbox.worker import Fault, arrays_in, column, columns, complaint, evaluate, load, remembered, walk, written
from sandbox.zygote import collect, prepare
from tests.sandbox.canaries import example_call

CALL = example_call(rows=5, steps=4)
ENTRY = ENTRY_POINT["reward"]
HEADER = "import numpy as np\n"
PLAIN = (
    HEADER + "def compute_reward(s, a, n):\n    return {'gain': n['x'][:, 0] - s['x'][:, 0], 'one': np.ones(len(a))}\n"
)
SHAPED = PLAIN + "def potential(s):\n    return s['x'][:, 1]\n"
COUNTING = """
import numpy as np

def init_memory(batch_size):
    return {"steps": np.zeros(batch_size)}

def compute_reward(state, action, next_state, memory):
    steps = memory["steps"] + 1
    return {"steps": steps}, {"steps": steps}
"""


def request(**more: Any) -> dict[str, Any]:
    return {"entry": ENTRY, "steps": 4, "rows": 5, **more}


def faulty(act: Callable[[], Any]) -> Fault:
    with pytest.raises(Fault) as caught:
        act()
    return caught.value


def test_components_and_potentials_are_the_programs_own() -> None:
    given, _ = arrays_of(CALL)
    header, parts = evaluate(load(SHAPED, ENTRY), request(), given)
    assert header == {"components": ["gain", "one"], "potential": True, "memory": None}
    gain, one, before, after = parts
    np.testing.assert_array_equal(gain, (CALL.next_state["x"] - CALL.state["x"])[..., 0].ravel())
    np.testing.assert_array_equal(one, np.ones(20, np.float32))
    np.testing.assert_array_equal(before, CALL.state["x"][..., 1].ravel())
    np.testing.assert_array_equal(after, CALL.next_state["x"][..., 1].ravel())


def test_memory_is_walked_in_time_and_starts_anew_after_an_end() -> None:
    given, _ = arrays_of(CALL)
    given["ended"] = np.zeros((4, 5), bool)
    given["ended"][1, 2] = True
    names = load(COUNTING, ENTRY)
    found, memory = walk(names, ENTRY, given, 4, 5)
    steps = found["steps"].reshape(4, 5)
    assert steps[:, 0].tolist() == [1, 2, 3, 4] and steps[:, 2].tolist() == [1, 2, 1, 2]
    assert memory["steps"].tolist() == [4, 4, 2, 4, 4]
    again, _ = walk(names, ENTRY, {**given, "memory/steps": memory["steps"]}, 4, 5)
    assert again["steps"].reshape(4, 5)[0].tolist() == [5, 5, 3, 5, 5]
    header, parts = evaluate(names, request(), given)
    assert header["memory"] == [["steps", "float64", [5]]] and len(parts) == 2


@pytest.mark.parametrize(
    ("value", "rule", "words"),
    [
        (np.zeros(4), "shape", "from call to call"),
        (1.0, "shape", "np.full(len(action)"),
        (np.zeros((5, 2)), "shape", "axis=1"),
        (np.zeros(5, complex), "dtype", "real numbers"),
        (np.array([0, 0, np.nan, 0, np.inf]), "finite", "2 of 5 rows"),
        (np.full(5, 1e9), "magnitude", "bound"),
    ],
)
def test_a_column_that_is_none_says_why(value: Any, rule: str, words: str) -> None:
    fault = faulty(lambda: column("component 'r'", value, 5))
    assert (fault.kind, fault.rule) == ("invalid", rule) and words in str(fault)


@pytest.mark.parametrize("result", [None, {}, {"a b": np.zeros(5)}, {1: np.zeros(5)}, {"x" * 65: np.zeros(5)},
                                    {f"c{i}": np.zeros(5) for i in range(33)}])  # fmt: skip
def test_components_have_names_and_a_number(result: Any) -> None:
    assert faulty(lambda: columns(result, ENTRY, 5)).rule == "components"


@pytest.mark.parametrize(
    ("value", "like"),
    [
        (None, None),
        ({"m": np.zeros(4)}, None),
        ({"m": np.array([None] * 5)}, None),
        ({f"m{i}": np.zeros(5) for i in range(17)}, None),
        ({"m": np.zeros((5, MAX_MEMORY_BYTES // 8))}, None),
        ({"n": np.zeros(5)}, {"m": np.zeros(5)}),
        ({"m": np.zeros((5, 2))}, {"m": np.zeros(5)}),
        ({"m": np.zeros(5)}, {"m": np.zeros(5, np.int64)}),
    ],
)
def test_memory_is_typed_and_capped(value: Any, like: Any) -> None:
    assert faulty(lambda: remembered(value, 5, like)).rule == "memory"


def test_memory_keeps_its_dtype() -> None:
    kept = remembered({"m": np.ones(5, np.float64)}, 5, {"m": np.zeros(5, np.float32)})
    assert kept["m"].dtype == np.float32


def test_component_names_may_not_change_between_steps() -> None:
    source = COUNTING.replace('{"steps": steps}, {', '{"a" if steps.max() > 1 else "b": steps}, {')
    given, _ = arrays_of(CALL)
    assert "differ" in str(faulty(lambda: walk(load(source, ENTRY), ENTRY, given, 4, 5)))
    single = COUNTING.replace('return {"steps": steps}, {"steps": steps}', 'return {"steps": steps}')
    assert "(components, memory)" in str(faulty(lambda: walk(load(single, ENTRY), ENTRY, given, 4, 5)))


@pytest.mark.parametrize(
    ("source", "rule"),
    [("def compute_reward(:", "compile"), ("x = 1", "entry_point"), ("compute_reward = 3", "entry_point"),
     ("\0", "compile")],
)  # fmt: skip
def test_what_cannot_be_loaded_is_a_setup_fault(source: str, rule: str) -> None:
    fault = faulty(lambda: load(source, ENTRY))
    assert (fault.kind, fault.rule) == ("setup", rule)


def told(source: str) -> Any:
    given, _ = arrays_of(CALL)
    try:
        evaluate(load(source, ENTRY), request(), given)
    except BaseException as error:
        return complaint(error)["error"]
    raise AssertionError("the program did not fail")


def test_a_complaint_names_kind_rule_and_the_programs_own_line() -> None:
    failing = HEADER + "def inner(x):\n    return 1 / x\ndef compute_reward(s, a, n):\n    return {'r': inner(0)}\n"
    assert told(failing) == {
        "kind": "exception", "rule": "ZeroDivisionError", "message": "ZeroDivisionError: division by zero", "line": 3,
    }  # fmt: skip
    assert told("def compute_reward(:")["line"] == 1
    assert told(HEADER + "def compute_reward(s, a, n):\n    raise MemoryError\n")["kind"] == "memory"
    noisy = told(HEADER + "def compute_reward(s, a, n):\n    raise ValueError('\\x1b[31m' + 'a' * 5000)\n")
    assert noisy["message"].isprintable() and len(noisy["message"]) <= 600


def test_writes_into_the_inputs_are_found_by_name() -> None:
    entries = [["state/x", "float64", [4], 0], ["action", "int64", [4], 64]]
    mine, kept = bytearray(128), bytes(128)
    assert written({"arrays": entries}, mine, kept) == []
    arrays_in({"arrays": entries}, mine)["action"][2] = 7
    assert written({"arrays": entries}, mine, kept) == ["action"]
    mine[63] = 1
    assert written({"arrays": entries}, mine, kept) == ["action"], "padding belongs to nobody"


@pytest.fixture
def forked() -> Iterator[Callable[[Callable[[int], Any]], tuple[int, int]]]:
    """Starts a child that runs a function on the write end of a pipe; its id and the read end."""
    ends: list[int] = []

    def start(act: Callable[[int], Any]) -> tuple[int, int]:
        receive, send = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(receive)
                act(send)
                status = 0
            finally:
                os._exit(status)
        os.close(send)
        ends.append(receive)
        return pid, receive

    # The zygote listens to its host on descriptor 0; here one that never hangs up.
    kept, (quiet, held) = os.dup(0), os.pipe()
    os.dup2(quiet, 0)
    yield start
    os.dup2(kept, 0)
    for end in (*ends, kept, quiet, held):
        os.close(end)


def test_an_answer_is_collected_to_the_byte(forked: Any) -> None:
    pid, answer = forked(lambda send: write_frame(send, {"components": ["r"]}, [np.arange(3, dtype=np.float32)]))
    ended = collect(pid, answer, 5.0, 1 << 20)
    assert (ended.end, ended.code, ended.gone) == ("exit", 0, False)
    os.waitpid(pid, 0)
    frame = decode(bytes(ended.said), max_body=12)
    assert frame.header == {"components": ["r"]} and len(frame.body) == 12


def test_a_child_that_has_answered_is_not_waited_for(forked: Any) -> None:
    def answers_and_stays(send: int) -> None:
        write_frame(send, {}, [])
        os.close(send)
        time.sleep(60)

    began = time.monotonic()
    pid, answer = forked(answers_and_stays)
    ended = collect(pid, answer, 30.0, 100)
    assert (ended.end, ended.gone) == ("exit", False)
    assert time.monotonic() - began < 2
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_child_that_is_late_loud_or_killed_is_named_so(forked: Any) -> None:
    began = time.monotonic()
    assert collect(*forked(lambda send: time.sleep(60)), 0.2, 100)[0] == "deadline"
    assert time.monotonic() - began < 2

    def closed_and_stays(send: int) -> None:
        os.close(send)
        time.sleep(60)

    assert collect(*forked(closed_and_stays), 0.2, 100)[0] == "deadline"
    # Whether it is gone by then is not sure on a busy machine: there is a limit to how long it is waited for.
    assert collect(*forked(lambda send: os.write(send, bytes(200))), 5.0, 100)[:3] == ("output_limit", 0, b"")
    assert collect(*forked(lambda send: os.kill(os.getpid(), signal.SIGKILL)), 5.0, 100) == ("signal", 9, b"", True)
    assert collect(*forked(lambda send: os._exit(3)), 5.0, 100) == ("exit", 3, b"", True)


def test_a_host_that_is_gone_ends_the_child(forked: Any) -> None:
    receive, send = os.pipe()
    kept = os.dup(0)
    os.dup2(receive, 0)
    os.close(receive)
    os.close(send)
    try:
        assert collect(*forked(lambda send: time.sleep(60)), 30.0, 100)[0] == "host"
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_this_kernel_holds_the_lock() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    assert self_test(pages + (256 << 20)) == ()


def test_a_worker_forgets_its_environment_and_knows_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    try:
        assert prepare(["json"]) > 1 << 20
        assert dict(os.environ) == {}
    finally:
        os.environ.update(before)


def test_all_that_runs_in_a_jail_is_sent_there() -> None:
    assert set(MODULES) == {"", "lock", "wire", "worker", "zygote", "jail"}
