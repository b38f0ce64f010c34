"""The latent programs that the benchmark keeps pass every check that a new one has to pass."""

from __future__ import annotations

import pytest

from benchmarks.credit import programs
from designer.checks import Verifier
from envs import catalog
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
