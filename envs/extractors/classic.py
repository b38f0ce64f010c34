"""State of Gymnasium's classic control: the numbers that the equations of motion are written in.

Self-contained (numpy, gymnasium): this very file travels with an exported reward. All is read from the
environment itself, so wrappers around its observation change nothing.
"""

from __future__ import annotations

from math import pi
from typing import Any

import gymnasium
import numpy as np

ANGLE = {"unit": "rad", "low": -3.1416, "high": 3.1416}

FIELDS: dict[str, tuple[dict[str, Any], ...]] = {
    "CartPole-v1": (
        {"name": "cart_position", "unit": "m", "low": -4.8, "high": 4.8,
         "meaning": "Position of the cart on its track; 0 is the middle, the episode ends beyond 2.4 on either side."},
        {"name": "cart_velocity", "unit": "m/s", "meaning": "Velocity of the cart, positive to the right."},
        {"name": "pole_angle", "unit": "rad", "low": -0.42, "high": 0.42,
         "meaning": "Angle of the pole from upright, positive to the right; the episode ends beyond 0.2095."},
        {"name": "pole_angular_velocity", "unit": "rad/s", "meaning": "Angular velocity of the pole."},
    ),
    "MountainCar-v0": (
        {"name": "position", "unit": "1", "low": -1.2, "high": 0.6,
         "meaning": "Position of the car along the valley, whose height is sin(3 * position); the flag is at 0.5."},
        {"name": "velocity", "unit": "1/step", "low": -0.07, "high": 0.07,
         "meaning": "Change of position in one step, positive to the right, towards the flag."},
    ),
    "Acrobot-v1": (
        {"name": "angle_1", **ANGLE, "meaning": "Angle of the first link from hanging straight down."},
        {"name": "angle_2", **ANGLE, "meaning": "Angle of the second link relative to the first; 0 is stretched out."},
        {"name": "angular_velocity_1", "unit": "rad/s", "low": -4.001 * pi, "high": 4.001 * pi,
         "meaning": "Angular velocity of the first link."},
        {"name": "angular_velocity_2", "unit": "rad/s", "low": -9.001 * pi, "high": 9.001 * pi,
         "meaning": "Angular velocity of the second link relative to the first."},
    ),
    "Pendulum-v1": (
        {"name": "angle", **ANGLE, "meaning": "Angle of the pendulum from upright; +-pi hangs straight down."},
        {"name": "angular_velocity", "unit": "rad/s", "low": -8.0, "high": 8.0,
         "meaning": "Angular velocity of the pendulum, of the same sign as a growing angle."},
    ),
}  # fmt: skip

ACTIONS: dict[str, dict[str, Any]] = {
    "CartPole-v1": {"kind": "discrete", "size": 2, "meanings": ("push the cart left", "push the cart right")},
    "MountainCar-v0": {
        "kind": "discrete",
        "size": 3,
        "meanings": ("accelerate to the left", "no acceleration", "accelerate to the right"),
    },
    "Acrobot-v1": {
        "kind": "discrete",
        "size": 3,
        "meanings": tuple(f"apply {t} N m of torque to the joint between the links" for t in (-1, 0, 1)),
    },
    "Pendulum-v1": {
        "kind": "continuous",
        "size": 1,
        "meanings": ("torque on the pendulum in N m, positive turns it towards growing angles",),
        "low": (-2.0,),
        "high": (2.0,),
    },
}


def handles(env_id: str) -> bool:
    """Whether this family reads that environment."""
    return env_id in FIELDS


def read_state(env: gymnasium.Env[Any, Any], obs: Any, info: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The fields of the environment as it stands, each a float32 scalar; ``obs`` and ``info`` are not read."""
    base: Any = env.unwrapped
    numbers = [float(number) for number in base.state]
    described = FIELDS[base.spec.id]
    if base.spec.id == "Pendulum-v1":
        numbers[0] = (numbers[0] + pi) % (2 * pi) - pi
    return {field["name"]: np.array(number, dtype=np.float32) for field, number in zip(described, numbers, strict=True)}


def fields(env_id: str, kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    """Each field as name, meaning, unit, low, high: float32 scalars."""
    return [dict(field) for field in FIELDS[env_id]]


def actions(env_id: str) -> dict[str, Any]:
    """The action space: kind, size, what each code or dimension does, bounds."""
    return dict(ACTIONS[env_id])
