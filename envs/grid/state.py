"""The state that a reward may read, from tensors: field for field what ``envs.extractors.grid`` reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.extractors.grid import KINDS
from envs.grid.cells import APPEARANCE, CARRIABLE, EMPTY, TYPE_DOOR, box_content
from envs.grid.dynamics import Change, World
from envs.grid.levels import NAMED, Pool
from envs.grid.view import CARRY_SLOT, NO_SLOT
from envs.task import Field

KIND_TYPES = dict(zip(KINDS, (5, 6, 7, TYPE_DOOR, 8), strict=True))
MOVABLE = ("key", "ball", "box")
Read = Callable[[World, Tensor], Tensor]
"""Reads one field from the worlds and the code ``(M,)`` uint8 in front of each agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Objects of one kind as numbers that sort by (colour, y, x), for one grid size."""

    cells: int
    """Number of cells; an object's rank is ``colour * cells + y * width + x``."""
    of_code: Tensor
    """``(256,)`` int64: ``colour * cells`` for this kind's codes, more than ``none`` for all others."""

    @property
    def none(self) -> int:
        """The rank that stands for no object; larger than all others."""
        return 6 * self.cells

    def update(self, there: Tensor, change: Change) -> None:
        """Bring ranks ``(M, n)``, ascending, up to date in place after one cell of each row has changed."""
        codes = torch.stack([change.before, change.after], 1).to(torch.int32)
        ranks = self.of_code.index_select(0, codes.view(-1)).view(-1, 2) + change.front[:, None]
        gone, came = ranks[:, :1], ranks[:, 1:].clamp(max=self.none)
        kept = there.masked_fill(there == gone, self.none)
        if there.shape[1] == 1:
            torch.minimum(kept, came, out=there)
        else:
            there.copy_(torch.cat([kept, came], 1).sort(1).values[:, :-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class StateReader:
    """What is needed to read one task's fields; see ``make_reader``."""

    fixed: dict[str, Tensor]
    """Fields that last for an episode: for each layout of the pool ``(P, *shape)``."""
    moving: dict[str, Read]
    """Fields that are read anew after each step."""
    ranks: dict[str, Ranks]
    """For each kind whose objects are followed."""
    types: Tensor
    """``(256,)`` uint8 type of each code."""
    by_column: Tensor
    """``(width * height,)`` int64: where a cell stands in an array indexed [x, y]."""
    start: dict[str, Tensor]
    """For each layout what ``World.tracked`` holds at its start."""

    def follow(self, world: World, change: Change) -> None:
        """Bring what is tracked up to date after a step."""
        if world.wandering is not None:
            self._follow_all(world)
            return
        for kind, ranks in self.ranks.items():
            ranks.update(world.tracked[kind], change)
        if "cells" in world.tracked:
            drawn = self.types.index_select(0, change.after.to(torch.int32))
            at = self.by_column.index_select(0, change.front)
            world.tracked["cells"].scatter_(1, at[:, None], drawn[:, None])

    def _follow_all(self, world: World) -> None:
        """Read anew what is tracked, where more than the cell in front may have changed."""
        cells = world.cells[:, : len(self.by_column)]
        for kind, ranks in self.ranks.items():
            there = world.tracked[kind]
            found = ranks.of_code.index_select(0, cells.reshape(-1).to(torch.int32)).view(cells.shape)
            found = (found + torch.arange(cells.shape[1], device=cells.device)).clamp(max=ranks.none)
            there.copy_(found.sort(1).values[:, : there.shape[1]])
        if "cells" in world.tracked:
            drawn = self.types.index_select(0, cells.reshape(-1).to(torch.int32)).view(cells.shape)
            world.tracked["cells"].scatter_(1, self.by_column.expand(cells.shape), drawn)

    def read(self, world: World, ahead: Tensor) -> dict[str, Tensor]:
        """The fields that may have changed, each ``(M, *shape)``."""
        return {name: read(world, ahead) for name, read in self.moving.items()}


def make_reader(state: Sequence[Field], pool: Pool, *, device: torch.device) -> StateReader:
    """A reader of just these fields. Raises ``KeyError`` for a field that is not read here."""
    shapes = {f.name: f.shape for f in state}
    asked = {name.partition("_")[0] for name in shapes}
    found = {kind: _ranks_at_start(pool, kind) for kind in KINDS if kind in asked}
    start: dict[str, Tensor] = {}
    for kind, ranks in found.items():
        if kind in MOVABLE:
            start[kind] = torch.from_numpy(ranks).to(device)
    if "door_state" in shapes:
        start["door"] = torch.from_numpy(_cells_of_ranks(pool, found["door"])).to(device)
    if "cells" in shapes:
        by_row = APPEARANCE[:, 0][pool.cells].reshape(-1, pool.height, pool.width)
        start["cells"] = torch.from_numpy(by_row.transpose(0, 2, 1).copy()).to(device).flatten(1)
    fixed, moving = {}, {}
    for name, shape in shapes.items():
        kind, _, what = name.partition("_")
        if name in NAMED:
            fixed[name] = torch.from_numpy(pool.named[:, NAMED.index(name)].copy()).to(device)
        elif kind in ("door", "goal") and what in ("pos", "color"):
            listed = torch.from_numpy(found[kind]).to(device)
            fixed[name] = _listed(listed, _rank_table(pool, what, device), shape)
        elif kind in MOVABLE:
            moving[name] = _object_reader(kind, _rank_table(pool, what, device), shape)
        else:
            moving[name] = _plain_readers(pool, shape, device)[name]
    return StateReader(
        fixed=fixed,
        moving=moving,
        ranks={kind: _make_ranks(pool, kind, device) for kind in start if kind in MOVABLE},
        types=torch.from_numpy(APPEARANCE[:, 0].copy()).to(device),
        by_column=torch.from_numpy(_by_column(pool)).to(device),
        start=start,
    )


def _plain_readers(pool: Pool, shape: tuple[int, ...], device: torch.device) -> dict[str, Read]:
    """Readers of what is neither an object nor named by the mission."""
    cells = pool.width * pool.height
    cell = torch.arange(cells, device=device)
    xy = torch.stack([cell % pool.width, cell // pool.width], 1)
    places, headings = xy.repeat_interleave(4, 0), torch.arange(4, device=device).repeat(cells)
    look = torch.from_numpy(APPEARANCE).to(device).long()
    kind, color, door = look[:, 0].clone(), look[:, 1].clone(), look[:, 2].clone()
    held_kind, held_color = kind.clone(), color.clone()
    held_kind[EMPTY], held_color[EMPTY] = 0, -1
    door[0] = -1

    def door_state(world: World, ahead: Tensor) -> Tensor:
        codes = world.cells.gather(1, world.tracked["door"]).to(torch.int64)
        return _fit(door.index_select(0, codes.view(-1)).view(codes.shape), shape, fill=-1)

    def held(table: Tensor) -> Read:
        return lambda world, ahead: table.index_select(0, world.cells[:, cells + CARRY_SLOT].to(torch.int32))

    return {
        "agent_pos": lambda world, ahead: places.index_select(0, world.pose),
        "agent_dir": lambda world, ahead: headings.index_select(0, world.pose),
        "carrying_type": held(held_kind),
        "carrying_color": held(held_color),
        "ahead_type": lambda world, ahead: kind.index_select(0, ahead.to(torch.int32)),
        "door_state": door_state,
        "cells": lambda world, ahead: world.tracked["cells"].view(-1, pool.width, pool.height).clone(),
    }


def _object_reader(kind: str, table: Tensor, shape: tuple[int, ...]) -> Read:
    return lambda world, ahead: _listed(world.tracked[kind], table, shape)


def _listed(ranks: Tensor, table: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Ranks ``(M, n)`` looked up, cut or filled with -1 to ``(M, *shape)``."""
    values = table.index_select(0, ranks.reshape(-1)).view(*ranks.shape, *table.shape[1:])
    if table.dim() == 2 and len(shape) == 1:
        return values[:, 0]
    return _fit(values, shape, fill=-1)


def _fit(values: Tensor, shape: tuple[int, ...], *, fill: int) -> Tensor:
    if not shape:
        return values[:, 0]
    missing = shape[0] - values.shape[1]
    if missing > 0:
        filler = values.new_full((len(values), missing, *values.shape[2:]), fill)
        return torch.cat([values, filler], 1)
    return values[:, : shape[0]]


def _codes_of(kind: str) -> NDArray[np.int64]:
    return np.flatnonzero(APPEARANCE[:, 0] == KIND_TYPES[kind])


def _make_ranks(pool: Pool, kind: str, device: torch.device) -> Ranks:
    cells = pool.width * pool.height
    codes = _codes_of(kind)
    of_code = np.full(256, 7 * cells, dtype=np.int64)
    of_code[codes] = APPEARANCE[codes, 1].astype(np.int64) * cells
    return Ranks(
        cells=cells,
        of_code=torch.from_numpy(of_code).to(device),
    )


def _by_column(pool: Pool) -> NDArray[np.int64]:
    cell = np.arange(pool.width * pool.height)
    return cell % pool.width * pool.height + cell // pool.width


def _ranks_at_start(pool: Pool, kind: str) -> NDArray[np.int64]:
    """``(P, n)`` ranks, ascending; n has room for all objects of the kind in a layout, hidden ones too."""
    cells = pool.width * pool.height
    there = np.isin(pool.cells, _codes_of(kind))
    hidden = [code for code in CARRIABLE if APPEARANCE[box_content(code), 0] == KIND_TYPES[kind]]
    room = int((there | np.isin(pool.cells, hidden)).sum(1).max())
    ranks = np.where(there, APPEARANCE[pool.cells, 1].astype(np.int64) * cells + np.arange(cells), 6 * cells)
    return np.sort(ranks, axis=1)[:, : max(room, 1)]


def _cells_of_ranks(pool: Pool, ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """The cell's number of each rank; a cell that is always 0 for no object."""
    cells = pool.width * pool.height
    return np.where(ranks < 6 * cells, ranks % cells, cells + NO_SLOT)


def _rank_table(pool: Pool, what: str, device: torch.device) -> Tensor:
    """By rank: ``(6 * cells + 1, 2)`` positions (x, y), or ``(6 * cells + 1,)`` colours; -1 for no object."""
    cells = pool.width * pool.height
    rank = np.arange(6 * cells + 1)
    y, x = np.divmod(rank % cells, pool.width)
    table = {"pos": np.stack([x, y], 1), "color": rank // cells}[what]
    table[-1] = -1
    return torch.from_numpy(table).to(device)
