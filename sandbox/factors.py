"""What the factors of a latent reward are to each other: two or more that vary, and that say different things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sandbox.errors import Violation
from sandbox.measures import collinear, constant, effective_rank
from sandbox.rowwise import violation
from sandbox.service import Array

EXACT = 1 - 1e-6
"""Absolute correlation from which one factor follows another but for rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """How the factors of a latent reward lie to each other."""

    effective_rank: float
    """How many independent factors there are in effect (Roy and Vetterli 2007)."""
    collinear: tuple[tuple[str, str, float], ...]
    """Pairs that say the same, with their correlation."""

    @classmethod
    def of(cls, factors: Mapping[str, Array]) -> Latent:
        """Measure factors ``(N,)`` by name."""
        columns = np.stack(list(factors.values()), axis=1)
        return cls(effective_rank=effective_rank(columns), collinear=collinear(factors))


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
