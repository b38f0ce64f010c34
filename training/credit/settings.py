"""How outcomes become credit: which decoder, and how much it learns. Loads no PyTorch, so that options can name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Method = Literal["ridge", "rd", "rrd", "rrdu"]
DEFAULT_METHOD: Method = "ridge"
"""Said why in docs/decisions/0012."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """How a learner's outcomes become rewards."""

    method: Method | Literal["uniform"] = DEFAULT_METHOD
    """``uniform`` gives each step its share ``R / T``, as iterative relative credit refinement does (Gangwani et al.
    2020), and needs no decoder.
    """
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the decoder's layers; ``ridge`` has none."""
    sampled: int = 64
    """Steps of an episode that RRD and RRDu look at."""
    rows: int = 1_024
    """Steps that an update looks at, of as many episodes as they make."""
    updates: int = 6
    """Updates of the decoder after each rollout, which make the fastest training a fifth longer (docs/performance.md);
    ``ridge`` needs none."""
    learning_rate: float = 3e-3
    kept_steps: int = 100_000
    """Steps of a learner that are remembered."""
