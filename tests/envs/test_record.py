"""Recorded episodes and the samples that probes are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from envs import catalog
from envs.make import make_env
from envs.record import PROBE_ROWS, probe_samples, random_episodes, random_policy, record
from envs.task import Action


def test_an_episode_reproduces_from_its_seed() -> None:
    task = catalog.load("lunarlander")
    one, other = (random_episodes(task, 2, seed=3) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.action, b.action) and np.array_equal(a.reward, b.reward)
    assert len(one[0]) != len(one[1]) or not np.array_equal(one[0].action, one[1].action)


def test_an_episode_stops_where_it_is_told() -> None:
    task = catalog.load("halfcheetah")
    env = make_env(task)
    episode = record(env, task, random_policy(task, 0), seed=0, max_steps=12)
    assert (len(episode), episode.truncated, episode.terminated) == (12, True, False)
    assert episode.action.shape == (12, 6) and episode.action.dtype == np.float32
    assert episode.observation is None
    env.close()


def test_the_policy_sees_observation_and_state() -> None:
    task = catalog.load("cartpole")
    env = make_env(task)
    episode = record(env, task, lambda env, obs, state: int(state["pole_angle"] + obs[3] > 0), seed=1)
    assert len(episode) > 100
    env.close()


def test_random_actions_of_an_unbounded_space_are_finite() -> None:
    task = replace(
        catalog.load("pendulum"),
        action=Action(kind="continuous", size=2, low=(-np.inf, 0.0), high=(np.inf, 1.0)),
    )
    policy = random_policy(task, 0)
    drawn = np.stack([policy(None, None, {}) for _ in range(200)])  # type: ignore[arg-type]
    assert np.isfinite(drawn).all() and drawn[:, 0].std() > 0.8 and 0 <= drawn[:, 1].min() < drawn[:, 1].max() <= 1


def test_probe_samples_come_from_where_they_say() -> None:
    task = catalog.load("lavagap-s7")
    env = make_env(task)
    won = [record(env, task, random_policy(task, s), s) for s in range(120)]
    won = [e for e in won if e.success][:3]
    env.close()
    assert won
    samples = probe_samples(task, {"solved": won}, seed=0)
    assert set(samples) == {"random", "reset", "goal", "failure", "episode_end"}
    for batch in samples.values():
        rows = batch.action.shape[1]
        assert batch.action.shape[0] == 1 and 0 < rows <= PROBE_ROWS
        assert all(v.shape[:2] == (1, rows) for v in [*batch.state.values(), *batch.next_state.values()])
    assert samples["goal"].action.shape[1] == len(won)
    agent, goal = samples["goal"].next_state["agent_pos"], samples["goal"].next_state["goal_pos"]
    assert np.array_equal(agent, goal) and samples["goal"].terminated.all()
    x, y = samples["failure"].next_state["agent_pos"][0].T
    assert (samples["failure"].next_state["cells"][0][np.arange(len(x)), x, y] == 9).all()
    assert (samples["reset"].state["agent_pos"] == 1).all()
    assert (samples["episode_end"].terminated | samples["episode_end"].truncated).all()
    again = probe_samples(task, {"solved": won}, seed=0)
    assert np.array_equal(again["random"].action, samples["random"].action)


def test_the_recorded_action_is_the_one_that_was_taken() -> None:
    task = catalog.load("pendulum")
    env = make_env(task)
    episode = record(env, task, lambda env, obs, state: np.array([9.0]), seed=0, max_steps=3)
    assert episode.action.tolist() == [[2.0]] * 3
    env.close()
