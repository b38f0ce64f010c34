"""A planner for MiniGrid worlds: keys, locked doors, blockers, goals and lava, as legs of one walk.

The planner acts on the very environment that it plans for (the dynamics are deterministic), so that a plan is a
list of actions which certainly does what it says when the same start is reset again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)
MOVES = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""Displacement of ``forward`` for each direction code of MiniGrid."""

Cell = tuple[int, int]
Pose = tuple[int, int, int]
"""Column, row, direction."""

_MAX_LEGS = 60
_OBSTACLE_COST = 30


class NoPlan(Exception):
    """The planner does not know how to solve this world."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One sub-goal of a plan: walk until a cell is in front, then act on it."""

    name: str
    act: int
    """The action that ends the leg."""
    begin: int
    """Number of the plan's actions before the leg."""
    ready: int
    """Number of actions after which the agent faces the cell, about to act."""
    end: int
    """Number of actions after which the leg is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Actions that solve a world from its start, and the legs that they are made of (the last one succeeds)."""

    actions: tuple[int, ...]
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    name: str
    cell: Cell
    act: int


def pose(world: Any) -> Pose:
    """Where the agent stands and looks."""
    return int(world.agent_pos[0]), int(world.agent_pos[1]), int(world.agent_dir)


def front(at: Pose) -> Cell:
    """The cell in front of a pose."""
    dx, dy = MOVES[at[2]]
    return at[0] + dx, at[1] + dy


def ends_episode(world: Any, cell: Cell) -> bool:
    """Whether stepping onto the cell ends the episode: goal, lava, or the two arms of a memory maze."""
    thing = world.grid.get(*cell)
    if thing is not None and thing.type in ("goal", "lava"):
        return True
    return cell in _memory_ends(world)


def free(world: Any, cell: Cell) -> bool:
    """Whether the agent can walk onto the cell without ending the episode."""
    thing = world.grid.get(*cell)
    return (thing is None or thing.can_overlap()) and not ends_episode(world, cell)


def route(
    world: Any,
    start: Pose,
    arrived: Callable[[Pose], bool],
    *,
    through: bool = False,
    without: Cell | None = None,
) -> tuple[list[int], list[Cell]] | None:
    """Cheapest turns and steps from ``start`` to a pose that satisfies ``arrived``, and the obstacles on the way.

    With ``through``, closed doors and things that can be picked up may be walked through at a high cost; they are
    then the obstacles, in the order met. ``without`` is a cell to keep off. None where there is no way.
    """
    queue: list[tuple[int, int, Pose]] = [(0, 0, start)]
    came: dict[Pose, tuple[Pose, int]] = {}
    best = {start: 0}
    pushed = 0
    while queue:
        cost, _, at = heapq.heappop(queue)
        if cost > best[at]:
            continue
        if arrived(at):
            return _trace(world, start, at, came)
        for action, to, price in moves(world, at, through, without):
            if cost + price < best.get(to, 1 << 30):
                pushed += 1
                best[to] = cost + price
                came[to] = (at, action)
                heapq.heappush(queue, (cost + price, pushed, to))
    return None


def make_plan(world: Any) -> Plan:
    """Solve a freshly reset MiniGrid world by acting in it. Raises ``NoPlan``; leaves the world at its end."""
    walk = _Walk(world)
    last = False
    while not last:
        target, last = _next_target(world)
        walk.act_on(target)
    if not walk.reward > 0:
        raise NoPlan("the plan ran to its end without success")
    return Plan(actions=tuple(walk.actions), legs=tuple(walk.legs))


class _Walk:
    """Acts in the world and keeps the list of what it did."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.actions: list[int] = []
        self.legs: list[Leg] = []
        self.reward = 0.0

    def act_on(self, target: _Target) -> None:
        """One leg, with whatever other legs it needs first: clear the way, free the hands."""
        self.prepare(target)
        while True:
            found = route(self.world, pose(self.world), lambda at: front(at) == target.cell)
            if found is not None:
                break
            way = route(self.world, pose(self.world), lambda at: front(at) == target.cell, through=True)
            if way is None or not way[1]:
                raise NoPlan(f"no way to {target.name}")
            self.clear(way[1][0])
            self.prepare(target)
        self.walk(found[0], target)

    def prepare(self, target: _Target) -> None:
        """Have in hand what the act needs: nothing to take a thing, the key to open a locked door."""
        thing = self.world.grid.get(*target.cell)
        if target.act == PICKUP:
            self.free_hands(target.cell)
        elif target.act == TOGGLE and thing.type == "door" and thing.is_locked:
            self.fetch_key(thing.color)

    def walk(self, steps: list[int], target: _Target) -> None:
        """Take the steps, then the leg's act."""
        if len(self.legs) >= _MAX_LEGS:
            raise NoPlan("the plan does not come to an end")
        begin = len(self.actions)
        for action in steps:
            self.step(action)
        ready = len(self.actions)
        self.step(target.act)
        leg = Leg(name=target.name, act=target.act, begin=begin, ready=ready, end=len(self.actions))
        self.legs.append(leg)

    def step(self, action: int) -> None:
        """One step of the world."""
        _, reward, _, _, _ = self.world.step(action)
        self.reward = float(reward)
        self.actions.append(action)

    def clear(self, cell: Cell) -> None:
        """Open the door in this cell, or carry away the thing that lies there."""
        thing = self.world.grid.get(*cell)
        if thing.type == "door":
            self.act_on(_Target(name="door", cell=cell, act=TOGGLE))
            return
        self.act_on(_Target(name=thing.type, cell=cell, act=PICKUP))

    def fetch_key(self, color: str) -> None:
        """Have the key of this colour in hand."""
        held = self.world.carrying
        if held is not None and held.type == "key" and held.color == color:
            return
        for cell, thing in things(self.world):
            if thing.type == "key" and thing.color == color:
                self.act_on(_Target(name="key", cell=cell, act=PICKUP))
                return
        raise NoPlan(f"no {color} key in sight")

    def free_hands(self, before: Cell) -> None:
        """Put down what is carried, where it does not block the way to the cell ``before``."""
        world = self.world
        if world.carrying is None:
            return

        def harmless(at: Pose) -> bool:
            cell = front(at)
            if world.grid.get(*cell) is not None or ends_episode(world, cell) or cell == before:
                return False
            rest = route(world, at, lambda to: front(to) == before, through=True, without=cell)
            return rest is not None

        name = f"drop-{world.carrying.type}"
        here = pose(world)
        found = route(world, here, lambda at: not _doorway(world, front(at)) and harmless(at))
        found = found or route(world, here, harmless)
        if found is None:
            raise NoPlan("nowhere to put a thing down")
        self.walk(found[0], _Target(name=name, cell=(-1, -1), act=DROP))


