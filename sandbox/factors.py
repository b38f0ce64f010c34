"""What the factors of a latent reward are to each other: two or more that vary, and that say different things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sandbox.errors import Violation
from sandbox.measures import EXACT, collinear, constant, dependent, effective_rank
from sandbox.rowwise import violation
from sandbox.service import Array

FAR = 1 / 2
"""Share of the factors that vary, below which their effective rank is told, also where no two follow each other."""
_MOST = 8
"""Pairs that a warning names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """How the factors of a latent reward lie to each other."""

    effective_rank: float
    """How many independent factors there are in effect (Roy and Vetterli 2007)."""
    collinear: tuple[tuple[str, str, float], ...]
    """Pairs that say the same, with their correlation."""
    dependent: tuple[str, ...] = ()
    """Factors that are weighted sums of each other."""

    @classmethod
    def of(cls, factors: Mapping[str, Array]) -> Latent:
        """Measure factors ``(N,)`` by name."""
        columns = np.stack(list(factors.values()), axis=1)
        return cls(effective_rank=effective_rank(columns), collinear=collinear(factors), dependent=dependent(factors))


def refused(factors: Mapping[str, Array]) -> list[Violation]:
    """What sampled transitions prove against factors ``(N,)``; one that is constant there may vary elsewhere."""
    if len(factors) < 2:
        message = "There is only one factor. Return two or more factors that say different things about a transition."
        return [violation("invalid", "factors", message)]
    if any(map(constant, factors.values())):
        return []
    if np.all(np.abs(np.corrcoef(np.stack(list(factors.values())))) > EXACT):
        message = (
            "The factors all say one thing: in the sampled transitions each follows the others exactly. Return two or "
            "more factors that differ."
        )
        return [violation("invalid", "factors", message)]
    return []


def warnings(factors: Mapping[str, Array], found: Latent) -> list[str]:
    """What sampled transitions show of factors ``(N,)`` that say again what others say."""
    told = []
    if found.collinear:
        pairs = [f"`{one}` and `{two}` ({correlation:+.3f})" for one, two, correlation in found.collinear[:_MOST]]
        more = f" and {len(found.collinear) - _MOST} more" if len(found.collinear) > _MOST else ""
        named = ", ".join(pairs) + more
        told.append(f"These factors follow each other in the sampled transitions: {named}. Keep one of each pair.")
    if found.dependent:
        named = ", ".join(f"`{name}`" for name in found.dependent)
        told.append(
            f"These factors are weighted sums of each other in the sampled transitions: {named}. Leave one out."
        )
    varying = sum(not constant(values) for values in factors.values())
    if found.effective_rank < FAR * varying:
        told.append(
            f"The effective rank is {found.effective_rank:.2f}: the {varying} factors that vary say no more than that "
            "many independent ones. Replace those that say again what others say."
        )
    return told
