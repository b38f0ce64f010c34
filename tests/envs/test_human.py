"""Rewards that people wrote: programs like any other, and honest ones."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import pytest

from envs import catalog
from envs.episode import Array, Episode, side_by_side
from envs.record import random_episodes
from envs.scripted import episodes
from envs.task import TaskSpec
from sandbox.gate import check
from training.reward import RewardAnswer, paid

HUMAN = tuple(task_id for task_id in catalog.ids() if catalog.load(task_id).human)


def program(task: TaskSpec) -> ModuleType:
    spec = importlib.util.spec_from_file_location("human_reward", catalog.TASKS.parent / "human" / str(task.human))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reward(task: TaskSpec, module: ModuleType, episode: Episode) -> Array:
    """What the program and the task pay in each step of an episode, ``(L,)``."""
    names = module.compute_reward(episode.state, episode.action, episode.next_state)
    phi = getattr(module, "potential", None)
    answer = RewardAnswer(
        components={name: values[:, None] for name, values in names.items()},
        potential=None if phi is None else phi(episode.state)[:, None],
        next_potential=None if phi is None else phi(episode.next_state)[:, None],
    )
    row = side_by_side([episode])
    return paid(answer, row, episode.reward[:, None], gamma=task.ppo.gamma, task_weight=task.task_weight)[:, 0]


def discounted(task: TaskSpec, module: ModuleType, episode: Episode) -> float:
    values = reward(task, module, episode)
    return float((values * task.ppo.gamma ** np.arange(len(values))).sum())


@pytest.mark.parametrize("task_id", HUMAN)
def test_the_gate_admits_it_and_it_names_its_source(task_id: str) -> None:
    task = catalog.load(task_id)
    source = task.human_source()
    assert source is not None
    report = check(source)
    assert report.ok, report.violations
    doc = program(task).__doc__ or ""
    assert any(word in doc for word in ("Ng, Harada", "Habitat", "Control Suite", "Gymnasium"))


@pytest.mark.parametrize("task_id", HUMAN)
def test_it_answers_one_finite_float32_per_row(task_id: str) -> None:
    task = catalog.load(task_id)
    module = program(task)
    for episode in random_episodes(task, 2, seed=0):
        answers = dict(module.compute_reward(episode.state, episode.action, episode.next_state))
        if hasattr(module, "potential"):
            answers["potential"] = module.potential(episode.state)
            assert (answers["potential"] <= 0).all()
        for values in answers.values():
            assert values.shape == (len(episode),) and values.dtype == np.float32
            assert np.isfinite(values).all()


@pytest.mark.parametrize("task_id", HUMAN)
def test_solving_the_task_fast_pays_more_than_anything_else(task_id: str) -> None:
    task = catalog.load(task_id)
    scripted = episodes(task, starts=3)
    if scripted is None:
        pytest.skip("no scripted agents for this task")
    module = program(task)
    best = np.max([[discounted(task, module, e) for e in won] for won in scripted.solutions.values()], axis=0)
    for name, played in scripted.exploits.items():
        assert (best > [discounted(task, module, e) for e in played]).all(), name


def test_the_goal_distance_goes_round_walls() -> None:
    module = program(catalog.load("fourrooms"))
    cells = np.full((1, 5, 5), 2, dtype=np.uint8)
    cells[0, 1:4, 1:4] = 1
    cells[0, 2, 1:3] = 2
    cells[0, 3, 1] = 8
    away = module.distances(cells)[0]
    assert away[1, 1] == 6 and away[3, 1] == 0 and away[2, 3] == 3
