"""MountainCar, by hand: a potential of the mechanical energy that the car still lacks to reach the flag.

Written for this task, without a published source. The energy follows from the environment's dynamics, in which the
valley accelerates the car by -0.0025 cos(3 x): kinetic v^2 / 2 plus 0.0025 / 3 sin(3 x), and the flag stands at
x = 0.5. Potential-based shaping after Ng, Harada and Russell (ICML 1999) leaves the optimal policy as it is. The
potential is never above zero.
"""

import numpy as np

FLAG = 0.0025 / 3 * np.sin(1.5)


def potential(state):
    energy = np.square(state["velocity"]) / 2 + 0.0025 / 3 * np.sin(3 * state["position"])
    return (100.0 * np.minimum(0.0, (energy - FLAG) / (2 * FLAG))).astype(np.float32)


def compute_reward(state, action, next_state):
    return {"none": np.zeros(action.shape[0], dtype=np.float32)}
