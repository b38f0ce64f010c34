"""The prey of predator-prey tasks: a fixed, deterministic policy, part of the task and the same for every learner.

It flees from the nearest predator, and from the borders of the square in which it starts: what pulls it back begins
at ``INNER`` from the middle, equals the fear of the predator half-way to ``OUTER`` and is twice as strong there, so
that it can be driven into a corner but not out of the world. It looks at positions alone and draws nothing at random.
"""

from __future__ import annotations

import numpy as np

from envs.episode import Array

INNER, OUTER = 0.7, 1.0
"""Distance from the middle, along either axis, at which the border is first felt, and the border itself."""
LEFT, RIGHT, DOWN, UP = 1, 2, 3, 4
"""MPE's discrete actions; 0 does not push."""


def flee(position: Array, predators: Array) -> int:
    """The action of a prey at ``position`` ``(2,)`` with predators at ``(n, 2)``.

    A push along one axis, the one on which there is more to flee from; x where both are equal.
    """
    away = position - predators
    distance = np.sqrt((away**2).sum(-1))
    nearest = int(distance.argmin())
    fear = away[nearest] / max(float(distance[nearest]), 1e-6)
    border = -2 * np.sign(position) * np.maximum(np.abs(position) - INNER, 0) / (OUTER - INNER)
    pull_x, pull_y = fear + border
    if abs(pull_x) >= abs(pull_y):
        return RIGHT if pull_x > 0 else LEFT
    return UP if pull_y > 0 else DOWN
