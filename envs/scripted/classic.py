"""Scripted agents of Gymnasium's classic control: one table of controllers for each environment.

A controller maps the task's state fields and the number of steps taken to an action. All gains were set by hand on
the equations of motion; which behaviours solve the task is checked on the recorded episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np

from envs.episode import Array, Episode

State = Mapping[str, Array]
Controller = Callable[[State, int], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Controllers:
    """The behaviours of one environment, by name."""

    solved: Callable[[Episode], bool]
    """Whether an episode solves the task, whatever its return."""
    solutions: Mapping[str, Controller]
    exploits: Mapping[str, Controller]
    twins: Mapping[str, str]
    """Solutions that lose most of the time limit in one way, and the exploits that lose all of it in that way."""


def constant(action: object) -> Controller:
    """The same action for ever."""
    return lambda state, t: action


def cycle(*actions: object) -> Controller:
    """The actions in turn, for ever."""
    return lambda state, t: actions[t % len(actions)]


def delayed(steps: int, first: Controller, then: Controller) -> Controller:
    """``first`` for so many steps, ``then`` from there on."""
    return lambda state, t: first(state, t) if t < steps else then(state, t)


def _reached(episode: Episode) -> bool:
    return episode.terminated


def _survived(episode: Episode) -> bool:
    return not episode.terminated


def _stands(episode: Episode) -> bool:
    """Whether the pendulum stood upright for the last 50 steps."""
    return bool(np.all(np.abs(episode.next_state["angle"][-50:]) < 0.2))


# MountainCar: codes 0 left, 1 coast, 2 right.
_FLAG = 0.5


def _car_push(state: State, t: int) -> int:
    """Push along the velocity, which adds energy at every step."""
    return 2 if state["velocity"] >= 0 else 0


def _car_step(position: float, velocity: float, action: int) -> tuple[float, float]:
    """The environment's own equation of motion."""
    velocity = min(max(velocity + (action - 1) * 0.001 - 0.0025 * cos(3 * position), -0.07), 0.07)
    return max(position + velocity, -1.2), velocity


def _car_can_stop(position: float, velocity: float, before: float) -> bool:
    """Whether full braking stops the car short of ``before``."""
    while velocity > 0:
        if position >= before:
            return False
        position, velocity = _car_step(position, velocity, 0)
    return position < before


def _car_shy(wanted: Controller, before: float) -> Controller:
    """Do as wanted, but brake in time to turn round before a position."""

    def act(state: State, t: int) -> object:
        action = wanted(state, t)
        ahead = _car_step(float(state["position"]), float(state["velocity"]), int(str(action)))
        return action if _car_can_stop(*ahead, before) else 0

    return act


def _car_park(where: float) -> Controller:
    """Climb towards a place on the right slope and hold it there."""

    def act(state: State, t: int) -> int:
        position, velocity = float(state["position"]), float(state["velocity"])
        if position < where - 0.25:
            return _car_push(state, t)
        error = where - position - 12 * velocity
        return 2 if error > 0 else 0

    return _car_shy(act, _FLAG - 0.005)


_MOUNTAIN_CAR = Controllers(
    solved=_reached,
    solutions={
        "fast": _car_push,
        "slow": delayed(15, constant(1), _car_push),
        "late": delayed(140, _car_park(0.44), constant(2)),
    },
    twins={"late": "park-below-flag"},
    exploits={
        "idle": constant(1),
        "left": constant(0),
        "right": constant(2),
        "alternate": cycle(0, 2),
        "shuffle": cycle(*[0] * 20, *[2] * 20),
        "rock-low": _car_shy(_car_push, -0.2),
        "rock-high": _car_shy(_car_push, 0.3),
        "rock-below-flag": _car_shy(_car_push, _FLAG - 0.005),
        "park-below-flag": _car_park(0.44),
    },
)


# CartPole: codes 0 left, 1 right.
def _cart_balance(swing: float = 0.0, position: float = 1.0) -> Controller:
    """State feedback around a place that swings by ``swing`` metres; a negative ``position`` drives the cart away."""

    def act(state: State, t: int) -> int:
        offset = float(state["cart_position"]) - swing * sin(t / 40)
        lean = 10 * float(state["pole_angle"]) + 2.5 * float(state["pole_angular_velocity"])
        drift = 0.4 * offset + 0.8 * float(state["cart_velocity"])
        return int(lean + position * drift > 0)

    return act


_CART_POLE = Controllers(
    solved=_survived,
    solutions={"steady": _cart_balance(), "swaying": _cart_balance(swing=0.5)},
    twins={},
    exploits={
        "left": constant(0),
        "right": constant(1),
        "alternate": cycle(0, 1),
        "slow-alternate": cycle(0, 0, 1, 1),
        "fall-late": delayed(100, _cart_balance(), constant(1)),
        "run-off": delayed(30, _cart_balance(), _cart_balance(position=-2.0)),
    },
)


