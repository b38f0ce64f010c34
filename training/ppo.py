"""Proximal policy optimisation (Schulman et al. 2017) of ``P`` learners at once, none of which feels the
others.

Shapes: ``P`` learners, ``T`` steps of a rollout, ``N`` environments of a learner, ``B`` rows of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim.adam import adam as fused_adam

from envs.task import PPOSettings
from training.layers import Features
from training.network import Network
from training.sparse import SparseFeatures


def gae(reward: Tensor, value: Tensor, next_value: Tensor, ended: Tensor, *, gamma: float, gae_lambda: float) -> Tensor:
    """Generalised advantages (Schulman et al. 2016), ``(P, T, N)``.

    ``next_value`` is what each step bootstraps from: 0 where the episode terminated, the value of the final
    observation where it was truncated. No advantage crosses a step that ``ended`` an episode.
    """
    delta = reward + gamma * next_value - value
    decay = (~ended).to(value.dtype) * (gamma * gae_lambda)
    advantage = torch.empty_like(delta)
    later = torch.zeros_like(delta[:, 0])
    for t in range(delta.shape[1] - 1, -1, -1):
        later = torch.addcmul(delta[:, t], decay[:, t], later, out=advantage[:, t])
    return advantage


class Batch(NamedTuple):
    """Everything that the loss reads, ``B`` rows for each learner."""

    features: Features
    """``(P, B, F)``, of the encoder's dtype."""
    action: Tensor
    """``(P, B)`` int64 or ``(P, B, A)`` float32."""
    log_probability: Tensor
    """``(P, B)``, of ``action`` when it was taken."""
    advantage: Tensor
    """``(P, B)``, not normalised."""
    target: Tensor
    """``(P, B)``: what the value is fitted to."""

    def rows(self, index: Tensor, ready: Features | None = None) -> Batch:
        """The rows ``index`` ``(P, B')`` of each learner; ``ready``: their features, where they are at hand."""
        population, size = self.advantage.shape
        offset = torch.arange(population, device=index.device)[:, None] * size
        flat = (index + offset).flatten()

        def pick(values: Tensor) -> Tensor:
            chosen = values.flatten(0, 1).index_select(0, flat)
            return chosen.view(*index.shape, *values.shape[2:])

        if ready is None:
            ready = self.features.rows(index) if isinstance(self.features, SparseFeatures) else pick(self.features)
        return Batch(ready, *(pick(values) for values in self[1:]))


class Adam:
    """Adam (Kingma, Ba 2015) of all learners' parameters at once, with the gradient's norm bounded per learner."""

    epsilon = 1e-5
    betas = (0.9, 0.999)

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        """``parameters``: ``(P, ...)`` each."""
        self.first = [torch.zeros_like(each, requires_grad=False) for each in parameters]
        self.second = [torch.zeros_like(each, requires_grad=False) for each in parameters]
        self._steps = [torch.zeros((), device=each.device) for each in parameters]

    @torch.no_grad()
    def step(
        self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], *, learning_rate: float, max_norm: float
    ) -> None:
        """Move the parameters in place, against ``gradients``, which are scaled down to ``max_norm`` in place."""
        norms = torch.stack([torch.linalg.vector_norm(each.flatten(1), dim=1) for each in gradients], 1)
        scale = (max_norm / (torch.linalg.vector_norm(norms, dim=1) + 1e-6)).clamp_(max=1.0)
        for each in gradients:
            each.mul_(scale.view(-1, *[1] * (each.dim() - 1)))
        fused_adam(
            list(parameters), list(gradients), self.first, self.second, [], self._steps, fused=True, amsgrad=False,
            beta1=self.betas[0], beta2=self.betas[1], lr=learning_rate, weight_decay=0.0, eps=self.epsilon,
            maximize=False,
        )  # fmt: skip

    def select(self, learners: Tensor) -> None:
        """Keep only these learners, ``(P',)`` int64."""
        self.first = [each[learners] for each in self.first]
        self.second = [each[learners] for each in self.second]


def losses(network: Network, batch: Batch, settings: PPOSettings) -> Tensor:
    """``(P,)`` losses: clipped surrogate, squared value error, entropy; advantages normalised within the
    batch.
    """
    advantage = batch.advantage
    centred = advantage - advantage.mean(1, keepdim=True)
    deviation = (centred.square().sum(1, keepdim=True) / max(advantage.shape[1] - 1, 1)).sqrt()
    advantage = centred / (deviation + 1e-8)
    features = batch.features if isinstance(batch.features, SparseFeatures) else batch.features.to(torch.float32)
    policy = network.policy(features)
    ratio = (policy.log_probability(batch.action) - batch.log_probability).exp()
    clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
    surrogate = torch.minimum(ratio * advantage, clipped * advantage)
    error = (network.value(features) - batch.target).square()
    return (settings.value * error - surrogate - settings.entropy * policy.entropy()).mean(1)


class Shuffle(NamedTuple):
    """In which order an update looks at its rows; needs no reward, so it is had while the jails compute."""

    orders: list[Tensor]
    """For each epoch ``(P, B)`` int64: a permutation of each learner's rows."""
    first: list[SparseFeatures]
    """Features of the first epoch's minibatches, ready to use; empty where they are gathered later."""

    def select(self, learners: list[int]) -> Shuffle:
        """These learners' orders."""
        return Shuffle([order[learners] for order in self.orders], [])


def shuffled(
    features: Features, rows: int, settings: PPOSettings, generators: Sequence[torch.Generator], device: torch.device
) -> Shuffle:
    """The orders of an update over ``rows`` rows, each learner's from its own generator."""
    orders = [
        torch.stack([torch.randperm(rows, generator=g) for g in generators]).to(device) for _ in range(settings.epochs)
    ]
    first = []
    if isinstance(features, SparseFeatures):
        first = [features.rows(index) for index in orders[0].chunk(settings.minibatches, dim=1)]
        for part in first:
            _ = part.by_column  # sorted now, read by the gradient
    return Shuffle(orders, first)


def update(
    network: Network, adam: Adam, batch: Batch, settings: PPOSettings, *, learning_rate: float, shuffle: Shuffle
) -> None:
    """All epochs over one rollout, in the minibatches of ``shuffle``."""
    for epoch, order in enumerate(shuffle.orders):
        for at, index in enumerate(order.chunk(settings.minibatches, dim=1)):
            ready = shuffle.first[at] if epoch == 0 and shuffle.first else None
            gradients = network.gradients(losses(network, batch.rows(index, ready), settings).sum())
            adam.step(network.matrices, gradients, learning_rate=learning_rate, max_norm=settings.max_grad_norm)
