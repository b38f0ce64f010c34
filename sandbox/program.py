"""A reward program: one Python source with one entry point, named by what it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

Form = Literal["reward", "latent"]
ENTRY_POINT: dict[Form, str] = {"reward": "compute_reward", "latent": "compute_latent"}


@dataclass(frozen=True, slots=True)
class RewardProgram:
    """Source text and its kind. Equal programs have equal ids."""

    source: str
    form: Form = "reward"

    @property
    def id(self) -> str:
        """First 12 hex digits of SHA-256 over kind and source."""
        return hashlib.sha256(f"{self.form}\0{self.source}".encode(errors="surrogatepass")).hexdigest()[:12]

    @property
    def entry_point(self) -> str:
        """The function that the program must define."""
        return ENTRY_POINT[self.form]
