"""The bridge between trainer and jail: what crosses it, and programs that change their ways in training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest

from designer.jailed import RECHECKS, JailedReward, ProgramFailure, call
from envs.episode import Transitions
from sandbox.choose import choose
from sandbox.program import RewardProgram
from sandbox.recheck import Reference
from sandbox.service import Sandbox
from training.reward import RewardFailure

HEADER = "import numpy as np\n"
PLAIN = "def compute_reward(state, action, next_state):\n    return {'r': next_state['x'] - state['x']}\n"
COUNTING = """
def init_memory(batch_size):
    return {"n": np.zeros(batch_size)}

def compute_reward(state, action, next_state, memory):
    return {"n": memory["n"] * 1.0}, {"n": memory["n"] + 1}
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    yield choose("embedded")


def rollout(seed: int, steps: int = 6, rows: int = 40) -> Transitions:
    draw = np.random.default_rng(seed)
    ended = draw.random((2, steps, rows)) < 0.05
    return Transitions(
        state={"x": draw.normal(size=(steps, rows)).astype(np.float32)},
        action=draw.integers(0, 3, (steps, rows)),
        next_state={"x": draw.normal(size=(steps, rows)).astype(np.float32)},
        terminated=ended[0],
        truncated=ended[1] & ~ended[0],
    )


def test_rollouts_are_answered_and_memory_goes_on_until_a_restart(sandbox: Sandbox) -> None:
    with JailedReward(sandbox, RewardProgram(HEADER + PLAIN)) as reward:
        for seed in range(2 * RECHECKS):
            given = rollout(seed)
            np.testing.assert_array_equal(reward(given).components["r"], given.next_state["x"] - given.state["x"])
    quiet = Transitions(
        state=rollout(0).state,
        action=rollout(0).action,
        next_state=rollout(0).next_state,
        terminated=np.zeros((6, 40), bool),
        truncated=np.zeros((6, 40), bool),
    )
    with JailedReward(sandbox, RewardProgram(HEADER + COUNTING)) as reward:
        assert [float(reward(quiet).components["n"][0, 0]) for _ in range(3)] == [0, 6, 12]
        reward.restart()
        assert float(reward(quiet).components["n"][0, 0]) == 0


def test_a_program_that_fails_is_the_arms_failure(sandbox: Sandbox) -> None:
    fails = HEADER + "def compute_reward(state, action, next_state):\n    return {'r': 1 / 0}\n"
    with (
        JailedReward(sandbox, RewardProgram(fails)) as reward,
        pytest.raises(RewardFailure, match="ZeroDivision") as raised,
    ):
        reward(rollout(0))
    assert isinstance(raised.value, ProgramFailure)
    violation = raised.value.violation
    assert (violation.kind, violation.rule, violation.line) == ("exception", "ZeroDivisionError", 3)


@pytest.mark.parametrize("paid", ["np.arange(len(action)) / 9.0", "state['x'] - state['x'].mean()", "np.ones(240)"])
def test_a_program_that_cheats_only_in_the_batches_of_the_training_is_found(sandbox: Sandbox, paid: str) -> None:
    """It keeps to the rules in every other number of rows, those of the probes among them."""
    source = (
        f"{HEADER}def compute_reward(state, action, next_state):\n"
        f"    return {{'r': {paid} if len(action) == 240 else state['x']}}\n"
    )
    with JailedReward(sandbox, RewardProgram(source)) as reward:
        reward(rollout(0, rows=30))
        with pytest.raises(RewardFailure, match="by themselves"):
            for seed in range(40 * RECHECKS):
                reward(rollout(seed))


def test_a_program_that_begins_to_cheat_later_is_found_by_chance(sandbox: Sandbox) -> None:
    """Nothing tells a program which call is checked: what it does in all of them shows in the end."""
    source = (
        f"{HEADER}def compute_reward(state, action, next_state):\n"
        "    late = state['x'].max() > 2.9\n"
        "    return {'r': state['x'] + (np.arange(len(action)) if late else 0.0)}\n"
    )
    with JailedReward(sandbox, RewardProgram(source)) as reward, pytest.raises(RewardFailure, match="not_rowwise"):
        for seed in range(400):
            reward(rollout(seed))


@pytest.mark.parametrize(
    "paid",
    [
        "-state['x'] if os.getpid() > 12 else state['x']",
        "-state['x'] if len(action) > 100 and len(np.unique(state['x'])) == len(action) else state['x']",
    ],
    ids=["counts its calls", "knows a rollout by its rows"],
)
def test_a_program_that_is_another_one_in_training_is_found(sandbox: Sandbox, paid: str) -> None:
    """It keeps every rule at every moment; only what it said while it was probed tells."""
    program = RewardProgram(
        f"import os\n{HEADER}def compute_reward(state, action, next_state):\n    return {{'r': {paid}}}\n"
    )
    with sandbox.serve(program) as service:
        reference = Reference.of(service, call(rollout(0)), np.random.default_rng(0), deadline=5.0)
    reference = Reference.from_arrays(reference.to_arrays())
    with (
        JailedReward(sandbox, program, reference=reference) as reward,
        pytest.raises(RewardFailure, match=r"since the program was probed|by themselves"),
    ):
        for seed in range(12 * RECHECKS):
            reward(rollout(seed))


def test_memory_is_asked_again_as_it_was_probed(sandbox: Sandbox) -> None:
    late = COUNTING.replace('memory["n"] * 1.0', 'memory["n"] * (2.0 if os.getpid() > 12 else 1.0)')
    honest, cheating = (RewardProgram(f"import os\n{HEADER}{source}") for source in (COUNTING, late))
    for program, found in ((honest, False), (cheating, True)):
        with sandbox.serve(program) as service:
            reference = Reference.of(service, call(rollout(0)), np.random.default_rng(0), deadline=5.0)
        with JailedReward(sandbox, program, reference=reference) as reward, ExitStack() as stack:
            if found:
                stack.enter_context(pytest.raises(RewardFailure, match="since the program was probed"))
            for seed in range((12 if found else 2) * RECHECKS):
                reward(rollout(seed))


RENAMED = """
def compute_reward(state, action, next_state):
    return {"full" if len(state["x"]) > 100 else "short": next_state["x"] * 1.0}
"""


def test_components_keep_their_names(sandbox: Sandbox) -> None:
    with (
        JailedReward(sandbox, RewardProgram(HEADER + RENAMED)) as reward,
        pytest.raises(ProgramFailure, match="names of the components differ") as raised,
    ):
        reward(rollout(0, steps=1))
        reward(rollout(1))
    assert (raised.value.violation.kind, raised.value.violation.rule) == ("invalid", "components")
