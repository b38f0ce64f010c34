"""From a task to many environments that step as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from envs.gym_vector import GymVectorEnvironment
from envs.task import TaskSpec
from envs.vector import VectorEnvironment

if TYPE_CHECKING:
    import torch

Split = Literal["train", "test"]


def make_vector(
    task: TaskSpec, seeds: Sequence[int], *, device: str | torch.device = "cpu", split: Split = "train"
) -> VectorEnvironment:
    """``len(seeds)`` environments, row ``i`` seeded by ``seeds[i]`` alone; ``test`` seeds never meet ``train`` ones.

    The tensor simulator where it knows the task, one Gymnasium environment a row everywhere else.
    """
    if task.extractor == "grid":
        # Imported where it is needed: other tasks do without MiniGrid.
        from envs.grid.vector import GridVectorEnvironment, supports

        if supports(task):
            return GridVectorEnvironment(task, seeds, device=device, split=split)
    return GymVectorEnvironment(task, seeds, device=device, split=split)
