"""The attack corpus: hostile reward programs of eight families, a file for each, by two authors."""

from __future__ import annotations

from tests.attacks import determinism, escape, exfiltration, library, resources, second, service, tampering, values
from tests.attacks.attack import PRELOAD, PRELUDE, Attack

__all__ = ["ATTACKS", "FIRST", "PRELOAD", "PRELUDE", "Attack"]

FIRST: tuple[Attack, ...] = (
    *escape.ATTACKS,
    *exfiltration.ATTACKS,
    *resources.ATTACKS,
    *library.ATTACKS,
    *tampering.ATTACKS,
    *values.ATTACKS,
    *determinism.ATTACKS,
    *service.ATTACKS,
)
"""The first author's, none of which harms the machine where a wall is missing, but for those that say so."""
ATTACKS: tuple[Attack, ...] = (*FIRST, *second.ATTACKS)
