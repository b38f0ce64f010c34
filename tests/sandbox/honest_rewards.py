"""Rewards as people and models write them, after published tasks, in this project's signature.

All text is written for these tests; the comment over each names the task whose reward it follows. ``fields`` gives
the shape of each state field: a tuple for float32, ``"code"`` for an int64 code in 0..5, ``"flag"`` for bool.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Shape = tuple[int, ...] | Literal["code", "flag"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Honest:
    source: str
    fields: dict[str, Shape] = field(default_factory=dict)
    action: int = 0
    """Dimensions of a continuous action; 0 for discrete codes."""
    form: Literal["reward", "latent"] = "reward"


HONEST: dict[str, Honest] = {}


def _add(
    name: str, fields: dict[str, Shape], action: int, source: str, form: Literal["reward", "latent"] = "reward"
) -> None:
    HONEST[name] = Honest(source=source.strip() + "\n", fields=fields, action=action, form=form)


# gymnasium mujoco HalfCheetah: forward velocity minus control cost.
_add(
    "halfcheetah",
    {"x": (), "velocity": (9,)},
    6,
    '''
import numpy as np

DT = 0.05
CTRL_COST_WEIGHT = 0.1

def compute_reward(state, action, next_state):
    """Run forward, cheaply."""
    forward = (next_state["x"] - state["x"]) / DT
    control = CTRL_COST_WEIGHT * np.sum(np.square(action), axis=1)
    return {"forward": forward, "control": -control}
''',
)

# gymnasium mujoco Ant: forward, healthy and contact terms.
_add(
    "ant",
    {"x": (), "z": (), "contact": (14, 6)},
    8,
    """
import numpy as np
from typing import Dict

HEALTHY_Z_RANGE = (0.2, 1.0)
CONTACT_RANGE = (-1.0, 1.0)

def compute_reward(
    state: Dict[str, np.ndarray], action: np.ndarray, next_state: Dict[str, np.ndarray]
) -> Dict[str, np.ndarray]:
    min_z, max_z = HEALTHY_Z_RANGE
    lo, hi = CONTACT_RANGE
    z = next_state["z"]
    is_healthy = np.logical_and(z >= min_z, z <= max_z)
    contact = np.clip(next_state["contact"], lo, hi)
    contact_cost = 5e-4 * np.sum(contact**2, axis=(1, 2))
    components = {
        "forward": (next_state["x"] - state["x"]) / 0.05,
        "healthy": is_healthy.astype(np.float32),
        "control": -0.5 * (action ** 2).sum(axis=-1),
    }
    components["contact"] = -contact_cost
    return components
""",
)

# gymnasium mujoco Hopper: alive while the angle and the height stay in range.
_add(
    "hopper",
    {"x": (), "z": (), "angle": ()},
    3,
    """
import numpy as np

def healthy(z: np.ndarray, angle: np.ndarray) -> np.ndarray:
    return (z > 0.7) & (np.abs(angle) < 0.2)

def compute_reward(state, action, next_state):
    ok = healthy(next_state["z"], next_state["angle"])
    velocity = (next_state["x"] - state["x"]) * 125.0
    return {
        "alive": np.where(ok, 1.0, 0.0),
        "velocity": np.where(ok, velocity, 0.0),
        "effort": -1e-3 * np.square(action).sum(-1),
    }
""",
)

# gymnasium mujoco Walker2d: a potential beside the components.
_add(
    "walker2d",
    {"z": (), "velocity": ()},
    6,
    """
import numpy as np

TARGET = 1.25

def potential(state):
    return -np.abs(state["z"] - TARGET)

def compute_reward(state, action, next_state):
    speed = np.minimum(next_state["velocity"], 3.0)
    return {"speed": speed, "effort": -0.001 * np.mean(action ** 2, axis=1)}
""",
)

# gymnasium mujoco Humanoid: centre of mass velocity from masses.
_add(
    "humanoid",
    {"com": (3,), "z": ()},
    17,
    """
import numpy as np

def _in_range(x, low, high):
    return (low < x) & (x < high)

def compute_reward(state, action, next_state):
    dx, dy, _ = (next_state["com"] - state["com"]).T / 0.015
    upright = 5.0 * _in_range(next_state["z"], 1.0, 2.0)
    control = -0.1 * np.sum(action * action, axis=1)
    return dict(forward=1.25 * dx, sideways=-0.1 * np.abs(dy), upright=upright, control=control)
""",
)

# gymnasium mujoco Reacher: distance to the target, in the exponent and plain.
_add(
    "reacher",
    {"fingertip": (2,), "target": (2,)},
    2,
    """
import numpy as np

def compute_reward(state, action, next_state):
    vec = next_state["fingertip"] - next_state["target"]
    dist = np.linalg.norm(vec, axis=-1)
    reward_dist = -dist
    reward_near = np.exp(-dist / 0.1)
    reward_ctrl = -np.square(action).sum(axis=1)
    total = {"dist": reward_dist, "near": reward_near}
    total.update({"ctrl": 0.1 * reward_ctrl})
    return total
