"""Credit for outcomes: learners that are told an episode's sum alone are paid what their decoder makes of each step.

What is known of a step, its factors, is had once, kept on the device, and read again by every update of the decoder.
A decoder learns from completed episodes only; the steps of open ones are paid by the decoder as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.episode import Array
from training.credit.attribution import Attribution, ablation, effects, permutation
from training.credit.decoder import Decoder, Sampled, initial_decoder, losses, ridge
from training.credit.remembered import Episodes
from training.credit.settings import Credit, Method
from training.observation import RunningMoments
from training.ppo import Adam
from training.seeding import generator

FACTOR_CLIP = 10.0
"""Bound on a normalised factor, in deviations, for a decoder with hidden layers.

A linear one is fitted to sums, in which a rare event counts whole; cut off, it would be paid less than it is worth.
"""
REFIT, FITTED = 100, 400
"""Updates that fit a frozen decoder to what its learners remember, and with those that it had before, at least."""
DRAWN_AT_ONCE = 16
"""Updates whose steps are drawn together: drawn one by one they took twice as long."""
IMPORTANCE_EPISODES = 64


class Frozen(NamedTuple):
    """A decoder for use without any further training."""

    weights: dict[str, Array]
    """``decoder.*``; around them ``factors.mean`` and ``factors.deviation`` ``(F,)``, and ``scale`` ``(1,)``."""
    attribution: Attribution | None
    """None where the factors are raw inputs, which have no meaning one by one."""


class _Look(NamedTuple):
    """A learner's decoder and some of the episodes that it knows."""

    reads: Callable[[Tensor], Tensor]
    """Factors as the decoder reads them."""
    decoder: Decoder
    episodes: Sampled
    """Their outcomes in units of ``scale``."""
    rng: torch.Generator


