"""The tensor simulator against the real MiniGrid: the same layouts and actions give the same everything."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from envs.extractors import grid as extractor
from envs.families import action_of, state_of
from envs.grid.cells import drawn
from envs.grid.levels import make_pool
from envs.grid.vector import GridVectorEnvironment, supports
from envs.scripted.grid_plan import NoPlan, make_plan
from envs.task import Fitness, TaskSpec

torch.set_num_threads(1)
ENVIRONMENTS = (
    "Empty-8x8-v0",
    "Empty-Random-5x5-v0",
    "DoorKey-5x5-v0",
    "DoorKey-8x8-v0",
    "FourRooms-v0",
    "MultiRoom-N2-S4-v0",
    "MultiRoom-N6-v0",
    "LavaCrossingS9N1-v0",
    "SimpleCrossingS9N2-v0",
    "LavaGapS5-v0",
    "DistShift1-v0",
    "LockedRoom-v0",
    "Playground-v0",
    "Unlock-v0",
    "UnlockPickup-v0",
    "BlockedUnlockPickup-v0",
    "KeyCorridorS3R1-v0",
    "KeyCorridorS4R3-v0",
    "ObstructedMaze-1Dl-v0",
    "ObstructedMaze-1Dlhb-v0",
    "ObstructedMaze-2Dlhb-v1",
    "ObstructedMaze-Full-v1",
    "RedBlueDoors-6x6-v0",
    "Fetch-5x5-N2-v0",
    "GoToDoor-5x5-v0",
    "GoToObject-6x6-N2-v0",
    "PutNear-6x6-N2-v0",
    "MemoryS7-v0",
    "MemoryS13Random-v0",
    "Dynamic-Obstacles-5x5-v0",
    "Dynamic-Obstacles-Random-6x6-v0",
    "Dynamic-Obstacles-16x16-v0",
)
UNSOLVED = ("Playground-v0", "ObstructedMaze-1Dlhb-v0", "ObstructedMaze-2Dlhb-v1", "ObstructedMaze-Full-v1")
"""Playground never pays; the planner does not look into boxes, and chance alone does not solve those mazes."""


def make_task(env_id: str, **kwargs: Any) -> TaskSpec:
    env = gymnasium.make(env_id, **kwargs)
    steps = env.unwrapped.max_steps  # type: ignore[attr-defined]
    return TaskSpec(
        id="task",
        env_id=env_id,
        description="",
        state=state_of("grid", env_id, kwargs),
        action=action_of("grid", env_id),
        fitness=Fitness(kind="success_rate", success="reward_positive"),
        extractor="grid",
        task_weight=1.0,
        episode_steps=steps,
        env_steps=1,
        env_kwargs=tuple(kwargs.items()),
    )


class RealRow:
    """One real environment that plays the layouts that the simulator says."""

    def __init__(self, task: TaskSpec, seeds: np.ndarray[Any, Any]) -> None:
        self.env = gymnasium.make(task.env_id, disable_env_checker=True, **dict(task.env_kwargs))
        self.seeds = seeds

    def start(self, layout: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
        obs, _ = self.env.reset(seed=int(self.seeds[layout]))
        return flat(obs), extractor.read_state(self.env, obs, {})

    def step(self, action: int) -> tuple[np.ndarray[Any, Any], dict[str, Any], float, bool, bool]:
        obs, reward, terminated, truncated, _ = self.env.step(action)
        return flat(obs), extractor.read_state(self.env, obs, {}), float(reward), terminated, truncated


def flat(obs: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.append(obs["image"].reshape(-1), np.uint8(obs["direction"]))


def shown(observation: torch.Tensor) -> torch.Tensor:
    """The simulator's observations as MiniGrid's numbers, in the order of ``flat``."""
    image, direction = drawn(observation.numpy())
    return torch.from_numpy(np.concatenate([image.reshape(len(image), -1), direction[:, None]], axis=1))


def biased_actions(observation: torch.Tensor, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Random, but likely to walk on and to use what is in front; a quarter of them anything at all."""
    image, _ = drawn(observation.numpy())
    ahead, state = image[:, 3, 5, 0], image[:, 3, 5, 2]
    likely = np.where(rng.random(len(ahead)) < 0.7, 2, rng.integers(0, 2, len(ahead)))
    likely = np.where(np.isin(ahead, (5, 6)), 3, likely)
    likely = np.where(ahead == 7, rng.choice([3, 5], len(ahead)), likely)
    likely = np.where((ahead == 4) & (state > 0), 5, likely)
    likely = np.where(ahead == 2, rng.integers(0, 2, len(ahead)), likely)
    return np.where(rng.random(len(ahead)) < 0.25, rng.integers(0, 7, len(ahead)), likely)


