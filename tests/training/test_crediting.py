"""Learners with a decoder beside others in one population: pooled where they are alike, and like alone."""

import dataclasses

import numpy as np
import pytest
import torch

from envs.catalog import load
from envs.episode import Transitions
from envs.task import Action, PPOSettings
from training.credit.decoder import Factors
from training.credit.raw_inputs import RawInputs
from training.credit.settings import Credit
from training.crediting import Crediting
from training.population import Population
from training.result import Learner
from training.reward import RewardAnswer, RewardFailure
from training.train import train

torch.set_num_threads(1)
NAMES = ("a", "b", "c")


class TwoFactors:
    """The first state field and a constant as factors; may fail at a call."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at, self.calls = fails_at, 0

    def restart(self) -> None:
        pass

    def __call__(self, transitions: Transitions) -> RewardAnswer:
        self.calls += 1
        if self.calls == self.fails_at:
            raise RewardFailure("it answered nonsense")
        first = next(iter(transitions.next_state.values())).reshape(*transitions.action.shape, -1)[..., 0]
        values = first.astype(np.float32)
        return RewardAnswer(components={"first": values, "one": np.ones_like(values)})


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_population_whose_only_arm_fails_tells_its_progress_and_ends(fails_at):
    task = dataclasses.replace(load("cartpole"), episode_steps=60)
    told = []
    found = train(
        task,
        [Learner(arm="broken", seed=s, reward=TwoFactors(fails_at=fails_at), credit=Credit()) for s in range(2)],
        env_steps=4_096,
        evaluation_episodes=4,
        on_rollout=lambda progress: told.append(progress) is None,
    )
    assert told and all(one.failure == "it answered nonsense" for one in found)
    assert all(set(shares) == {"first", "one"} for _, shares in found[0].importance_course)


def test_learners_with_credit_train_beside_others_and_like_alone():
    ppo = PPOSettings(envs=5, steps=33, epochs=2, minibatches=3, hidden=(32, 32))
    task = dataclasses.replace(load("cartpole"), episode_steps=60, ppo=ppo)
    credit = Credit(hidden=(16,), rows=64, updates=1)
    learners = [
        Learner(arm="native", seed=0, reward=None),
        Learner(arm="broken", seed=1, reward=TwoFactors(fails_at=2), credit=credit),
        Learner(arm="latent", seed=1, reward=TwoFactors(), credit=credit),
        Learner(arm="raw", seed=1, reward=RawInputs(task.action), credit=credit),
        Learner(arm="uniform", seed=2, reward=None, credit=Credit(method="uniform")),
    ]

    def trained(chosen: list[Learner]) -> Population:
        population = Population(task, chosen, env_steps=5 * 33 * 4, device="cpu")
        while not population.done:
            population.advance()
        return population

    together = trained(learners)
    assert [learner.arm for learner in together.learners] == ["native", "latent", "raw", "uniform"]
    assert together.finished()[1].failure == "it answered nonsense"
    alone = trained([Learner(arm="latent", seed=1, reward=TwoFactors(), credit=credit)])
    for name, values in alone.weights(0).items():
        np.testing.assert_array_equal(together.finished()[2].weights[name], values)


def test_raw_inputs_are_state_and_action_column_by_column():
    state = {"x": np.arange(12.0).reshape(2, 3, 2), "k": np.ones((2, 3), dtype=np.int64)}
    given = Transitions(state=state, action=np.array([[0, 1, 2], [2, 1, 0]]), next_state=state,
                        terminated=np.zeros((2, 3), bool), truncated=np.zeros((2, 3), bool))  # fmt: skip
    found = RawInputs(Action(kind="discrete", size=3))(given).components
    assert len(found) == 2 + 1 + 3
    assert found["input_1"].tolist() == state["x"][..., 1].tolist()
    assert found["input_5"].tolist() == [[0, 0, 1], [1, 0, 0]]


def test_settings_or_numbers_of_factors_that_differ_make_pools_of_their_own():
    learners = [
        Learner(arm="a", seed=0, reward=None, credit=Credit(method="rd")),
        Learner(arm="b", seed=0, reward=None, credit=Credit(method="rrdu", sampled=8)),
        Learner(arm="c", seed=1, reward=None, credit=Credit(method="rd")),
        Learner(arm="d", seed=1, reward=None),
    ]
    crediting = Crediting(learners, rows=4, longest=30, device="cpu")
    reward = np.full((4, 40, 4), 7.0, dtype=np.float32)
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(40, 4, 3)).astype(np.float32)
    native, ended = factors[..., 0], rng.random((40, 4)) < 0.1
    told = dict.fromkeys(range(3), Factors(NAMES, factors))
    paid = crediting(reward, told, np.stack([native] * 4), np.stack([ended] * 4))
    assert (paid[3] == 7).all() and not (paid[:3] == 7).any()
    assert not np.array_equal(paid[0], paid[1]) and not np.array_equal(paid[0], paid[2])
    crediting.select([2, 3])
    again = crediting(reward[2:], {0: Factors(NAMES, factors)}, np.stack([native] * 2), np.stack([ended] * 2))
    assert (again[1] == 7).all() and not (again[0] == 7).any()
