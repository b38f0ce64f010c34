"""What a scripted endpoint says: good programs, and every kind of bad reply."""

from __future__ import annotations

import json
from typing import Any

from tests.designer.endpoint import Request, facts_of

SOUND = """
import numpy as np

SCALE = {scale}


def potential(state):
    opened = (state["door_state"] == 0) * 1.0
    holding = (state["carrying_type"] == 5) * 1.0
    return SCALE * (opened + 0.5 * np.maximum(opened, holding) - 1.5)


def compute_reward(state, action, next_state):
    return {{"step": np.full(action.shape, -0.0005)}}
"""
GAMED = """
import numpy as np


def compute_reward(state, action, next_state):
    return {"holding": 0.1 * (next_state["carrying_type"] == 5)}
"""
IN_THE_SANDBOX = """
import numpy as np


def compute_reward(state, action, next_state):
    return {"a": np.zeros(3) / action.shape[0]}
"""


def design(code: str, idea: str = "pay for progress") -> str:
    return json.dumps({"idea": idea, "code": code})


def sound(scale: float) -> str:
    return design(SOUND.format(scale=scale), f"potential of the door and the key, scale {scale}")


def reply(request: Request) -> Any:
    """A model that works: other scales in other slots, an approving critic, a citing analyzer."""
    facts = facts_of(request)
    if facts["role"] == "designer":
        slot = facts["slot"]
        return sound(0.1 * (1 + slot["candidate"] + 10 * slot["iteration"]))
    if facts["role"] == "critic":
        return json.dumps({"approve": True, "reasons": []})
    return json.dumps(
        {
            "diagnosis": "the goal is found late",
            "evidence": [{"episode": "e0", "step": 0, "what": "it starts"}],
            "change": {"level": "scale", "advice": "pay more for the door"},
        }
    )
