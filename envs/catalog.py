"""Tasks by name, each a TOML file of ``envs/tasks``, and tasks made of a user's sentence and environment."""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from envs.episodic import SUFFIX, episodic
from envs.errors import UserError
from envs.families import action_of, family_of, state_of
from envs.own_env import Inspection, inspect
from envs.record import random_episodes, score_function
from envs.task import Fitness, PPOSettings, TaskSpec

TASKS = Path(__file__).parent / "tasks"
ENV_STEPS = 100_000
"""Training budget of an environment that no listed task knows."""


def ids() -> tuple[str, ...]:
    """The ids of all listed tasks, sorted."""
    return tuple(sorted(path.stem for path in TASKS.glob("*.toml")))


def load(task_id: str) -> TaskSpec:
    """The listed task of that id, or with ``-episodic`` behind it the same with its reward withheld.

    Raises ``UserError`` when there is none, naming the nearest ids.
    """
    plain = task_id.removesuffix(SUFFIX)
    if plain != task_id and plain in ids():
        return episodic(read(TASKS / f"{plain}.toml"))
    if task_id not in ids():
        near = difflib.get_close_matches(task_id.lower(), ids(), n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Tasks: {', '.join(ids())}."
        raise UserError(
            f"there is no task {task_id!r}. {hint} For an environment of your own, give a sentence and --env ENV_ID."
        )
    return read(TASKS / f"{task_id}.toml")


def read(path: Path) -> TaskSpec:
    """The task that a TOML file holds; its id is the file's name. Raises ``UserError`` naming file and key."""
    try:
        return _task(path.stem, tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not TOML: {error}") from error
    except KeyError as error:
        raise UserError(f"{path}: the key {error} is missing, or names an environment that its family lacks") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from error


def _task(task_id: str, table: dict[str, Any]) -> TaskSpec:
    family, env_id = table.pop("family"), table.pop("env_id")
    kwargs, ppo = table.pop("env_kwargs", {}), table.pop("ppo", {})
    if "hidden" in ppo:
        ppo["hidden"] = tuple(ppo["hidden"])
    return TaskSpec(
        id=task_id,
        env_id=env_id,
        description=" ".join(table.pop("description").split()),
        state=state_of(family, env_id, kwargs),
        action=action_of(family, env_id),
        fitness=Fitness(**table.pop("fitness")),
        extractor=family,
        ppo=PPOSettings(**ppo),
        env_kwargs=tuple(sorted(kwargs.items())),
        **table,
    )


def from_sentence(
    sentence: str,
    env_id: str,
    *,
    state: str | None = None,
    fitness: str | None = None,
    env_steps: int | None = None,
) -> TaskSpec:
    """A task from a sentence and any Gymnasium id (``module:Id-v0`` imports what registers it).

    State is read by ``state`` (``module:function``) where one is given, by the id's family where one knows it, and
    is the observation's dimensions otherwise. Fitness is the user's ``fitness`` (``module:function``, given an
    ``envs.episode.Episode``, returning a number) or the environment's own return. An id that a listed task uses
    brings that task's settings. Raises ``UserError`` for whatever of this cannot be had.
    """
    if not sentence.strip():
        raise UserError("say in a sentence what the agent is to do")
    found = inspect(env_id, state)
    family = family_of(env_id)
    listed = next((task for task in map(load, ids()) if task.env_id == env_id), None)
    base = listed or _unlisted(env_id, found)
    schema = found.state if state else state_of(family, env_id, {}) if family else found.state
    task = replace(
        base,
        id=_name(sentence, env_id, state, fitness),
        description=" ".join(sentence.split()),
        state=schema,
        action=action_of(family, env_id) if family else found.action,
        fitness=replace(base.fitness, kind="return", function=fitness),
        extractor=state or family or "observation",
        env_steps=env_steps or base.env_steps,
        human=None,
    )
    score = score_function(task)
    if score is not None:
        score(random_episodes(task, 1, seed=0)[0])
    return task


def _name(*parts: str | None) -> str:
    """The environment's name in lower case and a hash of all that makes the task."""
    digest = hashlib.sha256("\0".join(part or "" for part in parts).encode()).hexdigest()[:8]
    return f"{(parts[1] or '').split(':')[-1].split('/')[-1].lower()}-{digest}"


def _unlisted(env_id: str, found: Inspection) -> TaskSpec:
    """Settings for an environment that no listed task uses, from what random play showed."""
    grid = family_of(env_id) == "grid"
    success = Fitness(kind="return")
    if grid:
        success = Fitness(kind="return", success="reward_positive")
    elif found.reward_threshold is not None:
        success = Fitness(kind="return", success="return_at_least", threshold=found.reward_threshold)
    continuous = PPOSettings(
        envs=8,
        steps=256,
        epochs=10,
        minibatches=16,
        learning_rate=3e-4,
        entropy=0.01 if found.action.kind == "discrete" else 0.0,
        normalize_observation=found.numeric_observation,
    )
    return TaskSpec(
        id="",
        env_id=env_id,
        description="",
        state=found.state,
        action=found.action,
        fitness=success,
        extractor="observation",
        task_weight=0.0 if found.dense_reward else 1.0,
        episode_steps=found.episode_steps,
        env_steps=ENV_STEPS,
        ppo=PPOSettings() if grid else continuous,
    )
