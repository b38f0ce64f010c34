"""MiniGrid's step as one table look-up a row: what an action does to the cell in front and to the load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.grid import cells as c
from envs.grid.cells import APPEARANCE, CARRIABLE, CODES, EMPTY
from envs.grid.families import Rule
from envs.grid.levels import Pool
from envs.grid.obstacles import Obstacles, make_obstacles
from envs.grid.view import CARRY_SLOT, STEPS

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)
_TURN = {LEFT: 3, RIGHT: 1}


@dataclass(slots=True, kw_only=True)
class World:
    """``M`` grids as they stand; every tensor has a row for each, and stays where it is in memory."""

    cells: Tensor
    """``(M, width * height + 7)`` uint8 codes; the grid's own, then those of ``envs.grid.view.EXTRA``."""
    pose: Tensor
    """``(M,)`` int64: four times the agent's cell, ``y * width + x``, plus its direction."""
    step: Tensor
    """``(M,)`` int64: steps taken in this episode."""
    layout: Tensor
    """``(M,)`` int64: which layout of the pool is played."""
    tracked: dict[str, Tensor] = field(default_factory=dict)
    """What the state reader keeps from step to step."""
    wandering: tuple[Tensor, Tensor] | None = None
    """Cells ``(M, n)`` of what moves by itself, and how many tries ``(M,)`` its moves have taken."""

    def tensors(self) -> list[Tensor]:
        """All of them, in a fixed order."""
        own = [self.cells, self.pose, self.step, self.layout]
        return [*own, *(self.tracked[name] for name in sorted(self.tracked)), *(self.wandering or ())]

    def rows(self, rows: Tensor) -> World:
        """A copy of these rows."""
        return World(
            cells=self.cells.index_select(0, rows),
            pose=self.pose.index_select(0, rows),
            step=self.step.index_select(0, rows),
            layout=self.layout.index_select(0, rows),
            tracked={name: values.index_select(0, rows) for name, values in self.tracked.items()},
            wandering=self.wandering and (self.wandering[0][rows], self.wandering[1][rows]),
        )


class Change(NamedTuple):
    """What a step did, for ``M`` rows."""

    front: Tensor
    """``(M,)`` int64: the cell that was in front."""
    before: Tensor
    """``(M,)`` uint8: its code before the step."""
    after: Tensor
    """``(M,)`` uint8: its code after the step."""
    won: Tensor
    """``(M,)`` bool: the environment pays its reward."""
    ended: Tensor
    """``(M,)`` bool: the episode terminated, with or without success."""
    hit: Tensor | None = None
    """``(M,)`` bool: the environment pays -1; None in families that never do."""


class Entry(NamedTuple):
    """What an action does where one code is in front and another is carried."""

    front: int
    carried: int
    moves: bool = False
    ends: bool = False
    wins: bool = False
    """It is won if the rule's condition on places, where there is one, holds as well."""


def _entry(front: int, carried: int, action: int) -> Entry:
    """What ``MiniGridEnv.step`` does, without any family's rule."""
    kind, _, state = APPEARANCE[front]
    if action == FORWARD:
        open_door = kind == c.TYPE_DOOR and state == c.OPEN
        moves = front in (EMPTY, c.GOAL, c.LAVA) or kind == c.TYPE_FLOOR or open_door
        return Entry(front, carried, moves, front in (c.GOAL, c.LAVA), front == c.GOAL)
    if action == PICKUP and front in CARRIABLE and carried == EMPTY:
        return Entry(EMPTY, front)
    if action == DROP and front == EMPTY:
        return Entry(carried, EMPTY)
    if action == TOGGLE and kind == c.TYPE_BOX:
        return Entry(c.box_content(front), carried)
    if action == TOGGLE and kind == c.TYPE_DOOR:
        return Entry(_toggled(front, carried), carried)
    return Entry(front, carried)


def _toggled(door: int, carried: int) -> int:
    _, color, state = (int(v) for v in APPEARANCE[door])
    if state == c.OPEN:
        return c.DOOR_CLOSED + color
    held_kind, held_color, _ = APPEARANCE[carried]
    unlocks = held_kind == c.TYPE_KEY and held_color == color
    return c.DOOR_OPEN + color if state == c.CLOSED or unlocks else door


def _ruled(rule: Rule, front: int, carried: int, action: int) -> Entry:
    """What a step does under a family's rule."""
    if rule == "memory" and action == PICKUP:
        action = TOGGLE
    entry = _entry(front, carried, action)
    picked = action == PICKUP and entry.carried != carried
    marked = picked and c.TARGET_KEY <= entry.carried < c.TARGET_BOX + c.COLORS
    opened = action == TOGGLE and front >= c.DOOR_CLOSED and entry.front < c.OPAQUE
    if opened and (rule == "unlock" or (rule == "red_blue" and entry.front == c.DOOR_OPEN + c.BLUE)):
        return entry._replace(ends=True, wins=True)
    if (rule == "pickup" and marked) or (rule == "fetch" and picked):
        return entry._replace(ends=True, wins=marked)
    if rule == "go_to" and action in (TOGGLE, DONE):
        return entry._replace(ends=True, wins=action == DONE)
    if rule == "put_near" and picked and not marked:
        return entry._replace(ends=True)
    if rule == "put_near" and action == DROP and carried != EMPTY:
        return entry._replace(ends=True, wins=entry.carried == EMPTY)
    return entry


class StepTables(NamedTuple):
    """What ``Entry`` holds, by ``(carried << 8 | front) * 8 + action``."""

    codes: NDArray[np.uint8]
    """``(2^18, 2)``: new code in front, new code carried."""
    turn: NDArray[np.int64]
    """``(2^18,)``: twice the action, plus whether the agent moves."""
    ends: NDArray[np.bool_]
    wins: NDArray[np.bool_]


