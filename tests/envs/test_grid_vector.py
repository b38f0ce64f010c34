"""The tensor simulator as a vector environment: streams of layouts, resets, selection, what it takes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from minigrid.core.grid import Grid
from minigrid.core.world_object import Box, Door, Wall

from envs.families import action_of, state_of
from envs.grid import levels
from envs.grid.cells import APPEARANCE, BALL, CODES, EMPTY, TYPE_DOOR, TYPE_WALL, WALL, UnknownObject, drawn, encode
from envs.grid.levels import load_pool, make_pool, split_seeds
from envs.grid.obstacles import make_obstacles
from envs.grid.vector import GridVectorEnvironment, supports
from envs.grid.view import CARRY_SLOT, EXTRA, STEPS, make_view
from envs.task import Fitness, TaskSpec
from envs.vector import Step, VectorEnvironment

torch.set_num_threads(1)
DOORKEY, WANDERING = "MiniGrid-DoorKey-5x5-v0", "MiniGrid-Dynamic-Obstacles-6x6-v0"


@pytest.fixture(autouse=True, scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(levels, "_POOLS", {})
    return tmp_path / "rewardsmith" / "grid"


def make_task(env_id: str = DOORKEY, *, episode_steps: int = 250, **kwargs: Any) -> TaskSpec:
    return TaskSpec(
        id="task",
        env_id=env_id,
        description="",
        state=state_of("grid", env_id, kwargs),
        action=action_of("grid", env_id),
        fitness=Fitness(kind="success_rate", success="reward_positive"),
        extractor="grid",
        task_weight=1.0,
        episode_steps=episode_steps,
        env_steps=1,
        env_kwargs=tuple(kwargs.items()),
    )


def random_actions(steps: int, rows: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).choice(6, (steps, rows), p=[0.15, 0.15, 0.4, 0.1, 0.1, 0.1]))


def walk(env: VectorEnvironment, actions: torch.Tensor) -> list[Step]:
    env.reset()
    return [env.step(action) for action in actions]


def assert_same(a: Step, b: Step, rows: torch.Tensor) -> None:
    """Step ``b`` is step ``a`` cut down to some of its rows."""
    for name in ("observation", "reward", "terminated", "truncated", "success", "final_observation"):
        assert torch.equal(getattr(a, name)[rows], getattr(b, name)), name
    for mine, other in ((a.state, b.state), (a.next_state, b.next_state)):
        assert all(torch.equal(mine[name][rows], other[name]) for name in mine)


def test_a_row_depends_on_its_own_seed_alone() -> None:
    task, actions = make_task(episode_steps=20), random_actions(150, 6)
    together = walk(GridVectorEnvironment(task, [5, 6, 7, 8, 9, 10]), actions)
    rows = torch.tensor([1, 4])
    apart = walk(GridVectorEnvironment(task, [6, 9]), actions[:, rows])
    for a, b in zip(together, apart, strict=True):
        assert_same(a, b, rows)


def test_reset_starts_the_same_episodes_again() -> None:
    env = GridVectorEnvironment(make_task(episode_steps=20), range(8))
    actions = random_actions(90, 8)
    for a, b in zip(walk(env, actions), walk(env, actions), strict=True):
        assert_same(a, b, torch.arange(8))


@pytest.mark.parametrize("env_id", [DOORKEY, WANDERING])
def test_kept_rows_go_on_undisturbed(env_id: str) -> None:
    task, actions = make_task(env_id, episode_steps=20), random_actions(120, 8)
    whole = walk(GridVectorEnvironment(task, range(8)), actions)
    env = GridVectorEnvironment(task, range(8))
    walk(env, actions[:50])
    rows = torch.tensor([0, 3, 7])
    env.select(rows)
    assert env.num_envs == 3
    for a, action in zip(whole[50:], actions[50:], strict=True):
        assert_same(a, env.step(action[rows]), rows)


@pytest.mark.parametrize(
    "env_id", [DOORKEY, WANDERING, "MiniGrid-PutNear-6x6-N2-v0", "MiniGrid-ObstructedMaze-1Dlhb-v0"]
)
def test_resetting_without_counting_rows_gives_the_same(env_id: str) -> None:
    task, actions = make_task(env_id, episode_steps=20), random_actions(120, 8)
    by_rows = walk(GridVectorEnvironment(task, range(8)), actions)
    env = GridVectorEnvironment(task, range(8))
    env._by_rows = False  # the path that every device but the CPU takes
    dense = walk(env, actions)
    for a, b in zip(by_rows, dense, strict=True):
        assert_same(a, b, torch.arange(8))


@pytest.mark.parametrize("env_id", [WANDERING, "MiniGrid-ObstructedMaze-1Dlhb-v0"])
def test_what_lasts_between_steps_stays_in_place(env_id: str) -> None:
    # A recorded graph of a rollout reads and writes fixed addresses.
    env = GridVectorEnvironment(make_task(env_id, episode_steps=20), range(8))
    env._by_rows = False
    env.reset()
    before = [tensor.data_ptr() for tensor in (*env._world.tensors(), env._episode)]
    for action in random_actions(50, 8):
        env.step(action)
    assert [tensor.data_ptr() for tensor in (*env._world.tensors(), env._episode)] == before


def test_results_are_not_changed_by_later_steps() -> None:
    env = GridVectorEnvironment(make_task(episode_steps=20), range(8))
    actions = random_actions(60, 8)
    env.reset()
    steps, copies = [], []
    for action in actions:
        step = env.step(action)
        steps.append(step)
        copies.append({name: value.clone() for name, value in {**step.next_state, "o": step.observation}.items()})
    for step, copy in zip(steps, copies, strict=True):
        assert torch.equal(step.observation, copy["o"])
        assert all(torch.equal(value, copy[name]) for name, value in step.next_state.items())


def test_the_tasks_time_limit_truncates_and_a_new_episode_begins() -> None:
    env = GridVectorEnvironment(make_task(episode_steps=7), range(4))
    turns = torch.zeros(7, 4, dtype=torch.int64)
    steps = walk(env, turns)
    assert not any(step.truncated.any() for step in steps[:-1])
    assert steps[-1].truncated.all() and not steps[-1].terminated.any() and not steps[-1].success.any()
    assert env.step(turns[0]).truncated.sum() == 0


def test_layouts_are_drawn_evenly_and_differ_between_rows_and_episodes() -> None:
    task = make_task(episode_steps=1)
    env = GridVectorEnvironment(task, range(64))
    drawn = []
    for _ in range(160):
        drawn.append(env.layouts)
        env.step(torch.zeros(64, dtype=torch.int64))
    counts = torch.bincount(torch.stack(drawn).view(-1), minlength=1024)
    assert counts.min() >= 1  # ten a layout are expected
    assert counts.max() < 30
    assert (drawn[0] != drawn[1]).float().mean() > 0.9


def test_training_and_held_out_layouts_have_different_seeds() -> None:
    assert not set(split_seeds("train")) & set(split_seeds("test"))
    task = make_task("MiniGrid-DoorKey-8x8-v0", episode_steps=640)
    train, _ = GridVectorEnvironment(task, range(32)).reset()
    test, _ = GridVectorEnvironment(task, range(32), split="test").reset()
    assert not torch.equal(train, test)


def test_only_the_tasks_own_fields_are_computed() -> None:
    task = make_task()
    few = replace(task, state=tuple(f for f in task.state if f.name in ("door_state", "key_pos")))
    actions = random_actions(40, 4)
    for a, b in zip(
        walk(GridVectorEnvironment(task, range(4)), actions),
        walk(GridVectorEnvironment(few, range(4)), actions),
        strict=True,
    ):
        assert [*b.next_state] == [f.name for f in few.state]
        assert all(torch.equal(a.next_state[name], b.next_state[name]) for name in b.next_state)


def test_fields_have_the_schemas_shapes_and_dtypes() -> None:
    task = make_task("MiniGrid-KeyCorridorS4R3-v0", episode_steps=480)
    _, state = GridVectorEnvironment(task, range(3)).reset()
    for field in task.state:
        assert state[field.name].shape == (3, *field.shape)
        assert str(state[field.name].dtype) == f"torch.{field.dtype}"


@pytest.mark.parametrize(
    "task",
    [
        make_task("BabyAI-GoToObj-v0"),
        make_task(DOORKEY, agent_view_size=5),
        replace(make_task(), fitness=Fitness(kind="return", function="mine:score")),
        replace(make_task(), fitness=Fitness(kind="return", success="return_at_least", threshold=1.0)),
        replace(make_task(), state=(replace(make_task().state[0], name="unheard_of"),)),
        replace(make_task(), env_id="CartPole-v1"),
        replace(make_task(), env_id="mine:Nothing-v0"),
    ],
    ids=lambda task: f"{task.env_id} {task.fitness.function}",
)
def test_what_cannot_be_simulated_exactly_is_left_to_the_real_environment(task: TaskSpec) -> None:
    assert not supports(task)


def test_a_box_in_a_box_has_no_code() -> None:
    with pytest.raises(UnknownObject, match="a box that holds box"):
        encode(Box("red", contains=Box("blue")))


def test_pools_are_kept_on_disk_and_read_back_equal(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = load_pool(DOORKEY, {}, range(20))
    files = list(own_cache.iterdir())
    assert len(files) == 1 and files[0].suffix == ".npz"
    monkeypatch.setattr(levels, "_POOLS", {})
    monkeypatch.setattr(levels, "make_pool", None)  # making it anew would fail
    read = load_pool(DOORKEY, {}, range(20))
    assert all(np.array_equal(getattr(made, n), getattr(read, n)) for n in ("seed", "cells", "pose", "shape"))


@pytest.mark.parametrize("broken", [b"", b"not an archive", b"PK\x03\x04 cut"])
def test_a_broken_cache_file_is_replaced(own_cache: Path, monkeypatch: pytest.MonkeyPatch, broken: bytes) -> None:
    made = load_pool(DOORKEY, {}, range(10))
    (file,) = own_cache.iterdir()
    file.write_bytes(broken)
    monkeypatch.setattr(levels, "_POOLS", {})
    assert np.array_equal(load_pool(DOORKEY, {}, range(10)).cells, made.cells)
    with np.load(file, allow_pickle=False) as arrays:
        assert np.array_equal(arrays["cells"], made.cells)


def test_a_cache_file_with_impossible_contents_is_replaced(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = load_pool(DOORKEY, {}, range(10))
    (file,) = own_cache.iterdir()
    with np.load(file, allow_pickle=False) as arrays:
        contents = {**arrays, "pose": arrays["pose"] + 1000}
    np.savez(file, **contents)
    monkeypatch.setattr(levels, "_POOLS", {})
    assert np.array_equal(load_pool(DOORKEY, {}, range(10)).pose, made.pose)


def test_a_cache_that_cannot_be_written_is_no_error(own_cache: Path) -> None:
    own_cache.parent.write_text("a file in the way of the folder")
    assert len(load_pool(DOORKEY, {}, range(10)).cells) == 10


def test_other_arguments_make_another_pool() -> None:
    five = load_pool("MiniGrid-DoorKey-5x5-v0", {}, range(4))
    seven = load_pool("MiniGrid-DoorKey-5x5-v0", {"size": 7}, range(4))
    assert (five.width, seven.width) == (5, 7)


def test_arguments_of_the_environment_are_obeyed() -> None:
    assert make_pool(DOORKEY, {"max_steps": 33}, range(2)).max_steps == 33
    env = GridVectorEnvironment(make_task(DOORKEY, episode_steps=99, max_steps=33), range(2))
    steps = walk(env, torch.zeros(33, 2, dtype=torch.int64))
    assert steps[-1].truncated.all() and not steps[-2].truncated.any()


def hidden_cells(codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """MiniGrid's own visibility of a 7 x 7 view, ``codes`` indexed [x, y]."""
    grid = Grid(7, 7)
    for x, y in np.ndindex(7, 7):
        if codes[x, y] >= 128:
            grid.set(x, y, Wall() if codes[x, y] < 136 else Door("red"))
    mask: np.ndarray[Any, Any] = grid.process_vis(agent_pos=(3, 6))
    return ~mask


