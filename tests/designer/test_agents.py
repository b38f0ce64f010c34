"""What a model is shown of its own bad reply."""

from __future__ import annotations

from pathlib import Path

import pytest

from designer.agents import Agents
from designer.asking import Models
from designer.budget import Budget
from designer.facts import designer_facts
from designer.settings import DesignSettings
from designer.store import RunStore
from envs import catalog
from tests.designer.endpoint import Cut, serving
from tests.designer.models import sound

SLOT = {"iteration": 0, "candidate": 0, "round": 0}
ROUND = "It should not depend on the episode. " * 200


@pytest.mark.parametrize(("bad", "shown"), [(Cut(ROUND), 600), (ROUND, 6_000)])
def test_a_reply_that_went_in_circles_is_not_shown_whole(tmp_path: Path, bad: object, shown: int) -> None:
    answers = iter([bad, sound(0.1)])
    with serving(lambda request: next(answers)) as endpoint:
        settings = DesignSettings(task="doorkey-6x6", model="m", api_base=endpoint.url)
        store = RunStore.create(tmp_path / "run", settings.to_json())
        agents = Agents(Models(settings, store, Budget(settings.caps, store)), store)
        facts = designer_facts(
            catalog.load("doorkey-6x6"), store, {**SLOT, "seed": 0}, form="reward", merging=False, refused=None,
            comments=[],
        )  # fmt: skip
        design = agents.design(facts, 1, SLOT)
        assert "compute_reward" in design.code
        (_, _, echo, words) = endpoint.requests[1]["messages"]
    assert echo == {"role": "assistant", "content": ROUND[:shown]}
    assert words["role"] == "user" and ("length limit" in words["content"]) == (shown == 600)
