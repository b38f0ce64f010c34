"""The committed control curves: of the tasks as they stand, and of tasks on which something can be learned."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import controls, tasks_table
from envs import catalog
from envs.record import random_episodes

TASKS = catalog.ids()


def result(task_id: str) -> controls.Json:
    record = controls.stored(task_id)
    assert record is not None, f"run: python benchmarks/controls.py {task_id}"
    return record


@pytest.mark.parametrize("task_id", TASKS)
def test_the_committed_curve_is_of_the_present_settings(task_id: str) -> None:
    task, record = catalog.load(task_id), result(task_id)
    assert record["settings"] == controls.settings_hash(task), f"run: python benchmarks/controls.py {task_id}"
    assert record["env_steps"] >= task.env_steps
    for arm in ("native", "human") if task.human else ("native",):
        assert len(record[arm]["fitness"]) == len(record["seeds"]) >= 5
        assert record[arm]["failure"] is None
        steps = [point[0] for point in record[arm]["curve"]["points"]]
        assert steps == sorted(set(steps))
        assert steps[-1] == record["env_steps"]


@pytest.mark.parametrize("task_id", TASKS)
def test_some_arm_is_above_random_at_the_budget_or_the_file_says_gpu(task_id: str) -> None:
    record = result(task_id)
    assert record["learns"] == controls.learning_arms(record)
    assert record["above_random"] == bool(record["learns"])
    assert record["above_random"] or catalog.load(task_id).budget == "gpu"


def test_the_demo_task_leaves_room_above_its_native_reward() -> None:
    record = result("doorkey-6x6")
    assert record["measure"] == "success_rate"
    assert statistics.median(record["native"]["fitness"]) < 0.5


def test_the_page_of_tasks_shows_the_committed_results() -> None:
    page = tasks_table.document([(catalog.load(task_id), controls.stored(task_id)) for task_id in TASKS])
    assert controls.TABLE.read_text(encoding="utf-8") == page, "run: python benchmarks/controls.py --table"


def test_the_hash_follows_what_training_depends_on_and_not_the_words() -> None:
    task = catalog.load("doorkey-6x6")
    same = replace(task, description="other words", budget="gpu")
    assert controls.settings_hash(same) == controls.settings_hash(task)
    for other in (
        replace(task, env_steps=task.env_steps + 1),
        replace(task, ppo=replace(task.ppo, learning_rate=1e-4)),
        replace(task, human=None),
        replace(task, state=task.state[1:]),
    ):
        assert controls.settings_hash(other) != controls.settings_hash(task)


def test_the_random_reference_is_that_of_a_uniform_policy() -> None:
    task = catalog.load("cartpole")
    found = controls.random_reference(task, range(5))
    assert found == controls.random_reference(task, range(5))
    returns = [episode.reward.sum() for episode in random_episodes(task, 100, seed=7)]
    assert found["episodes"] == 100
    assert found["mean"] == pytest.approx(np.mean(found["fitness"]))
    assert abs(found["mean"] - np.mean(returns)) < 3 * (found["high"] - found["low"])


def test_an_arm_is_above_random_only_where_its_interval_is() -> None:
    record = {
        "native": {"fitness": [0.2, 0.1, 0.0, 0.1, 0.2]},
        "human": {"fitness": [0.9, 0.8, 0.9, 0.7, 0.9]},
        "random": {"fitness": [0.1, 0.2, 0.1, 0.0, 0.1]},
    }
    assert controls.learning_arms(record) == ["human"]
    assert controls.learning_arms(record | {"human": None}) == []


def test_a_measurement_is_kept_whole_and_counts_as_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = catalog.load("cartpole")
    small = replace(task, env_steps=1024, episode_steps=50)
    record = controls.measure(small, range(2), episodes=4)
    monkeypatch.setattr(controls, "RESULTS", tmp_path)
    controls.keep(record)
    assert controls.stored(task.id) == record
    assert controls.up_to_date(small, 2)
    assert not controls.up_to_date(small, 5)
    assert not controls.up_to_date(task, 2)
    assert record["learns"] == []  # two seeds give no interval
    assert [point[0] for point in record["human"]["curve"]["points"]] == [512, 1024]
