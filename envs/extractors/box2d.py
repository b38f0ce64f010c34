"""State of Gymnasium's Box2D tasks: bodies, joints and what touches the ground, in Box2D's metres and seconds.

Self-contained (numpy, gymnasium): this very file travels with an exported reward. All is read from the physics
engine, so wrappers around the observation change nothing.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

FIELD_WIDTH = 20.0
"""Width of LunarLander's world in metres (600 pixels at 30 pixels a metre)."""
LEG_LENGTH = 0.6
"""Height of the lander's middle over the ground when it stands (18 pixels)."""
JOINTS = ("hip_1", "knee_1", "hip_2", "knee_2")


def _number(name: str, unit: str, meaning: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "unit": unit, "meaning": meaning, **more}


def _contact(name: str, meaning: str) -> dict[str, Any]:
    return {"name": name, "unit": "1", "meaning": meaning, "dtype": "bool"}


FIELDS: dict[str, tuple[dict[str, Any], ...]] = {
    "LunarLander-v3": (
        _number("x", "m", "Horizontal position of the lander; 0 is the middle of the pad, the world ends at +-10."),
        _number("y", "m", "Height of the lander over the pad; about 0 when it stands on its legs there."),
        _number("velocity_x", "m/s", "Horizontal velocity, positive to the right."),
        _number("velocity_y", "m/s", "Vertical velocity, positive upwards."),
        _number("angle", "rad", "Tilt of the lander; 0 is upright, positive leans to the left."),
        _number("angular_velocity", "rad/s", "Rate of change of the tilt."),
        _contact("left_leg_contact", "Whether the left leg touches the ground."),
        _contact("right_leg_contact", "Whether the right leg touches the ground."),
        _contact("body_contact", "Whether the body, not a leg, has touched the ground; the episode ends then."),
    ),
    "BipedalWalker-v3": (
        _number("hull_x", "m", "Horizontal position of the hull; an episode starts near 4.7, the course ends near 88."),
        _number("hull_y", "m", "Height of the hull in the world; the ground itself rises and falls."),
        _number("hull_angle", "rad", "Tilt of the hull; 0 is level, negative leans forward."),
        _number("hull_velocity_x", "m/s", "Horizontal velocity of the hull, positive forward (to the right)."),
        _number("hull_velocity_y", "m/s", "Vertical velocity of the hull, positive upwards."),
        _number("hull_angular_velocity", "rad/s", "Rate of change of the hull's tilt."),
        *(_number(f"{name}_angle", "rad", f"Angle of the joint {name.replace('_', ' ')}.") for name in JOINTS),
        *(_number(f"{name}_speed", "rad/s", f"Speed of the joint {name.replace('_', ' ')}.") for name in JOINTS),
        _contact("leg_1_contact", "Whether the foot of leg 1 touches the ground."),
        _contact("leg_2_contact", "Whether the foot of leg 2 touches the ground."),
        _contact("hull_contact", "Whether the hull has touched the ground; the episode ends then."),
        _number(
            "lidar",
            "1",
            "Distance to the ground along ten rays from the hull, from straight down to forward, as a share of 5.3 m.",
            shape=(10,),
            low=0.0,
            high=1.0,
        ),
    ),
}

ACTIONS: dict[str, dict[str, Any]] = {
    "LunarLander-v3": {
        "kind": "discrete",
        "size": 4,
        "meanings": ("no engine", "fire the left side engine", "fire the main engine", "fire the right side engine"),
    },
    "BipedalWalker-v3": {
        "kind": "continuous",
        "size": 4,
        "meanings": tuple(f"motor of the joint {name.replace('_', ' ')}" for name in JOINTS),
        "low": (-1.0,) * 4,
        "high": (1.0,) * 4,
    },
}


def handles(env_id: str) -> bool:
    """Whether this family reads that environment."""
    return env_id in FIELDS


def read_state(env: gymnasium.Env[Any, Any], obs: Any, info: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The fields of the environment as it stands; ``obs`` and ``info`` are not read."""
    base: Any = env.unwrapped
    env_id = base.spec.id
    values = _lander(base) if env_id == "LunarLander-v3" else _walker(base)
    return {
        field["name"]: np.array(value, dtype=field.get("dtype", "float32"))
        for field, value in zip(FIELDS[env_id], values, strict=True)
    }


def _lander(base: Any) -> list[Any]:
    body = base.lander
    return [
        body.position.x - FIELD_WIDTH / 2,
        body.position.y - base.helipad_y - LEG_LENGTH,
        *(body.linearVelocity.x, body.linearVelocity.y, body.angle, body.angularVelocity),
        *(leg.ground_contact for leg in base.legs),
        base.game_over,
    ]


def _walker(base: Any) -> list[Any]:
    hull = base.hull
    return [
        *(hull.position.x, hull.position.y, hull.angle),
        *(hull.linearVelocity.x, hull.linearVelocity.y, hull.angularVelocity),
        *(joint.angle for joint in base.joints),
        *(joint.speed for joint in base.joints),
        *(base.legs[1].ground_contact, base.legs[3].ground_contact, base.game_over),
        [ray.fraction for ray in base.lidar],
    ]


def fields(env_id: str, kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    """Each field as name, meaning, unit, dtype, shape, low, high; float32 scalars where nothing else is said."""
    return [dict(field) for field in FIELDS[env_id]]


def actions(env_id: str) -> dict[str, Any]:
    """The action space: kind, size, what each code or dimension does, bounds."""
    return dict(ACTIONS[env_id])
