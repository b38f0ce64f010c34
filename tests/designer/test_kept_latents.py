"""The latent programs that the benchmark keeps pass every check that a new one has to pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.credit import programs
from benchmarks.native_terms import held, native_terms
from designer.checks import Verifier
from designer.jailed import JailedReward
from envs import catalog
from envs.episode import flat
from sandbox.embedded import EmbeddedSandbox
from sandbox.program import RewardProgram

KEPT = [(task, kind) for task, kinds in programs().items() for kind in kinds]


@pytest.mark.parametrize(("task", "kind"), KEPT)
def test_a_kept_latent_program_is_sound(task: str, kind: str) -> None:
    if "cheetah" in task or "reacher" in task:
        pytest.importorskip("mujoco")
    program = RewardProgram(programs()[task][kind]["source"], "latent")
    found = Verifier(catalog.load(task), EmbeddedSandbox()).verify(program)
    assert found.ok, [v.message for v in found.violations]
    assert len(found.components) >= 2


@pytest.mark.parametrize(("task", "kind"), KEPT)
def test_no_kept_program_holds_a_term_of_the_native_reward(task: str, kind: str) -> None:
    if "cheetah" in task or "reacher" in task:
        pytest.importorskip("mujoco")
    spec, program = catalog.load(task), RewardProgram(programs()[task][kind]["source"], "latent")
    seen = flat(Verifier(spec, EmbeddedSandbox()).outcomes())
    rows = np.random.default_rng(0).permutation(seen.action.shape[1])[:4_096]
    state, after = ({n: v[:, rows] for n, v in part.items()} for part in (seen.state, seen.next_state))
    some = replace(
        seen,
        state=state,
        action=seen.action[:, rows],
        next_state=after,
        terminated=seen.terminated[:, rows],
        truncated=seen.truncated[:, rows],
    )
    with JailedReward(EmbeddedSandbox(), program) as reward:
        factors = {name: values[0] for name, values in reward(some).components.items()}
    terms = native_terms(task, {n: v[0] for n, v in state.items()}, some.action[0], {n: v[0] for n, v in after.items()})
    assert held(factors, terms) == {}
    # The check itself can fail: a term is found in itself, whatever its scale.
    for name, values in terms.items():
        assert name in held({name: 3.0 - 2.0 * values}, terms) or np.std(values) == 0
