# plan: {"family": "steps", "steps": ["carrying_type key", "door_state open"], "final": "goal_pos", "bonus": 0.5, "near": 1.5, "look": 0.0, "idle": 0.01, "lasting": true, "above": false}
import numpy as np


def way(here, there):
    gap = (there - here).astype(np.float32)
    far = np.minimum(np.abs(gap).sum(axis=-1) / 14.0, 1.0)
    return np.where((there < 0).any(axis=-1), 1.0, far)


def potential(state):
    done_0 = (state["carrying_type"] == 5)
    done_1 = (state["door_state"] == 0)
    reached_1 = done_1
    reached_0 = done_0 | reached_1
    zero = np.zeros(state["agent_pos"].shape[0], dtype=np.float32)
    done = zero + reached_0 + reached_1
    way_2 = way(state["agent_pos"], state["goal_pos"])
    way_1 = way(state["agent_pos"], state["door_pos"])
    way_0 = way(state["agent_pos"], state["key_pos"])
    return -0.5 * (2.0 - done) - 1.5 * np.where(reached_0, np.where(reached_1, way_2, way_1), way_0)


def compute_reward(state, action, next_state):
    same = (next_state["agent_pos"] == state["agent_pos"]).all(axis=1)
    same = same & (next_state["agent_dir"] == state["agent_dir"])
    same = same & (next_state["carrying_type"] == state["carrying_type"])
    same = same & (next_state["ahead_type"] == state["ahead_type"])
    same = same & (next_state["door_state"] == state["door_state"])
    return {"idle": -0.01 * same.astype(np.float32)}
