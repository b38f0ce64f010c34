"""Fitness is the task's own word on held-out episodes, whatever the reward said."""

import dataclasses

import numpy as np
import pytest

from envs.catalog import load
from envs.task import PPOSettings
from training.evaluate import evaluate
from training.result import Learner
from training.reward import RewardAnswer
from training.train import train


@pytest.fixture(scope="module")
def doorkey():
    return dataclasses.replace(load("doorkey-5x5"), ppo=PPOSettings(envs=8, steps=16))


@pytest.fixture(scope="module")
def untrained(doorkey):
    class Flatterer:
        """Claims a great reward for doing nothing."""

        def restart(self):
            pass

        def __call__(self, transitions):
            shape = transitions.terminated.shape
            return RewardAnswer(components={"success": np.full(shape, 100.0, dtype=np.float32)})

    learners = [Learner(arm="flatterer", seed=s, reward=Flatterer()) for s in (0, 1)]
    return train(doorkey, learners, env_steps=256, evaluation_episodes=40)


def test_a_reward_cannot_talk_a_policy_into_success(untrained):
    for result in untrained:
        assert result.fitness == result.evaluation["success_rate"] < 0.9
        assert result.curve[-1].paid > 90


def test_recorded_episodes_are_whole_true_and_of_both_kinds_where_they_exist(doorkey, untrained):
    for result in untrained:
        kinds = [episode.success for episode in result.episodes]
        failures, successes = round(40 * (1 - result.fitness)), round(40 * result.fitness)
        assert kinds == [False] * min(failures, 2) + [True] * min(successes, 2)
        for episode in result.episodes:
            assert episode.success == (episode.terminated and episode.reward[-1] > 0)
            assert episode.terminated != episode.truncated
            assert len(episode) <= doorkey.episode_steps
            for name, before in episode.state.items():
                assert np.array_equal(before[1:], episode.next_state[name][:-1])


def test_every_step_is_counted_and_none_twice(untrained):
    for result in untrained:
        played = result.evaluation["mean_length"] * result.evaluation["episodes"]
        recorded = sum(len(episode) for episode in result.episodes)
        assert result.evaluation_steps == round(played) + recorded


def test_kept_weights_reach_the_same_fitness_again(doorkey, untrained):
    again = evaluate(doorkey, [r.weights for r in untrained], [r.seed for r in untrained], episodes=40)
    assert [e.fitness for e in again] == [r.fitness for r in untrained]
    alone = evaluate(doorkey, [untrained[1].weights], [untrained[1].seed], episodes=40)
    assert (alone[0].fitness, alone[0].steps) == (again[1].fitness, again[1].steps)


def test_short_episodes_count_no_more_than_long_ones():
    """Every environment plays one episode: a policy that dies early in some gets one vote for each."""
    spec = dataclasses.replace(load("cartpole"), ppo=PPOSettings(envs=4, steps=16))
    (result,) = train(spec, [Learner(arm="native", seed=0, reward=None)], env_steps=64, evaluation_episodes=50)
    assert result.evaluation["episodes"] == 50
    assert result.evaluation["mean_return"] == pytest.approx(result.evaluation["mean_length"])
