"""Credit for outcomes: learners that are told an episode's sum alone are paid what their decoder makes of each step.

What is known of a step, its factors, is had once, kept on the device, and read again by every update of the decoder.
A decoder learns from completed episodes only; the steps of open ones are paid by the decoder as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.episode import Array, Transitions
from envs.task import Action
from training.decoder import Credit, Decoder, Method, Sampled, draw_steps, initial_decoder, losses
from training.observation import RunningMoments
from training.ppo import Adam
from training.result import Learner
from training.reward import RewardAnswer
from training.seeding import generator

FACTOR_CLIP = 10.0
"""Bound on a normalised factor, in deviations."""
REFIT = 400
"""Updates that fit a frozen decoder."""
IMPORTANCE_EPISODES = 64


class Frozen(NamedTuple):
    """A decoder for use without any further training."""

    weights: dict[str, Array]
    """``decoder.*``; around them ``factors.mean`` and ``factors.deviation`` ``(F,)``, and ``scale`` ``(1,)``."""
    importance: Array
    """``(F,)``: by how much the error of the outcomes grows without a factor, as a share of their variance."""


class Episodes:
    """What ``P`` learners did last in ``N`` rows each, and which of it are completed episodes.

    Rows that lie side by side may be the agents of one environment: their outcome is their team's, and an episode's
    steps are those of all of them, ``T`` times the number of agents.
    """

    def __init__(self, population: int, rows: int, factors: int, slots: int, device: str, *, agents: int = 1) -> None:
        """``slots``: steps of an environment that are remembered."""
        self._ring = torch.zeros((population, slots, rows, factors), device=device)
        self._agents = agents
        self._now = 0
        self._began = np.zeros((population, rows // agents), dtype=np.int64)
        self._sum = np.zeros((population, rows // agents))
        self._done: list[Array] = [np.zeros((0, 4)) for _ in range(population)]
        """For each learner ``(E, 4)``: environment, first step, length (of all agents together), outcome."""
        self._latest = self._done
        """Those of them that the last rollout completed."""

    def add(self, factors: Tensor, native: Array, ended: Array) -> None:
        """A rollout: ``(P, T, N, F)`` factors, ``(P, T, N)`` rewards and whether an episode ended."""
        population, steps, _ = native.shape
        slots = self._ring.shape[1]
        native = native.reshape(population, steps, -1, self._agents).sum(3)
        ended = ended[:, :, :: self._agents]
        place = torch.arange(self._now, self._now + steps, device=factors.device) % slots
        self._ring.index_copy_(1, place, factors)
        found: list[list[Array]] = [[] for _ in range(population)]
        for t in range(steps):
            self._sum += native[:, t]
            for p in np.flatnonzero(ended[:, t].any(1)).tolist():
                env = np.flatnonzero(ended[p, t])
                length = (self._now + t + 1 - self._began[p, env]) * self._agents
                found[p].append(np.stack([env, self._began[p, env], length, self._sum[p, env]], 1))
                self._began[p, env], self._sum[p, env] = self._now + t + 1, 0.0
        self._now += steps
        self._latest = [np.concatenate(new) if new else np.zeros((0, 4)) for new in found]
        for p, new in enumerate(found):
            every = np.concatenate([self._done[p], *new])
            self._done[p] = every[every[:, 1] >= self._now - slots]

    def outcomes(self, learner: int) -> tuple[Array, Array]:
        """Outcome and length of each episode that a learner remembers, ``(E,)``."""
        return self._done[learner][:, 3], self._done[learner][:, 2]

    def shares(self, steps: int) -> Array:
        """Each step's share of its episode's outcome in the last rollout of ``steps`` steps, ``(P, T, N)`` float32.

        A step of an open episode gets the mean share of the remembered ones.
        """
        population, _, rows, _ = self._ring.shape
        agents = self._agents
        shares = np.zeros((population, steps, rows), dtype=np.float32)
        for p, (latest, done) in enumerate(zip(self._latest, self._done, strict=True)):
            shares[p] = float((done[:, 3] / done[:, 2]).mean()) if len(done) else 0.0
            for env, first, length, outcome in latest:
                begin = int(first) - (self._now - steps)
                own = slice(int(env) * agents, (int(env) + 1) * agents)
                shares[p, max(0, begin) : begin + int(length) // agents, own] = outcome / length
        return shares

    def sample(self, episodes: int, most: int, generators: Sequence[torch.Generator]) -> Sampled:
        """``episodes`` of each learner, with replacement, and ``most`` steps of each, without.

        Learners that have completed none get zeros.
        """
        population, slots, rows, factors = self._ring.shape
        agents = self._agents
        flat, taken, numbers = [], [], []
        for done, rng in zip(self._done, generators, strict=True):
            if not len(done):
                done = np.array([[0.0, 0.0, 1.0, 0.0]])
            chosen = torch.from_numpy(done)[torch.randint(len(done), (episodes,), generator=rng)]
            env, first, length = chosen[:, :3].long().unbind(1)
            steps, there = draw_steps(length, most, rng)
            time = (first[:, None] + steps // agents) % slots
            flat.append(time * rows + env[:, None] * agents + steps % agents)
            taken.append(there)
            numbers.append(chosen[:, 2:].float())
        device = self._ring.device
        index = torch.stack(flat).to(device) + torch.arange(population, device=device)[:, None, None] * (slots * rows)
        inputs = self._ring.view(-1, factors).index_select(0, index.view(-1)).view(population, episodes, most, factors)
        length, outcome = torch.stack(numbers).to(device).unbind(2)
        return Sampled(inputs, torch.stack(taken).to(device), length, outcome)

    def pooled(self, learners: Sequence[int]) -> Episodes:
        """What these learners remember, as one learner's with all their environments."""
        _, slots, rows, factors = self._ring.shape
        every = rows * len(learners)
        one = Episodes(1, every, factors, slots, str(self._ring.device), agents=self._agents)
        one._ring = self._ring[list(learners)].transpose(0, 1).reshape(1, slots, -1, factors)
        one._now = self._now
        offset = np.array([[rows // self._agents, 0, 0, 0]])
        one._done = [np.concatenate([self._done[p] + offset * i for i, p in enumerate(learners)])]
        return one

    def steps(self) -> Tensor:
        """Every remembered step of the first learner, ``(1, B, F)``."""
        slots = self._ring.shape[1]
        return self._ring[:1, : min(self._now, slots)].flatten(1, 2)

    def select(self, learners: Tensor) -> None:
        """Keep only these learners, ``(P',)`` int64."""
        kept = learners.tolist()
        self._ring = self._ring[learners]
        self._began, self._sum = self._began[kept], self._sum[kept]
        self._done = [self._done[p] for p in kept]
        self._latest = [self._latest[p] for p in kept]


class CreditPool:
    """Learners with the same settings and as many factors, up to padding; none feels the others."""

    def __init__(
        self,
        credit: Credit,
        factors: int,
        seeds: Sequence[int],
        *,
        rows: int,
        longest: int,
        device: str,
        agents: int = 1,
    ) -> None:
        """``longest``: steps of an episode at most; ``agents`` of one environment lie side by side in ``rows``."""
        self._credit, self.factors = credit, factors
        self._longest, self._agents, self._device = longest, agents, device
        # An episode must fit while the next one is under way.
        slots = max(credit.kept_steps // rows, 2 * longest + 1)
        self._episodes = Episodes(len(seeds), rows, factors, slots, device, agents=agents)
        every = longest * agents
        self._most = every if credit.method == "rd" else min(credit.sampled, every)
        self._moments = RunningMoments(len(seeds), factors, device)
        self._draws = [generator(seed, "decoder batches") for seed in seeds]
        weights = [generator(seed, "decoder weights") for seed in seeds]
        self._decoder = initial_decoder(factors, credit.hidden, weights, device)
        self._adam = Adam(self._decoder.matrices)

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
        for _ in range(self._credit.updates):
            self._update(self._credit.method, scale)
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
        self._draws = [self._draws[p] for p in learners.tolist()]

    def frozen(self, learners: Sequence[int]) -> Frozen | None:
        """One decoder, fitted to all that these learners remember; None where no episode is known.

        ``uniform`` has none either.
        """
        if self._credit.method == "uniform":
            return None
        pool = CreditPool(
            self._credit, self.factors, [0], rows=self._agents, longest=self._longest, device=self._device,
            agents=self._agents,
        )  # fmt: skip
        pool._episodes = self._episodes.pooled(learners)
        if not len(pool._episodes.outcomes(0)[0]):
            return None
        pool._moments.update(pool._episodes.steps())
        scale = pool.scale()
        for _ in range(REFIT):
            pool._update(self._credit.method, scale)
        mean, deviation = pool._moments.moments()
        layers = pool._decoder.weights(0)
        layers["decoder.0.weight"] = layers["decoder.0.weight"][: self.factors]
        weights = {
            **layers,
            "factors.mean": mean[0].cpu().numpy(),
            "factors.deviation": deviation[0].cpu().numpy(),
            "scale": scale.cpu().numpy(),
        }
        return Frozen(weights, pool._importance(scale))

    @torch.no_grad()
    def _importance(self, scale: Tensor) -> Array:
        """By how much the error of the outcomes grows without each factor, ``(F,)``, as a share of their variance.

        A factor is taken away by exchanging its values among the steps (Breiman 2001).
        """
        batch = self._episodes.sample(IMPORTANCE_EPISODES, self._longest * self._agents, self._draws)
        wanted = batch.outcome / batch.length / scale[:, None]
        taken = batch.taken.flatten(1)

        def error(inputs: Tensor) -> Tensor:
            rewards = (self._decoder(inputs) * taken).view(batch.taken.shape)
            return (rewards.sum(2) / batch.length - wanted).square().mean()

        normal = self._normal(batch.inputs.flatten(1, 2))
        plain, found = error(normal), []
        places = taken[0].nonzero().view(-1)
        order = places[torch.randperm(len(places), generator=self._draws[0]).to(places.device)]
        for factor in range(self.factors):
            without = normal.clone()
            without[0, places, factor] = normal[0, order, factor]
            found.append(float((error(without) - plain) / wanted.var().clamp(min=1e-12)))
        return np.array(found)

    def _normal(self, factors: Tensor) -> Tensor:
        """``(P, B, F)`` factors less their running mean, by their deviation, in bounds."""
        mean, deviation = self._moments.moments()
        return ((factors - mean[:, None]) / deviation[:, None]).clamp_(-FACTOR_CLIP, FACTOR_CLIP)

    def _update(self, method: Method, scale: Tensor) -> None:
        batch = self._episodes.sample(max(1, self._credit.rows // self._most), self._most, self._draws)
        known = scale > 0
        batch = batch._replace(outcome=batch.outcome / torch.where(known, scale, 1.0)[:, None])
        rewards = self._decoder(self._normal(batch.inputs.flatten(1, 2))).view(batch.taken.shape)
        loss = (losses(method, rewards, batch) * known).sum()
        gradients = list(torch.autograd.grad(loss, self._decoder.matrices))
        self._adam.step(self._decoder.matrices, gradients, learning_rate=self._credit.learning_rate, max_norm=1.0)


class RawInputs:
    """State and action themselves as factors: what a decoder reads where nobody wrote a latent reward."""

    def __init__(self, action: Action) -> None:
        self._action = action

    def __call__(self, transitions: Transitions) -> RewardAnswer:
        """A component for each number of the state, and of the action (one-hot where it is discrete)."""
        lead = transitions.action.shape[:2]
        columns = [np.asarray(v, dtype=np.float32).reshape(*lead, -1) for v in transitions.state.values()]
        if self._action.kind == "discrete":
            columns.append(np.eye(self._action.size, dtype=np.float32)[transitions.action])
        else:
            columns.append(transitions.action.astype(np.float32))
        every = np.concatenate(columns, -1)
        return RewardAnswer(components={f"input_{i}": every[..., i] for i in range(every.shape[-1])})

    def restart(self) -> None:
        """Nothing is remembered."""


class Crediting:
    """Pays the learners of a population that have a ``Credit``, each from its own decoder."""

    def __init__(self, learners: Sequence[Learner], *, rows: int, longest: int, device: str, agents: int = 1) -> None:
        self._learners = list(learners)
        self._rows, self._longest, self._device, self._agents = rows, longest, device, agents
        self._pools: list[tuple[list[int], CreditPool]] | None = None
        """Positions of a pool's learners, ascending; None before the first rollout tells how many factors there are."""

    def __call__(self, reward: Array, factors: Mapping[int, Array], native: Array, ended: Array) -> Array:
        """``reward`` ``(P, T, N)`` with the rows of these learners written anew.

        ``factors`` holds ``(T, N, K)`` by position, nothing for a learner whose program failed; ``native`` and
        ``ended`` are ``(P, T, N)``.
        """
        if self._pools is None:
            self._pools = self._make_pools(factors)
        paid = reward.copy()
        for members, pool in self._pools:
            known = [factors.get(p) for p in members]
            width = pool.factors
            nothing = np.zeros((*reward.shape[1:], width), dtype=np.float32)
            told = torch.from_numpy(np.stack([nothing if each is None else each for each in known]))
            paid[members] = pool(told.to(self._device), native[members], ended[members]).cpu().numpy()
        return paid

    def frozen(self, arm: str) -> Frozen | None:
        """One decoder for all of an arm's learners; None for an arm that has none."""
        for members, pool in self._pools or ():
            own = [i for i, p in enumerate(members) if self._learners[p].arm == arm]
            if own:
                return pool.frozen(own)
        return None

    def select(self, kept: Sequence[int]) -> None:
        """Keep only the learners at these positions, which are numbered anew."""
        new = {p: i for i, p in enumerate(kept)}
        self._learners = [self._learners[p] for p in kept]
        pools = []
        for members, pool in self._pools or ():
            stay = [i for i, p in enumerate(members) if p in new]
            if stay:
                pool.select(torch.tensor(stay))
                pools.append(([new[members[i]] for i in stay], pool))
        self._pools = None if self._pools is None else pools

    def _make_pools(self, factors: Mapping[int, Array]) -> list[tuple[list[int], CreditPool]]:
        alike: dict[tuple[Credit, int], list[int]] = {}
        for p, learner in enumerate(self._learners):
            if learner.credit is not None:
                alike.setdefault((learner.credit, factors[p].shape[-1] if p in factors else 1), []).append(p)
        return [
            (
                members,
                CreditPool(
                    credit,
                    width,
                    [self._learners[p].seed for p in members],
                    rows=self._rows,
                    agents=self._agents,
                    longest=self._longest,
                    device=self._device,
                ),
            )
            for (credit, width), members in alike.items()
        ]