def test_what_is_hidden_equals_minigrids_for_random_clutter() -> None:
    rng = np.random.default_rng(1)
    size, count = 15, 400
    codes = np.where(rng.random((count, size, size)) < rng.uniform(0.05, 0.6, (count, 1, 1)), 136, 1)
    x, y, heading = (rng.integers(0, high, count) for high in (size, size, 4))
    cells = np.concatenate([codes.reshape(count, -1), np.tile(EXTRA, (count, 1))], 1).astype(np.uint8)
    cells[np.arange(count), y * size + x] = 1
    view = make_view(size, size, see_through=False, device=torch.device("cpu"))
    pose = torch.from_numpy((y * size + x) * 4 + heading)
    seen, _ = drawn(view(torch.from_numpy(cells), pose)[0].numpy())
    for i in range(count):
        dx, dy = STEPS[heading[i]]
        local = np.full((7, 7), 128)
        for vx, vy in np.ndindex(7, 7):
            wx, wy = x[i] + dx * (6 - vy) - dy * (vx - 3), y[i] + dy * (6 - vy) + dx * (vx - 3)
            if 0 <= wx < size and 0 <= wy < size:
                local[vx, vy] = cells[i, wy * size + wx]
        want = np.where(local >= 136, TYPE_DOOR, np.where(local >= 128, TYPE_WALL, 1))
        assert np.array_equal(seen[i, :, :, 0], np.where(hidden_cells(local), 0, want))


