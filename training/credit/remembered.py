"""What learners did last, and which of it are completed episodes whose outcome is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from envs.episode import Array
from training.credit.decoder import Sampled, draw_steps


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
        self._totals: list[Array] = [np.zeros((0, factors)) for _ in range(population)]
        """For each learner ``(E, F)``: the sums of the factors over these episodes."""
        self._open = torch.zeros((population, rows // agents, factors), dtype=torch.float64, device=device)
        """The sums over the steps of episodes under way."""
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
        totals = self._sums(factors, ended)
        self._now += steps
        self._latest = [np.concatenate(new) if new else np.zeros((0, 4)) for new in found]
        for p, new in enumerate(found):
            every = np.concatenate([self._done[p], *new])
            kept = every[:, 1] >= self._now - slots
            self._done[p], self._totals[p] = every[kept], np.concatenate([self._totals[p], totals[p]])[kept]

    def _sums(self, factors: Tensor, ended: Array) -> list[Array]:
        """The factors' sums over the episodes that a rollout completed, in the order of ``_done``."""
        population, steps, _, width = factors.shape
        teams = factors.to(torch.float64).view(population, steps, -1, self._agents, width).sum(3)
        running = self._open[:, None] + teams.cumsum(1)
        ends = torch.from_numpy(ended).to(factors.device)
        # A sum runs on over the end of an episode, so the one that began later lacks what stood there.
        learner, env, step = ends.transpose(1, 2).nonzero(as_tuple=True)
        found = running[learner, step, env]
        follows = torch.zeros_like(learner, dtype=torch.bool)
        follows[1:] = (learner[1:] == learner[:-1]) & (env[1:] == env[:-1])
        before = torch.where(follows[:, None], found.roll(1, 0), 0.0)
        own = (found - before).cpu().numpy()
        latest = torch.ones_like(follows)
        latest[:-1] = ~follows[1:]
        self._open = running[:, -1].index_put((learner[latest], env[latest]), -found[latest], accumulate=True)
        order = np.lexsort((env.cpu().numpy(), step.cpu().numpy()))
        whose = learner.cpu().numpy()[order]
        return [own[order][whose == p] for p in range(population)]

    def outcomes(self, learner: int) -> tuple[Array, Array]:
        """Outcome and length of each episode that a learner remembers, ``(E,)``."""
        return self._done[learner][:, 3], self._done[learner][:, 2]

    def means(self, learner: int) -> Array:
        """The factors' means over each episode that a learner remembers, ``(E, F)``."""
        return self._totals[learner] / self._done[learner][:, 2:3]

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
        one._totals = [np.concatenate([self._totals[p] for p in learners])]
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
        self._open = self._open[learners]
        self._done = [self._done[p] for p in kept]
        self._totals = [self._totals[p] for p in kept]
        self._latest = [self._latest[p] for p in kept]
