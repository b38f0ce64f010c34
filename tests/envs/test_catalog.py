"""Listed tasks: complete, true to their environments, and refused in clear words when they are not."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import jsonschema
import numpy as np
import pytest

from envs import catalog
from envs.errors import UserError
from envs.make import make_env

SPARSE = {"cartpole", "acrobot", "mountaincar", "simple-tag"}
DENSE = {"pendulum", "lunarlander", "bipedalwalker", "reacher", "halfcheetah", "walker2d", "hopper"}
DENSE |= {"humanoidstandup"}
DENSE |= {"simple-spread", "simple-spread-6"}
TEAM_STEPS = 25
"""Time limit of MPE's own environments."""


def test_the_promised_tasks_are_listed() -> None:
    grids = {"empty-8x8", "doorkey-5x5", "doorkey-6x6", "doorkey-8x8", "unlock", "unlockpickup", "keycorridor-s3r1"}
    grids |= {"fourrooms", "multiroom-n2-s4", "simplecrossing-s9n1", "lavagap-s7", "redbluedoors-6x6"}
    assert set(catalog.ids()) == grids | SPARSE | DENSE


def test_an_unknown_id_names_the_nearest_ones() -> None:
    with pytest.raises(UserError, match=r"doorkey-6x6.*--env ENV_ID"):
        catalog.load("DoorKey6x6")


@pytest.mark.parametrize("task_id", catalog.ids())
def test_a_task_is_true_to_its_environment(task_id: str) -> None:
    task = catalog.load(task_id)
    env = make_env(task)
    own_limit = TEAM_STEPS
    if task.agents == 1:
        own_limit = gymnasium.spec(task.env_id).max_episode_steps or env.unwrapped.max_steps
    assert task.episode_steps == own_limit
    assert task.task_weight == (0.0 if task_id in DENSE else 1.0)
    assert task.ppo.envs * task.ppo.steps % task.ppo.minibatches == 0
    assert task.env_steps >= 4 * task.ppo.envs * task.ppo.steps
    assert "reward" not in task.description.lower() and len(task.description) > 80
    env.close()


@pytest.mark.parametrize("task_id", catalog.ids())
def test_the_state_schema_is_json_schema_and_accepts_a_state(task_id: str) -> None:
    task = catalog.load(task_id)
    schema = task.state_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    from envs.families import reader

    env = make_env(task)
    obs, info = env.reset(seed=0)
    state = {name: np.asarray(value).tolist() for name, value in reader(task)(env, obs, info).items()}
    jsonschema.validate(state, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**state, "progress": 1.0}, schema)
    env.close()


GOOD = """
env_id = "CartPole-v1"
family = "classic"
description = "Balance."
task_weight = 1.0
episode_steps = 10
env_steps = 1000
[fitness]
kind = "return"
[ppo]
hidden = [32, 32]
"""


def test_a_task_file_becomes_a_task(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    task = catalog.read(path)
    assert (task.id, task.ppo.hidden, task.extractor) == ("mine", (32, 32), "classic")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("env_id = ", "env_id : "), "not TOML"),
        (('family = "classic"', ""), "family"),
        (('"classic"', '"nothing"'), "there is no extractor 'nothing'"),
        (('"CartPole-v1"', '"CartPole-v7"'), "CartPole-v7"),
        (("episode_steps", "episode_stops"), "episode_stops"),
        (("[32, 32]", "[32, 32]\nlearning = 3"), "learning"),
    ],
)
def test_a_bad_task_file_is_refused_by_name(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(UserError) as refusal:
        catalog.read(path)
    assert message in str(refusal.value) and ("mine.toml" in str(refusal.value) or "extractor" in message)


def test_listing_tasks_needs_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys; from envs import catalog; catalog.load('cartpole'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=catalog.TASKS.parents[1], check=False).returncode == 0


@pytest.mark.parametrize(("task_id", "extra"), [("lunarlander", "box2d"), ("hopper", "mujoco"), ("simple-tag", "mpe")])
def test_a_missing_extra_is_named(task_id: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    package = {"box2d": "Box2D", "mujoco": "mujoco", "mpe": "mpe2"}[extra]
    for name in [n for n in sys.modules if n.split(".")[0] == package or n.startswith(f"gymnasium.envs.{extra}")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"pip install 'rewardsmith\[{extra}\]'"):
        make_env(catalog.load(task_id))