""",
)

# gymnasium mujoco Pusher: three weighted distances.
_add(
    "pusher",
    {"hand": (3,), "puck": (3,), "goal": (3,)},
    7,
    '''
import numpy as np

WEIGHTS = {"near": 0.5, "push": 1.0, "ctrl": 0.1}

def dist(a, b):
    """Euclidean distance of rows."""
    return np.sqrt(np.sum((a - b) ** 2, axis=-1) + 1e-8)

def compute_reward(state, action, next_state):
    terms = {}
    terms["near"] = -WEIGHTS["near"] * dist(next_state["hand"], next_state["puck"])
    terms["push"] = -WEIGHTS["push"] * dist(next_state["puck"], next_state["goal"])
    terms["ctrl"] = -WEIGHTS["ctrl"] * np.einsum("ij,ij->i", action, action)
    return terms
''',
)

# gymnasium mujoco Swimmer.
_add(
    "swimmer",
    {"x": (), "angles": (3,)},
    2,
    """
import numpy as np

def compute_reward(state, action, next_state):
    progress = next_state["x"] - state["x"]
    curl = np.abs(next_state["angles"]).max(axis=1)
    return {"progress": 25 * progress, "straight": -0.05 * curl, "effort": -1e-4 * (action**2).sum(1)}
""",
)

# gymnasium mujoco InvertedDoublePendulum: tip distance penalty and velocity penalty.
_add(
    "double_pendulum",
    {"tip": (2,), "omega": (2,)},
    1,
    """
import numpy as np

def compute_reward(state, action, next_state):
    x, y = next_state["tip"][:, 0], next_state["tip"][:, 1]
    v1, v2 = next_state["omega"][:, 0], next_state["omega"][:, 1]
    return {
        "alive": np.full(len(x), 10.0),
        "distance": -(0.01 * x ** 2 + (y - 2) ** 2),
        "velocity": -(1e-3 * v1 ** 2 + 5e-3 * v2 ** 2),
    }
""",
)

# gymnasium classic Pendulum: normalised angle, velocity and torque.
_add(
    "pendulum",
    {"theta": (), "theta_dot": ()},
    1,
    """
import math
import numpy as np

def angle_normalize(x):
    return ((x + math.pi) % (2 * math.pi)) - math.pi

def compute_reward(state, action, next_state):
    th = angle_normalize(next_state["theta"])
    return {
        "angle": -th**2,
        "velocity": -0.1 * next_state["theta_dot"]**2,
        "torque": -0.001 * action[..., 0]**2,
    }
""",
)

# gymnasium classic MountainCar: energy shaping, from math import.
_add(
    "mountaincar",
    {"position": (), "velocity": ()},
    0,
    """
import numpy as np
from math import pi

def potential(state):
    height = np.sin(3 * state["position"]) * 0.45 + 0.55
    return height + 50.0 * np.power(state["velocity"], 2)

def compute_reward(state, action, next_state):
    push_right = action == 2
    moving_right = state["velocity"] > 0
    useful = push_right == moving_right
    phase = np.cos(3 * next_state["position"] + pi / 2)
    return {"pump": useful.astype(float) * 0.1, "height": 0.05 * phase}
""",
)

# gymnasium classic CartPole: margins to the limits.
_add(
    "cartpole",
    {"x": (), "theta": (), "x_dot": (), "theta_dot": ()},
    0,
    """
import numpy

X_LIMIT, THETA_LIMIT = 2.4, 12 * 2 * numpy.pi / 360

def compute_reward(state, action, next_state):
    margin_x = 1.0 - numpy.abs(next_state["x"]) / X_LIMIT
    margin_t = 1.0 - numpy.abs(next_state["theta"]) / THETA_LIMIT
    if THETA_LIMIT > 0.1:
        weight = 0.7
    else:
        weight = 0.5
    return {"centre": (1 - weight) * margin_x, "upright": weight * margin_t}
""",
)

# gymnasium classic Acrobot: height of the tip.
_add(
    "acrobot",
    {"theta1": (), "theta2": ()},
    0,
    """
from numpy import cos, where

def height(s):
    return -cos(s["theta1"]) - cos(s["theta1"] + s["theta2"])

def compute_reward(state, action, next_state):
    before, after = height(state), height(next_state)
    return {"climb": after - before, "above": where(after > 1.0, 1.0, 0.0)}
""",
)

# gymnasium box2d LunarLander: shaping by position, speed, tilt, legs; fuel by action code.
_add(
    "lunarlander",
    {"position": (2,), "velocity": (2,), "angle": (), "left_leg": "flag", "right_leg": "flag"},
    0,
    """
import numpy as np

def shaping(s):
    dist = np.hypot(s["position"][:, 0], s["position"][:, 1])
    speed = np.hypot(s["velocity"][:, 0], s["velocity"][:, 1])
    legs = s["left_leg"].astype(np.float32) + s["right_leg"].astype(np.float32)
    return -100 * dist - 100 * speed - 100 * np.abs(s["angle"]) + 10 * legs

def compute_reward(state, action, next_state):
    main_engine = (action == 2)
    side_engine = np.isin(action, [1, 3])
    fuel = 0.30 * main_engine + 0.03 * side_engine
    both = next_state["left_leg"] & next_state["right_leg"]
    resting = both & (np.linalg.norm(next_state["velocity"], axis=1) < 0.05)
    return {"shaping": shaping(next_state) - shaping(state), "fuel": -fuel, "resting": np.where(resting, 1.0, 0.0)}
""",
)

# gymnasium box2d BipedalWalker.
_add(
    "bipedalwalker",
    {"x": (), "hull_angle": (), "joint_speed": (4,)},
    4,
    """