@cache
def step_tables(rule: Rule) -> StepTables:
    """The tables of one rule; zero where nothing can be."""
    shape = (128, 256, 8)
    codes, turn = np.zeros((*shape, 2), dtype=np.uint8), np.zeros(shape, dtype=np.int64)
    ends, wins = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    for carried in (EMPTY, *CARRIABLE):
        for front in CODES:
            for action in range(7):
                entry = _ruled(rule, front, carried, action)
                at = carried, front, action
                codes[at] = entry.front, entry.carried
                turn[at] = 2 * action + entry.moves
                ends[at], wins[at] = entry.ends, entry.wins
    return StepTables(codes.reshape(-1, 2), turn.reshape(-1), ends.reshape(-1), wins.reshape(-1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamics:
    """The tables of one family and grid size on one device; see ``make_dynamics``."""

    codes: Tensor
    turn: Tensor
    ends: Tensor
    wins: Tensor
    touched: Tensor
    """``(width * height * 4, 2)`` int64: what a step may change, the cell in front of a pose and the load."""
    moved: Tensor
    """``(width * height * 64,)`` int64: the new pose, by pose * 16 + ``turn``."""
    rule: Rule
    targets: Tensor
    """``(P, 2)`` int64: the cells that the rule asks about, for each layout."""
    size: int
    """Number of the grid's cells."""
    near: Tensor
    """``((width * height) ** 2,)`` bool: the relation between two cells that the rule asks for, if any."""
    obstacles: Obstacles | None
    """What moves the obstacles of the ``obstacles`` rule."""

    def __call__(self, world: World, action: Tensor) -> Change:
        """Advance every row in place by its action, ``(M,)`` int64 from 0 to 6."""
        hit = None
        if self.obstacles is not None:
            action, hit = self._wander(world, action, self.obstacles)
        touched = self.touched.index_select(0, world.pose)
        before = world.cells.gather(1, touched)
        # A load's code is below 128, so the two bytes are a positive number.
        key = torch.add(action, before.view(torch.int16).view(-1), alpha=8)
        after = self.codes.index_select(0, key)
        won, ended = self.wins.index_select(0, key), self.ends.index_select(0, key)
        if self.rule == "red_blue":
            red = world.cells.gather(1, self.targets.index_select(0, world.layout)[:, :1])
            won = won & (red.view(-1) == c.DOOR_OPEN + c.RED)
        world.cells.scatter_(1, touched, after)
        turn = torch.add(self.turn.index_select(0, key), world.pose, alpha=16)
        torch.index_select(self.moved, 0, turn, out=world.pose)
        world.step += 1
        if self.rule in ("go_to", "put_near"):
            target = self.targets.index_select(0, world.layout)[:, 0]
            asked = world.pose >> 2 if self.rule == "go_to" else touched[:, 0]
            won = won & self.near.index_select(0, asked * self.size + target)
        elif self.rule == "memory":
            there = self.targets.index_select(0, world.layout) == (world.pose >> 2)[:, None]
            won, ended = there[:, 0], there.any(1)
        elif hit is not None:
            ended = ended | hit
        return Change(front=touched[:, 0], before=before[:, 0], after=after[:, 0], won=won, ended=ended, hit=hit)

    def _wander(self, world: World, action: Tensor, obstacles: Obstacles) -> tuple[Tensor, Tensor]:
        """Let the obstacles move first; the action as the environment takes it, and who walks into something.

        What counts is what stood in front before they moved (``DynamicObstaclesEnv.step``).
        """
        assert world.wandering is not None
        action = torch.where(action > FORWARD, LEFT, action)
        ahead = world.cells.gather(1, self.touched.index_select(0, world.pose)[:, :1]).view(-1)
        hit = (action == FORWARD) & (ahead != EMPTY) & (ahead != c.GOAL)
        at, used = world.wandering
        obstacles.move(world.cells, at, used, world.layout, world.pose >> 2)
        return action, hit


def make_dynamics(rule: Rule, pool: Pool, *, device: torch.device) -> Dynamics:
    """The step of one family on the pool's layouts, on ``device``."""
    tables, width, height = step_tables(rule), pool.width, pool.height
    pose = np.arange(width * height * 4)
    ahead = np.array([dy * width + dx for dx, dy in STEPS])[pose % 4]
    turned = [pose // 4 * 4 + (pose % 4 + _TURN.get(action, 0)) % 4 for action in range(8)]
    moved = np.stack([p + step for p in turned for step in (0, 4 * ahead)], 1)

    def tensor(values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(device)

    return Dynamics(
        codes=tensor(tables.codes),
        turn=tensor(tables.turn),
        ends=tensor(tables.ends),
        wins=tensor(tables.wins),
        touched=tensor(np.stack([pose // 4 + ahead, np.full_like(pose, width * height + CARRY_SLOT)], 1)),
        moved=tensor(moved.reshape(-1)),
        rule=rule,
        targets=tensor(pool.targets),
        size=width * height,
        near=_near(rule, width, height).to(device),
        obstacles=make_obstacles(pool.draws, width, device=device) if rule == "obstacles" else None,
    )


def _near(rule: Rule, width: int, height: int) -> Tensor:
    """Which pairs of cells touch at a side (``go_to``), or lie at most one apart both ways (``put_near``)."""
    measure: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "go_to": lambda dx, dy: dx + dy == 1,
        "put_near": lambda dx, dy: torch.maximum(dx, dy) <= 1,
    }
    if rule not in measure:
        return torch.zeros(1, dtype=torch.bool)
    cell = torch.arange(width * height)
    x, y = cell % width, cell // width
    return measure[rule]((x[:, None] - x).abs(), (y[:, None] - y).abs()).view(-1)
