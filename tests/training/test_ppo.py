"""One update, against slow references that a reader can check by eye."""

import math

import numpy as np
import torch

from envs.task import Action, PPOSettings
from training.network import Architecture, Network, initial_network, load_network
from training.ppo import Adam, Batch, gae, losses, shuffled, update

DISCRETE = Action(kind="discrete", size=3)
CONTINUOUS = Action(kind="continuous", size=2, low=(-1.0, -1.0), high=(1.0, 1.0))


def network(action: Action, seeds: tuple[int, ...] = (1, 2)) -> Network:
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return initial_network(Architecture(16, (32, 16), action), generators, "cpu")


def slow_advantage(reward, value, next_value, ended, gamma, lam):
    """The definition: discounted sum of temporal differences up to the end of the episode."""
    steps, out = len(reward), np.zeros(len(reward))
    for t in range(steps):
        for k in range(t, steps):
            delta = reward[k] + gamma * next_value[k] - value[k]
            out[t] += (gamma * lam) ** (k - t) * delta
            if ended[k]:
                break
    return out


def test_advantages_follow_the_definition_across_terminations_and_truncations():
    rng = np.random.default_rng(0)
    shape = (2, 40, 3)
    reward, value, next_value = rng.normal(size=(3, *shape))
    ended = rng.random(shape) < 0.15
    next_value[ended & (rng.random(shape) < 0.5)] = 0.0
    fast = gae(
        torch.tensor(reward), torch.tensor(value), torch.tensor(next_value), torch.tensor(ended),
        gamma=0.9, gae_lambda=0.8,
    ).numpy()  # fmt: skip
    for p in range(shape[0]):
        for n in range(shape[2]):
            row = (p, slice(None), n)
            slow = slow_advantage(reward[row], value[row], next_value[row], ended[row], 0.9, 0.8)
            np.testing.assert_allclose(fast[row], slow, rtol=1e-10, atol=1e-12)


def batch_of(net: Network, action: torch.Tensor) -> Batch:
    rng = torch.Generator().manual_seed(5)
    features = torch.randn(net.population, action.shape[1], 16, generator=rng)
    taken = net.policy(features).log_probability(action).detach()
    drift = 0.5 * torch.randn(taken.shape, generator=rng)
    advantage, target = torch.randn(2, *taken.shape, generator=rng)
    return Batch(features, action, taken + drift, advantage, target)


def slow_mlp(weights: dict, net: str, row: np.ndarray) -> np.ndarray:
    layer = 0
    while f"{net}.{layer}.weight" in weights:
        row = row @ weights[f"{net}.{layer}.weight"] + weights[f"{net}.{layer}.bias"]
        layer += 1
        if f"{net}.{layer}.weight" in weights:
            row = np.maximum(row, 0)
    return row


def slow_log_probability_and_entropy(weights: dict, output: np.ndarray, action) -> tuple[float, float]:
    if "actor.log_std" not in weights:
        p = np.exp(output) / np.exp(output).sum()
        return math.log(p[int(action)]), -float((p * np.log(p)).sum())
    sigma = np.exp(weights["actor.log_std"].astype(float))
    z = (action - output) / sigma
    density = -0.5 * z**2 - np.log(sigma * math.sqrt(2 * math.pi))
    return float(density.sum()), float((0.5 * np.log(2 * math.pi * math.e * sigma**2)).sum())


def slow_loss(weights: dict, batch: Batch, p: int, settings: PPOSettings) -> float:
    advantage = batch.advantage[p].double().numpy()
    advantage = (advantage - advantage.mean()) / (advantage.std(ddof=1) + 1e-8)
    total = 0.0
    for i, features in enumerate(batch.features[p].double().numpy()):
        output = slow_mlp(weights, "actor", features)
        log_p, entropy = slow_log_probability_and_entropy(weights, output, batch.action[p, i].numpy())
        ratio = math.exp(log_p - float(batch.log_probability[p, i]))
        bounded = min(max(ratio, 1 - settings.clip), 1 + settings.clip)
        surrogate = min(ratio * advantage[i], bounded * advantage[i])
        error = (slow_mlp(weights, "critic", features)[0] - float(batch.target[p, i])) ** 2
        total += settings.value * error - surrogate - settings.entropy * entropy
    return total / len(advantage)


def check_loss(net: Network, action: torch.Tensor) -> None:
    settings = PPOSettings(entropy=0.05)
    batch = batch_of(net, action)
    fast = losses(net, batch, settings)
    for p in range(net.population):
        slow = slow_loss(net.weights(p), batch, p, settings)
        assert math.isclose(float(fast[p].detach()), slow, rel_tol=1e-4, abs_tol=1e-5)


