"""From a task, or an id, to one Gymnasium environment."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import gymnasium

from envs.blackbox import THEIRS, explained, in_words, load_module
from envs.episodic import EpisodicReward
from envs.errors import UserError
from envs.task import TaskSpec


def make_env(task: TaskSpec) -> gymnasium.Env[Any, Any]:
    """One environment of the task, with its time limit. Raises ``UserError`` where an extra is not installed.

    Of a team it is one agent's (``envs.one_agent``).
    """
    env = _one_agent(task) if task.extractor == "mpe" else _gymnasium_env(task)
    return EpisodicReward(env) if task.episodic else env


def _gymnasium_env(task: TaskSpec) -> gymnasium.Env[Any, Any]:
    return open_env(task.env_id, extra=task.extra, max_episode_steps=task.episode_steps, **dict(task.env_kwargs))


def _one_agent(task: TaskSpec) -> gymnasium.Env[Any, Any]:
    # Imported where it is needed: a team's prey is a scripted agent, and those open their environments here.
    from envs.one_agent import OneAgent

    return OneAgent(task)


def open_env(env_id: str, *, extra: str | None = None, **kwargs: Any) -> gymnasium.Env[Any, Any]:
    """``gymnasium.make`` by id; ``module:Id-v0`` imports the user's module first.

    Raises ``UserError``: id unknown, module missing or broken, package missing (``extra`` is ours that has it).
    """
    module = env_id.partition(":")[0] if ":" in env_id else None
    if module is not None:
        load_module(module, "--env")
    elif env_id.startswith(("MiniGrid-", "BabyAI-")):
        import_module("minigrid")
    try:
        with warnings.catch_warnings(), _no_word_of_old_attributes(env_id):
            warnings.filterwarnings("ignore", message=".*Overriding environment.*|.*out of date.*")
            return gymnasium.make(env_id, disable_env_checker=True, **kwargs)
    except gymnasium.error.DependencyNotInstalled as error:
        remedy = f"pip install 'rewardsmith[{extra}]'" if extra else "install it beside rewardsmith"
        raise UserError(
            f"{env_id} needs a package that is not installed: {in_words(error)}. Remedy: {remedy}"
        ) from error
    except gymnasium.error.Error as error:
        raise UserError(
            f"Gymnasium cannot make {env_id!r}: {in_words(error)} For an environment that your own module registers, "
            "write module:Id-v0."
        ) from error
    except THEIRS as error:
        raise explained(f"making {env_id}", error) from error


@contextmanager
def _no_word_of_old_attributes(env_id: str) -> Iterator[None]:
    """MuJoCo 4 deprecates an attribute of Gymnasium's HalfCheetah, and says so for every environment that is made.

    It would print that on the terminal and write it to a file in the user's folder. Other warnings go Python's way.
    """
    spec = gymnasium.registry.get(env_id)
    if spec is None or "mujoco" not in str(spec.entry_point) or find_spec("mujoco") is None:
        yield
        return
    import mujoco

    if not hasattr(mujoco, "get_mju_user_warning"):
        yield
        return

    def tell(message: str) -> None:
        if "is deprecated" not in message:
            warnings.warn(message, RuntimeWarning, stacklevel=2)

    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(tell)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)
