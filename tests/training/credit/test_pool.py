"""Outcomes made into rewards: what is remembered, what is paid, and whose affair it is."""

import dataclasses

import numpy as np
import pytest
import torch

from envs.catalog import load
from envs.episode import Transitions
from envs.task import Action, PPOSettings
from training.credit.decoder import Factors
from training.credit.pool import CreditPool
from training.credit.raw_inputs import RawInputs
from training.credit.remembered import Episodes
from training.credit.settings import Credit
from training.crediting import Crediting
from training.population import Population, train
from training.result import Learner
from training.reward import RewardAnswer, RewardFailure

torch.set_num_threads(1)
NAMES = ("a", "b", "c")
WORTH = np.array([1.0, -0.5, 0.0], dtype=np.float32)


def rollouts(seed: int, count: int, *, steps: int = 40, envs: int = 4, longest: int = 30):
    """Rollouts ``(T, N, 3)`` of factors with outcomes ``(T, N)`` at the ends of episodes of 5 to 30 steps, and both."""
    rng = np.random.default_rng(seed)
    left, total = rng.integers(5, longest + 1, envs), np.zeros(envs)
    for _ in range(count):
        factors = rng.normal(size=(steps, envs, 3)).astype(np.float32)
        native, ended = np.zeros((steps, envs)), np.zeros((steps, envs), dtype=bool)
        for t in range(steps):
            total += factors[t] @ WORTH
            left -= 1
            ended[t] = left == 0
            native[t] = np.where(ended[t], total, 0.0)
            total[ended[t]], left[ended[t]] = 0.0, rng.integers(5, longest + 1, ended[t].sum())
        yield factors, native, ended


def pool(credit: Credit, seeds: list[int]) -> CreditPool:
    return CreditPool(credit, [NAMES] * len(seeds), seeds, rows=4, longest=30, device="cpu")


@pytest.mark.parametrize("method", ["rd", "rrd", "rrdu"])
def test_what_is_paid_becomes_what_a_step_was_worth(method):
    credit = Credit(method=method, hidden=(), sampled=10, rows=640, learning_rate=0.02, updates=8)
    paying = pool(credit, [0])
    for factors, native, ended in rollouts(0, 60):
        paid = paying(torch.from_numpy(factors)[None], native[None], ended[None])[0].numpy()
    true = factors @ WORTH
    assert np.corrcoef(paid.ravel(), true.ravel())[0, 1] > 0.98
    if method != "rrd":
        assert abs(np.polyfit(true.ravel(), paid.ravel(), 1)[0] - 1) < 0.2


def test_uniform_credit_shares_an_outcome_among_the_steps_of_its_episode():
    paying = pool(Credit(method="uniform"), [0])
    native, ended = np.zeros((1, 20, 4)), np.zeros((1, 20, 4), dtype=bool)
    native[0, 9, 1], ended[0, 9, 1] = 5.0, True
    native[0, 3, 2], ended[0, 3, 2] = 8.0, True
    paid = paying(torch.zeros(1, 20, 4, 3), native, ended)[0]
    mean = (5 / 10 + 8 / 4) / 2
    assert paid[:10, 1].tolist() == [0.5] * 10 and paid[:4, 2].tolist() == [2.0] * 4
    assert paid[10:, 1].tolist() == pytest.approx([mean] * 10)
    assert paid[:, 0].tolist() == pytest.approx([mean] * 20)
    native[:], ended[:] = 0, False
    native[0, 1, 1], ended[0, 1, 1] = 24.0, True
    paid = paying(torch.zeros(1, 20, 4, 3), native, ended)[0]
    assert paid[:2, 1].tolist() == [2.0] * 2  # 24 in 12 steps, ten of them in the rollout before


def test_samples_are_steps_of_the_episode_that_the_outcome_is_of():
    """Across rollouts, and across the end of the ring."""
    episodes = Episodes(1, 4, 3, 71, "cpu")
    for number, (factors, native, ended) in enumerate(rollouts(1, 12)):
        episodes.add(torch.from_numpy(factors)[None], native[None], ended[None])
        if number:
            batch = episodes.sample(50, 30, [torch.Generator().manual_seed(number)])
            summed = (batch.inputs @ torch.from_numpy(WORTH) * batch.taken).sum(2)
            torch.testing.assert_close(summed, batch.outcome, atol=1e-4, rtol=1e-4)
            assert torch.equal(batch.taken.sum(2).float(), batch.length)


def test_agents_of_a_team_share_an_outcome_and_a_decoder():
    """Rows 0 and 1 are one team, 2 and 3 another: what an agent's steps were worth is told apart all the same."""
    credit = Credit(method="rd", hidden=(), rows=1_200, learning_rate=0.02, updates=8)
    paying = CreditPool(credit, [NAMES], [0], rows=4, longest=30, device="cpu", agents=2)
    rng, left, total = np.random.default_rng(0), 20, np.zeros(2)
    for _ in range(60):
        factors = rng.normal(size=(40, 4, 3)).astype(np.float32)
        factors[:, ::2, 0] += 1.0  # the first of each team does better
        native, ended = np.zeros((40, 4)), np.zeros((40, 4), dtype=bool)
        for t in range(40):
            total += (factors[t] @ WORTH).reshape(2, 2).sum(1)
            left -= 1
            if left == 0:
                native[t], ended[t] = np.repeat(total / 2, 2), True
                total[:], left = 0.0, int(rng.integers(5, 31))
        paid = paying(torch.from_numpy(factors)[None], native[None], ended[None])[0].numpy()
    true = factors @ WORTH
    assert np.corrcoef(paid.ravel(), true.ravel())[0, 1] > 0.98
    assert paid[:, ::2].mean() - paid[:, 1::2].mean() > 0.5


def test_before_the_first_episode_ends_nothing_is_paid():
    paying = pool(Credit(), [0])
    factors = torch.randn(1, 20, 4, 3)
    paid = paying(factors, np.zeros((1, 20, 4)), np.zeros((1, 20, 4), dtype=bool))
    assert not paid.any()


@pytest.mark.parametrize("method", ["rd", "rrdu"])
def test_a_decoder_learns_the_same_alone_and_in_any_company(method):
    credit = Credit(method=method, hidden=(32,), sampled=8, rows=160, updates=2)
    together, alone = pool(credit, [3, 4, 5]), pool(credit, [4])
    for number, each in enumerate(zip(rollouts(3, 6), rollouts(4, 6), rollouts(5, 6), strict=True)):
        factors, native, ended = (np.stack(parts) for parts in zip(*each, strict=True))
        both = (
            together(torch.from_numpy(factors), native, ended)
            if number < 4
            else together(torch.from_numpy(factors[1:]), native[1:], ended[1:])
        )
        one = alone(torch.from_numpy(factors[1:2]), native[1:2], ended[1:2])
        assert torch.equal(both[1 if number < 4 else 0], one[0])
        if number == 3:
            together.select(torch.tensor([1, 2]))


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
    factors, native, ended = next(rollouts(0, 1))
    told = dict.fromkeys(range(3), Factors(NAMES, factors))
    paid = crediting(reward, told, np.stack([native] * 4), np.stack([ended] * 4))
    assert (paid[3] == 7).all() and not (paid[:3] == 7).any()
    assert not np.array_equal(paid[0], paid[1]) and not np.array_equal(paid[0], paid[2])
    crediting.select([2, 3])
    again = crediting(reward[2:], {0: Factors(NAMES, factors)}, np.stack([native] * 2), np.stack([ended] * 2))
    assert (again[1] == 7).all() and not (again[0] == 7).any()
