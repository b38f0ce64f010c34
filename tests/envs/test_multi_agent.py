"""Teams of agents: the vector environment beside MPE's own, and what plays one agent alone."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from envs import catalog
from envs.episode import Array
from envs.errors import UserError
from envs.extractors import mpe
from envs.make import make_env
from envs.make_vector import described, make_vector
from envs.multi_agent import MultiAgentVectorEnvironment
from envs.record import probe_samples, random_episodes, random_policy, record
from envs.scripted.prey import DOWN, LEFT, RIGHT, UP, flee
from envs.task import TaskSpec
from envs.team_record import random_team_episodes
from envs.vector import Step
from training.evaluate import evaluate
from training.result import Learner
from training.train import train

torch.set_num_threads(1)
TEAMS = ("simple-spread", "simple-spread-6", "simple-tag")


def actions(task: TaskSpec, steps: int, rows: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(task.action.size, (steps, rows), generator=generator)


def parallel_env(task: TaskSpec) -> Any:
    module = importlib.import_module(f"mpe2.{task.env_id}")
    return module.parallel_env(max_cycles=task.episode_steps, **dict(task.env_kwargs))


def prey_of(world: Any) -> Iterator[Any]:
    return (agent for agent in world.agents if agent.name == "agent_0" and hasattr(agent, "adversary"))


def joined(env: Any, names: list[str], chosen: Array) -> dict[str, int]:
    """The learners' actions and the prey's."""
    world = env.unwrapped.world
    hunters = np.array([agent.state.p_pos for agent in world.agents if agent.name.startswith("adversary")])
    by_name = dict(zip(names, map(int, chosen), strict=True))
    return by_name | {prey.name: flee(prey.state.p_pos, hunters) for prey in prey_of(world)}


def touches(world: Any) -> int:
    """How many predators touch the prey, by the radii of the world's own bodies."""
    (prey,) = prey_of(world)
    hunters = [agent for agent in world.agents if agent is not prey]
    return sum(
        bool(np.linalg.norm(hunter.state.p_pos - prey.state.p_pos) < hunter.size + prey.size) for hunter in hunters
    )


def uncovered(world: Any) -> float:
    """Distances of the landmarks to their nearest agents, summed up."""
    near = [[np.linalg.norm(a.state.p_pos - mark.state.p_pos) for a in world.agents] for mark in world.landmarks]
    return float(np.min(near, axis=1).sum())


def assert_state_is_the_worlds(task: TaskSpec, world: Any, state: dict[str, Tensor], rows: slice) -> None:
    """Field for field, one agent at a time."""
    prey = list(prey_of(world))
    team = [agent for agent in world.agents if agent not in prey]
    for i, agent in enumerate(team):
        here = agent.state.p_pos
        marks = np.array([mark.state.p_pos - here for mark in world.landmarks])
        expected = {
            "position": here,
            "velocity": agent.state.p_vel,
            "obstacle_offset" if prey else "landmark_offset": marks,
            "teammate_offset": np.array([other.state.p_pos - here for other in team if other is not agent]),
        }
        for one in prey:
            expected |= {"prey_offset": one.state.p_pos - here, "prey_velocity": one.state.p_vel}
        assert list(expected) == list(state) == [f.name for f in task.state]
        for field in task.state:
            values = state[field.name][rows][i]
            assert values.dtype == torch.float32 and tuple(values.shape) == field.shape
            np.testing.assert_allclose(values, expected[field.name], atol=1e-6, err_msg=field.name)


