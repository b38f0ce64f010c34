"""Fair arms: what a reward's scale may and may not change."""

import numpy as np
import torch

from training.normalizer import RewardNormalizer


def slow_scale(rewards: list[np.ndarray], ended: list[np.ndarray], gamma: float) -> list[float]:
    """Deviation of all discounted returns so far, after each rollout of ``(T, N)`` rewards."""
    carry, returns, out = np.zeros(rewards[0].shape[1]), [], []
    for reward, ends in zip(rewards, ended, strict=True):
        for t in range(len(reward)):
            carry = gamma * carry + reward[t]
            returns.append(carry.copy())
            carry = np.where(ends[t], 0.0, carry)
        out.append(float(np.concatenate(returns).std()))
    return out


def rollouts(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0.2, 1.0, (30, 4)) for _ in range(count)], [rng.random((30, 4)) < 0.1 for _ in range(count)]


def run(normalizer: RewardNormalizer, reward: np.ndarray, ended: np.ndarray) -> np.ndarray:
    return normalizer(torch.from_numpy(reward.astype(np.float32))[None], torch.from_numpy(ended)[None])[0].numpy()


def test_rewards_are_divided_by_the_running_deviation_of_the_discounted_return():
    rewards, ended = rollouts(4)
    normalizer = RewardNormalizer(1, 4, gamma=0.9, clip=10.0, device="cpu")
    for reward, ends, scale in zip(rewards, ended, slow_scale(rewards, ended, 0.9), strict=True):
        np.testing.assert_allclose(run(normalizer, reward, ends), reward / scale, rtol=1e-4)


def test_paying_a_thousand_times_as_much_changes_nothing():
    rewards, ended = rollouts(3)
    small, large = (RewardNormalizer(1, 4, gamma=0.99, clip=10.0, device="cpu") for _ in range(2))
    for reward, ends in zip(rewards, ended, strict=True):
        np.testing.assert_allclose(run(small, reward, ends), run(large, 1000 * reward, ends), rtol=1e-4)


def test_rewards_are_scaled_but_never_shifted():
    rewards, ended = rollouts(1)
    out = run(RewardNormalizer(1, 4, gamma=0.99, clip=1e9, device="cpu"), rewards[0], ended[0])
    assert np.array_equal(np.sign(out), np.sign(rewards[0]))


def test_one_clip_bounds_every_arm():
    reward = np.zeros((200, 4))
    reward[7, 2] = 1.0
    out = run(RewardNormalizer(1, 4, gamma=0.0, clip=10.0, device="cpu"), reward, np.zeros((200, 4), dtype=bool))
    assert out[7, 2] == 10.0
    assert np.count_nonzero(out) == 1


def test_a_reward_that_never_pays_stays_zero():
    out = run(
        RewardNormalizer(1, 4, gamma=0.99, clip=10.0, device="cpu"), np.zeros((9, 4)), np.zeros((9, 4), dtype=bool)
    )
    assert not out.any()


def test_learners_have_their_own_scale_and_keep_it_when_others_leave():
    rewards, ended = rollouts(2)
    loud = torch.from_numpy(np.stack([100 * rewards[0], rewards[0]]).astype(np.float32))
    ends = torch.from_numpy(np.stack([ended[0], ended[0]]))
    both, alone = (RewardNormalizer(p, 4, gamma=0.9, clip=10.0, device="cpu") for p in (2, 1))
    assert torch.equal(both(loud, ends)[1], alone(loud[1:], ends[1:])[0])
    both.select(torch.tensor([1]))
    second = torch.from_numpy(rewards[1].astype(np.float32))[None]
    flags = torch.from_numpy(ended[1])[None]
    assert torch.equal(both(second, flags), alone(second, flags))
