"""Return decomposition against closed forms."""

import numpy as np
import pytest
import torch

from training.credit.decoder import Decoder, Sampled, draw_steps, initial_decoder, load_decoder, losses, ridge
from training.ppo import Adam

torch.set_num_threads(1)
K = 8


def chains(seed: int, count: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Factors ``(T, 3)`` of episodes of 3 to 40 steps, and what the factors are worth: noise-free outcomes."""
    rng = torch.Generator().manual_seed(seed)
    worth = torch.tensor([0.7, -0.2, 1.5])
    lengths = torch.randint(3, 41, (count,), generator=rng).tolist()
    return [torch.randn((length, 3), generator=rng) * torch.tensor([1.0, 2.0, 0.5]) for length in lengths], worth


def batch_of(episodes: list[torch.Tensor], worth: torch.Tensor, most: int, rng: torch.Generator) -> Sampled:
    length = torch.tensor([len(e) for e in episodes])
    steps, taken = draw_steps(length, most, rng)
    inputs = torch.stack([episode[at] for episode, at in zip(episodes, steps, strict=True)])
    outcome = torch.stack([(episode @ worth).sum() for episode in episodes])
    return Sampled(inputs[None], taken[None], length[None].float(), outcome[None])


@pytest.mark.parametrize(("method", "most"), [("rd", 40), ("rrd", K), ("rrdu", K)])
def test_a_linear_decoder_finds_what_the_factors_are_worth(method, most):
    """RD within 2 %; RRD's variance draws its answer towards a constant."""
    episodes, worth = chains(0, 400)
    rng = torch.Generator().manual_seed(1)
    decoder = initial_decoder(3, (), [rng], "cpu")
    adam = Adam(decoder.matrices)
    for update in range(1_500):
        chosen = torch.randint(len(episodes), (64,), generator=rng).tolist()
        batch = batch_of([episodes[i] for i in chosen], worth, most, rng)
        rewards = decoder(batch.inputs.flatten(1, 2)).view(batch.taken.shape)
        loss = losses(method, rewards, batch).sum()
        rate = 0.02 if update < 900 else 0.002
        adam.step(
            decoder.matrices, list(torch.autograd.grad(loss, decoder.matrices)), learning_rate=rate, max_norm=10.0
        )
    found = decoder.weights(0)
    error = np.abs(found["decoder.0.weight"][:3, 0] / worth.numpy() - 1).max()
    if method == "rd":
        assert error < 0.02
        assert abs(found["decoder.0.bias"][0]) < 0.01
    else:
        assert error < 0.2 if method == "rrdu" else error > 0.3


def test_ridge_finds_what_the_factors_are_worth():
    """Without noise, from as many episodes as there are unknowns and a few more."""
    episodes, worth = chains(0, 12)
    means = torch.stack([episode.mean(0) for episode in episodes]).double().numpy()
    wanted = np.array([float((episode @ worth).mean()) for episode in episodes])
    weights, start = ridge(means, wanted)
    np.testing.assert_allclose(weights, worth.numpy(), rtol=0.02)
    assert abs(start) < 0.01


@pytest.mark.parametrize(("count", "width"), [(5, 8), (8, 8), (9, 8), (20, 30)])
def test_ridge_does_not_follow_noise_with_more_factors_than_episodes(count, width):
    """On noise the best prediction is the mean: what is predicted beyond it is error."""
    found, mean = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        wanted = rng.normal(size=count)
        weights, start = ridge(rng.normal(size=(count, width)), wanted)
        found.append(np.square(weights).sum() + start**2)
        mean.append(wanted.mean() ** 2)
    assert np.median(found) < np.median(mean) + 0.3


def test_ridge_is_shrunk_where_there_is_nothing_to_learn():
    """Of 30 factors in 40 episodes none counts: least squares would follow the noise, cross-validation does not."""
    rng = np.random.default_rng(0)
    means, wanted = rng.normal(size=(40, 30)), rng.normal(size=40)
    centred = means - means.mean(0)
    plain = np.linalg.lstsq(centred, wanted - wanted.mean(), rcond=None)[0]
    weights, _ = ridge(means, wanted)
    fresh = rng.normal(size=(500, 30))
    assert np.std(fresh @ weights) < 0.3 * np.std(fresh @ plain)
    assert ridge(means[:2], wanted[:2])[0].tolist() == [0.0] * 30
    assert ridge(means[:0], wanted[:0])[1] == 0.0


@pytest.mark.parametrize("length", [2, 5, 8, 9, 30])
def test_rrdu_is_unbiased_where_rrd_is_not(length):
    """Over 10,000 draws: the mean loss against RD's own, episodes shorter than K among them."""
    draws, rng = 10_000, torch.Generator().manual_seed(2)
    rewards = torch.randn(length, generator=rng)
    outcome = torch.tensor(0.4)
    exact = float((rewards.mean() - outcome / length).square())
    steps, taken = draw_steps(torch.full((draws,), length), K, rng)
    batch = Sampled(
        torch.zeros(draws, 1, K, 0), taken[:, None], torch.full((draws, 1), float(length)), outcome.expand(draws, 1)
    )
    told = rewards[steps][:, None]
    for method in ("rrd", "rrdu"):
        each = losses(method, told, batch).double()
        error, noise = float(each.mean()) - exact, float(each.std()) / draws**0.5
        if length <= K:
            torch.testing.assert_close(each, torch.full_like(each, exact), rtol=1e-4, atol=1e-6)
        elif method == "rrdu":
            assert abs(error) < 4 * noise
        else:
            assert error > 10 * noise
            spread = float(rewards.var()) * (1 - K / length) / K
            assert abs(error - spread) < 4 * noise


def test_steps_are_drawn_evenly_and_never_twice():
    rng = torch.Generator().manual_seed(3)
    steps, taken = draw_steps(torch.tensor([30] * 6_000 + [5]), K, rng)
    assert taken[:-1].all() and taken[-1].tolist() == [True] * 5 + [False] * 3
    assert sorted(steps[-1][:5].tolist()) == [0, 1, 2, 3, 4]
    assert all(len(set(row)) == K for row in steps[:-1].tolist())
    counts = torch.bincount(steps[:-1].flatten(), minlength=30) / 6_000
    torch.testing.assert_close(counts, torch.full((30,), K / 30), atol=0.03, rtol=0)


def test_what_stands_at_an_empty_place_does_not_count():
    rng = torch.Generator().manual_seed(4)
    rewards, length = torch.randn(1, 3, K, generator=rng), torch.tensor([[3.0, 8.0, 20.0]])
    taken = torch.arange(K) < length[..., None]
    batch = Sampled(torch.zeros(1, 3, K, 0), taken, length, torch.ones(1, 3))
    for method in ("rd", "rrd", "rrdu"):
        other = torch.where(taken, rewards, 77.0)
        torch.testing.assert_close(losses(method, rewards, batch), losses(method, other, batch))


def test_a_decoder_is_its_own_in_any_company_and_comes_back_from_its_weights():
    def make(seeds: list[int]) -> Decoder:
        return initial_decoder(5, (32,), [torch.Generator().manual_seed(s) for s in seeds], "cpu")

    inputs = torch.randn(3, 50, 5, generator=torch.Generator().manual_seed(9))
    company, alone = make([1, 2, 3]), make([2])
    assert torch.equal(company(inputs)[1], alone(inputs[1:2])[0])
    kept = load_decoder(5, (32,), [company.weights(p) for p in (0, 2)], "cpu")
    assert torch.equal(kept(inputs[[0, 2]]), company.select(torch.tensor([0, 2]))(inputs[[0, 2]]))
