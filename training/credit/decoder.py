"""Decoders: from the outcomes of episodes to a reward for each step, by return decomposition, ``P`` learners at once.

A decoder ``f`` reads what is known of a step (the factors of a latent reward, or state and action) and is fitted so
that its sum over an episode of ``T`` steps is the outcome ``R``, which alone is known. Per step, as in LaRe (Qu et al.
2025):

    RD     ``(mean over all T of f - R / T)^2``                  (Arjona-Medina et al. 2019, Efroni et al. 2021)
    RRD    ``(mean over K sampled steps of f - R / T)^2``        (Ren et al. 2022)
    RRDu   RRD less ``(1 - K / T) s^2 / K``, ``s^2`` the sampled steps' variance

RRD's expectation is RD's loss plus the variance of its sampled mean, which punishes any reward that differs from step
to step. For K of T steps drawn without replacement that variance is ``(1 - K / T) S^2 / K`` (Cochran 1977, theorem
2.2), and ``s^2`` (divided by ``K - 1``) estimates ``S^2`` without bias: so RRDu's expectation is RD's loss. An episode
of no more than K steps is taken whole, and all three are the same there.

Ridge is RD with a linear decoder, solved in closed form on every remembered episode (least squares on sums, Efroni et
al. 2021); how far its weights are shrunk is chosen by generalised cross-validation (Golub, Heath and Wahba 1979),
in the robust form of Lukas (2006).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.episode import Array
from training.credit.settings import Method
from training.layers import Part, initial, loaded, mlp, padded, perceptron, unpadded


class Factors(NamedTuple):
    """What is known of the steps of one learner's rollout."""

    names: tuple[str, ...]
    """``K``, sorted."""
    values: Array
    """``(T, N, K)`` float32."""


class Sampled(NamedTuple):
    """Steps of ``B`` episodes for each of ``P`` learners."""

    inputs: Tensor
    """``(P, B, K, F)``: what the decoder reads; anything where ``taken`` is false."""
    taken: Tensor
    """``(P, B, K)`` bool: whether there is such a step; the first of each episode is always there."""
    length: Tensor
    """``(P, B)``: steps of the whole episode."""
    outcome: Tensor
    """``(P, B)``: sum of the episode's rewards."""


def losses(method: Method, rewards: Tensor, batch: Sampled) -> Tensor:
    """``(P,)``: mean over the episodes of each learner, of what the decoder says, ``(P, B, K)``."""
    count = batch.taken.sum(2)
    kept = rewards * batch.taken
    mean = kept.sum(2) / count
    error = (mean - batch.outcome / batch.length).square()
    if method == "rrdu":
        spread = ((rewards - mean[..., None]) * batch.taken).square().sum(2) / (count - 1).clamp(min=1)
        error = error - (1 - count / batch.length) * spread / count
    return error.mean(1)


SHRUNK = np.logspace(-6, 2, 17)
"""What ridge chooses from: penalties of the squared weights beside the mean squared error."""


ROBUST = 0.3
"""Weight of plain generalised cross-validation in its robust form (Lukas 2006), which few episodes need."""


def ridge(inputs: Array, wanted: Array) -> tuple[Array, float]:
    """Weights ``(F,)`` and intercept of ``wanted`` ``(E,)`` from ``inputs`` ``(E, F)``, each episode's mean.

    Of all ``SHRUNK`` those with the least error by robust generalised cross-validation: ``mean squared error / (1 -
    trace(H) / E)^2`` with ``H`` the hat matrix, times ``ROBUST + (1 - ROBUST) trace(H^2) / E``. Nothing is told from
    fewer than three episodes.
    """
    count, width = inputs.shape
    if count < 3:
        return np.zeros(width), float(wanted.mean()) if count else 0.0
    middle, mean = inputs.mean(0), float(wanted.mean())
    centred, rest = inputs - middle, wanted - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / count)
    values = values.clip(min=0.0)
    along = vectors.T @ (centred.T @ rest) / count
    left = SHRUNK[:, None] / (values + SHRUNK[:, None])
    solved = along / (values + SHRUNK[:, None])
    error = np.square(rest - solved @ (centred @ vectors).T).mean(1)
    # The trace from what is shrunk away: near 0, where there are more factors than episodes, its sign matters.
    free = (left.sum(1) + count - 1 - width) / count
    robust = ROBUST + (1 - ROBUST) * np.square(1 - left).sum(1) / count
    weights = vectors @ solved[int(np.argmin(error * robust / np.square(free.clip(min=1e-12))))]
    return weights, mean - float(middle @ weights)


class Decoder:
    """``f`` of ``P`` learners: perceptrons with ReLU, or linear ones where ``hidden`` is empty."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], matrices: Sequence[Tensor]) -> None:
        self.inputs, self.hidden = inputs, hidden
        self.matrices = [matrix.detach().requires_grad_() for matrix in matrices]

    def __call__(self, inputs: Tensor) -> Tensor:
        """``(P, B)`` rewards of ``(P, B, F)`` inputs, of which the first ``inputs`` columns are read."""
        missing = padded(self.inputs) - inputs.shape[-1]
        return mlp(self.matrices, torch.nn.functional.pad(inputs, (0, missing)))[..., 0]

    def select(self, learners: Tensor) -> Decoder:
        """These learners' alone."""
        return Decoder(self.inputs, self.hidden, [matrix.detach()[learners] for matrix in self.matrices])

    def weights(self, learner: int) -> dict[str, Array]:
        """A learner's parameters by name: ``decoder.*.weight`` ``(in, out)``, ``decoder.*.bias`` ``(out,)``."""
        return unpadded(_parts(self.inputs, self.hidden), self.matrices, learner)


def initial_decoder(
    inputs: int, hidden: tuple[int, ...], generators: Sequence[torch.Generator], device: str
) -> Decoder:
    """A decoder for each generator, which its first weights are drawn from."""
    return Decoder(inputs, hidden, initial(_parts(inputs, hidden), generators, device))


def load_decoder(inputs: int, hidden: tuple[int, ...], weights: Sequence[Mapping[str, Array]], device: str) -> Decoder:
    """The decoders whose ``Decoder.weights`` were kept."""
    return Decoder(inputs, hidden, loaded(_parts(inputs, hidden), weights, device))


def _parts(inputs: int, hidden: tuple[int, ...]) -> list[Part]:
    return perceptron("decoder", padded(inputs), hidden, 1, 0.1)


def draw_steps(length: Tensor, most: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Steps of ``B`` episodes, ``most`` of each without replacement, all where an episode has no more.

    ``length`` is ``(B,)`` int64 on the CPU. Returns their numbers ``(B, most)`` and which of these places are taken.
    """
    places = torch.arange(most)
    taken = places < length[:, None]
    steps = torch.where(taken, places, 0)
    drawn = (length > most).nonzero()[:, 0]
    if len(drawn):
        longest = int(length.max())
        keys = torch.rand((len(drawn), longest), generator=generator)
        keys[torch.arange(longest) >= length[drawn, None]] = 2.0
        # Torch's topk took twice as long.
        steps[drawn] = torch.from_numpy(np.argpartition(keys.numpy(), most - 1)[:, :most])
    return steps, taken
