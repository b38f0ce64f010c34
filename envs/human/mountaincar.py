"""MountainCar, by hand: a potential of the car's mechanical energy, which the engine has to build up.

Written for this task, without a published source. The energy follows from the environment's dynamics, in which the
valley accelerates the car by -0.0025 cos(3 x): kinetic v^2 / 2 plus 0.0025 / 3 sin(3 x). Potential-based shaping
after Ng, Harada and Russell (ICML 1999) leaves the optimal policy as it is. The potential is never above zero.
"""

import numpy as np

MOST = 0.0025 / 3 + 0.07**2 / 2


def potential(state):
    kinetic = np.square(state["velocity"]) / 2
    height = 0.0025 / 3 * np.sin(3 * state["position"])
    return (10.0 * (kinetic + height - MOST) / MOST).astype(np.float32)


def compute_reward(state, action, next_state):
    return {"none": np.zeros(action.shape[0], dtype=np.float32)}
