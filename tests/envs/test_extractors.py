"""Every listed task's state is what its schema says, over random play and at episodes' ends."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from envs import catalog
from envs.episode import Array, Episode
from envs.extractors import grid
from envs.families import family_module, reader
from envs.make import make_env, open_env
from envs.record import random_policy, record
from envs.task import TaskSpec

ROUNDING = 1e-5


def assert_in_schema(task: TaskSpec, state: Mapping[str, Array], steps: int) -> None:
    assert list(state) == [f.name for f in task.state]
    for field in task.state:
        values = state[field.name]
        assert values.shape == (steps, *field.shape), field.name
        assert values.dtype == np.dtype(field.dtype), field.name
        if field.values:
            assert set(np.unique(values).tolist()) <= {code for code, _ in field.values}, field.name
        if field.low is not None:
            assert values.min() >= field.low - ROUNDING, field.name
        if field.high is not None:
            assert values.max() <= field.high + ROUNDING, field.name


def play(task: TaskSpec, episodes: int, most: int) -> list[Episode]:
    env, policy = make_env(task), random_policy(task, seed=5)
    played = [record(env, task, policy, seed, most) for seed in range(episodes)]
    env.close()
    return played


@pytest.mark.parametrize("task_id", catalog.ids())
def test_state_follows_the_schema(task_id: str) -> None:
    task = catalog.load(task_id)
    for episode in play(task, episodes=4, most=300):
        assert_in_schema(task, episode.state, len(episode))
        assert_in_schema(task, episode.next_state, len(episode))
        for name, values in episode.state.items():
            assert np.array_equal(values[1:], episode.next_state[name][:-1])


@pytest.mark.parametrize("task_id", catalog.ids())
def test_arrays_are_fresh_and_reading_changes_nothing(task_id: str) -> None:
    task = catalog.load(task_id)
    env, read = make_env(task), reader(task)
    obs, info = env.reset(seed=1)
    first = read(env, obs, info)
    for value in first.values():
        assert isinstance(value, np.ndarray)
        value.fill(1)
    second, third = read(env, obs, info), read(env, obs, info)
    assert all(np.array_equal(second[name], third[name]) for name in second)
    env.close()


@pytest.mark.parametrize("task_id", catalog.ids())
def test_every_field_says_what_it_means(task_id: str) -> None:
    for field in catalog.load(task_id).state:
        assert field.meaning.endswith(".") and len(field.meaning) > 15 and field.unit


def test_extractors_import_nothing_of_ours() -> None:
    for family in ("grid", "classic", "box2d", "mujoco", "mpe", "observation"):
        source = importlib.util.find_spec(f"envs.extractors.{family}")
        assert source is not None and source.origin is not None
        text = Path(source.origin).read_text(encoding="utf-8")
        for ours in ("envs", "training", "designer", "sandbox", "prompts"):
            assert f"import {ours}" not in text and f"from {ours}" not in text


def test_grid_state_tells_what_is_carried_and_which_door_is_open() -> None:
    task = catalog.load("unlock")
    env = make_env(task)
    env.reset(seed=3)
    base = env.unwrapped
    before = grid.read_state(env, None, {})
    x, y = before["key_pos"]
    door = base.grid.get(*before["door_pos"])
    assert before["cells"][x, y] == 5 and before["door_state"] == 2 and before["carrying_type"] == 0
    assert before["key_color"] == before["door_color"]

    key = base.grid.get(x, y)
    base.grid.set(x, y, None)
    base.carrying, door.is_locked, door.is_open = key, False, True
    after = grid.read_state(env, None, {})
    assert after["key_pos"].tolist() == [-1, -1] and after["key_color"] == -1
    assert after["carrying_type"] == 5 and after["carrying_color"] == before["key_color"]
    assert after["door_state"] == 0 and after["cells"][x, y] == 1
    env.close()


def test_grid_state_sees_what_is_ahead() -> None:
    env = make_env(catalog.load("empty-8x8"))
    env.reset(seed=0)
    for direction, expected in enumerate((1, 1, 2, 2)):
        env.unwrapped.agent_dir = direction
        state = grid.read_state(env, None, {})
        assert state["agent_pos"].tolist() == [1, 1] and state["ahead_type"] == expected
    env.close()


def test_several_things_of_a_kind_are_ordered_and_missing_ones_last() -> None:
    env = open_env("MiniGrid-Fetch-8x8-N3-v0")
    counts = grid.layout_of("MiniGrid-Fetch-8x8-N3-v0", {}).counts
    for seed in range(20):
        env.reset(seed=seed)
        state = grid.read_state(env, None, {})
        for kind, code in (("key", 5), ("ball", 6)):
            there = [tuple(row) for row in np.argwhere(state["cells"] == code).tolist()]
            listed = [tuple(p) for p in state[f"{kind}_pos"].tolist()]
            shown = [p for p in listed if p != (-1, -1)]
            assert len(listed) == counts[kind] > 1
            assert set(shown) <= set(there) and len(shown) == min(len(there), counts[kind])
            assert listed == shown + [(-1, -1)] * (len(listed) - len(shown))
            order = [(c, y, x) for c, (x, y) in zip(state[f"{kind}_color"].tolist(), shown, strict=False)]
            assert order == sorted(order)
    env.close()


@pytest.mark.parametrize(
    ("env_id", "named"),
    [
        ("MiniGrid-Fetch-5x5-N2-v0", {"target_type", "target_color"}),
        ("MiniGrid-GoToDoor-5x5-v0", {"target_color"}),
        ("MiniGrid-GoToObject-6x6-N2-v0", {"target_type", "target_color"}),
        ("MiniGrid-PutNear-6x6-N2-v0", {"target_type", "target_color", "move_type", "move_color"}),
    ],
)
def test_a_target_that_the_mission_names_is_a_field(env_id: str, named: set[str]) -> None:
    env = open_env(env_id)
    colors = ("red", "green", "blue", "purple", "yellow", "grey")
    described = {field["name"]: field for field in grid.fields(env_id, {})}
    assert {name for name in described if name.startswith(("target", "move"))} == named
    for seed in range(10):
        obs, _ = env.reset(seed=seed)
        state = grid.read_state(env, None, {})
        assert set(state) == set(described)
        for name in named:
            words = dict(described[name]["values"])
            assert words[int(state[name])] in obs["mission"]
        assert any(color in obs["mission"] for color in colors)
    env.close()


def test_a_key_in_a_box_is_counted_but_not_shown() -> None:
    env_id = "MiniGrid-ObstructedMaze-1Dlh-v0"
    env = open_env(env_id)
    env.reset(seed=0)
    assert grid.layout_of(env_id, {}).counts["key"] == 1
    assert grid.read_state(env, None, {})["key_pos"].tolist() == [-1, -1]
    env.close()


def test_counts_are_the_same_in_whatever_order_environments_are_met() -> None:
    met = grid.layout_of("MiniGrid-DoorKey-5x5-v0", {"size": 7})
    assert (met.width, met.counts) == (7, {"key": 1, "door": 1, "goal": 1})
    grid._LAYOUTS.clear()
    grid.layout_of("MiniGrid-DoorKey-5x5-v0", {})
    assert grid.layout_of("MiniGrid-DoorKey-5x5-v0", {"size": 7, "render_mode": None}) == met


def test_lunar_lander_state_is_the_observation_in_metres() -> None:
    task = catalog.load("lunarlander")
    env, policy = make_env(task), random_policy(task, 0)
    obs, info = env.reset(seed=0)
    read = reader(task)
    scale = np.array([10, 20 / 3, 5, 7.5, 1, 2.5, 1, 1])
    for _ in range(60):
        numbers = np.array([float(v) for v in list(read(env, obs, info).values())[:8]])
        assert np.allclose(numbers, np.asarray(obs) * scale, atol=1e-4)
        obs, *_, info = env.step(policy(env, obs, {}))
    env.close()


@pytest.mark.parametrize("task_id", ["halfcheetah", "hopper", "walker2d"])
def test_mujoco_fields_are_named_after_the_model_joints(task_id: str) -> None:
    task = catalog.load(task_id)
    env = make_env(task)
    obs, info = env.reset(seed=0)
    model, data = env.unwrapped.model, env.unwrapped.data
    joints = [model.joint(j).name.removesuffix("_joint") for j in range(3, model.njnt)]
    names = [f.name for f in task.state]
    ours = [n.removesuffix("_angle") for n in names[3 : 3 + len(joints)]]
    assert [n.removeprefix("left_") for n in ours] == [n.removesuffix("_left") for n in joints]
    assert [n.startswith("left_") for n in ours] == [n.endswith("_left") for n in joints]
    state = reader(task)(env, obs, info)
    assert np.allclose([state[n] for n in names], [*data.qpos, *data.qvel], atol=1e-6)
    assert env.unwrapped.dt == pytest.approx(family_module("mujoco").SECONDS[task.env_id])
    env.close()


def test_the_humanoid_is_read_by_the_names_of_its_joints_and_motors() -> None:
    task = catalog.load("humanoidstandup")
    env, act, read = make_env(task), random_policy(task, 0), reader(task)
    obs, info = env.reset(seed=0)
    model, data = env.unwrapped.model, env.unwrapped.data
    joints = [model.joint(j).name for j in range(1, model.njnt)]
    assert [f.name for f in task.state if f.name.endswith("_angle")] == [f"{name}_angle" for name in joints]
    words = family_module("mujoco").HUMANOID
    motors = [model.actuator(i).name for i in range(model.nu)]
    assert list(task.action.meanings) == [f"torque on the {words[name]} joint" for name in motors]
    for _ in range(40):
        obs, *_, info = env.step(act(env, obs, {}))
    state = read(env, obs, info)
    assert np.allclose(state["torso_up"], data.body("torso").xmat.reshape(3, 3)[:, 2], atol=0.05)
    assert np.allclose([state[f"{name}_angle"] for name in joints], data.qpos[7:], atol=1e-6)
    assert np.allclose([state[f"{name}_velocity"] for name in joints], data.qvel[6:], atol=1e-5)
    assert state["left_foot_height"] == pytest.approx(data.body("left_foot").xpos[2], abs=1e-6)
    assert env.unwrapped.dt == pytest.approx(family_module("mujoco").SECONDS[task.env_id])
    env.close()


@pytest.mark.parametrize("task_id", catalog.ids())
def test_the_described_action_space_is_the_environments_own(task_id: str) -> None:
    task = catalog.load(task_id)
    env = make_env(task)
    space = env.action_space
    assert len(task.action.meanings) == task.action.size
    if task.action.kind == "discrete":
        assert isinstance(space, gymnasium.spaces.Discrete) and (space.n, space.start) == (task.action.size, 0)
    else:
        assert isinstance(space, gymnasium.spaces.Box)
        bounds = np.array([task.action.low, task.action.high], np.float32)
        assert np.array_equal([space.low, space.high], bounds)
    assert task.action.in_words()
    env.close()
