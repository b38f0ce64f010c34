"""Unlock and UnlockPickup, by hand: a potential that counts the sub-goals still open and the way to the next one.

Potential-based shaping after Ng, Harada and Russell, "Policy invariance under reward transformations" (ICML 1999),
whose section 5 shapes a gridworld by the distance to goals in a fixed order. The potential is never above zero.
"""

import numpy as np


def potential(state):
    agent = state["agent_pos"].astype(np.float32)
    key = state["key_pos"].astype(np.float32)
    door = state["door_pos"].astype(np.float32)
    size = np.float32(state["cells"].shape[1] + state["cells"].shape[2])
    has_key = state["carrying_type"] == 5
    locked = state["door_state"] == 2
    closed = state["door_state"] != 0

    to_key = np.abs(agent - key).sum(axis=1) / size
    to_door = np.abs(agent - door).sum(axis=1) / size
    left = np.zeros(agent.shape[0], dtype=np.float32)
    if "box_pos" in state:
        box = state["box_pos"].astype(np.float32)
        through = to_door + np.abs(door - box).sum(axis=1) / size
        to_box = np.where(agent[:, 0] < door[:, 0], through, np.abs(agent - box).sum(axis=1) / size)
        hands_full = np.where(has_key, 0.25, 0.0)
        left = np.where(state["carrying_type"] == 7, 0.0, to_box + hands_full)
    before_door = np.where(locked & ~has_key, 2 + to_key, 1 + to_door)
    return (-0.5 * np.where(closed, 1 + before_door, left)).astype(np.float32)


def compute_reward(state, action, next_state):
    return {"none": np.zeros(action.shape[0], dtype=np.float32)}