def things(world: Any) -> Iterator[tuple[Cell, Any]]:
    """Every object of the grid that is not a wall, with its cell, in reading order."""
    for index, thing in enumerate(world.grid.grid):
        if thing is not None and thing.type != "wall":
            yield (index % world.grid.width, index // world.grid.width), thing


def _next_target(world: Any) -> tuple[_Target, bool]:
    """What to act on next to solve this world, and whether that solves it."""
    if hasattr(world, "n_obstacles"):
        raise NoPlan("obstacles move at random")
    if hasattr(world, "red_door") and hasattr(world, "blue_door"):
        red_first = not world.red_door.is_open
        door = world.red_door if red_first else world.blue_door
        return _on(world, door, TOGGLE, name=f"{door.color}-door"), not red_first
    if hasattr(world, "success_pos"):
        return _Target(name="match", cell=_cell(world.success_pos), act=FORWARD), True
    for _, thing in things(world):
        if thing.type == "goal":
            return _on(world, thing, FORWARD), True
    if hasattr(world, "targetType") and hasattr(world, "targetColor"):
        for _, thing in things(world):
            if (thing.type, thing.color) == (world.targetType, world.targetColor):
                return _on(world, thing, PICKUP, name="target"), True
    if hasattr(world, "target_pos"):
        return _Target(name="target", cell=_cell(world.target_pos), act=DONE), True
    if hasattr(world, "obj"):
        return _on(world, world.obj, PICKUP), True
    if hasattr(world, "door"):
        return _on(world, world.door, TOGGLE), True
    raise NoPlan(f"{type(world).__name__} asks for something that the planner does not know")


def _on(world: Any, wanted: Any, act: int, name: str | None = None) -> _Target:
    """Act on this very object."""
    for cell, thing in things(world):
        if thing is wanted:
            return _Target(name=name or thing.type, cell=cell, act=act)
    raise NoPlan(f"the {wanted.type} is not in the grid")


def _cell(position: Any) -> Cell:
    return int(position[0]), int(position[1])


def _memory_ends(world: Any) -> tuple[Cell, ...]:
    """The two cells of a memory maze that end the episode; empty elsewhere."""
    if not hasattr(world, "success_pos"):
        return ()
    return _cell(world.success_pos), _cell(world.failure_pos)


def _doorway(world: Any, cell: Cell) -> bool:
    """Whether the cell lies before a door."""
    around = [world.grid.get(cell[0] + dx, cell[1] + dy) for dx, dy in MOVES if _inside(world, cell)]
    return any(thing is not None and thing.type == "door" for thing in around)


def _inside(world: Any, cell: Cell) -> bool:
    return bool(0 < cell[0] < world.grid.width - 1 and 0 < cell[1] < world.grid.height - 1)


def moves(world: Any, at: Pose, through: bool = False, without: Cell | None = None) -> Iterator[tuple[int, Pose, int]]:
    """Action, pose and price of every move from a pose."""
    x, y, facing = at
    yield LEFT, (x, y, (facing - 1) % 4), 1
    yield RIGHT, (x, y, (facing + 1) % 4), 1
    ahead = front(at)
    if ahead == without:
        return
    if free(world, ahead):
        yield FORWARD, (*ahead, facing), 1
    elif through and _is_obstacle(world.grid.get(*ahead)):
        yield FORWARD, (*ahead, facing), _OBSTACLE_COST


def _is_obstacle(thing: Any) -> bool:
    if thing is None:
        return False
    return bool(not thing.is_open) if thing.type == "door" else bool(thing.can_pickup())


def _trace(world: Any, start: Pose, end: Pose, came: dict[Pose, tuple[Pose, int]]) -> tuple[list[int], list[Cell]]:
    """Actions from ``start`` to ``end``, and the obstacle cells that they walk through, both in order."""
    actions: list[int] = []
    obstacles: list[Cell] = []
    at = end
    while at != start:
        before, action = came[at]
        actions.append(action)
        if action == FORWARD and _is_obstacle(world.grid.get(at[0], at[1])):
            obstacles.append((at[0], at[1]))
        at = before
    return actions[::-1], obstacles[::-1]