def test_the_loss_of_discrete_actions_matches_a_row_by_row_reference():
    check_loss(network(DISCRETE), torch.randint(0, 3, (2, 20), generator=torch.Generator().manual_seed(0)))


def test_the_loss_of_continuous_actions_matches_a_row_by_row_reference():
    net = network(CONTINUOUS)
    net.matrices[-1].data += 0.3
    check_loss(net, torch.randn((2, 20, 2), generator=torch.Generator().manual_seed(0)))


def test_adam_and_the_norm_bound_match_torch_for_each_learner():
    rng = torch.Generator().manual_seed(0)
    shapes = ((2, 16, 32), (2, 1, 32))
    parameters = [torch.randn(shape, generator=rng) for shape in shapes]
    theirs = [[each[p].clone().requires_grad_() for each in parameters] for p in range(2)]
    optimisers = [torch.optim.Adam(learner, lr=0.01, eps=1e-5) for learner in theirs]
    ours = Adam(parameters)
    for _ in range(5):
        gradients = [torch.randn(shape, generator=rng) for shape in shapes]
        for p, (learner, optimiser) in enumerate(zip(theirs, optimisers, strict=True)):
            for each, gradient in zip(learner, gradients, strict=True):
                each.grad = gradient[p].clone()
            torch.nn.utils.clip_grad_norm_(learner, 0.5)
            optimiser.step()
        ours.step(parameters, gradients, learning_rate=0.01, max_norm=0.5)
    for each, *learners in zip(parameters, *theirs, strict=True):
        torch.testing.assert_close(each, torch.stack([one.detach() for one in learners]))


def test_a_good_action_becomes_likelier_and_values_move_to_their_targets():
    net = network(DISCRETE)
    features = torch.randn(2, 64, 16, generator=torch.Generator().manual_seed(0))
    action = torch.arange(64).remainder(3).expand(2, 64).contiguous()
    before = net.policy(features).log_probability(action).detach()
    advantage = torch.where(action == 1, 1.0, -1.0)
    batch = Batch(features, action, before, advantage, torch.full((2, 64), 3.0))
    error = (net.value(features) - 3).square().mean(1).detach()
    generators = [torch.Generator().manual_seed(p) for p in range(2)]
    adam = Adam(net.matrices)
    for _ in range(5):
        shuffle = shuffled(features, 64, PPOSettings(), generators, torch.device("cpu"))
        update(net, adam, batch, PPOSettings(), learning_rate=1e-2, shuffle=shuffle)
    after = net.policy(features).log_probability(action).detach()
    assert bool((after[action == 1] > before[action == 1]).all())
    assert bool(((net.value(features) - 3).square().mean(1) < 0.5 * error).all())


def test_padding_never_learns():
    net = network(DISCRETE)
    action = torch.randint(0, 3, (2, 32), generator=torch.Generator().manual_seed(0))
    batch, generators = batch_of(net, action), [torch.Generator().manual_seed(p) for p in range(2)]
    shuffle = shuffled(batch.features, 32, PPOSettings(), generators, torch.device("cpu"))
    update(net, Adam(net.matrices), batch, PPOSettings(), learning_rate=1e-2, shuffle=shuffle)
    for part, matrix in zip(net.architecture.parts(), net.matrices, strict=True):
        assert bool((matrix[..., part.keep :] == 0).all())


def test_initial_matrices_are_orthogonal_and_belong_to_a_seed_not_to_a_place():
    pair, alone = network(DISCRETE, (1, 2)), network(DISCRETE, (2,))
    for both, one in zip(pair.matrices, alone.matrices, strict=True):
        assert torch.equal(both[1], one[0])
    assert not torch.equal(pair.matrices[0][0], pair.matrices[0][1])
    first = torch.from_numpy(alone.weights(0)["actor.0.weight"])
    torch.testing.assert_close(first @ first.T, 2 * torch.eye(16), atol=1e-5, rtol=0)


def test_weights_survive_the_way_to_a_file_and_back():
    for action in (DISCRETE, CONTINUOUS):
        net = network(action)
        again = load_network(net.architecture, [net.weights(p) for p in range(2)], "cpu")
        assert all(map(torch.equal, net.matrices, again.matrices))


def test_sampled_actions_follow_the_probabilities():
    net = network(DISCRETE, (3,))
    net.matrices[5].data[0, 0, :3] = torch.tensor([1.0, 0.0, -2.0])
    features = torch.zeros(1, 20_000, 16)
    policy = net.policy(features)
    noise = torch.rand((1, 20_000), generator=torch.Generator().manual_seed(0))
    shares = torch.bincount(policy.sample(noise)[0], minlength=3) / 20_000
    expected = [float(policy.log_probability(torch.full((1, 20_000), a))[0, 0].exp()) for a in range(3)]
    np.testing.assert_allclose(shares.numpy(), expected, atol=0.012)
