"""Acrobot, by hand: a potential of the free end's height, and a little for swinging.

Written for this task, without a published source. The height of the free end is -cos(a1) - cos(a1 + a2) in lengths of
a link; the episode ends above 1. Potential-based shaping after Ng, Harada and Russell (ICML 1999) leaves the optimal
policy as it is. The potential is never above zero.
"""

import numpy as np


def potential(state):
    height = -np.cos(state["angle_1"]) - np.cos(state["angle_1"] + state["angle_2"])
    swing = np.clip(np.abs(state["angular_velocity_1"]) / (4 * np.pi), 0.0, 1.0)
    return (20.0 * (height - 2.0) + 20.0 * (swing - 1.0)).astype(np.float32)


def compute_reward(state, action, next_state):
    return {"none": np.zeros(action.shape[0], dtype=np.float32)}
