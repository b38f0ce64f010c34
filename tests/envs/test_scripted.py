"""Scripted agents do what they are named for, from the same starts, and the same again."""

from __future__ import annotations

import time
from functools import cache

import gymnasium
import minigrid  # noqa: F401  registers the environments
import numpy as np
import pytest

from envs import catalog
from envs.scripted import ScriptedEpisodes, episodes
from envs.scripted.classic import CONTROLLERS
from envs.scripted.grid_plan import NoPlan, make_plan
from envs.scripted.lander import rests_on_pad

GRID = tuple(t for t in catalog.ids() if catalog.load(t).extractor == "grid")
CONTROL = ("mountaincar", "cartpole", "acrobot", "pendulum", "lunarlander")
OTHER_IDS = (
    "BlockedUnlockPickup", "MultiRoom-N6", "LavaCrossingS9N2", "Fetch-5x5-N2", "GoToDoor-5x5", "GoToObject-6x6-N2",
    "MemoryS7", "LockedRoom", "DistShift1", "KeyCorridorS6R3", "ObstructedMaze-1Dl",
)  # fmt: skip


@cache
def scripted(task_id: str, starts: int = 3) -> ScriptedEpisodes:
    found = episodes(catalog.load(task_id), starts=starts)
    assert found is not None
    return found


@pytest.mark.parametrize("task_id", [*GRID, *CONTROL])
def test_every_task_with_a_planner_or_a_controller_has_solutions_and_exploits(task_id: str) -> None:
    found = scripted(task_id)
    assert {"fast", "slow"} <= set(found.solutions) or task_id == "cartpole"
    assert len(found.solutions) >= 2
    assert len(found.exploits) >= 5
    assert set(found.twins) <= set(found.solutions)
    assert set(found.twins.values()) <= set(found.exploits)
    assert {len(runs) for runs in (*found.solutions.values(), *found.exploits.values())} == {3}


@pytest.mark.parametrize("task_id", GRID)
def test_grid_solutions_succeed_and_exploits_never_do(task_id: str) -> None:
    task, found = catalog.load(task_id), scripted(task_id)
    assert all(e.success and e.terminated and e.reward[-1] > 0 for runs in found.solutions.values() for e in runs)
    for e in (e for runs in found.exploits.values() for e in runs):
        assert not e.success
        assert e.reward.sum() <= 0
        assert e.terminated or (e.truncated and len(e) == task.episode_steps)


@pytest.mark.parametrize("task_id", CONTROL)
def test_controllers_that_solve_earn_more_of_the_native_return_than_those_that_do_not(task_id: str) -> None:
    found = scripted(task_id)
    for start in range(3):
        solved = [runs[start].reward.sum() for runs in found.solutions.values()]
        failed = [runs[start].reward.sum() for runs in found.exploits.values()]
        assert min(solved) > max(failed)


def test_landers_come_to_rest_on_the_pad_or_do_not() -> None:
    found = scripted("lunarlander")
    assert all(rests_on_pad(e) for runs in found.solutions.values() for e in runs)
    assert not any(rests_on_pad(e) for runs in found.exploits.values() for e in runs)


@pytest.mark.parametrize("task_id", ["doorkey-6x6", "lavagap-s7", "mountaincar", "lunarlander"])
def test_every_behaviour_begins_from_the_same_starts(task_id: str) -> None:
    found = scripted(task_id)
    first = found.solutions["fast"]
    for runs in (*found.solutions.values(), *found.exploits.values()):
        for a, b in zip(runs, first, strict=True):
            assert all(np.array_equal(a.state[name][0], b.state[name][0]) for name in a.state)


@pytest.mark.parametrize("task_id", ["doorkey-6x6", "mountaincar", "lunarlander"])
def test_the_same_seed_gives_the_same_episodes_and_another_seed_others(task_id: str) -> None:
    task, found = catalog.load(task_id), scripted(task_id)
    again, other = episodes(task, starts=3), episodes(task, starts=3, seed=1)
    assert again is not None
    assert other is not None
    for name, runs in found.exploits.items():
        for a, b in zip(runs, again.exploits[name], strict=True):
            assert np.array_equal(a.action, b.action)
            assert all(np.array_equal(a.next_state[k], b.next_state[k]) for k in a.state)
    starts = [{k: v[0].tobytes() for k, v in e.state.items()} for e in found.solutions["fast"]]
    assert starts != [{k: v[0].tobytes() for k, v in e.state.items()} for e in other.solutions["fast"]]


