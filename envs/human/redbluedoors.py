"""RedBlueDoors, by hand: a potential for the next door to open, and a penalty for opening the blue one first.

Potential-based shaping after Ng, Harada and Russell, "Policy invariance under reward transformations" (ICML 1999),
whose section 5 shapes a gridworld by the distance to goals in a fixed order. Doors are ordered by colour, red first.
"""

import numpy as np

RED, BLUE = 0, 1


def potential(state):
    agent = state["agent_pos"].astype(np.float32)
    size = np.float32(state["cells"].shape[1] + state["cells"].shape[2])
    doors = state["door_pos"].astype(np.float32)
    to_red = np.abs(agent - doors[:, RED]).sum(axis=1) / size
    to_blue = np.abs(agent - doors[:, BLUE]).sum(axis=1) / size
    red_open = state["door_state"][:, RED] == 0
    return (-0.5 * np.where(red_open, to_blue, 1 + to_red)).astype(np.float32)


def compute_reward(state, action, next_state):
    red_open = next_state["door_state"][:, RED] == 0
    blue_open = next_state["door_state"][:, BLUE] == 0
    return {"blue_first": np.where(blue_open & ~red_open, -1.0, 0.0).astype(np.float32)}
