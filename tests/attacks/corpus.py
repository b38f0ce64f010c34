"""The attack corpus: hostile reward programs of eight families, a file for each."""

from __future__ import annotations

from tests.attacks import determinism, escape, exfiltration, library, resources, service, tampering, values
from tests.attacks.attack import PRELOAD, PRELUDE, Attack

__all__ = ["ATTACKS", "PRELOAD", "PRELUDE", "Attack"]

ATTACKS: tuple[Attack, ...] = (
    *escape.ATTACKS,
    *exfiltration.ATTACKS,
    *resources.ATTACKS,
    *library.ATTACKS,
    *tampering.ATTACKS,
    *values.ATTACKS,
    *determinism.ATTACKS,
    *service.ATTACKS,
)
