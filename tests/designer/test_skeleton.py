"""What a designer starts from runs on the task, in both forms, and says nothing."""

from dataclasses import replace

import numpy as np
import pytest

from designer.skeleton import reading, says_nothing, skeleton
from envs import catalog
from envs.record import random_episodes
from envs.task import Action, Field, TaskSpec
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
def test_the_examples_are_numbers_of_the_state(task_id, form):
    task = catalog.load(task_id)
    (episode,) = random_episodes(task, 1, 0)
    told = answer(skeleton(task, form), form, episode.state, episode.action, episode.next_state)
    columns = [np.asarray(field).reshape(len(episode.action), -1).T for field in episode.next_state.values()]
    numbers = np.concatenate(columns).astype(np.float32)
    for name, values in list(told.items())[:-1]:
        assert (numbers == values).all(axis=1).any(), name


@pytest.mark.parametrize("form", FORMS)
def test_the_examples_alone_say_nothing(form):
    task = catalog.load("doorkey-6x6")
    source = skeleton(task, form)
    copied = source.replace("example_1", "progress").replace("# Every", "# So every")
    assert says_nothing(RewardProgram(source, form), task) and says_nothing(RewardProgram(copied, form), task)
    own = '"near": np.linalg.norm(next_state["agent_pos"] - next_state["goal_pos"], axis=-1),'
    added = source.replace("return {", "return {" + own)
    assert own in added and not says_nothing(RewardProgram(added, form), task)
    potential = source + '\n\ndef potential(state):\n    return -state["agent_pos"].sum(axis=-1) * 0.1\n'
    assert not says_nothing(RewardProgram(potential), task)


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
