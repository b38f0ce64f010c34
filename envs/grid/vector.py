"""MiniGrid environments stepped as tensors: the same frames, rewards and endings as the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import minigrid
import torch
from torch import Tensor

from envs.extractors import grid as extractor
from envs.grid.cells import UnknownObject
from envs.grid.dynamics import World, make_dynamics
from envs.grid.families import FAMILIES
from envs.grid.levels import Pool, Split, load_pool, make_pool, split_seeds
from envs.grid.state import make_reader
from envs.grid.view import EXTRA, OBSERVATION_SIZE, VIEW, make_view
from envs.task import TaskSpec
from envs.vector import Observation, Step

_WORD = 0xFFFFFFFF
_SUCCESS = ("reward_positive", "terminated", "never")


def supports(task: TaskSpec) -> bool:
    """Whether the task is simulated here exactly; other tasks need the real environment."""
    spec = gymnasium.registry.get(task.env_id)
    if spec is None or not isinstance(spec.entry_point, str) or spec.additional_wrappers:
        return False
    module, _, name = spec.entry_point.partition(":")
    kwargs = {**spec.kwargs, **dict(task.env_kwargs)}
    if module != f"{minigrid.__name__}.envs" or name not in FAMILIES:
        return False
    if kwargs.get("agent_view_size", VIEW) != VIEW or task.extractor != "grid":
        return False
    if task.fitness.function is not None or task.fitness.success not in _SUCCESS:
        return False
    readable = {f["name"]: tuple(f["shape"]) for f in extractor.fields(task.env_id, dict(task.env_kwargs))}
    return all(readable.get(f.name) == f.shape for f in task.state) and _encodable(task)


def _encodable(task: TaskSpec) -> bool:
    try:
        make_pool(task.env_id, dict(task.env_kwargs), split_seeds("train", 4))
    except UnknownObject:
        return False
    return True


class GridVectorEnvironment:
    """``M`` MiniGrid environments as tensors on one device; implements ``envs.vector.VectorEnvironment``.

    Each episode's layout is drawn from the split's pool by the row's seed and the episode's number alone.
    Tensors in results may be shared between results: read them, do not write to them.
    """

    def __init__(
        self,
        task: TaskSpec,
        seeds: Sequence[int],
        *,
        device: str | torch.device = "cpu",
        split: Split = "train",
        pool: Pool | None = None,
    ) -> None:
        """``pool`` replaces the split's layouts. Raises ``UnknownObject`` for layouts that have no codes."""
        self._device = torch.device(device)
        pool = load_pool(task.env_id, dict(task.env_kwargs), split_seeds(split)) if pool is None else pool
        spec = gymnasium.spec(task.env_id)
        family = FAMILIES[str(spec.entry_point).partition(":")[2]]
        # Counting the rows to reset costs nothing on a CPU, and would stall any other device.
        self._by_rows = self._device.type == "cpu"
        self.observation = Observation(kind="grid", size=OBSERVATION_SIZE)
        self.num_envs = len(seeds)
        self._success = task.fitness.success
        self._limit = min(pool.max_steps, task.episode_steps)
        self._view = make_view(pool.width, pool.height, see_through=pool.see_through, device=self._device)
        self._dynamics = make_dynamics(family.rule, pool, device=self._device)
        self._reader = make_reader(task.state, pool, device=self._device)
        self._fields = tuple(f.name for f in task.state)
        steps = torch.arange(self._limit + 1, dtype=torch.float64)
        self._pay = (1 - 0.9 * (steps / pool.max_steps)).to(self._device, torch.float32)
        self._layouts = _initial_world(pool, self._reader.start, self._device)
        self._first_observation, ahead = self._view(self._layouts.cells, self._layouts.pose)
        first = {**self._reader.read(self._layouts, ahead), **self._reader.fixed}
        self._first_state = {name: first[name] for name in self._fields}
        self._stream = _streams(seeds).to(self._device)
        self.reset()

    def reset(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Start every environment anew from its seed; ``(M, 56)`` observations and the state fields."""
        self._episode = torch.zeros(self.num_envs, dtype=torch.int64, device=self._device)
        layout = _draw(self._stream, self._episode, len(self._first_observation))
        self._world = self._layouts.rows(layout)
        self._state = {name: v.index_select(0, layout) for name, v in self._first_state.items()}
        return self._first_observation.index_select(0, layout), self._state

    def step(self, action: Tensor) -> Step:
        """Take ``(M,)`` int64 actions from 0 to 6."""
        world = self._world
        change = self._dynamics(world, action)
        self._reader.follow(world, change)
        final, ahead = self._view(world.cells, world.pose)
        after = self._read(ahead)
        pay = self._pay.index_select(0, world.step)
        reward = torch.where(change.won, pay, torch.zeros_like(pay))
        if change.hit is not None:
            reward = torch.where(change.hit, -1.0, reward)
        truncated = (world.step >= self._limit) & ~change.ended
        observation, self._state = self._restart(change.ended | truncated, final, after)
        return Step(
            observation=observation,
            reward=reward,
            terminated=change.ended,
            truncated=truncated,
            success=self._succeeded(change.won, change.ended),
            score=None,
            state=self._state,
            next_state=after,
            final_observation=final,
        )

    def select(self, rows: Tensor) -> None:
        """Keep only these rows (``(M',)`` int64, ascending), which go on undisturbed."""
        rows = rows.to(self._device)
        self.num_envs = len(rows)
        self._world = self._world.rows(rows)
        self._state = {name: v.index_select(0, rows) for name, v in self._state.items()}
        self._stream, self._episode = self._stream[rows], self._episode[rows]

    def close(self) -> None:
        """Nothing is held but memory."""

    @property
    def layouts(self) -> Tensor:
        """``(M,)`` int64: which layout of the pool each row plays now."""
        return self._world.layout.clone()

    def _read(self, ahead: Tensor) -> dict[str, Tensor]:
        read = self._reader.read(self._world, ahead)
        if self._by_rows:
            return {name: read[name] if name in read else self._state[name] for name in self._fields}
        lasting = {n: v.index_select(0, self._world.layout) for n, v in self._reader.fixed.items()}
        return {name: read[name] if name in read else lasting[name] for name in self._fields}

    def _succeeded(self, won: Tensor, ended: Tensor) -> Tensor:
        if self._success == "reward_positive":
            return won
        return ended if self._success == "terminated" else torch.zeros_like(ended)

    def _restart(self, done: Tensor, final: Tensor, after: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Put the next layout where an episode ended; what the next step starts from."""
        self._episode += done
        if self._by_rows:
            return self._restart_rows(done.nonzero().view(-1), final, after)
        layout = _draw(self._stream, self._episode, len(self._first_observation))
        for mine, first in zip(self._world.tensors(), self._layouts.tensors(), strict=True):
            mine.copy_(_choose(done, first.index_select(0, layout), mine))
        state = {name: _choose(done, self._first_state[name].index_select(0, layout), v) for name, v in after.items()}
        return _choose(done, self._first_observation.index_select(0, layout), final), state

    def _restart_rows(self, rows: Tensor, final: Tensor, after: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """As ``_restart``, touching only these rows."""
        if not len(rows):
            return final, after
        layout = _draw(self._stream[rows], self._episode[rows], len(self._first_observation))
        for mine, first in zip(self._world.tensors(), self._layouts.tensors(), strict=True):
            mine.index_copy_(0, rows, first.index_select(0, layout))
        state = {
            name: v.index_copy(0, rows, self._first_state[name].index_select(0, layout)) for name, v in after.items()
        }
        return final.index_copy(0, rows, self._first_observation.index_select(0, layout)), state


def _choose(done: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(done.view(-1, *[1] * (old.dim() - 1)), new, old)


def _initial_world(pool: Pool, tracked: dict[str, Tensor], device: torch.device) -> World:
    """Each layout of the pool as it stands before the first step."""

    def tensor(values: Any) -> Tensor:
        return torch.from_numpy(values).to(device)

    cells = tensor(pool.cells)
    extra = torch.tensor(EXTRA, dtype=torch.uint8, device=device).expand(len(cells), -1)
    return World(
        cells=torch.cat([cells, extra], 1),
        pose=tensor(pool.pose),
        step=torch.zeros(len(cells), dtype=torch.int64, device=device),
        layout=torch.arange(len(cells), device=device),
        tracked=tracked,
        wandering=(tensor(pool.obstacles), torch.zeros_like(tensor(pool.pose))) if pool.obstacles.size else None,
    )


def _streams(seeds: Sequence[int]) -> Tensor:
    """``(M,)`` int64 in [0, 2^32): one well-mixed number for each seed, from its 64 low bits."""
    low = torch.tensor([int(s) & _WORD for s in seeds], dtype=torch.int64)
    high = torch.tensor([int(s) >> 32 & _WORD for s in seeds], dtype=torch.int64)
    return _mix(_mix(low) ^ high)


def _draw(stream: Tensor, episode: Tensor, count: int) -> Tensor:
    """A number in [0, count) for each row, from its stream and its episode's number alone."""
    return _mix((stream + episode * 0x9E3779B9) & _WORD) * count >> 32


def _mix(word: Tensor) -> Tensor:
    """A bijection of 32-bit words held in int64: the ``lowbias32`` hash of Chris Wellons' hash-prospector."""
    word = (word ^ word >> 16) * 0x7FEB352D & _WORD
    word = (word ^ word >> 15) * 0x846CA68B & _WORD
    return word ^ word >> 16
