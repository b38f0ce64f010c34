"""The learners of a population that are paid from decoders, pooled where they are alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from envs.episode import Array
from training.credit.decoder import Factors
from training.credit.pool import CreditPool, Frozen
from training.credit.raw_inputs import RawInputs
from training.credit.settings import Credit
from training.result import Learner


class Crediting:
    """Pays the learners of a population that have a ``Credit``, each from its own decoder."""

    def __init__(self, learners: Sequence[Learner], *, rows: int, longest: int, device: str, agents: int = 1) -> None:
        self._learners = list(learners)
        self._rows, self._longest, self._device, self._agents = rows, longest, device, agents
        self._courses: dict[str, list[tuple[int, dict[str, float]]]] = {}
        self._pools: list[tuple[list[int], CreditPool]] | None = None
        """Positions of a pool's learners, ascending; None before the first rollout tells how many factors there are."""

    def __call__(self, reward: Array, factors: Mapping[int, Factors], native: Array, ended: Array) -> Array:
        """``reward`` ``(P, T, N)`` with the rows of these learners written anew.

        ``factors`` holds those of each position, nothing for a learner whose program failed; ``native`` and ``ended``
        are ``(P, T, N)``.
        """
        if self._pools is None:
            self._pools = self._make_pools(factors)
        paid = reward.copy()
        for members, pool in self._pools:
            nothing = np.zeros((*reward.shape[1:], pool.factors), dtype=np.float32)
            told = torch.from_numpy(np.stack([factors[p].values if p in factors else nothing for p in members]))
            paid[members] = pool(told.to(self._device), native[members], ended[members]).cpu().numpy()
        return paid

    def frozen(self, arm: str) -> Frozen | None:
        """One decoder for all of an arm's learners; None for an arm that has none."""
        for members, pool in self._pools or ():
            own = [i for i, p in enumerate(members) if self._learners[p].arm == arm]
            if own:
                raw = isinstance(self._learners[members[own[0]]].reward, RawInputs)
                return pool.frozen(own, attributed=not raw)
        return None

    def look(self, env_steps: int) -> None:
        """Note what the decoder of each arm's first learner makes of its factors after so many of its steps."""
        for members, pool in self._pools or ():
            seen = set()
            for i, p in enumerate(members):
                one = self._learners[p]
                if one.arm not in seen and pool.learns(i) and not isinstance(one.reward, RawInputs):
                    self._courses.setdefault(one.arm, []).append((env_steps, pool.importance(i)))
                seen.add(one.arm)

    def course(self, arm: str) -> tuple[tuple[int, dict[str, float]], ...]:
        """What ``look`` noted of an arm."""
        return tuple(self._courses.get(arm, ()))

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

    def _make_pools(self, factors: Mapping[int, Factors]) -> list[tuple[list[int], CreditPool]]:
        alike: dict[tuple[Credit, int], list[int]] = {}
        # ``uniform`` reads no factor, and a learner whose program failed is about to leave.
        names = {p: factors[p].names if p in factors else ("none",) for p in range(len(self._learners))}
        for p, learner in enumerate(self._learners):
            if learner.credit is not None:
                alike.setdefault((learner.credit, len(names[p])), []).append(p)
        return [
            (
                members,
                CreditPool(
                    credit,
                    [names[p] for p in members],
                    [self._learners[p].seed for p in members],
                    rows=self._rows,
                    agents=self._agents,
                    longest=self._longest,
                    device=self._device,
                ),
            )
            for (credit, _), members in alike.items()
        ]
