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
from envs.grid.view import CARRY_SLOT, STEPS

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)
# Bits of a table entry above the new code in front (bits 0 to 7) and the new code carried (8 to 15).
MOVED, ENDED, CLAIM = 1 << 16, 1 << 17, 1 << 18
"""The agent moves forward; the episode ends; it is won if the rule's condition on places, if any, holds, too."""


@dataclass(slots=True, kw_only=True)
class World:
    """``M`` grids as they stand; every tensor has a row for each."""

    cells: Tensor
    """``(M, width * height + 3)`` uint8 codes; behind the grid a wall, what is carried, and 0."""
    place: Tensor
    """``(M,)`` int64: the agent's cell, ``x * height + y``."""
    heading: Tensor
    """``(M,)`` int64."""
    step: Tensor
    """``(M,)`` int64: steps taken in this episode."""
    targets: Tensor
    """``(M, 2)`` int64 cells."""
    tracked: dict[str, Tensor] = field(default_factory=dict)
    """What the state reader keeps from step to step."""

    def tensors(self) -> list[Tensor]:
        """All of them, in a fixed order."""
        own = [self.cells, self.place, self.heading, self.step, self.targets]
        return own + [self.tracked[name] for name in sorted(self.tracked)]

    def rows(self, rows: Tensor) -> World:
        """A copy of these rows."""
        return World(
            cells=self.cells.index_select(0, rows),
            place=self.place.index_select(0, rows),
            heading=self.heading.index_select(0, rows),
            step=self.step.index_select(0, rows),
            targets=self.targets.index_select(0, rows),
            tracked={name: values.index_select(0, rows) for name, values in self.tracked.items()},
        )


class Change(NamedTuple):
    """What a step did; each ``(M,)``."""

    front: Tensor
    """int64: the cell that was in front."""
    before: Tensor
    """int64: its code before the step."""
    after: Tensor
    """int64: its code after the step."""
    won: Tensor
    """bool: the environment pays its reward."""
    ended: Tensor
    """bool: the episode terminated, with or without success."""


def _entry(front: int, carried: int, action: int) -> tuple[int, int, int]:
    """New code in front, new code carried and bits, as ``MiniGridEnv.step`` has it, without a task's rule."""
    kind, _, state = APPEARANCE[front]
    if action == FORWARD and (
        front in (EMPTY, c.GOAL, c.LAVA) or kind == c.TYPE_FLOOR or (kind == c.TYPE_DOOR and state == c.OPEN)
    ):
        ends = {c.GOAL: ENDED | CLAIM, c.LAVA: ENDED}.get(front, 0)
        return front, carried, MOVED | ends
    if action == PICKUP and front in CARRIABLE and carried == EMPTY:
        return EMPTY, front, 0
    if action == DROP and front == EMPTY and carried != EMPTY:
        return carried, EMPTY, 0
    if action == TOGGLE and kind == c.TYPE_BOX:
        return c.box_content(front), carried, 0
    if action == TOGGLE and kind == c.TYPE_DOOR:
        return _toggled(front, carried), carried, 0
    return front, carried, 0


def _toggled(door: int, carried: int) -> int:
    _, color, state = (int(v) for v in APPEARANCE[door])
    if state == c.OPEN:
        return c.DOOR_CLOSED + color
    held_kind, held_color, _ = APPEARANCE[carried]
    unlocks = held_kind == c.TYPE_KEY and held_color == color
    return c.DOOR_OPEN + color if state == c.CLOSED or unlocks else door


