"""The latent programs that the benchmark keeps pass every check that a new one has to pass."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.credit import programs
from benchmarks.native_terms import held, made_up, measured, native_terms
from designer.checks import LATENT_EPISODES, Verifier
from envs import catalog
from envs.episode import flat
from sandbox.embedded import EmbeddedSandbox
from sandbox.program import RewardProgram

KEPT = [(task, kind) for task, kinds in programs().items() for kind in kinds]
TEAM = "simple-spread-episodic"


def verifier(task: str) -> Verifier:
    return Verifier(catalog.load(task), EmbeddedSandbox())


@pytest.mark.parametrize(("task", "kind"), KEPT)
def test_a_kept_latent_program_is_sound(task: str, kind: str) -> None:
    if "cheetah" in task or "reacher" in task:
        pytest.importorskip("mujoco")
    program = RewardProgram(programs()[task][kind]["source"], "latent")
    found = verifier(task).verify(program)
    assert found.ok, [v.message for v in found.violations]
    assert len(found.components) >= 2


@pytest.mark.parametrize(("task", "kind"), KEPT)
def test_no_kept_program_holds_a_term_of_the_native_reward(task: str, kind: str) -> None:
    if "cheetah" in task or "reacher" in task:
        pytest.importorskip("mujoco")
    factors, terms = measured(verifier(task), RewardProgram(programs()[task][kind]["source"], "latent"))
    assert held(factors, terms) == {} and made_up(factors, terms) == set()


def test_what_a_team_does_tells_its_outcome() -> None:
    """From one agent alone the same factors would tell half of it, and the designer be told to add another one."""
    found = verifier(TEAM).verify(RewardProgram(programs()[TEAM]["hand"]["source"], "latent")).measured["outcome"]
    assert found["episodes"] == LATENT_EPISODES and found["explained"] > 0.8


@pytest.mark.parametrize("task", sorted(programs()))
def test_a_term_is_found_in_itself_whatever_its_scale(task: str) -> None:
    if "cheetah" in task or "reacher" in task:
        pytest.importorskip("mujoco")
    seen = flat(verifier(task).outcomes())
    state, after = ({name: values[0] for name, values in part.items()} for part in (seen.state, seen.next_state))
    terms = native_terms(task, state, seen.action[0], after)
    assert terms and all(np.std(values) > 0 for values in terms.values())
    for name, values in terms.items():
        assert name in held({name: 3.0 - 2.0 * values}, terms)


def test_a_term_is_found_in_a_program() -> None:
    source = (
        "import numpy as np\n\n\ndef compute_latent(state, action, next_state):\n"
        '    gap = next_state["fingertip_position"] - next_state["target_position"]\n'
        '    return {"far": 3.0 * np.sqrt((gap * gap).sum(axis=-1)), "push": action[:, 0]}\n'
    )
    pytest.importorskip("mujoco")
    assert held(*measured(verifier("reacher-episodic"), RewardProgram(source, "latent"))) == {"far": "distance"}


def test_a_term_is_found_in_what_factors_make_up_together() -> None:
    rng = np.random.default_rng(0)
    parts = {name: rng.normal(size=500) for name in ("a", "b", "c")}
    terms = {"sum": parts["a"] - 2.0 * parts["b"] + 5.0, "other": rng.normal(size=500), "none": np.zeros(500)}
    assert held(parts, terms) == {} and made_up(parts, terms) == {"sum"}
    assert made_up({"a": parts["a"], "c": parts["c"]}, terms) == set()