import numpy as np

MOTORS_TORQUE = 80.0

def compute_reward(state, action, next_state):
    shaping = lambda s: 130 * s["x"] / 30.0 - 5.0 * np.abs(s["hull_angle"])
    components = {"shaping": shaping(next_state) - shaping(state)}
    torque = np.zeros_like(components["shaping"])
    for joint in range(action.shape[1]):
        torque += 0.00035 * MOTORS_TORQUE * np.clip(np.abs(action[:, joint]), 0, 1)
    components["torque"] = -torque
    return components
""",
)

# gymnasium toy text FrozenLake, CliffWalking: positions as row and column.
_add(
    "frozenlake",
    {"row": "code", "column": "code"},
    0,
    """
import numpy as np

GOAL = (3, 3)
HOLES = np.array([[1, 1], [1, 3], [2, 3], [3, 0]])

def manhattan(s):
    return np.abs(s["row"] - GOAL[0]) + np.abs(s["column"] - GOAL[1])

def compute_reward(state, action, next_state):
    cell = np.stack([next_state["row"], next_state["column"]], axis=1)
    in_hole = (cell[:, None, :] == HOLES[None, :, :]).all(axis=2).any(axis=1)
    return {"closer": (manhattan(state) - manhattan(next_state)).astype(np.float32), "hole": -1.0 * in_hole}
""",
)

# minigrid DoorKey: sub-goals through flags and distances.
_add(
    "doorkey",
    {"agent": (2,), "key": (2,), "door": (2,), "goal": (2,), "carrying": "code", "door_open": "flag"},
    0,
    """
import numpy as np

KEY = 5

def l1(a, b):
    return np.abs(a - b).sum(axis=-1)

def compute_reward(state, action, next_state):
    had_key = state["carrying"] == KEY
    has_key = next_state["carrying"] == KEY
    opened = ~state["door_open"] & next_state["door_open"]
    to_key = l1(state["agent"], state["key"]) - l1(next_state["agent"], next_state["key"])
    to_door = l1(state["agent"], state["door"]) - l1(next_state["agent"], next_state["door"])
    to_goal = l1(state["agent"], state["goal"]) - l1(next_state["agent"], next_state["goal"])
    searching = ~has_key & ~next_state["door_open"]
    unlocking = has_key & ~next_state["door_open"]
    return {
        "picked_key": 0.3 * (~had_key & has_key),
        "door_opened": 0.5 * opened,
        "near_key": np.where(searching, 0.05 * to_key, 0.0),
        "near_door": np.where(unlocking, 0.05 * to_door, 0.0),
        "near_goal": np.where(next_state["door_open"], 0.05 * to_goal, 0.0),
    }
""",
)

# minigrid DoorKey with memory: each stage is paid once in an episode.
_add(
    "doorkey_memory",
    {"agent": (2,), "goal": (2,), "carrying": "code", "door_open": "flag"},
    0,
    """
import numpy as np

def init_memory(batch_size):
    return {
        "picked": np.zeros(batch_size, dtype=bool),
        "opened": np.zeros(batch_size, dtype=bool),
        "best": np.full(batch_size, 1e3, dtype=np.float32),
    }

def compute_reward(state, action, next_state, memory):
    has_key = next_state["carrying"] == 5
    first_key = has_key & ~memory["picked"]
    first_open = next_state["door_open"] & ~memory["opened"]
    distance = np.abs(next_state["agent"] - next_state["goal"]).sum(axis=1).astype(np.float32)
    known = memory["best"] < 1e3
    gain = np.where(known, np.maximum(memory["best"] - distance, 0.0), 0.0)
    memory["picked"] = memory["picked"] | has_key
    memory["opened"] |= next_state["door_open"]
    memory["best"] = np.minimum(memory["best"], distance)
    return {"key": first_key.astype(np.float32), "door": first_open.astype(np.float32), "gain": 0.1 * gain}, memory
""",
)

# minigrid Empty: potential by distance, time penalty.
_add(
    "minigrid_empty",
    {"agent": (2,), "goal": (2,)},
    0,
    """
import numpy as np

def potential(state):
    d = np.abs(state["agent"] - state["goal"])
    return -np.sum(d, axis=1) / 10.0

def compute_reward(state, action, next_state):
    B = action.shape[0]
    return {"time": np.full(B, -0.01, dtype=np.float32)}
""",
)

# minigrid UnlockPickup, KeyCorridor: facing something, by codes.
_add(
    "keycorridor",
    {"front": "code", "carrying": "code", "agent": (2,)},
    0,
    '''
import numpy as np

DOOR, KEY, BALL = 4, 5, 3
BONUS = {"key": 0.25, "ball": 1.0}

def compute_reward(state, action, next_state):
    """Pick up what matters."""
    rewards: dict[str, np.ndarray] = {}
    for name, code in (("key", KEY), ("ball", BALL)):
        got = (next_state["carrying"] == code) & (state["carrying"] != code)
        rewards[f"got_{name}"] = BONUS[name] * got.astype(np.float32)
    moved = np.any(next_state["agent"] != state["agent"], axis=1)
    rewards["moved"] = 0.01 * moved
    return rewards
''',
)

# minigrid LavaCrossing: distance to the nearest lava cell with a soft minimum.
_add(
    "lavacrossing",
    {"agent": (2,), "lava": (4, 2), "goal": (2,)},
    0,
    """
