"""Pools of layouts made by the real MiniGrid environment, one seed each; kept in memory and in a cache."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import gymnasium
import minigrid
import numpy as np
from numpy.typing import NDArray

from envs.extractors import grid as extractor
from envs.grid.cells import CODES, encode
from envs.grid.families import FAMILIES, things
from envs.grid.obstacles import AROUND, draw, places, stream_length

Split = Literal["train", "test"]
TRAIN_LAYOUTS, TEST_LAYOUTS = 1024, 512
TEST_SEED = 1_000_000
"""First seed of the held-out layouts; the layouts to train on have seeds from 0."""
FORMAT = 3
"""Raised with every change of the codes or of what is stored, so that old files are left alone."""
NAMED = tuple(extractor.NAMED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """``P`` layouts of one environment; a cell (x, y) has the number ``y * width + x``."""

    seed: NDArray[np.int64]
    """``(P,)``: ``env.reset(seed=...)`` of the real environment gives the same layout."""
    cells: NDArray[np.uint8]
    """``(P, width * height)`` codes of ``envs.grid.cells``."""
    pose: NDArray[np.int64]
    """``(P,)``: four times the agent's cell, plus its direction."""
    targets: NDArray[np.int64]
    """``(P, 2)``: cells that the family's rule asks about."""
    named: NDArray[np.int64]
    """``(P, 4)``: ``target_type``, ``target_color``, ``move_type``, ``move_color``; -1 where none."""
    obstacles: NDArray[np.int64]
    """``(P, n)``: cells of what moves by itself, in the order of moving; n is 0 in most families."""
    draws: NDArray[np.uint8]
    """``(P, L)``: what the environment's generator says after the reset; see ``envs.grid.obstacles``."""
    shape: NDArray[np.int64]
    """``(4,)``: width, height, time limit in steps, whether walls hide nothing."""

    @property
    def width(self) -> int:
        """Cells from left to right."""
        return int(self.shape[0])

    @property
    def height(self) -> int:
        """Cells from top to bottom."""
        return int(self.shape[1])

    @property
    def max_steps(self) -> int:
        """The environment's own time limit."""
        return int(self.shape[2])

    @property
    def see_through(self) -> bool:
        """Whether the agent sees through walls."""
        return bool(self.shape[3])


_POOLS: dict[str, Pool] = {}


def split_seeds(split: Split, size: int | None = None) -> range:
    """Seeds of the layouts to train on, or of those held out for evaluation; the two never meet."""
    first, usual = (0, TRAIN_LAYOUTS) if split == "train" else (TEST_SEED, TEST_LAYOUTS)
    size = usual if size is None else size
    if split == "train" and size > TEST_SEED:
        raise ValueError(f"at most {TEST_SEED} layouts to train on")
    return range(first, first + size)


def load_pool(env_id: str, kwargs: dict[str, Any], seeds: range) -> Pool:
    """The layouts that the environment makes from these seeds, from memory, the cache, or the environment.

    A cache that cannot be read or written only costs the time to make the layouts anew. Raises
    ``envs.grid.cells.UnknownObject`` where a layout cannot be told in codes.
    """
    told = [FORMAT, env_id, sorted(kwargs.items()), minigrid.__version__, repr(seeds)]
    key = hashlib.sha256(json.dumps(told, default=repr).encode()).hexdigest()[:24]
    if key not in _POOLS:
        path = cache_folder() / f"{env_id.rpartition(':')[2].replace('/', '_')}-{key}.npz"
        pool = _read(path, seeds)
        if pool is None:
            pool = make_pool(env_id, kwargs, seeds)
            _write(path, pool)
        _POOLS[key] = pool
    return _POOLS[key]


def make_pool(env_id: str, kwargs: dict[str, Any], seeds: range) -> Pool:
    """As ``load_pool``, always from the real environment."""
    env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
    base: Any = env.unwrapped
    family = FAMILIES[type(base).__name__]
    width, height = base.width, base.height
    count = len(seeds)
    movers = base.n_obstacles if family.rule == "obstacles" else 0
    tries = stream_length(min(width, height), base.max_steps, movers)
    pool = Pool(
        seed=np.array(seeds, dtype=np.int64),
        cells=np.full((count, width * height), encode(None), dtype=np.uint8),
        pose=np.zeros(count, dtype=np.int64),
        targets=np.zeros((count, 2), dtype=np.int64),
        named=np.full((count, len(NAMED)), -1, dtype=np.int64),
        obstacles=np.zeros((count, movers), dtype=np.int64),
        draws=np.zeros((count, tries), dtype=np.uint8),
        shape=np.array([width, height, base.max_steps, base.see_through_walls], dtype=np.int64),
    )
    for i, seed in enumerate(seeds):
        env.reset(seed=seed)
        mission = family.mission(base)
        for (x, y), thing in things(base):
            wanted = any(thing is target for target in mission.objects)
            pool.cells[i, y * width + x] = encode(thing, target=wanted)
        x, y = (int(v) for v in base.agent_pos)
        pool.pose[i] = (y * width + x) * 4 + int(base.agent_dir)
        pool.targets[i] = [y * width + x for x, y in mission.cells]
        state = extractor.read_state(env, None, {})
        pool.named[i] = [state.get(name, -1) for name in NAMED]
        if movers:
            pool.obstacles[i], pool.draws[i] = places(base), draw(base.np_random, tries)
    env.close()
    return pool


def cache_folder() -> Path:
    """Where layouts are kept: ``$XDG_CACHE_HOME/rewardsmith/grid``, or below ``~/.cache``."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path("~/.cache").expanduser()) / "rewardsmith" / "grid"


def _read(path: Path, seeds: range) -> Pool | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            pool = Pool(**{f.name: arrays[f.name] for f in fields(Pool)})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return pool if _sound(pool, seeds) else None


def _sound(pool: Pool, seeds: range) -> bool:
    """Whether what was read can be a pool of these seeds: all shapes, and nothing points outside its table."""
    count = len(seeds)
    if pool.shape.shape != (4,) or not np.array_equal(pool.seed, seeds):
        return False
    size = pool.width * pool.height
    shapes: tuple[tuple[NDArray[Any], tuple[int, ...]], ...]
    shapes = ((pool.cells, (count, size)), (pool.pose, (count,)), (pool.targets, (count, 2)))
    movers = pool.obstacles.shape[-1]
    tries = stream_length(min(pool.width, pool.height), pool.max_steps, movers)
    shapes += ((pool.named, (count, len(NAMED))), (pool.obstacles, (count, movers)), (pool.draws, (count, tries)))
    if any(a.shape != want for a, want in shapes):
        return False
    numbers = (pool.pose, pool.targets, pool.named, pool.obstacles)
    if any(a.dtype != np.uint8 for a in (pool.cells, pool.draws)) or any(a.dtype != np.int64 for a in numbers):
        return False
    bounds = ((pool.pose, 4 * size), (pool.targets, size), (pool.obstacles, size), (pool.draws, AROUND * AROUND))
    inside = all(a.size == 0 or (a.min() >= 0 and a.max() < top) for a, top in bounds)
    return inside and bool(np.isin(pool.cells, CODES).all())


def _write(path: Path, pool: Pool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
            part_path = Path(part.name)
            try:
                np.savez_compressed(part, **{f.name: getattr(pool, f.name) for f in fields(Pool)})
            except OSError:
                part_path.unlink()
                raise
        part_path.replace(path)
    except OSError:
        return
