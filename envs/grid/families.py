"""The MiniGrid families that are simulated here: how each ends, and what its mission names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Rule = Literal["goal", "unlock", "pickup", "red_blue", "fetch", "go_to", "put_near", "memory", "obstacles"]
Point = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mission:
    """What one layout's mission names; read from the real environment after its reset."""

    objects: tuple[Any, ...] = ()
    """The ``WorldObj`` instances that are marked as targets."""
    cells: tuple[Point, Point] = ((0, 0), (0, 0))
    """Up to two cells that the family's rule asks about, as (x, y)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One class of MiniGrid environments, of any size."""

    rule: Rule
    mission: Callable[[Any], Mission]


def _nothing(env: Any) -> Mission:
    return Mission()


def _object(env: Any) -> Mission:
    return Mission(objects=(env.obj,))


def _red_door(env: Any) -> Mission:
    x, y = next(p for p, thing in things(env) if thing is env.red_door)
    return Mission(cells=((x, y), (0, 0)))


def _fetched(env: Any) -> Mission:
    # Several objects may share the wanted type and colour; any of them counts.
    wanted = (env.targetType, env.targetColor)
    return Mission(objects=tuple(t for _, t in things(env) if (t.type, t.color) == wanted))


def _place(env: Any) -> Mission:
    x, y = env.target_pos
    return Mission(cells=((int(x), int(y)), (0, 0)))


def _moved(env: Any) -> Mission:
    x, y = env.target_pos
    moved = tuple(t for p, t in things(env) if p == tuple(env.move_pos))
    return Mission(objects=moved, cells=((int(x), int(y)), (0, 0)))


def _ends(env: Any) -> Mission:
    (wx, wy), (lx, ly) = env.success_pos, env.failure_pos
    return Mission(cells=((int(wx), int(wy)), (int(lx), int(ly))))


def things(env: Any) -> list[tuple[Point, Any]]:
    """Every object of the grid with its cell (x, y)."""
    return [((i % env.width, i // env.width), thing) for i, thing in enumerate(env.grid.grid) if thing is not None]


_GOAL = Family(rule="goal", mission=_nothing)
_PICKUP = Family(rule="pickup", mission=_object)

FAMILIES: dict[str, Family] = {
    "EmptyEnv": _GOAL,
    "DoorKeyEnv": _GOAL,
    "FourRoomsEnv": _GOAL,
    "MultiRoomEnv": _GOAL,
    "CrossingEnv": _GOAL,
    "LavaGapEnv": _GOAL,
    "DistShiftEnv": _GOAL,
    "LockedRoomEnv": _GOAL,
    "PlaygroundEnv": _GOAL,
    "UnlockEnv": Family(rule="unlock", mission=_nothing),
    "UnlockPickupEnv": _PICKUP,
    "BlockedUnlockPickupEnv": _PICKUP,
    "KeyCorridorEnv": _PICKUP,
    "ObstructedMaze_1Dlhb": _PICKUP,
    "ObstructedMaze_Full": _PICKUP,
    "ObstructedMaze_Full_V1": _PICKUP,
    "RedBlueDoorEnv": Family(rule="red_blue", mission=_red_door),
    "FetchEnv": Family(rule="fetch", mission=_fetched),
    "GoToDoorEnv": Family(rule="go_to", mission=_place),
    "GoToObjectEnv": Family(rule="go_to", mission=_place),
    "PutNearEnv": Family(rule="put_near", mission=_moved),
    "MemoryEnv": Family(rule="memory", mission=_ends),
    "DynamicObstaclesEnv": Family(rule="obstacles", mission=_nothing),
}
"""By the name of the class in ``minigrid.envs``."""
