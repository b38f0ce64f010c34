"""A second author's attacks, who had read the walls and the first list: the same eight families.

Some would harm the machine where a wall is missing: they are run against whole sandboxes only.
"""

from __future__ import annotations

from tests.attacks.attack import Attack
from tests.attacks.second import (
    determinism,
    escape,
    exfiltration,
    gaps,
    latents,
    library,
    resources,
    service,
    tampering,
    values,
)

ATTACKS: tuple[Attack, ...] = (
    *escape.ATTACKS,
    *exfiltration.ATTACKS,
    *resources.ATTACKS,
    *library.ATTACKS,
    *tampering.ATTACKS,
    *values.ATTACKS,
    *latents.ATTACKS,
    *determinism.ATTACKS,
    *service.ATTACKS,
    *gaps.ATTACKS,
)
