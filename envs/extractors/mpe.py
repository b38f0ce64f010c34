"""State of MPE's tasks, as one agent of a team sees the world: where it is, and where everything else lies from there.

Self-contained (numpy): this very file travels with an exported reward. All is read from the simulated world, so
wrappers around the observation change nothing. ``read_team`` reads it for every agent that learns, from the ``world``
of PettingZoo's environment (``parallel_env.unwrapped.world``).

Lengths are the world's own: all things start in the square from -1 to 1, and nothing holds an agent inside it.
A step lasts 0.1 s.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SPREAD, TAG = "simple_spread_v3", "simple_tag_v3"
TOUCHING = 0.125
"""Distance of their middles below which a predator (radius 0.075) and the prey (0.05) touch."""
SPEED = {"predator": 1.0, "prey": 1.3}
"""Largest speeds in simple_tag."""
MOVES = ("no push", "push left, to smaller x", "push right", "push down, to smaller y", "push up")


def handles(env_id: str) -> bool:
    """Whether this family reads that environment."""
    return env_id in (SPREAD, TAG)


def learners(world: Any) -> list[Any]:
    """The world's agents that learn, in the order of their rows: all of them, or all predators where there is prey."""
    return [agent for agent in world.agents if getattr(agent, "adversary", True)]


def prey(world: Any) -> list[Any]:
    """The world's other agents, which are hunted."""
    return [agent for agent in world.agents if not getattr(agent, "adversary", True)]


def read_team(world: Any) -> dict[str, np.ndarray[Any, Any]]:
    """The fields of all ``n`` learning agents as the world stands, each a fresh ``(n, *shape)`` float32 array."""
    team, hunted = learners(world), prey(world)
    here = _positions(team)
    state = {
        "position": here,
        "velocity": np.array([agent.state.p_vel for agent in team]),
        "obstacle_offset" if hunted else "landmark_offset": _offsets(here, _positions(world.landmarks)),
        "teammate_offset": _without_own(_offsets(here, here)),
    }
    if hunted:
        (target,) = hunted
        state["prey_offset"] = target.state.p_pos - here
        state["prey_velocity"] = np.tile(target.state.p_vel, (len(team), 1))
    return {name: values.astype(np.float32) for name, values in state.items()}


def read_state(env: Any, obs: Any, info: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The fields of one agent; ``obs`` and ``info`` are not read.

    ``env.unwrapped`` has the ``world``, and in ``agent`` the number of one of those that learn.
    """
    base = env.unwrapped
    return {name: values[base.agent].copy() for name, values in read_team(base.world).items()}


def _positions(things: list[Any]) -> np.ndarray[Any, Any]:
    """A copy: the world moves its own arrays in place."""
    return np.array([thing.state.p_pos for thing in things])


def _offsets(here: np.ndarray[Any, Any], there: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``(n, m, 2)``: from each of ``n`` places to each of ``m``."""
    return np.asarray(there[None] - here[:, None])


def _without_own(offsets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``(n, n - 1, 2)`` of ``(n, n, 2)``: nobody is a teammate of its own."""
    n = len(offsets)
    return np.asarray(offsets[~np.eye(n, dtype=bool)].reshape(n, n - 1, 2))


def fields(env_id: str, kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    """Each field as name, meaning, unit, shape, low, high: float32 arrays."""
    return _tag(kwargs) if env_id == TAG else _spread(kwargs)


def _spread(kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    count = kwargs.get("N", 3)
    return [
        _place("position", (2,), "Position (x, y) of this agent; all start between -1 and 1, none is held there."),
        _speed("velocity", "Velocity (x, y) of this agent; a step lasts 0.1 s."),
        _place("landmark_offset", (count, 2), "From this agent to each landmark: its position minus this agent's."),
        _place("teammate_offset", (count - 1, 2), "From this agent to each other agent; bodies touch below 0.3."),
    ]


def _tag(kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    predators, obstacles = kwargs.get("num_adversaries", 3), kwargs.get("num_obstacles", 2)
    top = SPEED["predator"]
    return [
        _place("position", (2,), "Position (x, y) of this predator; all start between -1 and 1, none is held there."),
        _speed("velocity", f"Velocity (x, y) of this predator, at most {top:g}; a step lasts 0.1 s.", top),
        _place("obstacle_offset", (obstacles, 2), "From this predator to the middle of each obstacle, of radius 0.2."),
        _place("teammate_offset", (predators - 1, 2), "From this predator to each other predator."),
        _place("prey_offset", (2,), f"From this predator to the prey; they touch where it is shorter than {TOUCHING}."),
        _speed("prey_velocity", f"Velocity (x, y) of the prey, at most {SPEED['prey']:g}.", SPEED["prey"]),
    ]


def _place(name: str, shape: tuple[int, ...], meaning: str) -> dict[str, Any]:
    return {"name": name, "unit": "1", "shape": shape, "meaning": meaning}


def _speed(name: str, meaning: str, most: float | None = None) -> dict[str, Any]:
    bounds = {} if most is None else {"low": -most, "high": most}
    return {"name": name, "unit": "1/s", "shape": (2,), "meaning": meaning, **bounds}


def actions(env_id: str) -> dict[str, Any]:
    """The action space: kind, size, what each code does."""
    return {"kind": "discrete", "size": len(MOVES), "meanings": MOVES}