import numpy as np

def compute_reward(state, action, next_state):
    gaps = np.linalg.norm(next_state["lava"] - next_state["agent"][:, None, :], axis=2)
    nearest = np.min(gaps, axis=1)
    soft = -np.log(np.exp(-gaps).sum(axis=1))
    risk = np.maximum(0.0, 1.5 - nearest)
    closer = np.linalg.norm(state["agent"] - state["goal"], axis=1)
    closer = closer - np.linalg.norm(next_state["agent"] - next_state["goal"], axis=1)
    return {"risk": -0.1 * risk, "soft": 0.01 * np.tanh(soft), "closer": closer}
""",
)

# minigrid FourRooms: exploration by new cells, with a visit map in memory.
_add(
    "fourrooms_explore",
    {"agent": (2,)},
    0,
    """
import numpy as np

SIZE = 19

def init_memory(batch_size):
    return {"visited": np.zeros((batch_size, SIZE, SIZE), dtype=bool)}

def compute_reward(state, action, next_state, memory):
    visited = memory["visited"].copy()
    rows = np.arange(len(action))
    cell = np.clip(np.abs(next_state["agent"]).astype(np.int64), 0, SIZE - 1)
    new = ~visited[rows, cell[:, 0], cell[:, 1]]
    visited[rows, cell[:, 0], cell[:, 1]] = True
    return {"new_cell": 0.02 * new.astype(np.float32)}, {"visited": visited}
""",
)

# IsaacGymEnvs Cartpole: pole angle, velocities, and a reset penalty.
_add(
    "isaac_cartpole",
    {"pole_angle": (), "pole_vel": (), "cart_vel": (), "cart_pos": ()},
    1,
    """
import numpy as np

def compute_reward(state, action, next_state):
    pole_angle = next_state["pole_angle"]
    reward = 1.0 - pole_angle * pole_angle
    reward += -0.01 * np.abs(next_state["cart_vel"]) - 0.005 * np.abs(next_state["pole_vel"])
    reward = np.where(np.abs(next_state["cart_pos"]) > 3.0, np.ones_like(reward) * -2.0, reward)
    reward = np.where(np.abs(pole_angle) > np.pi / 2, np.ones_like(reward) * -2.0, reward)
    return {"balance": reward}
""",
)

# IsaacGymEnvs Ant: heading and up terms with a threshold.
_add(
    "isaac_ant",
    {"up": (), "heading": (), "torso_z": (), "dof_vel": (8,), "dof_at_limit": (8,), "target_gap": ()},
    8,
    """
import numpy as np

heading_weight, up_weight = 0.5, 0.1
actions_cost_scale: float = 0.005
energy_cost_scale: float = 0.05

def compute_reward(state, action, next_state):
    heading = next_state["heading"]
    heading_reward = np.where(heading > 0.8, heading_weight, heading_weight * heading / 0.8)
    up_reward = np.zeros_like(heading)
    up_reward = np.where(next_state["up"] > 0.93, up_reward + up_weight, up_reward)
    actions_cost = np.sum(action ** 2, axis=-1)
    electricity_cost = np.sum(np.abs(action * next_state["dof_vel"]), axis=-1)
    limits = np.sum(np.abs(next_state["dof_at_limit"]) > 0.99, axis=-1)
    progress = (state["target_gap"] - next_state["target_gap"]) / 0.0166
    fallen = next_state["torso_z"] < 0.31
    return {
        "progress": progress,
        "heading": heading_reward,
        "up": up_reward,
        "actions": -actions_cost_scale * actions_cost,
        "energy": -energy_cost_scale * electricity_cost,
        "limits": -0.1 * limits,
        "fallen": -2.0 * fallen,
    }
""",
)

# IsaacGymEnvs ShadowHand, AllegroHand: rotation distance of quaternions through helpers.
_add(
    "isaac_shadowhand",
    {"object_rot": (4,), "target_rot": (4,), "object_pos": (3,), "target_pos": (3,)},
    20,
    """
import numpy as np

def quat_conjugate(q):
    return np.concatenate([-q[:, :3], q[:, 3:]], axis=-1)

def quat_mul(a, b):
    x1, y1, z1, w1 = a[:, 0], a[:, 1], a[:, 2], a[:, 3]
    x2, y2, z2, w2 = b[:, 0], b[:, 1], b[:, 2], b[:, 3]
    ww = (z1 + x1) * (x2 + y2)
    yy = (w1 - y1) * (w2 + z2)
    zz = (w1 + y1) * (w2 - z2)
    xx = ww + yy + zz
    qq = 0.5 * (xx + (z1 - x1) * (x2 - y2))
    w = qq - ww + (z1 - y1) * (y2 - z2)
    x = qq - xx + (x1 + w1) * (x2 + w2)
    y = qq - yy + (w1 - x1) * (y2 + z2)
    z = qq - zz + (z1 + y1) * (w2 - x2)
    return np.stack([x, y, z, w], axis=-1)

