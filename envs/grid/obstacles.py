"""Things that wander by themselves, as in MiniGrid's Dynamic-Obstacles: the real environment's moves, drawn beforehand.

The environment tries cells around an obstacle at random until one is free. What it draws does not depend on what
happens, only how many draws it takes does, so each layout of a pool keeps the beginning of its generator's stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.grid.cells import EMPTY

AROUND = 3
"""An obstacle moves within the square of this many cells a side around it."""
MOST_TRIES = 101
"""Tries before MiniGrid's ``place_obj(max_tries=100)`` gives up and the obstacle stays."""
FEW_TRIES = 8
"""Tries that nearly always do; looked at first where waiting for the answer costs nothing."""


def stream_length(size: int, max_steps: int, obstacles: int) -> int:
    """Tries that a layout keeps: several a step and obstacle, more where it is narrow. Beyond them it starts over."""
    return max_steps * obstacles * max(3, 40 // size)


def draw(generator: np.random.Generator, tries: int) -> NDArray[np.uint8]:
    """``(tries,)``: three times the column plus the row of the square that each try of an environment asks for."""
    columns_and_rows = generator.integers(0, AROUND, size=(tries, 2))
    return np.asarray(columns_and_rows @ [AROUND, 1], dtype=np.uint8)


def places(env: Any) -> list[int]:
    """Cells of a real environment's obstacles, in the order in which they move."""
    return [int(y) * env.width + int(x) for x, y in (obstacle.cur_pos for obstacle in env.obstacles)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacles:
    """What moves obstacles on one device; see ``make_obstacles``."""

    stream: Tensor
    """``(P * length,)`` uint8: the tries of each layout."""
    length: int
    offsets: Tensor
    """``(9,)`` int64: from a cell to the one that a try asks for."""
    tries: tuple[int, ...]
    """How many tries are looked at; more only where they did not do for every row."""

    def move(self, cells: Tensor, at: Tensor, used: Tensor, layout: Tensor, agent: Tensor) -> None:
        """Move the obstacles at ``(M, n)`` cells, one after another, in place; ``used`` ``(M,)`` counts the tries."""
        for k in range(at.shape[1]):
            here = at[:, k]
            there, found, taken = self._free(cells, here, used, layout, agent)
            kind = cells.gather(1, here[:, None])
            cells.scatter_(1, here[:, None], EMPTY)
            here.copy_(torch.where(found, there, here))
            cells.scatter_(1, here[:, None], kind)
            used += taken

    def _free(
        self, cells: Tensor, here: Tensor, used: Tensor, layout: Tensor, agent: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The first free cell asked for, whether there is one, and the tries it took, each ``(M,)``."""
        for tries in self.tries:
            nth = (used[:, None] + torch.arange(tries, device=used.device)) % self.length
            asked = self.stream.index_select(0, (layout[:, None] * self.length + nth).view(-1)).to(torch.int32)
            there = here[:, None] + self.offsets.index_select(0, asked).view(nth.shape)
            free = (cells.gather(1, there) == EMPTY) & (there != agent[:, None])
            found = free.any(1)
            if tries == MOST_TRIES or bool(found.all()):
                break
        first = free.to(torch.uint8).argmax(1)
        return there.gather(1, first[:, None]).view(-1), found, torch.where(found, first + 1, tries)


def make_obstacles(draws: NDArray[np.uint8], width: int, *, device: torch.device) -> Obstacles:
    """For layouts with these ``(P, length)`` tries, on grids of this width."""
    step = np.arange(AROUND) - AROUND // 2
    offsets = (step[None, :] * width + step[:, None]).reshape(-1)
    return Obstacles(
        stream=torch.from_numpy(draws.reshape(-1)).to(device),
        length=draws.shape[1],
        offsets=torch.from_numpy(offsets).to(device),
        tries=(FEW_TRIES, MOST_TRIES) if device.type == "cpu" else (MOST_TRIES,),
    )
