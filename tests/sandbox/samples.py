"""Random calls for the honest rewards: arrays of the fields that each one reads."""

from __future__ import annotations

import numpy as np

from sandbox.service import Array, Call
from tests.sandbox.honest_rewards import Honest, Shape


def _array(shape: Shape, steps: int, rows: int, rng: np.random.Generator) -> Array:
    if shape == "code":
        return rng.integers(0, 6, (steps, rows))
    if shape == "flag":
        return rng.random((steps, rows)) < 0.5
    return rng.normal(size=(steps, rows, *shape)).astype(np.float32)


def random_call(honest: Honest, steps: int, rows: int, seed: int) -> Call:
    """Independent transitions; one step in twenty ends an episode."""
    rng = np.random.default_rng(seed)
    size = (steps, rows)
    return Call(
        state={name: _array(shape, steps, rows, rng) for name, shape in honest.fields.items()},
        action=rng.uniform(-1, 1, (*size, honest.action)).astype(np.float32)
        if honest.action
        else rng.integers(0, 7, size),
        next_state={name: _array(shape, steps, rows, rng) for name, shape in honest.fields.items()},
        ended=rng.random(size) < 0.05,
    )