def compute_reward(state, action, next_state):
    goal_dist = np.linalg.norm(next_state["object_pos"] - next_state["target_pos"], axis=-1)
    diff = quat_mul(next_state["object_rot"], quat_conjugate(next_state["target_rot"]))
    rot_dist = 2.0 * np.arcsin(np.clip(np.linalg.norm(diff[:, 0:3], axis=-1), a_min=None, a_max=1.0))
    rot_rew = 1.0 / (np.abs(rot_dist) + 0.1)
    success = np.where(np.abs(rot_dist) <= 0.1, 1, 0)
    return {
        "distance": -10.0 * goal_dist,
        "rotation": 1.0 * rot_rew,
        "action": -0.0002 * np.sum(action ** 2, axis=-1),
        "bonus": 250.0 * success,
    }
""",
)

# IsaacGymEnvs BallBalance.
_add(
    "isaac_ballbalance",
    {"ball_pos": (3,), "ball_vel": (3,)},
    3,
    """
import numpy as np

def compute_reward(state, action, next_state):
    pos, vel = next_state["ball_pos"], next_state["ball_vel"]
    height = (pos[..., 2] - 0.7) * (pos[..., 2] - 0.7)
    ball_dist = np.sqrt(pos[..., 0] * pos[..., 0] + height + pos[..., 1] * pos[..., 1])
    ball_speed = np.sqrt((vel ** 2).sum(-1))
    pos_reward = 1.0 / (1.0 + ball_dist)
    speed_reward = 1.0 / (1.0 + ball_speed)
    return {"stable": pos_reward * speed_reward}
""",
)

# IsaacGymEnvs Quadcopter and Ingenuity.
_add(
    "isaac_quadcopter",
    {"root_pos": (3,), "root_quat": (4,), "root_angvel": (3,)},
    12,
    """
import numpy as np

TARGET = np.array([0.0, 0.0, 1.0], dtype=np.float32)

def quat_axis_z(q):
    x, y, z, w = np.moveaxis(q, -1, 0)
    return np.stack((2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)), axis=-1)

def compute_reward(state, action, next_state):
    target_dist = np.linalg.norm(next_state["root_pos"] - TARGET, axis=-1)
    pos_reward = 1.0 / (1.0 + target_dist * target_dist)
    tiltage = np.abs(1 - quat_axis_z(next_state["root_quat"])[..., 2])
    up_reward = 1.0 / (1.0 + tiltage * tiltage)
    spinnage = np.abs(next_state["root_angvel"][..., 2])
    spin_reward = 1.0 / (1.0 + spinnage * spinnage)
    return {"position": pos_reward, "up": pos_reward * up_reward, "spin": pos_reward * spin_reward}
""",
)

# IsaacGymEnvs FrankaCabinet: several nested conditions.
_add(
    "isaac_frankacabinet",
    {"grasp": (3,), "handle": (3,), "drawer": (), "left": (3,), "right": (3,)},
    9,
    """
import numpy as np

def compute_reward(state, action, next_state):
    d = np.linalg.norm(next_state["grasp"] - next_state["handle"], axis=-1)
    dist_reward = 1.0 / (1.0 + d ** 2)
    dist_reward *= dist_reward
    dist_reward = np.where(d <= 0.02, dist_reward * 2, dist_reward)
    left_z, right_z, handle_z = next_state["left"][:, 2], next_state["right"][:, 2], next_state["handle"][:, 2]
    around = np.where(left_z > handle_z, np.where(right_z < handle_z, 0.5, 0.0), 0.0)
    opened = next_state["drawer"] * around + next_state["drawer"]
    bonus = sum(np.where(next_state["drawer"] > level, 0.25, 0.0) for level in (0.01, 0.2, 0.39))
    act = -7.5 * 0.001 * (action ** 2).sum(axis=1)
    return {"reach": 2.0 * dist_reward, "around": 0.125 * around, "open": 10 * opened, "bonus": bonus, "act": act}
""",
)

# IsaacGymEnvs Anymal: exponential tracking of commands.
_add(
    "isaac_anymal",
    {"lin_vel": (2,), "ang_vel": (), "command": (3,), "torque": (12,)},
    12,
    """
import numpy as np

SCALES = {"lin_vel_xy": 1.0, "ang_vel_z": 0.5, "torque": -2.5e-5}
SIGMA = 0.25

def compute_reward(state, action, next_state):
    lin_err = np.sum((next_state["command"][:, :2] - next_state["lin_vel"]) ** 2, axis=1)
    ang_err = (next_state["command"][:, 2] - next_state["ang_vel"]) ** 2
    raw = {
        "lin_vel_xy": np.exp(-lin_err / SIGMA),
        "ang_vel_z": np.exp(-ang_err / SIGMA),
        "torque": np.sum(np.square(next_state["torque"]), axis=1),
    }
    return {name: SCALES[name] * value for name, value in raw.items()}
""",
)

# IsaacGymEnvs FrankaCubeStack: maximum of staged rewards.
_add(
    "isaac_cubestack",
    {"eef": (3,), "a": (3,), "b": (3,), "a_height": ()},
    7,
    """
import numpy as np

def compute_reward(state, action, next_state):
    reach = 1 - np.tanh(10.0 * np.linalg.norm(next_state["eef"] - next_state["a"], axis=-1))
    lifted = (next_state["a_height"] - 0.05) > 0.04
    offset = np.zeros_like(next_state["a"])
    offset[:, 2] = 0.1
    align = (1 - np.tanh(10.0 * np.linalg.norm(next_state["b"] - next_state["a"] + offset, axis=-1))) * lifted
    stacked = (np.linalg.norm(next_state["b"][:, :2] - next_state["a"][:, :2], axis=-1) < 0.02) & lifted
    best = np.maximum.reduce([reach, align])
    total = np.where(stacked, 16.0, 0.1 * best + 1.5 * lifted + 2.0 * align)
    return {"stack": total}
