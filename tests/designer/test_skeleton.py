"""What a designer starts from runs on the task, in both forms, and says nothing."""

from dataclasses import replace

import numpy as np
import pytest

from designer.checks import Verifier
from designer.skeleton import reading, skeleton
from envs import catalog
from envs.record import random_episodes
from envs.task import Action, Field, TaskSpec
from sandbox.embedded import EmbeddedSandbox
from sandbox.gate import check
from sandbox.program import RewardProgram

FORMS = ("reward", "latent")


def answer(source: str, form: str, state, action, next_state) -> dict[str, np.ndarray]:
    report = check(source, form)
    assert report.ok, report.violations
    names: dict = {}
    exec(compile(source, "skeleton", "exec"), names)
    return names["compute_latent" if form == "latent" else "compute_reward"](state, action, next_state)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("task_id", ["doorkey-6x6", "halfcheetah", "simple-spread", "cartpole", "lunarlander"])
def test_it_runs_on_the_task(task_id, form):
    task = catalog.load(task_id)
    (episode,) = random_episodes(task, 1, 0)
    source = skeleton(task, form)
    told = answer(source, form, episode.state, episode.action, episode.next_state)
    assert len(told) >= 2
    for values in told.values():
        assert values.shape == (len(episode.action),)
        assert np.issubdtype(values.dtype, np.floating) and np.isfinite(values).all()
    assert [line.split("#")[0].strip() for line in reading(task)] == [f'next_state["{f.name}"]' for f in task.state]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("task_id", ["doorkey-6x6", "halfcheetah", "pendulum"])
def test_the_examples_give_nothing_away_and_alone_are_sent_back(task_id, form):
    task = catalog.load(task_id)
    verifier = Verifier(task, EmbeddedSandbox())
    source = skeleton(task, form)
    found = verifier.verify(RewardProgram(source.replace("example_1", "progress"), form))
    assert [v.rule for v in found.violations] == ["constant"]
    (episode,) = random_episodes(task, 1, 0)
    told = answer(source, form, episode.state, episode.action, episode.next_state)
    assert not any(values.any() for values in told.values())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (2, 2, 2)])
def test_every_kind_of_field_has_an_example_of_the_right_shape(shape, dtype, form):
    """Names that would hide what a program needs (``np``, ``state``, a keyword) hide nothing."""
    fields = tuple(
        Field(name=n, meaning="It is.", unit="1", dtype=dtype, shape=shape) for n in ("np", "state", "class")
    )
    task = with_fields(fields)
    rng = np.random.default_rng(0)
    state, following = ({f.name: rng.integers(0, 2, (7, *shape)).astype(dtype) for f in fields} for _ in range(2))
    action = rng.normal(size=(7, 2)).astype(np.float32)
    told = answer(skeleton(task, form), form, state, action, following)
    assert [values.shape for values in told.values()] == [(7,), (7,)]


def with_fields(fields: tuple[Field, ...]) -> TaskSpec:
    action = Action(kind="continuous", size=2, low=(-1.0, -1.0), high=(1.0, 1.0))
    return replace(catalog.load("cartpole"), state=fields, action=action)