def test_every_load_is_shown_where_the_agent_stands() -> None:
    view = make_view(5, 5, see_through=False, device=torch.device("cpu"))
    base = make_pool("MiniGrid-Empty-5x5-v0", {}, range(1)).cells[0]
    cells = np.concatenate([base, np.array(EXTRA, dtype=np.uint8)])
    for code in (code for code in CODES if code < 128):
        cells[25 + CARRY_SLOT] = code
        shown, _ = view(torch.from_numpy(cells)[None], torch.tensor([6 * 4]))
        image, _ = drawn(shown.numpy())
        assert image[0, 3, 6].tolist() == [int(v) for v in APPEARANCE[code]]


def test_an_obstacle_without_a_free_cell_stays_and_takes_all_its_tries() -> None:
    """``place_obj(max_tries=100)`` looks a hundred and one times before it gives up."""
    cells = torch.full((2, 25), WALL, dtype=torch.uint8)
    cells[:, 12] = BALL
    cells[1, 13] = EMPTY
    tried_left_first = np.array([[1] * 200, [1] * 60 + [7] * 140], dtype=np.uint8)
    at, used = torch.full((2, 1), 12), torch.zeros(2, dtype=torch.int64)
    obstacles = make_obstacles(tried_left_first, 5, device=torch.device("cpu"))
    obstacles.move(cells, at, used, torch.arange(2), torch.tensor([0, 0]))
    assert at.tolist() == [[12], [13]]
    assert used.tolist() == [101, 61]
    assert cells[:, 12].tolist() == [BALL, EMPTY]
    assert cells[1, 13] == BALL