@pytest.mark.parametrize("task_id", ["doorkey-5x5", "redbluedoors-6x6", "keycorridor-s3r1"])
def test_copied_loops_are_what_the_environment_would_have_done(task_id: str) -> None:
    from envs.families import reader
    from envs.make import make_env

    task, found = catalog.load(task_id), scripted(task_id)
    env, read = make_env(task), reader(task)
    seed = int(np.random.SeedSequence(0).generate_state(1, np.uint32)[0] >> 1)
    for name in ("spin", "pace", "wait-after-key", "drop-and-take-key", "patrol", "open-and-close-door"):
        if name not in found.exploits:
            continue
        episode = found.exploits[name][0]
        env.reset(seed=seed)
        for t, action in enumerate(episode.action):
            _, reward, terminated, truncated, _ = env.step(int(action))
            state = read(env, None, {})
            assert all(np.array_equal(state[k], episode.next_state[k][t]) for k in state), (name, t)
            assert reward == episode.reward[t]
        assert (terminated, truncated) == (episode.terminated, episode.truncated)
    env.close()


def test_states_follow_one_another() -> None:
    for runs in scripted("doorkey-6x6").exploits.values():
        for e in runs:
            assert all(np.array_equal(e.state[k][1:], e.next_state[k][:-1]) for k in e.state)


def test_doorkey_behaviours_do_what_their_names_say() -> None:
    found = scripted("doorkey-6x6").exploits
    for e in found["wait-after-key"]:
        assert (e.next_state["carrying_type"][-100:] == 5).all()
        assert (e.next_state["door_state"] == 2).all()
    for e in found["open-and-close-door"]:
        assert set(e.next_state["door_state"][-100:].tolist()) == {0, 1}
    for e in found["wait-before-goal"]:
        assert (np.abs(e.next_state["agent_pos"] - e.next_state["goal_pos"]).sum(axis=1)[-100:] == 1).all()
    for e in found["survey-late"]:
        free = int((e.state["cells"][-1] == 1).sum())
        assert len({tuple(cell) for cell in e.next_state["agent_pos"].tolist()}) >= free
    assert all(e.terminated and len(e) < 30 for e in scripted("lavagap-s7").exploits["lava"])


def test_slow_solutions_take_twice_the_steps_and_more_than_half_the_limit() -> None:
    task, found = catalog.load("doorkey-6x6"), scripted("doorkey-6x6").solutions
    for fast, slow, late in zip(found["fast"], found["slow"], found["late"], strict=True):
        assert 1.8 * len(fast) <= len(slow) <= 2 * len(fast)
        assert 0.58 * task.episode_steps <= len(late) <= 0.62 * task.episode_steps


@pytest.mark.parametrize("name", OTHER_IDS)
def test_the_planner_solves_other_registered_worlds(name: str) -> None:
    world = gymnasium.make(f"MiniGrid-{name}-v0").unwrapped
    for seed in range(10):
        world.reset(seed=seed)
        plan = make_plan(world)
        world.reset(seed=seed)
        rewards = [world.step(action)[1] for action in plan.actions]
        assert rewards[-1] > 0
        assert plan.legs[-1].end == len(plan.actions) <= world.max_steps


def test_what_the_planner_does_not_know_it_says() -> None:
    for name in ("Dynamic-Obstacles-6x6", "PutNear-6x6-N2"):
        world = gymnasium.make(f"MiniGrid-{name}-v0").unwrapped
        world.reset(seed=0)
        with pytest.raises(NoPlan):
            make_plan(world)


def test_tasks_without_a_scripted_solution_have_none() -> None:
    for task_id in ("halfcheetah", "bipedalwalker"):
        assert episodes(catalog.load(task_id), starts=2) is None


def test_twenty_doorkey_starts_are_recorded_in_seconds() -> None:
    task = catalog.load("doorkey-6x6")
    began = time.process_time()
    found = episodes(task, starts=20)
    assert time.process_time() - began < 10
    assert found is not None
    assert all(len(runs) == 20 for runs in found.exploits.values())


def test_every_classic_task_that_ships_has_a_controller() -> None:
    shipped = {t.env_id for t in map(catalog.load, catalog.ids()) if t.extractor == "classic"}
    assert shipped == set(CONTROLLERS)
