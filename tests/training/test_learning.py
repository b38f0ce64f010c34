"""The trainer learns: with what the environment pays, in seconds."""

import dataclasses

import numpy as np

from envs.catalog import load
from envs.task import PPOSettings
from training.result import Learner
from training.train import train


def test_cartpole_is_learned():
    spec = dataclasses.replace(
        load("cartpole"),
        episode_steps=200,
        ppo=PPOSettings(envs=8, steps=128, epochs=6, learning_rate=2e-3, gamma=0.98, entropy=0.0),
    )
    learners = [Learner(arm="native", seed=s, reward=None) for s in range(2)]
    results = train(spec, learners, env_steps=20_000, evaluation_episodes=20)
    assert all(r.curve[0].task_return < 60 for r in results)
    assert np.mean([r.evaluation["mean_return"] for r in results]) > 150


def test_pendulum_improves_with_continuous_actions_and_normalised_observations():
    spec = dataclasses.replace(
        load("pendulum"),
        ppo=PPOSettings(
            envs=4, steps=256, epochs=10, minibatches=8, learning_rate=1e-3, gamma=0.9, entropy=0.0,
            normalize_observation=True,
        ),
    )  # fmt: skip
    (result,) = train(spec, [Learner(arm="native", seed=0, reward=None)], env_steps=40_000, evaluation_episodes=20)
    assert result.evaluation["mean_return"] > -600 > result.curve[0].task_return


def test_an_empty_grid_is_learned():
    learners = [Learner(arm="native", seed=s, reward=None) for s in range(4)]
    results = train(load("empty-8x8"), learners, env_steps=30_000, evaluation_episodes=50)
    assert np.median([r.fitness for r in results]) > 0.9
    assert all(r.evaluation["mean_length"] < 60 for r in results)
