"""State of Gymnasium's MuJoCo tasks, version 5: generalised positions and velocities under the names of their joints.

Self-contained (numpy, gymnasium): this very file travels with an exported reward. All is read from the physics
engine, so wrappers around the observation change nothing. Unlike the observation, the state holds the torso's
horizontal position and is not clipped.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

CHEETAH = {
    "bthigh": "back thigh", "bshin": "back shin", "bfoot": "back foot",
    "fthigh": "front thigh", "fshin": "front shin", "ffoot": "front foot",
}  # fmt: skip
HOPPER = {"thigh": "thigh", "leg": "leg", "foot": "foot"}
WALKER = {
    **{name: f"right {name}" for name in ("thigh", "leg", "foot")},
    **{f"left_{name}": f"left {name}" for name in ("thigh", "leg", "foot")},
}
JOINTS = {"HalfCheetah-v5": CHEETAH, "Hopper-v5": HOPPER, "Walker2d-v5": WALKER}
"""Joints after the torso's three, in MuJoCo's order: field prefix -> words."""
SECONDS = {
    "HalfCheetah-v5": 0.05, "Hopper-v5": 0.008, "Walker2d-v5": 0.008, "Reacher-v5": 0.02, "HumanoidStandup-v5": 0.015,
}  # fmt: skip
"""Simulated time of one step."""
LIMBS = ("hip_x", "hip_z", "hip_y", "knee")
ARMS = ("shoulder1", "shoulder2", "elbow")
HUMANOID = {
    "abdomen_z": "waist, turning about the spine",
    "abdomen_y": "waist, bending forward and back",
    "abdomen_x": "waist, bending sideways",
    **{f"{side}_{name}": f"{side} {name.replace('_', ' ')}" for side in ("right", "left") for name in LIMBS},
    **{f"{side}_{name}": f"{side} {name}" for side in ("right", "left") for name in ARMS},
}
"""Joints of the humanoid after its root, in MuJoCo's order; its motors have the first two the other way round."""
HEIGHT = {
    "HalfCheetah-v5": "Height of the torso relative to where it starts.",
    "Hopper-v5": "Height of the torso over the ground; it stands at about 1.25.",
    "Walker2d-v5": "Height of the torso over the ground; it stands at about 1.25.",
}


def _runner(env_id: str) -> list[dict[str, Any]]:
    """Fields of a planar body, in the order of ``qpos`` and then of ``qvel``."""
    step = f"a step lasts {SECONDS[env_id]} s"
    lean = "forward" if env_id != "HalfCheetah-v5" else "nose down"
    torso = [
        ("torso_x", "m", f"Horizontal position of the torso, growing forward; {step}."),
        ("torso_z", "m", HEIGHT[env_id]),
        ("torso_angle", "rad", f"Pitch of the torso; 0 is its starting posture, positive leans {lean}."),
    ]
    speeds = [
        ("torso_velocity_x", "m/s", "Horizontal velocity of the torso, positive forward."),
        ("torso_velocity_z", "m/s", "Vertical velocity of the torso, positive upwards."),
        ("torso_angular_velocity", "rad/s", "Rate of change of the torso's pitch."),
    ]
    joints = JOINTS[env_id].items()
    angles = [(f"{name}_angle", "rad", f"Angle of the {words} joint.") for name, words in joints]
    rates = [(f"{name}_velocity", "rad/s", f"Angular velocity of the {words} joint.") for name, words in joints]
    rows = [*torso, *angles, *speeds, *rates]
    return [{"name": name, "unit": unit, "meaning": meaning} for name, unit, meaning in rows]


def _reacher() -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for unit, quantity, words in (("rad", "angle", "Angle"), ("rad/s", "velocity", "Angular velocity")):
        for joint, place in (("joint0", "the shoulder, at the middle"), ("joint1", "the elbow, between the links")):
            out.append({"name": f"{joint}_{quantity}", "unit": unit, "meaning": f"{words} of {joint}, {place}."})
    for name, words in (("fingertip", "the fingertip"), ("target", "the target")):
        meaning = f"Position (x, y) of {words} on the table; the shoulder is at (0, 0)."
        out.append({"name": f"{name}_position", "unit": "m", "meaning": meaning, "shape": (2,)})
    return out