# Acrobot: codes 0, 1, 2 for torques -1, 0, +1.
_FINISHING_ENERGY = 4.9
"""Energy in joules below which the tip cannot get one link's length above the pivot (all mass terms 1)."""


def _acrobot_pump(state: State, t: int) -> int:
    """Torque along the joint's own velocity: the motor's power is never negative."""
    return 2 if state["angular_velocity_2"] >= 0 else 0


def _acrobot_energy(state: State) -> float:
    """Kinetic and potential energy of the links (Sutton and Barto's acrobot: unit masses and lengths)."""
    a1, a2 = float(state["angle_1"]), float(state["angle_2"])
    w1, w2 = float(state["angular_velocity_1"]), float(state["angular_velocity_2"])
    d11 = 0.25 + 1.25 + cos(a2) + 2.0
    d12 = 0.25 + 0.5 * cos(a2) + 1.0
    kinetic = 0.5 * d11 * w1 * w1 + d12 * w1 * w2 + 0.5 * 1.25 * w2 * w2
    return kinetic - 9.8 * (1.5 * cos(a1) + 0.5 * cos(a1 + a2))


def _acrobot_hold(energy: float) -> Controller:
    """Pump up to an energy, and brake above it."""
    return lambda state, t: _acrobot_pump(state, t) if _acrobot_energy(state) < energy else 2 - _acrobot_pump(state, t)


_ACROBOT = Controllers(
    solved=_reached,
    solutions={
        "fast": _acrobot_pump,
        "slow": delayed(100, _acrobot_hold(_FINISHING_ENERGY - 3), _acrobot_pump),
        "late": delayed(300, _acrobot_hold(_FINISHING_ENERGY - 3), _acrobot_pump),
    },
    twins={"late": "swing-below-goal"},
    exploits={
        "idle": constant(1),
        "one-way": constant(2),
        "alternate": cycle(0, 2),
        "swing-low": _acrobot_hold(-12.0),
        "swing-below-goal": _acrobot_hold(_FINISHING_ENERGY - 3),
    },
)


# Pendulum: one torque in N m, at most 2 either way; unit mass and length, 10 m/s^2.
def _pendulum_up(pump: float = 2.0, lean: float = 0.0) -> Controller:
    """Add energy with torque ``pump`` up to that of standing still upright, then balance at ``lean`` radians."""

    def act(state: State, t: int) -> Array:
        angle, speed = float(state["angle"]), float(state["angular_velocity"])
        if abs(angle) < 0.5 and abs(speed) < 4 * (0.7 - abs(angle)) + 1:
            torque = -12 * (angle - lean) - 3 * speed - 5 * sin(lean)
        else:
            missing = 5.0 * (1 - cos(angle)) - speed * speed / 6
            torque = pump * np.sign(speed or 1.0) * np.sign(missing)
        return np.array([np.clip(torque, -2, 2)], dtype=np.float32)

    return act


def _pendulum_spin(state: State, t: int) -> Array:
    return np.array([2.0 if state["angular_velocity"] >= 0 else -2.0], dtype=np.float32)


def _pendulum_hang(where: float) -> Controller:
    """Settle at an angle from hanging."""

    def act(state: State, t: int) -> Array:
        angle = (float(state["angle"]) - (pi - where) + pi) % (2 * pi) - pi
        torque = -4 * angle - 1.5 * float(state["angular_velocity"]) - 5 * sin(pi - where)
        return np.array([np.clip(torque, -2, 2)], dtype=np.float32)

    return act


_PENDULUM = Controllers(
    solved=_stands,
    solutions={"fast": _pendulum_up(), "slow": _pendulum_up(pump=1.5)},
    twins={},
    exploits={
        "idle": constant(np.zeros(1, dtype=np.float32)),
        "one-way": constant(np.full(1, 2.0, dtype=np.float32)),
        "alternate": cycle(np.full(1, 2.0, dtype=np.float32), np.full(1, -2.0, dtype=np.float32)),
        "spin": _pendulum_spin,
        "hang": _pendulum_hang(0.0),
        "hang-aside": _pendulum_hang(0.35),
    },
)

CONTROLLERS: Mapping[str, Controllers] = {
    "MountainCar-v0": _MOUNTAIN_CAR,
    "CartPole-v1": _CART_POLE,
    "Acrobot-v1": _ACROBOT,
    "Pendulum-v1": _PENDULUM,
}
"""By Gymnasium id."""
