"""The function service, the same in every jail: what it computes, and how it says what is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from sandbox.container import DockerSandbox
from sandbox.errors import CandidateError, Violation
from sandbox.host import JailedService
from sandbox.pool import Pool
from sandbox.program import Form, RewardProgram
from sandbox.service import Answer, Call, Sandbox
from tests.sandbox.canaries import example_call

CALL = example_call(rows=8, steps=6)


def answer(sandbox: Sandbox, source: str, call: Call = CALL, *, form: Form = "reward", **options: Any) -> Answer:
    with sandbox.serve(RewardProgram("import numpy as np\n" + source, form)) as service:
        return service.evaluate(call, **options)


def violation(sandbox: Sandbox, source: str, call: Call = CALL) -> Violation:
    with pytest.raises(CandidateError) as caught:
        answer(sandbox, source, call)
    return caught.value.violation


def reward(body: str) -> str:
    return f"def compute_reward(state, action, next_state):\n    return {body}\n"


def test_components_come_back_by_name_step_and_row(sandbox: Sandbox) -> None:
    found = answer(sandbox, reward("{'gain': next_state['x'][:, 0], 'cost': -0.5 * action}"))
    np.testing.assert_array_equal(found.components["gain"], CALL.next_state["x"][..., 0])
    np.testing.assert_array_equal(found.components["cost"], -0.5 * CALL.action)
    assert {a.dtype for a in found.components.values()} == {np.dtype(np.float32)}
    assert (found.potential, found.next_potential, found.memory, found.mutated) == (None, None, None, ())


def test_a_latent_program_has_its_own_entry_point(sandbox: Sandbox) -> None:
    source = "def compute_latent(state, action, next_state):\n    return {'f': state['x'][:, 1]}\n"
    found = answer(sandbox, source, form="latent")
    np.testing.assert_array_equal(found.components["f"], CALL.state["x"][..., 1])


def test_the_potential_of_both_states_comes_back(sandbox: Sandbox) -> None:
    source = reward("{'zero': np.zeros(len(action))}") + "def potential(state):\n    return state['x'].max(axis=1)\n"
    found = answer(sandbox, source)
    np.testing.assert_array_equal(found.potential, CALL.state["x"].max(axis=2))
    np.testing.assert_array_equal(found.next_potential, CALL.next_state["x"].max(axis=2))


MEMORY = """
def init_memory(batch_size):
    return {"best": np.full(batch_size, -np.inf, np.float32), "seen": np.zeros((batch_size, 2), np.int64)}

def compute_reward(state, action, next_state, memory):
    best = np.maximum(memory["best"], next_state["x"][:, 0])
    return {"best": best}, {"best": best, "seen": memory["seen"] + 1}