@pytest.mark.parametrize("task_id", TEAMS)
def test_rows_are_the_agents_of_mpes_own_environments(task_id: str) -> None:
    task = catalog.load(task_id)
    n = task.agents
    seeds = range(10, 10 + 2 * n)
    vector = make_vector(task, seeds)
    assert isinstance(vector, MultiAgentVectorEnvironment) and vector.num_envs == 2 * n
    envs = [parallel_env(task) for _ in range(2)]
    names = [agent for agent in envs[0].possible_agents if task_id != "simple-tag" or agent != "agent_0"]
    told = [env.reset(seed=2 * seed)[0] for env, seed in zip(envs, seeds[::n], strict=True)]
    obs, state = vector.reset()
    total, ended, steps = 0.0, 0, 130
    chosen = actions(task, steps, 2 * n)
    for t in range(steps):
        assert obs.dtype == torch.float32 and obs.shape == (2 * n, vector.observation.size)
        for copy, env in enumerate(envs):
            rows = slice(copy * n, copy * n + n)
            assert torch.equal(obs[rows], torch.from_numpy(np.stack([told[copy][name] for name in names])))
            assert_state_is_the_worlds(task, env.unwrapped.world, state, rows)
        step = vector.step(chosen[t])
        assert not step.success.any() and step.score is None
        for copy, env in enumerate(envs):
            rows = slice(copy * n, copy * n + n)
            told[copy], paid, over, cut, _ = env.step(joined(env, names, chosen[t, rows].numpy()))
            world = env.unwrapped.world
            team = 10.0 * touches(world) if task_id == "simple-tag" else -uncovered(world)
            assert {round(paid[name], 5) for name in names} == {round(team, 5)}
            np.testing.assert_allclose(step.reward[rows].sum(), team, rtol=1e-5)
            np.testing.assert_allclose(step.reward[rows], team / n, rtol=1e-5)
            assert step.terminated[rows].tolist() == [over[name] for name in names]
            assert step.truncated[rows].tolist() == [cut[name] for name in names]
            assert torch.equal(
                step.final_observation[rows], torch.from_numpy(np.stack([told[copy][name] for name in names]))
            )
            assert_state_is_the_worlds(task, world, step.next_state, rows)
            total += abs(team)
            if cut[names[0]]:
                ended += 1
                told[copy] = env.reset()[0]
        obs, state = step.observation, step.state
    assert ended == 2 * (steps // task.episode_steps) and total > 0
    vector.close()


def run(task: TaskSpec, seeds: list[int], steps: int, chosen: Tensor, split: str = "train") -> list[Step]:
    vector = MultiAgentVectorEnvironment(task, seeds, split=split)  # type: ignore[arg-type]
    vector.reset()
    out = [vector.step(chosen[t]) for t in range(steps)]
    vector.close()
    return out


def same(one: Step, rows: Any, other: Step, others: Any) -> bool:
    plain = ("observation", "reward", "terminated", "truncated", "success", "final_observation")
    pairs = [(getattr(one, name), getattr(other, name)) for name in plain]
    pairs += [(one.state[name], other.state[name]) for name in one.state]
    pairs += [(one.next_state[name], other.next_state[name]) for name in one.next_state]
    return all(torch.equal(a[rows], b[others]) for a, b in pairs)


@pytest.mark.parametrize("task_id", ["simple-spread", "simple-tag"])
def test_a_copy_follows_its_first_rows_seed_alone(task_id: str) -> None:
    task = catalog.load(task_id)
    chosen = actions(task, 60, 9)
    alone = run(task, [7, 8, 9], 60, chosen[:, 3:6])
    together = run(task, [1, 2, 3, 7, 1000, 1001, 4, 5, 6], 60, chosen)
    assert all(same(a, slice(0, 3), b, slice(3, 6)) for a, b in zip(alone, together, strict=True))
    assert not same(together[0], slice(0, 3), together[0], slice(3, 6))
    held_out = run(task, [7, 8, 9], 1, chosen[:, 3:6], split="test")
    assert not torch.equal(held_out[0].observation, alone[0].observation)


def test_dropped_copies_leave_the_others_undisturbed() -> None:
    task = catalog.load("simple-tag-episodic")
    chosen = actions(task, 60, 9)
    whole = run(task, list(range(9)), 60, chosen)
    kept = torch.tensor([0, 1, 2, 6, 7, 8])
    vector = MultiAgentVectorEnvironment(task, range(9))
    vector.reset()
    for t in range(30):
        vector.step(chosen[t])
    vector.select(kept)
    assert vector.num_envs == 6
    for t in range(30, 60):
        assert same(vector.step(chosen[t][kept]), slice(None), whole[t], kept)
    vector.close()


@pytest.mark.parametrize("rows", [[0, 1], [1, 2, 3], [0, 1, 2, 3], [0, 2, 1], [0, 1, 5]])
def test_a_copys_rows_stay_together(rows: list[int]) -> None:
    vector = MultiAgentVectorEnvironment(catalog.load("simple-spread"), range(6))
    vector.reset()
    with pytest.raises(ValueError, match="together"):
        vector.select(torch.tensor(rows))
    assert vector.num_envs == 6
    vector.close()


def test_rows_make_whole_copies() -> None:
    task = catalog.load("simple-spread")
    with pytest.raises(ValueError, match="4 rows make no whole copies of 3 agents"):
        make_vector(task, range(4))
    with pytest.raises(ValueError, match="no multiple of agents = 3"):
        replace(task, ppo=replace(task.ppo, envs=16))
    with pytest.raises(UserError, match="has 3 agents that learn; the task says 2"):
        make_vector(replace(task, agents=2), range(4))


@pytest.mark.parametrize("task_id", ["simple-spread", "simple-tag"])
def test_a_withheld_reward_is_paid_as_its_sum(task_id: str) -> None:
    plain, withheld = catalog.load(task_id), catalog.load(f"{task_id}-episodic")
    chosen = actions(plain, 80, 36)
    sums, ends, seen = torch.zeros(36), 0, 0.0
    for a, b in zip(*(run(task, list(range(36)), 80, chosen) for task in (plain, withheld)), strict=True):
        over = a.terminated | a.truncated
        sums += a.reward
        assert torch.equal(a.observation, b.observation) and torch.equal(over, b.terminated | b.truncated)
        torch.testing.assert_close(b.reward, torch.where(over, sums, 0.0))
        seen, ends = seen + float(b.reward.abs().sum()), ends + int(over.sum())
        sums[over] = 0.0
    assert ends == 3 * 36 and seen > 0


def test_the_prey_flees_from_the_nearest_predator_and_from_the_borders() -> None:
    middle, far = np.zeros(2), np.array([5.0, 5.0])
    for beside, away in (((-0.2, 0), RIGHT), ((0.2, 0.1), LEFT), ((0, -0.2), UP), ((0.1, 0.2), DOWN)):
        assert flee(middle, np.array([beside, far])) == flee(middle, np.array([far, beside])) == away
    for place, inwards in (((1, 0), LEFT), ((-1, 0), RIGHT), ((0, 1), DOWN), ((0, -1), UP)):
        # The predator is behind it, and the border ahead frightens it more.
        assert flee(np.array(place), np.array([0.5 * np.array(place)])) == inwards
    assert flee(middle, np.array([middle])) in (LEFT, RIGHT, UP, DOWN)


def test_the_prey_escapes_predators_that_stand_still_and_stays_in_the_world() -> None:
    task = catalog.load("simple-tag")
    vector = MultiAgentVectorEnvironment(replace(task, episode_steps=200), range(60))
    _, state = vector.reset()
    still, far = torch.zeros(60, dtype=torch.int64), 0.0
    gaps = [state["prey_offset"].norm(dim=1).view(20, 3).amin(1)]
    for _ in range(100):
        step = vector.step(still)
        prey = step.next_state["position"] + step.next_state["prey_offset"]
        far = max(far, float(prey.abs().max()))
        gaps.append(step.next_state["prey_offset"].norm(dim=1).view(20, 3).amin(1))
    assert far < 1.3
    assert (torch.stack(gaps[10:]).mean(0) > gaps[0].clamp(max=0.4)).float().mean() > 0.8
    again = MultiAgentVectorEnvironment(replace(task, episode_steps=200), range(60))
    again.reset()
    for _ in range(100):
        last = again.step(still)
    assert torch.equal(last.observation, step.observation)


def test_chasing_pays_more_than_chance() -> None:
    task = catalog.load("simple-tag")
    vector = MultiAgentVectorEnvironment(task, range(60))
    _, state = vector.reset()
    chosen, paid = actions(task, 50, 60), {"chase": 0.0, "chance": 0.0}
    for how in paid:
        for t in range(50):
            ahead = state["prey_offset"] + 0.3 * state["prey_velocity"] - 0.3 * state["velocity"]
            across = ahead.abs()[:, 0] >= ahead.abs()[:, 1]
            chase = torch.where(across, 1 + (ahead[:, 0] > 0).long(), 3 + (ahead[:, 1] > 0).long())
            step = vector.step(chase if how == "chase" else chosen[t])
            state, paid[how] = step.state, paid[how] + float(step.reward.sum())
    assert paid["chase"] > 2 * paid["chance"]
    vector.close()


@pytest.mark.parametrize("task_id", ["simple-spread", "simple-tag", "simple-spread-episodic"])
def test_one_agent_alone_is_the_teams_first(task_id: str) -> None:
    task = catalog.load(task_id)
    env = make_env(task)
    one, other = (record(env, task, random_policy(task, 0), seed=6) for _ in range(2))
    env.close()
    assert len(one) == task.episode_steps and one.truncated and not one.terminated and not one.success
    assert np.array_equal(one.reward, other.reward)
    assert all(np.array_equal(one.next_state[name], other.next_state[name]) for name in one.state)
    vector = MultiAgentVectorEnvironment(task, [3] * task.agents)  # trains from twice the seed
    _, first = vector.reset()
    for field in task.state:
        assert np.array_equal(one.state[field.name][0], first[field.name][0])
    if task.episodic:
        assert not one.reward[:-1].any() and one.reward[-1] < 0
    teammates = one.next_state["position"][:, None] + one.next_state["teammate_offset"]
    assert (np.ptp(teammates, axis=0) > 0.01).all(), "the others move too"
    vector.close()


def test_probes_and_random_episodes_play_one_agent() -> None:
    task = catalog.load("simple-tag")
    assert [len(e) for e in random_episodes(task, 3, seed=0)] == [25, 25, 25]
    samples = probe_samples(task, seed=0)
    assert set(samples) == {"random", "reset", "episode_end"}
    assert samples["random"].state["prey_offset"].shape == (1, 8 * 25, 2)


@pytest.mark.parametrize("task_id", ["simple-spread", "simple-spread-6", "simple-tag", "simple-spread-episodic"])
def test_a_teams_recorded_episode_is_what_the_vector_environment_shows(task_id: str) -> None:
    task = catalog.load(task_id)
    recorded = random_team_episodes(task, 2, seed=6)
    assert len(recorded) == 2 * task.agents
    again = random_team_episodes(task, 2, seed=6)
    assert all(np.array_equal(a.action, b.action) for a, b in zip(recorded, again, strict=True))
    team = recorded[: task.agents]
    assert np.ptp(np.stack([e.action for e in team]), 0).any(), "each draws its own action"
    vector = MultiAgentVectorEnvironment(task, [3] * task.agents)  # trains from twice the seed
    _, state = vector.reset()
    for t in range(task.episode_steps):
        step = vector.step(torch.from_numpy(np.stack([e.action[t] for e in team])))
        for agent, episode in enumerate(team):
            assert episode.reward[t] == step.reward[agent]
            for field in task.state:
                assert np.array_equal(episode.state[field.name][t], state[field.name][agent])
                assert np.array_equal(episode.next_state[field.name][t], step.next_state[field.name][agent])
        state = step.state
    assert step.truncated.all()
    for episode in recorded:
        assert (len(episode), episode.truncated, episode.success) == (task.episode_steps, True, False)
    vector.close()


def test_the_state_of_a_team_is_read_from_the_world_alone() -> None:
    env = parallel_env(catalog.load("simple-tag"))
    env.reset(seed=0)
    before = mpe.read_team(env.unwrapped.world)
    kept = {name: values.copy() for name, values in before.items()}
    for _ in range(2):  # MPE moves bodies by the velocity that the step before left them with
        env.step(dict.fromkeys(env.agents, 1) | {"agent_0": 2})
    assert all(np.array_equal(before[name], kept[name]) for name in kept)
    assert not np.array_equal(mpe.read_team(env.unwrapped.world)["prey_offset"], kept["prey_offset"])


@pytest.mark.parametrize("task_id", ["simple-spread", "simple-tag-episodic"])
def test_learners_of_a_team_train_and_are_evaluated_on_whole_teams(task_id: str) -> None:
    task = catalog.load(task_id)
    small = replace(task, ppo=replace(task.ppo, envs=6, steps=30, epochs=2, minibatches=2))
    learners = [Learner(arm="native", seed=seed, reward=None) for seed in (0, 1)]
    results = train(small, learners, env_steps=6 * 30 * 2, evaluation_episodes=4)
    assert [result.env_steps for result in results] == [360, 360]
    for result in results:
        assert result.failure is None and np.isfinite(result.fitness)
        assert result.fitness == result.evaluation["mean_return"]
        assert (result.evaluation["episodes"], result.evaluation["mean_length"]) == (4, 25)
        assert len(result.episodes) == 2 and all(len(episode) == 25 for episode in result.episodes)
        assert not np.array_equal(result.episodes[0].state["position"][0], result.episodes[1].state["position"][0])
    alone = evaluate(small, [results[1].weights], [1], episodes=4)[0]
    assert alone.fitness == results[1].fitness
    first = alone.examples[0]
    assert np.array_equal(first.reward, results[1].episodes[0].reward)


def test_waiting_people_are_told_how_a_team_is_stepped() -> None:
    assert described(catalog.load("simple-spread-6")).endswith("one copy of 6 agents after another")
