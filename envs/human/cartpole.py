"""CartPole, by hand: upright, centred and slow, each between 0 and 1 and multiplied.

After the balance task of Tassa et al., "DeepMind Control Suite" (2018, arXiv 1801.00690), with Gaussian tolerances.
"""

import numpy as np


def tolerance(values, margin):
    """1 at zero, 0.1 at the margin."""
    return np.exp(np.log(0.1) * np.square(values / margin))


def compute_reward(state, action, next_state):
    upright = (1 + np.cos(next_state["pole_angle"] * 4)) / 2
    centred = (1 + tolerance(next_state["cart_position"], 2.0)) / 2
    slow = (1 + tolerance(next_state["pole_angular_velocity"], 5.0)) / 2
    return {"balance": (upright * centred * slow).astype(np.float32)}