class CreditPool:
    """Learners with the same settings and as many factors, up to padding; none feels the others."""

    def __init__(
        self,
        credit: Credit,
        names: Sequence[tuple[str, ...]],
        seeds: Sequence[int],
        *,
        rows: int,
        longest: int,
        device: str,
        agents: int = 1,
        episodes: Episodes | None = None,
    ) -> None:
        """``names``: each learner's factors, as many of each.

        ``longest``: steps of an episode at most; ``agents`` of one environment lie side by side in ``rows``;
        ``episodes``: what is remembered already.
        """
        self._credit, self._names, self.factors = credit, list(names), len(names[0])
        self._longest, self._agents, self._device = longest, agents, device
        factors = self.factors
        # An episode must fit while the next one is under way.
        slots = max(credit.kept_steps // rows, 2 * longest + 1)
        self._episodes = episodes or Episodes(len(seeds), rows, factors, slots, device, agents=agents)
        every = longest * agents
        self._most = every if credit.method == "rd" else min(credit.sampled, every)
        self._moments = RunningMoments(len(seeds), factors, device)
        self._draws = [generator(seed, "decoder batches") for seed in seeds]
        weights = [generator(seed, "decoder weights") for seed in seeds]
        hidden = () if credit.method == "ridge" else credit.hidden
        self._decoder = initial_decoder(factors, hidden, weights, device)
        self._adam = Adam(self._decoder.matrices)
        self._updates = np.zeros(len(seeds), np.int64)

    @property
    def decoder(self) -> Decoder:
        """As it stands; it reads normalised factors and answers in units of ``scale``."""
        return self._decoder

    def __call__(self, factors: Tensor, native: Array, ended: Array) -> Tensor:
        """What a rollout pays, ``(P, T, N)`` float32.

        ``factors`` is ``(P, T, N, F)``; ``native`` and ``ended`` ``(P, T, N)`` say what each episode came to.
        """
        self._episodes.add(factors, native, ended)
        if self._credit.method == "uniform":
            return torch.from_numpy(self._episodes.shares(native.shape[1])).to(factors.device)
        self._moments.update(factors.flatten(1, 2))
        scale = self.scale()
        self._fit(self._credit.updates, scale)
        with torch.no_grad():
            rewards = self._decoder(self._normal(factors.flatten(1, 2)))
        return rewards.view(native.shape) * scale[:, None, None]

    def scale(self) -> Tensor:
        """``(P,)``: root mean square of the outcomes by length, which is what a step is worth."""
        found = []
        for p in range(len(self._draws)):
            outcome, length = self._episodes.outcomes(p)
            found.append(float(np.sqrt(np.mean((outcome / length) ** 2))) if len(outcome) else 0.0)
        return torch.tensor(found, device=self._decoder.matrices[0].device)

    def select(self, learners: Tensor) -> None:
        """Keep only these learners, ``(P',)`` int64."""
        self._episodes.select(learners)
        self._moments.select(learners)
        self._decoder = self._decoder.select(learners)
        self._adam.select(learners)
        self._updates = self._updates[learners.numpy()]
        self._draws = [self._draws[p] for p in learners.tolist()]
        self._names = [self._names[p] for p in learners.tolist()]

    def learns(self, learner: int) -> bool:
        """Whether there is a decoder, and an episode for it to learn from."""
        return self._credit.method != "uniform" and len(self._episodes.outcomes(learner)[0]) > 0

    def frozen(self, learners: Sequence[int], *, attributed: bool = True) -> Frozen | None:
        """One decoder, fitted to all that these learners, who share their factors, remember.

        None where no episode is known, and for ``uniform``, which has none.
        """
        episodes = self._episodes.pooled(learners)
        if self._credit.method == "uniform" or not len(episodes.outcomes(0)[0]):
            return None
        pool = CreditPool(
            self._credit, [self._names[learners[0]]], [0], rows=self._agents, longest=self._longest,
            device=self._device, agents=self._agents, episodes=episodes,
        )  # fmt: skip
        pool._moments.update(pool._episodes.steps())
        scale = pool.scale()
        # It begins as the decoder of the learner that knows the most episodes.
        first = max(learners, key=lambda learner: len(self._episodes.outcomes(learner)[0]))
        pool._decoder = self._decoder.select(torch.tensor([first]))
        pool._fit(max(REFIT, FITTED - int(self._updates[first])), scale)
        mean, deviation = pool._moments.moments()
        layers = pool._decoder.weights(0)
        layers["decoder.0.weight"] = layers["decoder.0.weight"][: self.factors]
        weights = {
            **layers,
            "factors.mean": mean[0].cpu().numpy(),
            "factors.deviation": deviation[0].cpu().numpy(),
            "scale": scale.cpu().numpy(),
        }
        return Frozen(weights, pool.attribution() if attributed else None)

    def attribution(self, learner: int = 0) -> Attribution:
        """What one learner's decoder makes of its factors, as far as it remembers."""
        names, look = self._names[learner], self._look(learner)
        # Not the one that factors are divided by, which a factor that never varies has as well.
        spread = self._moments.variance[learner].sqrt().float()
        with torch.no_grad():
            unit = self.scale()[learner]
            seen = look.episodes.inputs[look.episodes.taken][None]
            more = effects(lambda factors: look.decoder(look.reads(factors)) * unit, seen, spread)
        mean, deviation = (each[learner].cpu().numpy() for each in self._moments.moments())
        outcome, length = self._episodes.outcomes(learner)
        explained, lost = ablation((self._episodes.means(learner) - mean) / deviation, outcome / length)
        lost_by, more_by = (dict(zip(names, values, strict=True)) for values in (lost, more))
        return Attribution(self._importance(learner, look), lost_by, explained, more_by)

    def importance(self, learner: int = 0) -> dict[str, float]:
        """What ``attribution`` says of it, alone."""
        return self._importance(learner, self._look(learner))

    def _importance(self, learner: int, look: _Look) -> dict[str, float]:
        with torch.no_grad():
            read = look.reads(look.episodes.inputs.flatten(1, 2))
            shares = permutation(look.decoder, read, look.episodes, look.rng)
        return dict(zip(self._names[learner], shares, strict=True))

    def _look(self, learner: int) -> _Look:
        rng, scale = generator(0, "attribution"), self.scale()[learner]
        batch = self._episodes.pooled([learner]).sample(IMPORTANCE_EPISODES, self._longest * self._agents, [rng])
        batch = batch._replace(outcome=batch.outcome / scale.clamp(min=1e-12))
        mean, deviation = (each[[learner]] for each in self._moments.moments())
        decoder = self._decoder.select(torch.tensor([learner]))
        return _Look(lambda factors: normal(factors, mean, deviation, decoder), decoder, batch, rng)

    def _normal(self, factors: Tensor) -> Tensor:
        return normal(factors, *self._moments.moments(), self._decoder)

    def _fit(self, updates: int, scale: Tensor) -> None:
        """Learn from the remembered episodes: ``updates`` steps of gradient descent, or the solution itself."""
        if self._credit.method == "uniform":
            return
        if self._credit.method == "ridge":
            self._solve(scale)
            return
        for left in range(updates, 0, -DRAWN_AT_ONCE):
            self._learn(self._credit.method, min(left, DRAWN_AT_ONCE), scale)

    @torch.no_grad()
    def _solve(self, scale: Tensor) -> None:
        mean, deviation = (each.cpu().numpy().astype(np.float64) for each in self._moments.moments())
        weight, bias = self._decoder.matrices
        weight.zero_()
        bias.zero_()
        for p, unit in enumerate(scale.tolist()):
            outcome, length = self._episodes.outcomes(p)
            if unit > 0:
                inputs = (self._episodes.means(p) - mean[p]) / deviation[p]
                slopes, start = ridge(inputs, outcome / length / unit)
                weight[p, : self.factors, 0] = torch.from_numpy(slopes)
                bias[p, 0, 0] = start

    def _learn(self, method: Method, updates: int, scale: Tensor) -> None:
        episodes = max(1, self._credit.rows // self._most)
        batch = self._episodes.sample(updates * episodes, self._most, self._draws)
        known = scale > 0
        self._updates += updates * known.cpu().numpy()
        batch = batch._replace(outcome=batch.outcome / torch.where(known, scale, 1.0)[:, None])
        for first in range(0, updates * episodes, episodes):
            self._update(method, Sampled(*(part[:, first : first + episodes] for part in batch)), known)

    def _update(self, method: Method, batch: Sampled, known: Tensor) -> None:
        rewards = self._decoder(self._normal(batch.inputs.flatten(1, 2))).view(batch.taken.shape)
        loss = (losses(method, rewards, batch) * known).sum()
        gradients = list(torch.autograd.grad(loss, self._decoder.matrices))
        self._adam.step(self._decoder.matrices, gradients, learning_rate=self._credit.learning_rate, max_norm=1.0)


def normal(factors: Tensor, mean: Tensor, deviation: Tensor, decoder: Decoder) -> Tensor:
    """``(P, B, F)`` factors less their mean, by their deviation, as a decoder reads them."""
    standard = (factors - mean[:, None]) / deviation[:, None]
    return standard.clamp_(-FACTOR_CLIP, FACTOR_CLIP) if decoder.hidden else standard
