"""MiniGrid's egocentric, occluded 7x7 view by table look-ups: no loop over cells, no branch on data.

The view is handled as seven 64-bit words, one for each column, whose low seven bytes are the codes of the column's
cells from far to near. So the bits that say "cannot see through" gather into one word, a row of the view is shaded
by one look-up, and the mask of all 49 cells is a shift and a multiplication. Words and bytes are views of one
another: machines are little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.grid.cells import DIRECTION, EMPTY, GREY, UNSEEN, WALL

VIEW = 7
OBSERVATION_SIZE = VIEW * 8
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""MiniGrid's ``DIR_TO_VEC``: right, down, left, up."""
EXTRA = (WALL + GREY, EMPTY, UNSEEN, *range(DIRECTION, DIRECTION + 4))
"""Codes kept behind a grid's own cells: what lies outside, what is carried, nothing, and the four directions."""
OUTSIDE_SLOT, CARRY_SLOT, NO_SLOT, DIRECTION_SLOT = range(4)
_EACH = 0x0101010101010101
_AHEAD = 8 * (VIEW // 2) + VIEW - 2
# Row 7 of the view words holds no cells but the direction, in the last column: a key that lights just that.
_LAST_COLUMN = 1 << 13 | 1 << 6


def cell_table(width: int, height: int) -> NDArray[np.int64]:
    """``(width * height * 4, 56)``: which cell each byte of the view shows, for each pose.

    A cell (x, y) has the number ``y * width + x``, a pose four times that plus its direction. Follows
    ``MiniGridEnv.get_view_coords``.
    """
    y, x, d, i, j = np.meshgrid(
        np.arange(height), np.arange(width), np.arange(4), np.arange(VIEW), np.arange(8), indexing="ij"
    )
    dx, dy = np.array(STEPS)[d, 0], np.array(STEPS)[d, 1]
    ahead, right = VIEW - 1 - j, i - VIEW // 2
    cx, cy = x + dx * ahead - dy * right, y + dy * ahead + dx * right
    inside = (cx >= 0) & (cx < width) & (cy >= 0) & (cy < height)
    cell = np.where(inside, cy * width + cx, width * height + OUTSIDE_SLOT)
    cell = np.where((ahead == 0) & (right == 0), width * height + CARRY_SLOT, cell)
    behind = np.where(i == VIEW - 1, DIRECTION_SLOT + d, NO_SLOT)
    cell = np.where(j == VIEW, width * height + behind, cell)
    return cell.reshape(width * height * 4, VIEW * 8).astype(np.int64)


@cache
def shade_tables() -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """One row of MiniGrid's ``Grid.process_vis`` for every (lit cells, opaque cells), seven bits each.

    The key is ``lit << 7 | opaque``, bit i for column i. Answers what the next row starts with, shifted by 7
    already, and the cells of this row that are seen.
    """
    key = np.arange(1 << 14)
    lit = [(key >> (7 + i)) & 1 for i in range(VIEW)]
    clear = [1 - ((key >> i) & 1) for i in range(VIEW)]
    further = [np.zeros_like(key) for _ in range(VIEW)]
    for order, side in ((range(VIEW - 1), 1), (range(VIEW - 1, 0, -1), -1)):
        for i in order:
            through = lit[i] & clear[i]
            lit[i + side] = lit[i + side] | through
            further[i + side] = further[i + side] | through
            further[i] = further[i] | through
    following = sum(further[i] << (7 + i) for i in range(VIEW))
    seen = sum(lit[i] << i for i in range(VIEW))
    return np.asarray(following, dtype=np.int64), np.asarray(seen, dtype=np.uint8)


@dataclass(slots=True, kw_only=True)
class View:
    """The tables of one grid size on one device; see ``make_view``."""

    cells: Tensor
    following: Tensor
    seen: Tensor
    shift: Tensor
    """``(7,)``: 0 to 6."""
    see_through: bool
    """Whether walls hide nothing (``see_through_walls``)."""
    scratch: Tensor
    """``(M, 56)`` int64, written anew by each call: a large tensor costs more to allocate than to fill."""

    def __call__(self, cells: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Observations ``(M, 56)`` uint8, and the code ``(M,)`` uint8 of the cell in front of each agent.

        ``cells`` is ``(M, width * height + 7)`` uint8, ``pose`` is ``(M,)`` int64.
        """
        if len(self.scratch) != len(pose):
            self.scratch = torch.empty(len(pose), VIEW * 8, dtype=torch.int64, device=pose.device)
        codes = cells.gather(1, torch.index_select(self.cells, 0, pose, out=self.scratch))
        word = codes.view(torch.int64)
        if not self.see_through:
            word = word & self._visible(word)
        return word.view(torch.uint8), codes[:, _AHEAD]

    def _visible(self, word: Tensor) -> Tensor:
        """``(M, 7)``: 0xFF in each byte whose cell is seen, from the codes' opaque bits."""
        opaque = ((word >> 7 & _EACH) << self.shift).sum(1)
        keys = list(opaque.view(torch.uint8).view(-1, 8).to(torch.int64).unbind(1))
        keys[VIEW - 1] = keys[VIEW - 1] + (1 << (7 + VIEW // 2))
        for j in range(VIEW - 1, 0, -1):
            keys[j - 1] = keys[j - 1] + self.following.index_select(0, keys[j])
        keys[VIEW] = keys[VIEW] + _LAST_COLUMN
        seen = self.seen.index_select(0, torch.stack(keys, 1).view(-1)).view(torch.int64)
        return (seen[:, None] >> self.shift & _EACH) * 255


def make_view(width: int, height: int, *, see_through: bool, device: torch.device) -> View:
    """The view of a ``width`` by ``height`` grid, on ``device``."""
    following, seen = shade_tables()
    return View(
        cells=torch.from_numpy(cell_table(width, height)).to(device),
        following=torch.from_numpy(following).to(device),
        seen=torch.from_numpy(seen).to(device),
        shift=torch.arange(VIEW, device=device),
        see_through=see_through,
        scratch=torch.empty(0, VIEW * 8, dtype=torch.int64, device=device),
    )