""",
)

# Eureka's style of answer: temperatures, exponentials, a component for each term.
_add(
    "eureka_temperatures",
    {"object_rot": (4,), "goal_rot": (4,), "angvel": (3,)},
    16,
    """
import numpy as np
import math
from typing import Tuple, Dict

def compute_reward(state, action, next_state):
    # Temperature parameters for the reward components
    rotation_temperature: float = 0.5
    angvel_temperature: float = 0.1

    dot = np.sum(next_state["object_rot"] * next_state["goal_rot"], axis=-1)
    norms = np.linalg.norm(next_state["object_rot"], axis=-1) * np.linalg.norm(next_state["goal_rot"], axis=-1)
    cosine = np.clip(np.abs(dot) / np.maximum(norms, 1e-6), 0.0, 1.0)
    angle = 2 * np.arccos(cosine)
    rotation_reward = np.exp(-rotation_temperature * angle / math.pi)
    angvel_penalty = 1.0 - np.exp(-angvel_temperature * np.linalg.norm(next_state["angvel"], axis=-1))
    reward_components = {
        "rotation_reward": rotation_reward,
        "angvel_penalty": -0.1 * angvel_penalty,
    }
    return reward_components
""",
)

# Eureka pen spinning and DrEureka globe walking: reward through normalised penalties.
_add(
    "dreureka_globe",
    {"base_height": (), "projected_gravity": (3,), "joint_pos": (12,), "default_pos": (12,)},
    12,
    """
import numpy as np

TERMS = ["height", "orientation", "pose", "smooth"]

def compute_reward(state, action, next_state):
    height_error = (next_state["base_height"] - 0.3) ** 2
    tilt = np.sum(next_state["projected_gravity"][:, :2] ** 2, axis=1)
    pose = np.abs(next_state["joint_pos"] - next_state["default_pos"]).mean(axis=1)
    smooth = np.abs(next_state["joint_pos"] - state["joint_pos"]).mean(axis=1)
    values = [np.exp(-20 * height_error), np.exp(-5 * tilt), -0.2 * pose, -0.1 * smooth]
    return dict(zip(TERMS, values))
""",
)

# Text2Reward, ManiSkill PickCube: stages by conditions over rows.
_add(
    "text2reward_pickcube",
    {"tcp": (3,), "cube": (3,), "goal": (3,), "grasped": "flag"},
    7,
    """
import numpy as np

def compute_reward(state, action, next_state):
    tcp, cube, goal = (next_state[k] for k in ("tcp", "cube", "goal"))
    reaching = 1 - np.tanh(5 * np.linalg.norm(cube - tcp, axis=1))
    placing = 1 - np.tanh(5 * np.linalg.norm(goal - cube, axis=1))
    grasped = next_state["grasped"]
    at_goal = np.linalg.norm(goal - cube, axis=1) <= 0.025
    return {
        "reaching": reaching,
        "grasp": 1.0 * grasped,
        "placing": np.where(grasped, placing, 0),
        "success": np.select([at_goal & grasped, at_goal], [5.0, 1.0], default=0.0),
    }
""",
)

# metaworld reach: a long-tail tolerance around the target.
_add(
    "metaworld_reach",
    {"hand": (3,), "target": (3,), "start": (3,)},
    4,
    '''
import numpy as np

def tolerance(x, upper, margin, value_at_margin=0.1):
    """Long-tail sigmoid of the distance outside the bounds."""
    scale = np.sqrt(1 / value_at_margin - 1)
    outside = np.maximum(x - upper, 0.0) / np.maximum(margin, 1e-6)
    return np.where(x <= upper, 1.0, 1.0 / ((outside * scale) ** 2 + 1.0))

def compute_reward(state, action, next_state):
    distance = np.linalg.norm(next_state["hand"] - next_state["target"], axis=-1)
    margin = np.linalg.norm(next_state["start"] - next_state["target"], axis=-1)
    return {"in_place": 10.0 * tolerance(distance, 0.05, margin)}
''',
)

# metaworld drawer-close and hamacher product.
_add(
    "metaworld_drawer",
    {"tcp": (3,), "handle": (3,), "target": (3,), "gripper": ()},
    4,
    """
import numpy as np

def hamacher_product(a, b):
    denominator = a + b - (a * b)
    safe = np.where(denominator > 0, denominator, 1.0)
    return np.where(denominator > 0, (a * b) / safe, 0.0)

def gaussian(x, sigma):
    return np.exp(-0.5 * (x / sigma) ** 2)

def compute_reward(state, action, next_state):
    reach = gaussian(np.linalg.norm(next_state["tcp"] - next_state["handle"], axis=1), sigma=0.2)
    closed = gaussian(np.linalg.norm(next_state["handle"] - next_state["target"], axis=1), sigma=0.3)
    grip = np.clip(next_state["gripper"], 0.0, 1.0)
    return {"close": 10 * hamacher_product(reach, closed), "grip": grip * 0.2}
""",
)

# metaworld button-press: conditional expression on a constant and a chained where.
_add(
    "metaworld_button",
    {"tcp": (3,), "button": (3,), "pressed": ()},
    4,
    """
import numpy as np

