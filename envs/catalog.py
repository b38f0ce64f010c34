"""The tasks that ship, each a TOML file of ``envs/tasks``."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

from envs.errors import UserError
from envs.families import action_of, state_of
from envs.task import Fitness, PPOSettings, TaskSpec

TASKS = Path(__file__).parent / "tasks"


def ids() -> tuple[str, ...]:
    """The ids of all tasks, sorted."""
    return tuple(sorted(path.stem for path in TASKS.glob("*.toml")))


def load(task_id: str) -> TaskSpec:
    """The task of that id. Raises ``UserError`` when there is none, naming the nearest ids."""
    if task_id not in ids():
        near = difflib.get_close_matches(task_id.lower(), ids(), n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Tasks: {', '.join(ids())}."
        raise UserError(
            f"there is no task {task_id!r}. {hint} "
            "For an environment of your own, give a sentence and --env ENV_ID."
        )
    return read(TASKS / f"{task_id}.toml")


def read(path: Path) -> TaskSpec:
    """The task that a TOML file holds; its id is the file's name. Raises ``UserError`` naming file and key."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return _task(path.stem, table)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not TOML: {error}") from error
    except KeyError as error:
        raise UserError(f"{path}: the key {error} is missing") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from error


def _task(task_id: str, table: dict[str, Any]) -> TaskSpec:
    family, env_id = table.pop("family"), table.pop("env_id")
    kwargs = table.pop("env_kwargs", {})
    ppo = table.pop("ppo", {})
    return TaskSpec(
        id=task_id,
        env_id=env_id,
        description=" ".join(table.pop("description").split()),
        state=state_of(family, env_id, kwargs),
        action=action_of(family, env_id),
        fitness=Fitness(**table.pop("fitness")),
        extractor=family,
        ppo=PPOSettings(**{name: tuple(v) if isinstance(v, list) else v for name, v in ppo.items()}),
        env_kwargs=tuple(sorted(kwargs.items())),
        **table,
    )