def _ruled(rule: Rule, front: int, carried: int, action: int) -> int:
    """The table's entry under a family's rule."""
    if rule == "memory" and action == PICKUP:
        action = TOGGLE
    after, held, bits = _entry(front, carried, action)
    picked = held if action == PICKUP and held != carried else None
    marked = picked is not None and c.TARGET_KEY <= picked < c.TARGET_BOX + c.COLORS
    opened = action == TOGGLE and front >= c.DOOR_CLOSED and after < c.OPAQUE
    if opened and (rule == "unlock" or (rule == "red_blue" and after == c.DOOR_OPEN + c.BLUE)):
        bits |= ENDED | CLAIM
    elif (rule == "pickup" and marked) or (rule == "fetch" and picked is not None):
        bits |= ENDED | (CLAIM if marked else 0)
    elif rule == "go_to" and action in (TOGGLE, DONE):
        bits |= ENDED | (CLAIM if action == DONE else 0)
    elif rule == "put_near" and picked is not None and not marked:
        bits |= ENDED
    elif rule == "put_near" and action == DROP and carried != EMPTY:
        bits |= ENDED | (CLAIM if held == EMPTY else 0)
    return after | held << 8 | bits


@cache
def transition_table(rule: Rule) -> NDArray[np.int32]:
    """``(256 * 128 * 8,)``: an entry for each ``(front * 128 + carried) * 8 + action``."""
    table = np.zeros((256, 128, 8), dtype=np.int32)
    for front in CODES:
        for carried in (EMPTY, *CARRIABLE):
            for action in range(7):
                table[front, carried, action] = _ruled(rule, front, carried, action)
    return table.reshape(-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamics:
    """The tables of one family and grid size on one device; see ``make_dynamics``."""

    table: Tensor
    ahead: Tensor
    """``(4,)`` int64: what is added to a cell's number by a step in each direction."""
    turn: Tensor
    """``(32,)`` int64: the new direction, by direction * 8 + action."""
    rule: Rule
    carry: int
    """Column of ``World.cells`` that holds what is carried."""
    near: Tensor
    """``((width * height) ** 2,)`` bool: the relation between two places that the rule asks for, if any."""

    def __call__(self, world: World, action: Tensor) -> Change:
        """Advance every row in place by its action, ``(M,)`` int64 from 0 to 6."""
        front = world.place + self.ahead.index_select(0, world.heading)
        column = front[:, None]
        before = world.cells.gather(1, column).view(-1).to(torch.int64)
        held = world.cells[:, self.carry].to(torch.int64)
        entry = self.table.index_select(0, ((before << 7) + held << 3) + action)
        won, ended = (entry & CLAIM) != 0, (entry & ENDED) != 0
        if self.rule == "red_blue":
            red = world.cells.gather(1, world.targets[:, :1]).view(-1)
            won = won & (red == c.DOOR_OPEN + c.RED)
        after = entry & 255
        world.cells.scatter_(1, column, after.to(torch.uint8)[:, None])
        world.cells[:, self.carry] = (entry >> 8).to(torch.uint8)
        world.place = torch.where((entry & MOVED) != 0, front, world.place)
        world.heading = self.turn.index_select(0, (world.heading << 3) + action)
        world.step = world.step + 1
        if self.rule in ("go_to", "put_near"):
            asked = world.place if self.rule == "go_to" else front
            size = int(self.near.shape[0] ** 0.5)
            won = won & self.near.index_select(0, asked * size + world.targets[:, 0])
        elif self.rule == "memory":
            there = world.targets == world.place[:, None]
            won, ended = there[:, 0], there.any(1)
        return Change(front=front, before=before, after=after.to(torch.int64), won=won, ended=ended)


def make_dynamics(rule: Rule, width: int, height: int, *, device: torch.device) -> Dynamics:
    """The step of one family on ``width`` by ``height`` grids, on ``device``."""
    turn = [[(d + {LEFT: 3, RIGHT: 1}.get(a, 0)) % 4 for a in range(8)] for d in range(4)]
    return Dynamics(
        table=torch.from_numpy(transition_table(rule)).to(device),
        ahead=torch.tensor([dx * height + dy for dx, dy in STEPS], device=device),
        turn=torch.tensor(turn, device=device).view(-1),
        rule=rule,
        carry=width * height + CARRY_SLOT,
        near=_near(rule, width, height).to(device),
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
    x, y = cell // height, cell % height
    return measure[rule]((x[:, None] - x).abs(), (y[:, None] - y).abs()).view(-1)