PRECISE = True
RADIUS = 0.02 if PRECISE else 0.05

def compute_reward(state, action, next_state):
    d = np.linalg.norm(next_state["tcp"] - next_state["button"], axis=1)
    near = np.where(d < RADIUS, 1.0, np.exp(-(d - RADIUS) / 0.3))
    return {"near": 2.0 * near, "pressed": 8.0 * np.clip(next_state["pressed"], 0, 1) * (d < 0.1)}
""",
)

# DeepMind Control cheetah run and walker stand: products of tolerances.
_add(
    "dmc_walker",
    {"height": (), "upright": (), "speed": ()},
    6,
    """
import numpy as np

def linear_tolerance(x, low, margin):
    below = np.maximum(low - x, 0.0)
    return np.clip(1.0 - below / margin, 0.0, 1.0)

def compute_reward(state, action, next_state):
    standing = linear_tolerance(next_state["height"], 1.2, 0.6)
    upright = (1 + np.clip(next_state["upright"], -1, 1)) / 2
    stand = (3 * standing + upright) / 4
    move = linear_tolerance(next_state["speed"], low=1.0, margin=0.5)
    return {"stand": stand, "move": stand * (5 * move + 1) / 6}
""",
)

# DeepMind Control finger spin and reacher: any and all.
_add(
    "dmc_finger",
    {"velocity": (3,), "touch": (2,)},
    2,
    """
import numpy as np

def compute_reward(state, action, next_state):
    spinning = (next_state["velocity"][:, 2] <= -15.0)
    touching = np.any(next_state["touch"] > 0, axis=1)
    return {"spin": spinning.astype("float32"), "touch": 0.1 * touching, "speed": -0.01 * next_state["velocity"][:, -1]}
""",
)

# highway-env: speed, collision, right lane.
_add(
    "highway",
    {"speed": (), "lane": "code", "crashed": "flag"},
    0,
    """
import numpy as np

CONFIG = {
    "collision_reward": -1.0,
    "right_lane_reward": 0.1,
    "high_speed_reward": 0.4,
    "reward_speed_range": [20, 30],
}

def lmap(v, x, y):
    return y[0] + (v - x[0]) * (y[1] - y[0]) / (x[1] - x[0])

def compute_reward(state, action, next_state):
    scaled_speed = lmap(next_state["speed"], CONFIG["reward_speed_range"], [0, 1])
    return {
        "collision": CONFIG["collision_reward"] * next_state["crashed"].astype(np.float32),
        "right_lane": CONFIG["right_lane_reward"] * next_state["lane"] / max(5, 1),
        "high_speed": CONFIG["high_speed_reward"] * np.clip(scaled_speed, 0, 1),
    }
""",
)

# LaRe mujoco: latent factors of a transition.
_add(
    "lare_factors",
    {"x": (), "z": (), "velocity": (6,), "angle": ()},
    6,
    """
import numpy as np

def compute_latent(state, action, next_state):
    forward_progress = next_state["x"] - state["x"]
    energy = np.sum(action ** 2, axis=1)
    stability = np.abs(next_state["angle"])
    smoothness = np.linalg.norm(next_state["velocity"] - state["velocity"], axis=1)
    height = next_state["z"]
    return {
        "forward_progress": forward_progress,
        "energy": energy,
        "stability": stability,
        "smoothness": smoothness,
        "height": height,
    }
""",
    "latent",
)

# LaRe multi-agent particle: pairwise distances to landmarks and collisions.
_add(
    "lare_mpe",
    {"agents": (3, 2), "landmarks": (3, 2)},
    0,
    """
import numpy as np

def pairwise(a, b):
    return np.sqrt(((a[:, :, np.newaxis, :] - b[:, np.newaxis, :, :]) ** 2).sum(axis=-1))

def compute_latent(state, action, next_state):
    to_landmarks = pairwise(next_state["agents"], next_state["landmarks"])
    between = pairwise(next_state["agents"], next_state["agents"])
    B, n = between.shape[0], between.shape[1]
    upper = between.reshape(B, n * n)
    factors = {f"landmark_{i}": to_landmarks[:, :, i].min(axis=1) for i in range(n)}
    factors["crowding"] = (upper < 0.3).sum(axis=1) - n
    return factors
""",
    "latent",
)

# CARD and Auto MC-Reward style: guards against division by zero, errstate, f-strings in names.
_add(
    "guarded_division",
    {"hand": (3,), "cube": (3,), "joints": (4,)},
    4,
    '''
from __future__ import annotations
import numpy as np

EPS = 1e-8

def compute_reward(state, action, next_state):
    """Cosine between the hand's movement and the direction to the cube."""
    step = next_state["hand"] - state["hand"]
    to_cube = state["cube"] - state["hand"]
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.sum(step * to_cube, axis=1) / (np.linalg.norm(step, axis=1) * np.linalg.norm(to_cube, axis=1) + EPS)
    ratio = np.divide(step[:, 0], to_cube[:, 0], out=np.zeros_like(step[:, 0]), where=np.abs(to_cube[:, 0]) > EPS)
    components = {"toward": np.nan_to_num(cosine, nan=0.0), "ratio": np.clip(ratio, -1, 1)}
    for i in range(next_state["joints"].shape[1]):
        components[f"joint_{i}"] = -0.01 * np.abs(next_state["joints"][:, i])
    return components
