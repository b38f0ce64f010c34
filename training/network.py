"""Actor and critic of a whole population: the learner is a dimension of every tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from envs.episode import Array
from envs.task import Action
from training.layers import Features, Part, initial, loaded, mlp, padded, perceptron, unpadded


class Architecture(NamedTuple):
    """Sizes of separate actor and critic MLPs with ReLU."""

    inputs: int
    hidden: tuple[int, ...]
    action: Action

    def parts(self) -> list[Part]:
        """Every parameter, in order; raises UserError for widths that are no multiple of 16."""
        parts = perceptron("actor", self.inputs, self.hidden, self.action.size, 0.01)
        parts += perceptron("critic", self.inputs, self.hidden, 1, 1.0)
        if self.action.kind == "continuous":
            parts.append(Part("actor.log_std", 1, padded(self.action.size), 0.0, self.action.size))
        return parts


class Network:
    """Parameters of ``P`` learners, each a matrix ``(P, in, out)``."""

    def __init__(self, architecture: Architecture, matrices: Sequence[Tensor]) -> None:
        """``matrices``: for each of the architecture's parts ``(P, rows, columns)`` float32, contiguous."""
        self.architecture = architecture
        self.matrices = [matrix.detach().requires_grad_() for matrix in matrices]
        """The leaves of differentiation, in the order of the architecture's parts; updates are written here."""
        layers = 2 * (len(architecture.hidden) + 1)
        self._actor, self._critic = self.matrices[:layers], self.matrices[layers : 2 * layers]
        self._log_std = self.matrices[2 * layers] if architecture.action.kind == "continuous" else None

    @property
    def population(self) -> int:
        """Number of learners."""
        return self.matrices[0].shape[0]

    def policy(self, features: Features) -> Distribution:
        """The distribution over actions at ``(P, B, inputs)`` features."""
        return self.distribution(self.preferences(features))

    def preferences(self, features: Features) -> Tensor:
        """What the actor says at ``(P, B, inputs)`` features: ``(P, B, A)`` logits, or means of continuous actions."""
        return mlp(self._actor, features)[..., : self.architecture.action.size]

    def distribution(self, preferences: Tensor) -> Distribution:
        """The distribution over actions that ``(P, B, A)`` preferences are."""
        if self._log_std is None:
            # Sums along an inner dimension are many times as fast as along one of seven numbers.
            return Categorical(preferences.transpose(1, 2).contiguous())
        return Gaussian(preferences, self._log_std[..., : self.architecture.action.size])

    def value(self, features: Features) -> Tensor:
        """``(P, B)`` values at ``(P, B, inputs)`` features."""
        return mlp(self._critic, features)[..., 0]

    def gradients(self, loss: Tensor) -> list[Tensor]:
        """Of a scalar that sums the learners' own losses: one as large as each of ``matrices``."""
        return list(torch.autograd.grad(loss, self.matrices))

    def select(self, learners: Tensor) -> Network:
        """These learners' parameters alone, in fresh memory."""
        return Network(self.architecture, [matrix.detach()[learners] for matrix in self.matrices])

    def weights(self, learner: int) -> dict[str, Array]:
        """A learner's parameters by name, unpadded: ``*.weight`` ``(in, out)``, ``*.bias`` ``(out,)``."""
        return unpadded(self.architecture.parts(), self.matrices, learner)


def initial_network(architecture: Architecture, generators: Sequence[torch.Generator], device: str) -> Network:
    """A network for each generator, which its first weights are drawn from."""
    return Network(architecture, initial(architecture.parts(), generators, device))


def load_network(architecture: Architecture, weights: Sequence[Mapping[str, Array]], device: str) -> Network:
    """The network of learners whose ``Network.weights`` were kept."""
    return Network(architecture, loaded(architecture.parts(), weights, device))


class Categorical:
    """Discrete actions, from ``(P, A, B)`` logits."""

    def __init__(self, logits: Tensor) -> None:
        self._logits = logits

    @cached_property
    def _log(self) -> Tensor:
        return torch.log_softmax(self._logits, 1)

    @staticmethod
    def noise(rows: tuple[int, ...], action: Action, generator: torch.Generator) -> Tensor:
        """Uniform draws, one for each row."""
        return torch.rand(rows, generator=generator)

    def sample(self, noise: Tensor) -> Tensor:
        """``(P, B)`` int64 actions by inverting the cumulative distribution at ``(P, B)`` uniform draws."""
        below = torch.softmax(self._logits, 1)[:, :-1].cumsum(1)
        return (noise[:, None] >= below).sum(1)

    def log_probability(self, action: Tensor) -> Tensor:
        """``(P, B)`` log probabilities of ``(P, B)`` actions."""
        return self._log.gather(1, action[:, None]).squeeze(1)

    def entropy(self) -> Tensor:
        """``(P, B)`` entropies, nats."""
        return -(self._log.exp() * self._log).sum(1)


class Gaussian:
    """Continuous actions: independent normals around ``(P, B, A)`` means, one deviation for all states."""

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        self._mean = mean
        self._log_std = log_std

    @staticmethod
    def noise(rows: tuple[int, ...], action: Action, generator: torch.Generator) -> Tensor:
        """Standard normal draws, ``A`` for each row."""
        return torch.randn((*rows, action.size), generator=generator)

    def sample(self, noise: Tensor) -> Tensor:
        """``(P, B, A)`` float32 actions, not clipped, from as many standard normal draws."""
        return self._mean + noise * self._log_std.exp()

    def log_probability(self, action: Tensor) -> Tensor:
        """``(P, B)`` log densities of ``(P, B, A)`` actions."""
        distance = (action - self._mean) * (-self._log_std).exp()
        return (-0.5 * distance.square() - self._log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Tensor:
        """``(P, B)`` differential entropies, nats."""
        one = (self._log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)
        return one.expand(self._mean.shape[:-1])


Distribution = Categorical | Gaussian


def draw_noise(
    rows: tuple[int, ...], action: Action, generators: Sequence[torch.Generator], device: torch.device
) -> Tensor:
    """What actions are sampled from, ``(P, *rows)`` or ``(P, *rows, A)``, each learner's from its own
    generator.
    """
    kind = Categorical if action.kind == "discrete" else Gaussian
    return torch.stack([kind.noise(rows, action, g) for g in generators]).to(device)
