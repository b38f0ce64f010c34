"""From a task to environments: one Gymnasium environment, or many stepped as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import gymnasium
import torch

from envs.errors import UserError
from envs.task import TaskSpec
from envs.vector import VectorEnvironment

Split = Literal["train", "test"]


def make_env(task: TaskSpec) -> gymnasium.Env[Any, Any]:
    """One environment of the task, with its time limit. Raises ``UserError`` where an extra is not installed."""
    import_registering_module(task.env_id)
    try:
        return gymnasium.make(
            task.env_id,
            max_episode_steps=task.episode_steps,
            disable_env_checker=True,
            **dict(task.env_kwargs),
        )
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(missing_package(task, error)) from error


def missing_package(task: TaskSpec, error: Exception) -> str:
    """What to install when an environment's package is missing."""
    remedy = f"pip install 'rewardsmith[{task.extra}]'" if task.extra else "install what it names"
    return f"{task.env_id} needs a package that is not installed ({error}). Remedy: {remedy}"


def import_registering_module(env_id: str) -> None:
    """Import what registers the id: minigrid for its own ids (a user's ``module:Id-v0`` gymnasium imports)."""
    if env_id.startswith(("MiniGrid-", "BabyAI-")):
        import_module("minigrid")


def make_vector(
    task: TaskSpec, seeds: Sequence[int], *, device: str | torch.device = "cpu", split: Split = "train"
) -> VectorEnvironment:
    """``len(seeds)`` environments, row ``i`` seeded by ``seeds[i]`` alone; ``test`` seeds never meet ``train`` ones.

    The tensor simulator where it knows the task, one Gymnasium environment a row everywhere else.
    """
    if task.extractor == "grid" and task.fitness.function is None and find_spec("envs.grid.vector"):
        simulator: Any = import_module("envs.grid.vector")
        if simulator.supports(task):
            fast: VectorEnvironment = simulator.GridVectorEnvironment(task, seeds, device=device, split=split)
            return fast
    from envs.gym_vector import GymVectorEnvironment

    return GymVectorEnvironment(task, seeds, device=device, split=split)