''',
)

# HRDL and REvolve driving: a smooth window and a lookup table by action code.
_add(
    "revolve_driving",
    {"speed": (), "lane_offset": (), "gap": ()},
    0,
    """
import numpy as np

COST_OF_ACTION = np.array([0.0, 0.02, 0.02, 0.05, 0.1, 0.0, 0.0])

def smooth_window(x, low, high, softness=1.0):
    rise = 1.0 / (1.0 + np.exp(-(x - low) / softness))
    fall = 1.0 / (1.0 + np.exp((x - high) / softness))
    return rise * fall

def compute_reward(state, action, next_state):
    cost = COST_OF_ACTION[action]
    speed_ok = smooth_window(next_state["speed"], 8.0, 14.0)
    offset = next_state["lane_offset"]
    centred = np.exp(-offset ** 2 / (2 * 0.5 ** 2))
    safe_gap = np.clip(next_state["gap"] / np.maximum(next_state["speed"], 1.0), 0.0, 2.0)
    return {"speed": speed_ok, "centre": centred, "gap": 0.5 * safe_gap, "action": -cost}
""",
)

# L2R quadruped: heights of feet through stack, mean, std and median.
_add(
    "l2r_quadruped",
    {"feet": (4, 3), "base": (3,)},
    12,
    """
import numpy as np

def compute_reward(state, action, next_state):
    heights = np.stack([next_state["feet"][:, i, 2] for i in range(4)], axis=1)
    mean_height = np.mean(heights, axis=1, keepdims=True)
    uneven = np.std(heights - mean_height, axis=1)
    lifted = np.median(heights, axis=1)
    sorted_heights = np.sort(heights, axis=1)
    spread = sorted_heights[:, -1] - sorted_heights[:, 0]
    speed = (next_state["base"] - state["base"])[:, 0] / 0.02
    return {"speed": speed, "even": -uneven, "lift": 0.1 * lifted, "spread": -0.05 * spread}
""",
)

# Crafter-like counters: a loop over items with dict get, isinstance and a nested function.
_add(
    "crafter_items",
    {"inventory": (6,), "health": ()},
    0,
    """
import numpy as np

ITEMS = ("wood", "stone", "coal", "iron", "diamond", "drink")
VALUES = {"wood": 0.1, "stone": 0.2, "diamond": 1.0}

def compute_reward(state, action, next_state):
    def gained(i):
        return np.maximum(next_state["inventory"][:, i] - state["inventory"][:, i], 0.0)

    rewards = {}
    for i, item in enumerate(ITEMS):
        value = VALUES.get(item, 0.05)
        if not isinstance(value, float) or value <= 0:
            continue
        rewards["got_" + item] = value * gained(i)
    lost = np.minimum(next_state.get("health") - state["health"], 0)
    rewards["health"] = 0.1 * lost
    return rewards
""",
)

# Potential with memory of the best distance, Pendulum-like swing counter.
_add(
    "swing_counter",
    {"theta": (), "theta_dot": ()},
    1,
    """
import numpy as np
import math

def init_memory(batch_size: int) -> dict[str, np.ndarray]:
    return {"steps": np.zeros(batch_size, dtype=np.int64), "held": np.zeros((batch_size,), dtype=np.float32)}

def potential(state):
    return np.cos(state["theta"])

def compute_reward(state, action, next_state, memory):
    upright = np.cos(next_state["theta"]) > math.cos(0.3)
    held = np.where(upright, memory["held"] + 1, 0).astype(np.float32)
    steps = memory["steps"] + 1
    decay = 0.99 ** steps
    components = {"held": 0.01 * np.minimum(held, 50), "early": decay * upright, "effort": -0.001 * action[:, 0] ** 2}
    memory = {"steps": steps, "held": held}
    return components, memory
""",
)

# A model's answer with much ceremony: typed constants, docstrings, asarray, early return by a constant.
_add(
    "ceremonious",
    {"pos": (2,), "goal": (2,), "speed": ()},
    2,
    '''
"""Reward for reaching the goal.

The agent should reach the goal quickly and smoothly.
"""
import numpy as np
from typing import Any, Optional

GOAL_RADIUS: float = 0.1
USE_BONUS: bool = True
MAX_DISTANCE = float(np.sqrt(2.0))

def _distance(a: np.ndarray, b: np.ndarray, *, eps: float = 1e-6) -> np.ndarray:
    """Distance with a floor."""
    return np.maximum(np.linalg.norm(np.asarray(a, dtype=np.float32) - b, axis=-1), eps)

def compute_reward(
    state: dict[str, np.ndarray],
    action: np.ndarray,
    next_state: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Returns the named components."""
    # Progress
    prev_d: np.ndarray = _distance(state["pos"], state["goal"])
    curr_d: np.ndarray = _distance(next_state["pos"], next_state["goal"], eps=1e-5)
    progress = (prev_d - curr_d) / MAX_DISTANCE

    reached = (curr_d < GOAL_RADIUS).astype(np.float32)
    if not USE_BONUS:
        return {"progress": progress}

    smooth = -0.05 * np.linalg.norm(action, ord=2, axis=1)
    slow_down = np.where((curr_d < 0.3) & (next_state["speed"] > 0.5), -0.1, 0.0)
    return {
        "progress": progress,
        "reached": 10.0 * reached,
        "smooth": smooth,
        "slow_down": slow_down,
    }
''',
)
