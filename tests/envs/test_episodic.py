"""A withheld reward comes to the same sum, at the end, and nowhere else."""

import numpy as np
import pytest
import torch

from envs.catalog import load
from envs.errors import UserError
from envs.make_vector import make_vector


@pytest.mark.parametrize("name", ["cartpole", "mountaincar", "pendulum"])
def test_the_same_episodes_pay_their_sum_with_the_last_step(name):
    plain, withheld = load(name), load(f"{name}-episodic")
    one, two = (make_vector(task, [3, 4]) for task in (plain, withheld))
    one.reset(), two.reset()
    rng, sums, ended = np.random.default_rng(0), np.zeros(2), 0
    for _ in range(450):
        action = rng.integers(0, plain.action.size, 2) if plain.action.kind == "discrete" else rng.normal(size=(2, 1))
        a, b = (
            env.step(torch.as_tensor(action, dtype=torch.float32 if action.ndim == 2 else None)) for env in (one, two)
        )
        assert torch.equal(a.observation, b.observation)
        sums += a.reward.numpy()
        over = (a.terminated | a.truncated).numpy()
        np.testing.assert_allclose(b.reward.numpy(), np.where(over, sums, 0.0), rtol=1e-5)
        sums[over], ended = 0.0, ended + int(over.sum())
    assert ended >= 4


def test_grid_tasks_are_episodic_by_nature():
    plain, withheld = load("doorkey-5x5"), load("doorkey-5x5-episodic")
    assert (withheld.id, withheld.episodic, withheld.human) == ("doorkey-5x5-episodic", True, None)
    one, two = (make_vector(task, range(8)) for task in (plain, withheld))
    one.reset(), two.reset()
    rng = torch.Generator().manual_seed(0)
    for _ in range(300):
        action = torch.randint(0, 6, (8,), generator=rng)
        a, b = one.step(action), two.step(action)
        assert torch.equal(a.reward, b.reward)
        assert not a.reward[~(a.terminated | a.truncated)].any()


def test_no_task_of_that_name_is_an_error_that_helps():
    with pytest.raises(UserError, match="cartpole"):
        load("cartpol-episodic")
