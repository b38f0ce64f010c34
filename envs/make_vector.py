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

    The tensor simulator where it knows the task; one row for each agent of MPE's teams, where a copy is seeded by its
    first row; one Gymnasium environment a row everywhere else.
    """
    if task.extractor == "mpe":
        from envs.multi_agent import MultiAgentVectorEnvironment

        return MultiAgentVectorEnvironment(task, seeds, device=device, split=split)
    if simulated(task):
        from envs.grid.vector import GridVectorEnvironment

        return GridVectorEnvironment(task, seeds, device=device, split=split)
    return GymVectorEnvironment(task, seeds, device=device, split=split)


def simulated(task: TaskSpec) -> bool:
    """Whether the task's environments are stepped as tensors."""
    if task.extractor != "grid":
        return False
    # Imported where it is needed: other tasks do without MiniGrid.
    from envs.grid.vector import supports

    return supports(task)


def described(task: TaskSpec) -> str:
    """In a line, how the task's environments are stepped, for who waits for a training."""
    if simulated(task):
        return f"{task.env_id} as tensors, all of them at once"
    if task.extractor == "mpe":
        return f"{task.env_id} through PettingZoo, one copy of {task.agents} agents after another"
    why = ", for the tensor simulator does not know it" if task.extractor == "grid" else ""
    return f"{task.env_id} through Gymnasium, one after another{why}"