"""


def running_best(call: Call, best: Any) -> tuple[Any, Any]:
    """The reference: what ``MEMORY`` pays, walked by hand."""
    paid = []
    for values, ended in zip(call.next_state["x"][..., 0], call.ended, strict=True):
        best = np.maximum(best, values)
        paid.append(best)
        best = np.where(ended, -np.inf, best).astype(np.float32)
    return np.stack(paid), best


def test_memory_walks_in_time_and_starts_anew_after_an_episodes_end(sandbox: Sandbox) -> None:
    ended = np.random.default_rng(3).random((6, 8)) < 0.3
    call = dataclasses.replace(CALL, ended=ended)
    expected, left = running_best(call, np.full(8, -np.inf, np.float32))
    found = answer(sandbox, MEMORY, call)
    np.testing.assert_array_equal(found.components["best"], expected)
    assert found.memory is not None
    np.testing.assert_array_equal(found.memory["best"], left)
    assert found.memory["seen"].shape == (8, 2)
    assert found.memory["seen"].dtype == np.int64
    since = [6 - 1 - np.flatnonzero(column).max() if column.any() else 6 for column in ended.T]
    np.testing.assert_array_equal(found.memory["seen"][:, 0], since)


def test_memory_goes_on_from_the_last_call(sandbox: Sandbox) -> None:
    def part(steps: slice, memory: Mapping[str, Any] | None) -> Call:
        return Call(
            state={"x": CALL.state["x"][steps]},
            action=CALL.action[steps],
            next_state={"x": CALL.next_state["x"][steps]},
            ended=CALL.ended[steps],
            memory=memory,
        )

    whole = answer(sandbox, MEMORY)
    with sandbox.serve(RewardProgram("import numpy as np\n" + MEMORY)) as service:
        first = service.evaluate(part(slice(0, 4), None))
        second = service.evaluate(part(slice(4, 6), first.memory))
    joined = np.concatenate([first.components["best"], second.components["best"]])
    np.testing.assert_array_equal(joined, whole.components["best"])


@pytest.mark.parametrize(
    "update", ["{}", "{'best': memory['best'], 'seen': memory['seen'][:, 0]}", "None", "{'best': 1, 'seen': 2}"]
)
def test_memory_that_changes_its_shape_is_refused(sandbox: Sandbox, update: str) -> None:
    source = MEMORY.replace('{"best": best, "seen": memory["seen"] + 1}', update)
    found = violation(sandbox, source)
    assert (found.kind, found.rule) == ("invalid", "memory")


def test_a_step_apart_or_together_gives_the_same_bits(sandbox: Sandbox) -> None:
    source = reward("{'r': np.tanh(state['x'] @ np.ones((4, 1), np.float32))[:, 0]}")
    flat = Call(
        state={"x": CALL.state["x"].reshape(1, 48, 4)},
        action=CALL.action.reshape(1, 48),
        next_state={"x": CALL.next_state["x"].reshape(1, 48, 4)},
        ended=CALL.ended.reshape(1, 48),
    )
    one, other = answer(sandbox, source), answer(sandbox, source, flat)
    np.testing.assert_array_equal(one.components["r"].ravel(), other.components["r"].ravel())


EXPRESSIONS = (
    "np.sin(x[:, 0])", "np.exp(-x[:, 1] ** 2)", "np.tanh(x).sum(axis=1)", "np.linalg.norm(x, axis=1)",
    "np.median(x, axis=1)", "np.percentile(x, 30, axis=1)", "np.log1p(np.abs(x)).mean(axis=1)",
    "x @ np.arange(4, dtype=np.float32)", "np.einsum('bi,bj->b', x, x)", "np.arctan2(x[:, 0], x[:, 1])",
    "np.clip(x, -1, 1).prod(axis=1)", "np.sqrt(np.abs(x)).max(axis=1)", "np.fft.rfft(x, axis=1).real.sum(axis=1)",
    "np.where(x[:, 0] > 0, x[:, 1], x[:, 2])", "np.cumsum(x, axis=1)[:, -1]", "np.sort(x, axis=1)[:, 1]",
    "np.std(x, axis=1)", "np.power(np.abs(x[:, 0]), 0.3)", "np.hypot(x[:, 0], x[:, 3])", "x.astype(float).var(axis=1)",
    "np.dot(x, x.T).diagonal()", "np.linalg.det(x[:, :, None] * x[:, None, :] + np.eye(4))", "np.cbrt(x[:, 0])",
    "np.ma.masked_less(x, 0).mean(axis=1).filled(0)", "np.interp(x[:, 0], [-1, 1], [0, 1])", "np.round(x[:, 0], 2)",
    "np.linalg.solve(np.eye(4)[None] + x[:, :, None] * x[:, None, :], x[..., None])[:, 0, 0]",
    "np.logaddexp(x[:, 0], x[:, 1])", "np.cross(x[:, :3], x[:, 1:])[:, 0]", "np.sinc(x[:, 0])",
    "np.quantile(x, 0.7, axis=1)", "np.convolve(x[:, 0], [1.0])",
    "np.expm1(x[:, 2])", "np.log2(np.abs(x[:, 1]) + 1)", "np.log10(np.abs(x[:, 1]) + 1)", "np.arcsin(np.tanh(x[:, 0]))",
    "np.arccosh(np.abs(x[:, 0]) + 1)", "np.cosh(x[:, 3])", "np.exp2(x[:, 0])", "x[:, 0] ** 3 - x[:, 1] ** 2",
    "np.abs(x[:, 0]) ** 1.7", "np.fmod(x[:, 0], 0.3)", "np.remainder(x[:, 0], 0.3)", "np.deg2rad(x[:, 0] * 180)",
    "np.floor_divide(x[:, 0], 0.7)", "np.diff(x, axis=1).sum(axis=1)", "np.gradient(x, axis=1)[:, 0]",
    "np.average(x, axis=1, weights=[1, 2, 3, 4])", "np.nansum(x, axis=1)", "np.ptp(x, axis=1)",
    "np.trapezoid(x, axis=1)",
    "np.linalg.norm(x, ord=1, axis=1)", "np.linalg.inv(np.eye(4) + 0 * x[:, :, None])[:, 0, 0]",
    "np.matmul(x[:, None, :], x[:, :, None])[:, 0, 0]", "np.tensordot(x, np.arange(4.0), 1)",
    "np.outer(x[:, 0], [2])[:, 0]",
    "np.prod(x + 2, axis=1)", "np.polyval([1, -2, 3], x[:, 0])", "np.heaviside(x[:, 0], 0.5)", "np.argmax(x, axis=1)",
    "np.digitize(x[:, 0], [-1, 0, 1])", "np.take_along_axis(x, np.argsort(x, axis=1), 1)[:, 2]",
    "x[::1, ::-2].sum(axis=1)",
    "np.exp(x.astype(np.float64)).sum(axis=1)", "np.float16(x[:, 0])",
)  # fmt: skip
AT_ONCE = 22
"""Expressions in one program."""


@pytest.mark.parametrize("rows", [48, 6 * 1024])
@pytest.mark.parametrize("first", range(0, len(EXPRESSIONS), AT_ONCE))
def test_the_jail_computes_the_same_bits_as_the_host(sandbox: Sandbox, first: int, rows: int) -> None:
    chosen = [text for text in EXPRESSIONS[first : first + AT_ONCE] if rows < 99 or "x.T" not in text]
    names = {f"e{i}": text for i, text in enumerate(chosen)}
    body = ", ".join(f"'{name}': {text}" for name, text in names.items())
    source = f"def compute_reward(state, action, next_state):\n    x = state['x']\n    return {{{body}}}\n"
    call = example_call(rows=rows // 6, steps=6)
    found = answer(sandbox, source, call, deadline=30.0)
    known = {"np": np, "x": call.state["x"].reshape(rows, 4)}
    for name, text in names.items():
        with np.errstate(all="ignore"):
            expected = np.asarray(eval(text, known), np.float32)  # our own expressions, listed above
        np.testing.assert_array_equal(found.components[name].ravel(), expected, err_msg=text)


def test_the_bits_are_compared_on_many_operations() -> None:
    assert len(set(EXPRESSIONS)) >= 60


def test_writing_into_the_inputs_is_told_and_harms_nobody(sandbox: Sandbox) -> None:
    source = "def compute_reward(s, a, n):\n    n['x'][3] += 1\n    a[0] = 9\n    return {'r': n['x'][:, 0]}\n"
    before = CALL.next_state["x"].copy(), CALL.action.copy()
    found = answer(sandbox, source)
    assert set(found.mutated) == {"next_state/x", "action"}
    np.testing.assert_array_equal(CALL.next_state["x"], before[0])
    np.testing.assert_array_equal(CALL.action, before[1])


def test_salts_seed_every_generator_and_nothing_else_does(sandbox: Sandbox) -> None:
    source = "import random\n" + reward("{'r': np.random.rand(len(action)) + random.random()}")
    with sandbox.serve(RewardProgram("import numpy as np\n" + source)) as service:
        one, again, other = (service.evaluate(CALL, salt=salt).components["r"] for salt in (4, 4, 5))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_salts_of_different_parity_show_a_program_that_reads_hashes_or_addresses(sandbox: Sandbox) -> None:
    body = "{'h': np.full(len(action), hash('a') % 9973), 'i': np.full(len(action), id(np) // 4096 % 9973)}"
    source = reward(body)
    with sandbox.serve(RewardProgram("import numpy as np\n" + source)) as service:
        one, again, other = (service.evaluate(CALL, salt=salt).components for salt in (0, 2, 1))
    for name in ("h", "i"):
        np.testing.assert_array_equal(one[name], again[name])
        assert not np.array_equal(one[name], other[name])


def test_nothing_lives_from_one_call_to_the_next(sandbox: Sandbox) -> None:
    source = "seen = []\n" + reward("{'r': np.full(len(action), seen.append(1) or len(seen))}")
    with sandbox.serve(RewardProgram("import numpy as np\n" + source)) as service:
        for _ in range(3):
            assert service.evaluate(CALL).components["r"].max() == 1


@pytest.mark.parametrize(
    ("source", "kind", "rule", "line"),
    [
        ("def compute_reward(:", "setup", "compile", 2),
        ("x = 1", "setup", "entry_point", None),
        ("compute_reward = 3", "setup", "entry_point", None),
        ("1 / 0", "exception", "ZeroDivisionError", 2),
        ("def compute_reward(s, a, n):\n    y = 1\n    return {'r': s['y']}", "exception", "KeyError", 4),
        ("def compute_reward(s):\n    return {}", "exception", "TypeError", None),
        ("def compute_reward(s, a, n):\n    return {'r': np.zeros(3)}", "invalid", "shape", None),
        ("def compute_reward(s, a, n):\n    return [1]", "invalid", "components", None),
        ("def compute_reward(s, a, n):\n    return {'r': s['x'][:, 0] / 0}", "invalid", "finite", None),
        ("def compute_reward(s, a, n):\n    return {'r': s['x'][:, 0] * 1e9}", "invalid", "magnitude", None),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    sandbox: Sandbox, source: str, kind: str, rule: str, line: int | None
) -> None:
    found = violation(sandbox, source)
    assert (found.stage, found.kind, found.rule, found.line) == ("sandbox", kind, rule, line)


def test_a_constant_component_is_told_how_to_mend_it(sandbox: Sandbox) -> None:
    assert "np.full(len(action)" in violation(sandbox, reward("{'r': -0.01}")).message


def test_one_program_does_not_disturb_another(sandbox: Sandbox) -> None:
    poison = "np.sin = None\n" + reward("{'r': np.zeros(len(action))}")
    answer(sandbox, poison)
    found = answer(sandbox, reward("{'r': np.sin(state['x'][:, 0])}"))
    np.testing.assert_array_equal(found.components["r"], np.sin(CALL.state["x"][..., 0]))


def test_arrays_that_are_no_plain_blocks_arrive_whole(sandbox: Sandbox) -> None:
    wide = example_call(rows=16, steps=6, width=8)
    call = Call(
        state={"x": wide.state["x"][:, ::2, ::-2]},
        action=wide.action[:, ::2],
        next_state={"x": wide.next_state["x"][:, ::2, ::-2]},
        ended=wide.ended[:, ::2],
    )
    found = answer(sandbox, reward("{'r': state['x'][:, 1]}"), call)
    np.testing.assert_array_equal(found.components["r"], call.state["x"][..., 1])


def test_a_call_whose_shapes_do_not_fit_is_the_callers_mistake(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="state/x"):
        answer(sandbox, reward("{}"), dataclasses.replace(CALL, state={"x": CALL.state["x"][:, :3]}))


@pytest.mark.docker
def test_arrays_go_through_stdin_where_the_daemon_can_mount_no_file() -> None:
    remote = DockerSandbox()
    remote._mounts = False
    call = example_call(rows=512, steps=8, width=26)
    with JailedService(
        RewardProgram(reward("{'r': state['x'][:, 25]}")), Pool(remote._launch), memory=1 << 28
    ) as service:
        found = service.evaluate(call)
        assert service._workers[0].shared is None
    np.testing.assert_array_equal(found.components["r"], call.state["x"][..., 25])


def test_a_sandbox_says_what_it_is(sandbox: Sandbox) -> None:
    assert "seccomp" in sandbox.layers
    assert len(sandbox.describe()) > 40
    with sandbox.serve(RewardProgram(reward("{'r': state['x'][:, 0]}"))) as service:
        assert isinstance(service, JailedService)
