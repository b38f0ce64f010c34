"""Outcomes made into rewards: what is remembered, what is paid, and whose affair it is."""

import numpy as np
import pytest
import torch

from training.credit.pool import CreditPool
from training.credit.remembered import Episodes
from training.credit.settings import Credit

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
