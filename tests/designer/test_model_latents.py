"""What the table of latent rewards keeps of a design run."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.model_latents import kept, one_shot, without
from designer.exits import DONE, REFUSED
from designer.facts import ranked
from designer.main import run
from designer.store import RunStore
from sandbox.program import RewardProgram

SOURCE = """import numpy as np


def compute_latent(state, action, next_state):
    gap = np.abs(next_state["agent_pos"] - next_state["goal_pos"]).sum(axis=-1)
    return {"gap": gap.astype(np.float32), "there": (gap == 0).astype(np.float32), "turned": action < 2}
"""


def test_a_factor_is_taken_out() -> None:
    left = without(SOURCE, {"there"})
    assert left is not None and '"there"' not in left.replace("'", '"')
    assert '"gap"' in left.replace("'", '"') and '"turned"' in left.replace("'", '"')
    assert without("def compute_latent(state, action, next_state):\n    a = {}\n    return a\n", {"there"}) is None


def test_what_a_factor_alone_needed_goes_with_it() -> None:
    left = without(SOURCE, {"gap", "there"})
    assert left is not None and "gap" not in left and "goal_pos" not in left and "turned" in left
    counted = SOURCE.replace("    return", "    gap += 1.0\n    far = gap * 2.0\n    return")
    left = without(counted, {"there"})
    assert left is not None and "gap += 1.0" in left and "far" not in left


def test_both_programs_of_a_run_are_kept_with_their_conversation_and_cost(tmp_path: Path) -> None:
    options = ["--iterations", "2", "--candidates", "3", "--env-steps", "4096", "--seeds", "1", "--confirm-seeds", "5"]
    asked = ["design", "doorkey-6x6-episodic", "--form", "latent", "--run-dir", str(tmp_path / "run"), *options]
    assert run([*asked, "--sandbox", "embedded", "--device", "cpu"]) in (DONE, REFUSED)
    store = RunStore.open(tmp_path / "run")
    first, best = one_shot(store), ranked(store)
    assert len(first) == 3 and (store.candidate(first[0]) or {})["slot"] == 2, "the merged program comes first"
    costs = []
    for candidates, iterations in ((first, 1), (best, 2)):
        found = kept(store, candidates, iterations)
        assert found is not None and found["by"] == "offline" and found["id"] in candidates
        assert found["cost"]["usd"] == 0.0
        costs.append(found["cost"]["replies"])
        assert RewardProgram(found["source"], "latent").id == found["id"] or found["taken out"]
        prompts = found["prompts"]
        assert prompts and json.loads(prompts[-1]["reply"])["code"].strip() == store.program(found["id"]).source.strip()
    assert 3 <= costs[0] < costs[1]