def _humanoid() -> list[dict[str, Any]]:
    """Fields of the three-dimensional body: its torso, its feet, then each joint's angle and velocity."""
    rows: list[tuple[str, str, str, tuple[int, ...]]] = [
        (
            "torso_position",
            "m",
            "Position (x, y, z) of the torso; z is its height, 0.1 where it lies on its back.",
            (3,),
        ),
        (
            "torso_up",
            "1",
            "Direction (x, y, z) in which the torso's own upward axis points; z is 1 when upright.",
            (3,),
        ),
        ("torso_velocity", "m/s", "Velocity (x, y, z) of the torso; a step lasts 0.015 s.", (3,)),
        ("torso_angular_velocity", "rad/s", "Angular velocity of the torso about its own three axes.", (3,)),
        ("right_foot_height", "m", "Height of the right foot.", ()),
        ("left_foot_height", "m", "Height of the left foot.", ()),
    ]
    for unit, quantity, what in (("rad", "angle", "Angle"), ("rad/s", "velocity", "Angular velocity")):
        rows += [(f"{name}_{quantity}", unit, f"{what} of the {words} joint.", ()) for name, words in HUMANOID.items()]
    return [{"name": name, "unit": unit, "meaning": meaning, "shape": shape} for name, unit, meaning, shape in rows]


def _read_humanoid(base: Any) -> dict[str, Any]:
    data = base.data
    qpos, qvel = data.qpos, data.qvel
    w, x, y, z = qpos[3:7]
    state: dict[str, Any] = {
        "torso_position": qpos[:3],
        # The third column of the rotation that the quaternion stands for.
        "torso_up": (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)),
        "torso_velocity": qvel[:3],
        "torso_angular_velocity": qvel[3:6],
        "right_foot_height": base.get_body_com("right_foot")[2],
        "left_foot_height": base.get_body_com("left_foot")[2],
    }
    state |= {f"{name}_angle": value for name, value in zip(HUMANOID, qpos[7:], strict=True)}
    state |= {f"{name}_velocity": value for name, value in zip(HUMANOID, qvel[6:], strict=True)}
    return state


def handles(env_id: str) -> bool:
    """Whether this family reads that environment."""
    return env_id in SECONDS


def read_state(env: gymnasium.Env[Any, Any], obs: Any, info: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The fields of the environment as it stands, float32; ``obs`` and ``info`` are not read."""
    base: Any = env.unwrapped
    qpos, qvel = base.data.qpos.astype(np.float32), base.data.qvel.astype(np.float32)
    if base.spec.id == "Reacher-v5":
        places = {f"{name}_position": base.get_body_com(name)[:2] for name in ("fingertip", "target")}
        state: dict[str, Any] = {"joint0_angle": qpos[0], "joint1_angle": qpos[1]}
        state |= {"joint0_velocity": qvel[0], "joint1_velocity": qvel[1], **places}
    elif base.spec.id == "HumanoidStandup-v5":
        state = _read_humanoid(base)
    else:
        numbers = np.concatenate([qpos, qvel])
        names = _NAMES[base.spec.id]
        state = dict(zip(names, numbers, strict=True))
    return {name: np.array(value, dtype=np.float32) for name, value in state.items()}


def fields(env_id: str, kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    """Each field as name, meaning, unit, shape; float32 scalars where no shape is said."""
    if env_id == "HumanoidStandup-v5":
        return _humanoid()
    return _reacher() if env_id == "Reacher-v5" else _runner(env_id)


_NAMES = {env_id: [field["name"] for field in _runner(env_id)] for env_id in JOINTS}


def actions(env_id: str) -> dict[str, Any]:
    """The action space: each dimension is a motor's torque, as a share of its largest."""
    bound = 1.0
    if env_id == "Reacher-v5":
        meanings: tuple[str, ...] = ("torque on joint0, the shoulder", "torque on joint1, the elbow")
    elif env_id == "HumanoidStandup-v5":
        z, y, *rest = HUMANOID.values()
        meanings, bound = tuple(f"torque on the {words} joint" for words in (y, z, *rest)), 0.4
    else:
        meanings = tuple(f"torque on the {words} joint" for words in JOINTS[env_id].values())
    size = len(meanings)
    return {"kind": "continuous", "size": size, "meanings": meanings, "low": (-bound,) * size, "high": (bound,) * size}
