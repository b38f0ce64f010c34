"""The contract between environments and the trainer: many copies of a task, stepped as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:  # tasks are read, listed and rendered without torch, whose import takes a second
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a policy sees: exactly the environment's own observation, flattened."""

    kind: Literal["continuous", "grid"]
    """``continuous``: ``(M, size)`` float32. ``grid``: ``(M, 56)`` uint8, MiniGrid's 7x7 view.

    Each of its columns has eight numbers: the codes (``envs.grid.cells``) of the cells from far to near, and a 0, in
    whose place the last column has the direction's code. ``envs.grid.cells.drawn`` is what MiniGrid shows of it, and
    a policy is fed no more.
    """
    size: int


def split_seed(seed: int, split: Literal["train", "test"]) -> int:
    """The seed that an environment which steps itself is reset with: those of the two splits never meet."""
    return 2 * int(seed) + (split == "test")


class Step(NamedTuple):
    """One step of ``M`` environments, which reset themselves within the step (same-step autoreset)."""

    observation: Tensor
    """``(M, size)``: of the next step to take, so after a reset where an episode ended."""
    reward: Tensor
    """``(M,)`` float32: what the environment itself pays."""
    terminated: Tensor
    """``(M,)`` bool."""
    truncated: Tensor
    """``(M,)`` bool; never true where ``terminated`` is."""
    success: Tensor
    """``(M,)`` bool: the task's own success, meaningful where an episode ended."""
    score: Tensor | None
    """``(M,)`` float32 from a user's ``--fitness`` function, meaningful where an episode ended; None without one."""
    state: dict[str, Tensor]
    """Each field ``(M, *shape)``, of the same moment as ``observation``."""
    next_state: dict[str, Tensor]
    """Each field ``(M, *shape)``, before any reset: at an episode's end the final state."""
    final_observation: Tensor
    """``(M, size)``: the observation before any reset; what a truncated episode's value is bootstrapped from."""


class VectorEnvironment(Protocol):
    """``M`` environments whose random streams depend on nothing but each row's own seed."""

    num_envs: int
    observation: Observation

    def reset(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Start every environment anew from its seed; ``(M, size)`` observations and the state fields."""

    def step(self, action: Tensor) -> Step:
        """Take ``(M,)`` int64 or ``(M, A)`` float32 actions; continuous ones are clipped to the space here."""

    def select(self, rows: Tensor) -> None:
        """Keep only these rows (``(M',)`` int64, ascending), which go on undisturbed: dropped learners cost nothing."""

    def close(self) -> None:
        """Free what the environments hold."""