class Planner:
    """Solutions of layouts, each found once by acting in a real environment."""

    def __init__(self, row: RealRow) -> None:
        self.row = row
        self.plans: dict[int, tuple[int, ...]] = {}

    def plan(self, layout: int) -> list[int]:
        """The actions that solve the layout, last one first; none where the planner knows no solution."""
        if layout not in self.plans:
            self.row.start(layout)
            try:
                self.plans[layout] = make_plan(self.row.env.unwrapped).actions
            except NoPlan:
                self.plans[layout] = ()
        return list(reversed(self.plans[layout]))


def assert_equal(mine: torch.Tensor, real: Any, row: int, what: str) -> None:
    got, want = mine[row].numpy(), np.asarray(real)
    assert got.dtype == want.dtype, f"{what}: {got.dtype} is not {want.dtype}"
    assert np.array_equal(got, want), f"{what}: {got} is not {want}"


def lockstep(task: TaskSpec, *, rows: int, steps: int, layouts: int, seed: int) -> dict[str, int]:
    """Step both, comparing all; how many successes, terminations and truncations there were.

    Half of the rows follow plans that succeed, with a stray action now and then; the others wander.
    """
    pool = make_pool(task.env_id, dict(task.env_kwargs), range(layouts))
    rng = np.random.default_rng(seed)
    env = GridVectorEnvironment(task, range(seed, seed + rows), pool=pool)
    real = [RealRow(task, pool.seed) for _ in range(rows)]
    planner = Planner(RealRow(task, pool.seed))
    observation, state = env.reset()
    plans = [planner.plan(int(layout)) if i % 2 else [] for i, layout in enumerate(env.layouts)]
    for i, row in enumerate(real):
        obs, fields = row.start(int(env.layouts[i]))
        assert_equal(shown(observation), obs, i, "first observation")
        assert {*fields} == {*state}
        for name, value in fields.items():
            assert_equal(state[name], value, i, f"first {name}")
    counts = {"success": 0, "terminated": 0, "truncated": 0}
    for _ in range(steps):
        action = biased_actions(observation, rng)
        for i, plan in enumerate(plans):
            if plan and rng.random() > 0.02:
                action[i] = plan.pop()
        step = env.step(torch.from_numpy(action))
        final, first = shown(step.final_observation), shown(step.observation)
        for i, row in enumerate(real):
            obs, fields, reward, terminated, truncated = row.step(int(action[i]))
            assert_equal(final, obs, i, "observation")
            assert step.reward[i] == np.float32(reward)
            assert bool(step.terminated[i]) == terminated
            assert bool(step.truncated[i]) == (truncated and not terminated)
            assert bool(step.success[i]) == (terminated and reward > 0)
            for name, value in fields.items():
                assert_equal(step.next_state[name], value, i, name)
            if terminated or truncated:
                obs, fields = row.start(int(env.layouts[i]))
                plans[i] = planner.plan(int(env.layouts[i])) if i % 2 else []
            assert_equal(first, obs, i, "observation after a reset")
            for name, value in fields.items():
                assert_equal(step.state[name], value, i, f"{name} after a reset")
        for name in counts:
            counts[name] += int(getattr(step, name).sum())
        observation = step.observation
    return counts


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_frames_rewards_endings_and_state_equal_minigrids(name: str) -> None:
    task = make_task(f"MiniGrid-{name}")
    assert supports(task)
    counts = lockstep(task, rows=6, steps=180, layouts=24, seed=3)
    assert counts["success"] > 0 or name in UNSOLVED


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_fifty_thousand_steps_equal_minigrids(name: str) -> None:
    counts = lockstep(make_task(f"MiniGrid-{name}"), rows=24, steps=2100, layouts=300, seed=11)
    assert counts["success"] > 20 or name in UNSOLVED
