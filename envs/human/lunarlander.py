"""LunarLander: the shaping that its authors published with it, over this task's state.

Source: Gymnasium, LunarLander-v3, section "Rewards" of its documentation (Oleg Klimov): closer, slower, more upright
and legs on the ground is better, engines cost fuel, a crash costs 100. Without the final 100 for coming to rest.
"""

import numpy as np


def shaping(state):
    away = np.hypot(state["x"] / 10.0, state["y"] / (20.0 / 3.0))
    speed = np.hypot(state["velocity_x"] * 0.2, state["velocity_y"] * (2.0 / 15.0))
    legs = state["left_leg_contact"].astype(np.float32) + state["right_leg_contact"].astype(np.float32)
    return -100.0 * away - 100.0 * speed - 100.0 * np.abs(state["angle"]) + 10.0 * legs


def compute_reward(state, action, next_state):
    crashed = next_state["body_contact"] | (np.abs(next_state["x"]) >= 10.0)
    main = np.where(action == 2, -0.3, 0.0)
    side = np.where((action == 1) | (action == 3), -0.03, 0.0)
    return {
        "shaping": (shaping(next_state) - shaping(state)).astype(np.float32),
        "fuel": (main + side).astype(np.float32),
        "crash": np.where(crashed, -100.0, 0.0).astype(np.float32),
    }
