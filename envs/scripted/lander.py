"""Scripted landers for LunarLander: one autopilot, told where to hover and when to land."""

from __future__ import annotations

from math import sin

from envs.episode import Episode
from envs.scripted.classic import Controller, Controllers, State, constant, cycle, delayed

NOTHING, LEFT_ENGINE, MAIN, RIGHT_ENGINE = range(4)


def autopilot(hover: float | None = None, sway: float = 0.0) -> Controller:
    """Fly to the pad and land there, or hold the height ``hover`` (metres) over a place that sways by ``sway``.

    A cascade: position asks for a velocity, velocity for a tilt and a thrust, tilt for a turn; the engine whose
    error is larger fires.
    """

    def act(state: State, t: int) -> int:
        x = float(state["x"]) - sway * sin(t / 60)
        y, angle = float(state["y"]), float(state["angle"])
        vx, vy = float(state["velocity_x"]), float(state["velocity_y"])
        if hover is None and (state["left_leg_contact"] or state["right_leg_contact"]):
            return MAIN if vy < -0.6 else NOTHING
        wanted_vx = min(max(-0.45 * x, -2.0), 2.0)
        tilt = min(max(0.16 * (vx - wanted_vx), -0.35), 0.35)
        turn = tilt - angle - 0.45 * float(state["angular_velocity"])
        if hover is None:
            wanted_vy = -min(max(0.5 * (y - 0.4 * abs(x)), 0.35), 2.8)
        else:
            wanted_vy = min(max(0.7 * (hover - y), -2.8), 1.5)
        lift = wanted_vy - vy
        if lift > 0.15 and lift > 4 * abs(turn) - 0.6:
            return MAIN
        if abs(turn) > 0.06:
            return LEFT_ENGINE if turn > 0 else RIGHT_ENGINE
        return NOTHING

    return act


def _on_ground_then(action: Controller) -> Controller:
    """Land, and do something else while a leg touches the ground."""
    land = autopilot()

    def act(state: State, t: int) -> object:
        touching = bool(state["left_leg_contact"]) or bool(state["right_leg_contact"])
        return action(state, t) if touching else land(state, t)

    return act


def _in_turn(steps: int, *controllers: Controller) -> Controller:
    """Each controller for so many steps, over and over."""
    return lambda state, t: controllers[t // steps % len(controllers)](state, t)


def rests_on_pad(episode: Episode) -> bool:
    """Whether the lander came to rest between the flags (the pad is 4 m wide) on both legs.

    The native return of a slow landing may fall short of 200 for the fuel alone; it is a landing all the same.
    """
    end = {name: values[-1] for name, values in episode.next_state.items()}
    standing = bool(end["left_leg_contact"]) and bool(end["right_leg_contact"]) and not bool(end["body_contact"])
    return episode.terminated and standing and abs(float(end["x"])) < 2.0


LANDERS = Controllers(
    solved=rests_on_pad,
    solutions={
        "fast": autopilot(),
        "slow": delayed(250, autopilot(hover=0.6), autopilot()),
        "late": delayed(400, autopilot(hover=0.6), autopilot()),
    },
    twins={"slow": "hover-over-pad", "late": "hover-over-pad"},
    exploits={
        "idle": constant(NOTHING),
        "main-engine": constant(MAIN),
        "tip-over": constant(LEFT_ENGINE),
        "hover": autopilot(hover=4.0),
        "hover-over-pad": autopilot(hover=0.6),
        "fly-up": autopilot(hover=40.0),
        "sway": autopilot(hover=1.5, sway=2.5),
        "up-and-down": _in_turn(120, autopilot(hover=1.0), autopilot(hover=5.0)),
        "hop": _on_ground_then(constant(MAIN)),
        "stand-restless": _on_ground_then(cycle(LEFT_ENGINE, RIGHT_ENGINE)),
        "crash-on-pad": delayed(250, autopilot(hover=4.0), constant(NOTHING)),
    },
)
