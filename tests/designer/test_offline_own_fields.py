"""The offline designer on an environment that was written after it, with field names of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from designer.exits import DONE
from designer.main import run
from designer.offline import reply as offline
from designer.store import RunStore
from envs import catalog

SENTENCES = {
    "told": "Pull the lever, then leave by the exit.",
    "untold": "Turn on the switch, then leave by the way out.",
}


def ideas(function: str) -> list[str]:
    state = f"tests.designer.lever_room:{function}"
    task = catalog.from_sentence(SENTENCES[function], "tests.designer.lever_room:LeverRoom-v0", state=state)
    request = {
        "role": "designer",
        "task": {"description": task.description, "task_weight": task.task_weight, "gamma": 0.99, "action": ""},
        "state": task.state_schema(),
    }
    slots = [{"iteration": 0, "candidate": k, "round": 0} for k in range(4)]
    return [offline.design({**request, "slot": slot}, 0)["idea"] for slot in slots]


def test_fields_that_a_docstring_explains_are_understood() -> None:
    assert "lever_state pulled, then to exit_xy" in ideas("told")[0]


def test_fields_that_nobody_explains_are_told_apart_by_what_random_play_showed() -> None:
    first = ideas("untold")
    assert "switch_on not 0, then to way_out" in first[0]
    assert len(set(first)) == 4


def test_what_random_play_showed_reaches_the_schema() -> None:
    state = "tests.designer.lever_room:untold"
    task = catalog.from_sentence("leave", "tests.designer.lever_room:LeverRoom-v0", state=state)
    seen = {f.name: f.seen for f in task.state}
    assert seen["robot"] is not None and seen["robot"].changes > 0.5
    assert seen["switch_on"] is not None and (seen["switch_on"].start, seen["switch_on"].high) == (0.0, 1.0)
    assert task.state_schema()["properties"]["way_out"]["x-seen-in-random-play"]["high"] == 8.0


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_it_finds_a_better_reward_there(tmp_path: Path) -> None:
    options = ["--iterations", "1", "--candidates", "4", "--env-steps", "40000", "--sandbox", "embedded"]
    environment = ["--env", "tests.designer.lever_room:LeverRoom-v0", "--state", "tests.designer.lever_room:untold"]
    assert run(["design", SENTENCES["untold"], *environment, *options, "--run-dir", str(tmp_path / "r")]) == DONE
    card = RunStore.open(tmp_path / "r").read_json("scorecard.json") or {}
    assert card["best"]["fitness"]["iqm"] > card["controls"]["native"]["fitness"]["iqm"] + 0.3
