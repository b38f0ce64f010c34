"""A user's own environment, state and fitness: served without new code, or refused in words that say what to do."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from envs import catalog
from envs.blackbox import load_function
from envs.errors import UserError
from envs.gym_vector import GymVectorEnvironment
from envs.make_vector import described, make_vector
from envs.record import random_episodes

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:.*Overriding environment")
ROOT = catalog.TASKS.parents[1]
WORLD = '''
import gymnasium, numpy as np
from gymnasium import spaces
from minigrid.minigrid_env import MiniGridEnv
from minigrid.envs import EmptyEnv

class Dot(gymnasium.Env):
    observation_space = spaces.Dict({
        "place": spaces.Box(-1, 1, (2,), np.float32), "gear": spaces.Discrete(3, start=1), "note": spaces.Text(5),
        "inner": spaces.Dict({"on": spaces.MultiBinary(2)}),
    })
    action_space = spaces.Discrete(3, start=2)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.seen(), {}
    def seen(self):
        return {"place": self.place, "gear": np.int64(2), "note": "hi", "inner": {"on": np.array([0, 1], np.int8)}}
    def step(self, action):
        if not 2 <= action <= 4:
            raise ValueError("bad action")
        self.place += np.float32(0.1 * (action - 3))
        self.place.clip(-1, 1, out=self.place)
        won = bool(self.place[0] > 0.9)
        return self.seen(), float(won), won, False, {}

class Endless(Dot):
    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Box(-1, 1, (2, 1), np.float32)
    def seen(self): return self.place
    def step(self, action):
        return self.place, float(self.np_random.normal()), False, False, {}

class Picture(Endless):
    observation_space = spaces.Box(0, 255, (10, 10, 3), np.uint8)
    def seen(self): return np.zeros((10, 10, 3), np.uint8)
    def step(self, action): return self.seen(), 0.0, False, False, {}

class Words(Dot):
    observation_space = spaces.Text(5)
    def seen(self): return "hi"

class Many(Dot):
    action_space = spaces.MultiDiscrete([2, 2])

for name, kind in {"Dot": Dot, "Picture": Picture, "Words": Words, "Many": Many, "MyRoom": EmptyEnv}.items():
    gymnasium.register(f"{name}-v0", entry_point=kind, max_episode_steps=30 if name != "MyRoom" else None)
gymnasium.register("Endless-v0", entry_point=Endless)

def read_state(env, obs, info):
    """What matters.

    place: Where the dot is
    """
    return {"place": obs["place"], "both": float(obs["place"].sum()), "gear": obs["gear"], "far": np.bool_(True)}

def score(episode):
    return float(episode.next_state["place"][-1, 0])

def names_first(env, obs, info): return ["place"]
def bad_name(env, obs, info): return {"my place": 1.0}
def words(env, obs, info): return {"note": obs["note"]}
def changing(env, obs, info): return {"a": np.zeros(1 + env.unwrapped.np_random.integers(9))}
def raising(env, obs, info): return 1 / 0
def not_a_number(episode): return float("nan")
def needs_more(episode, more): return 1.0
'''


@pytest.fixture(autouse=True)
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's folder is last on the path, as the command puts it."""
    (tmp_path / "my_world.py").write_text(WORLD)
    (tmp_path / "takes_ours.py").write_text("from envs.mine import Thing\n")
    (tmp_path / "takes_ours_late.py").write_text("import training\ntraining.Thing\n")
    (tmp_path / "broken.py").write_text("def f(:\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    for name in ("my_world", "takes_ours", "takes_ours_late", "broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_a_dictionary_observation_becomes_named_fields() -> None:
    task = catalog.from_sentence("Go right.", "my_world:Dot-v0")
    shapes = {f.name: (f.shape, f.dtype, f.low, f.high) for f in task.state}
    assert shapes == {
        "gear": ((), "int64", 1, 3),
        "inner_on": ((2,), "int64", 0, 1),
        "place": ((2,), "float32", -1, 1),
    }
    assert (task.action.size, task.episode_steps, task.task_weight) == (3, 30, 1.0)
    vector = make_vector(task, [0, 1])
    obs, state = vector.reset()
    assert obs.shape == (2, 7) and state["place"].shape == (2, 2) and (state["gear"] == 2).all()
    for _ in range(40):
        step = vector.step(torch.tensor([0, 2]))
    assert step.next_state["place"].dtype == torch.float32


def test_recorded_states_are_copies_of_a_buffer_that_the_environment_reuses() -> None:
    episode = random_episodes(catalog.from_sentence("Go.", "my_world:Dot-v0"), 1, seed=0)[0]
    assert len(np.unique(episode.state["place"][:, 0])) > 3


def test_a_users_state_and_fitness_are_used() -> None:
    task = catalog.from_sentence(
        "Go right.", "my_world:Dot-v0", state="my_world:read_state", fitness="my_world:score", env_steps=5_000
    )
    assert {f.name: (f.shape, f.dtype) for f in task.state} == {
        "place": ((2,), "float32"),
        "both": ((), "float32"),
        "gear": ((), "int64"),
        "far": ((), "bool"),
    }
    assert task.state[0].meaning == "Where the dot is." and task.state[0].seen and task.env_steps == 5_000
    vector = make_vector(task, [0])
    vector.reset()
    for _ in range(30):
        step = vector.step(torch.tensor([2]))
        if bool(step.terminated[0] | step.truncated[0]):
            break
    assert step.score is not None and float(step.score[0]) == float(step.next_state["place"][0, 0]) > 0.9


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("my_world", "write it as module:function"),
        ("nowhere:f", "there is no module 'nowhere'"),
        ("my_world:nothing", "has no function nothing"),
        ("my_world:names_first", "must return a dict"),
        ("my_world:needs_more", r"must take \(env, obs, info\)"),
        ("my_world:bad_name", "'my place' is not an identifier"),
        ("my_world:words", "'note' must hold numbers"),
        ("my_world:changing", "same names, shapes and dtypes"),
        ("my_world:raising", r"ZeroDivisionError: division by zero \(.*my_world.py:\d+\)"),
        ("broken:f", "SyntaxError"),
        ("takes_ours:f", "a package of your own named 'envs'.*another name"),
        ("takes_ours_late:f", "a package of your own named 'training'"),
        ("sandbox.mine:f", "a package of your own named 'sandbox'"),
    ],
)
def test_a_bad_state_function_is_refused(state: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        catalog.from_sentence("Go.", "my_world:Dot-v0", state=state)


@pytest.mark.parametrize(
    ("fitness", "message"),
    [("my_world:not_a_number", "finite number"), ("my_world:needs_more", "TypeError"), ("my_world:no", "no function")],
)
def test_a_bad_fitness_function_is_refused(fitness: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        catalog.from_sentence("Go.", "my_world:Dot-v0", fitness=fitness)


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("Nothing-v0", "Gymnasium cannot make 'Nothing-v0'"),
        ("my_world:Nothing-v0", "Nothing"),
        ("nowhere:Dot-v0", "there is no module 'nowhere'"),
        ("takes_ours:Dot-v0", "another name"),
        ("my_world:Words-v0", "no numbers|cannot be flattened"),
        ("my_world:Many-v0", "Discrete"),
    ],
)
def test_an_environment_that_cannot_be_served_is_refused(env_id: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        catalog.from_sentence("Go.", env_id)


def test_an_empty_sentence_is_refused() -> None:
    with pytest.raises(UserError, match="sentence"):
        catalog.from_sentence("  ", "CartPole-v1")


def test_an_endless_environment_gets_a_time_limit_and_a_dense_reward_no_weight() -> None:
    task = catalog.from_sentence("Stay.", "my_world:Endless-v0")
    assert (task.episode_steps, task.task_weight, task.action.size) == (1000, 0.0, 2)
    assert [f.name for f in task.state] == ["obs_0", "obs_1"] and task.ppo.normalize_observation
    vector = GymVectorEnvironment(task, [0])
    vector.reset()
    assert not bool(vector.step(torch.zeros(1, 2)).truncated[0])


def test_a_large_observation_is_one_field() -> None:
    task = catalog.from_sentence("Look.", "my_world:Picture-v0")
    assert [(f.name, f.shape, f.dtype) for f in task.state] == [("obs", (10, 10, 3), "uint8")]


@pytest.mark.parametrize(
    ("env_id", "fields", "size"),
    [("FrozenLake-v1", ["obs"], 16), ("Taxi-v4", ["obs"], 500), ("Blackjack-v1", ["obs_0", "obs_1", "obs_2"], 45)],
)
def test_black_boxes_of_gymnasium_run(env_id: str, fields: list[str], size: int) -> None:
    task = catalog.from_sentence("Do it.", env_id)
    assert [f.name for f in task.state] == fields and task.extractor == "observation"
    vector = make_vector(task, [0, 1])
    obs, state = vector.reset()
    assert obs.shape == (2, size) and state[fields[0]].dtype == torch.int64
    for t in range(60):
        step = vector.step(torch.tensor([t % task.action.size, (t + 1) % task.action.size]))
    assert torch.isfinite(step.observation).all()


def test_a_known_id_keeps_its_family_and_settings() -> None:
    task = catalog.from_sentence("Swing it round and round.", "Pendulum-v1")
    listed = catalog.load("pendulum")
    assert (task.state, task.action, task.ppo) == (listed.state, listed.action, listed.ppo)
    assert task.fitness.kind == "return" and task.human is None and task.id.startswith("pendulum-v1-")


def test_any_minigrid_id_gets_the_grid_family() -> None:
    task = catalog.from_sentence("Fetch it.", "MiniGrid-Fetch-5x5-N2-v0")
    assert task.extractor == "grid" and {"target_type", "cells"} <= {f.name for f in task.state}
    own = catalog.from_sentence("Reach the goal.", "my_world:MyRoom-v0")
    assert own.extractor == "grid" and own.episode_steps == 256
    vector = make_vector(own, [0])
    obs, state = vector.reset()
    assert obs.shape == (1, 56) and state["goal_pos"].tolist() == [[6, 6]]
    assert (
        described(own)
        == "my_world:MyRoom-v0 through Gymnasium, one after another, for the tensor simulator does not know it"
    )
    assert described(task) == "MiniGrid-Fetch-5x5-N2-v0 as tensors, all of them at once"


def test_two_sentences_are_two_tasks_and_the_same_is_the_same() -> None:
    names = [catalog.from_sentence(text, "CartPole-v1").id for text in ("Left.", "Right.", "Left.")]
    assert names[0] == names[2] != names[1]


def test_a_project_with_an_envs_folder_of_its_own_is_served(tmp_path: Path) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "__init__.py").write_text("raise SystemExit('the wrong envs')\n")
    code = """
        import sys
        sys.path = [{root!r}, *[p for p in sys.path if p], {here!r}]
        from envs import catalog
        task = catalog.from_sentence("Go.", "my_world:Dot-v0", state="my_world:read_state")
        print(task.id)
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(code).format(root=str(ROOT), here=str(tmp_path))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("dot-v0-")


LEAVING = """
import sys, gymnasium
from my_world import Endless

class Silent(Exception):
    def __str__(self): raise ValueError("no words")

class Leaves(Endless):
    what = SystemExit(0)
    def step(self, action): raise self.what

class Groups(Leaves):
    what = BaseExceptionGroup("both", [SystemExit(0), ValueError("x")])

class Mute(Leaves):
    what = Silent()

class Constructed(Endless):
    def __init__(self): sys.exit(0)

class Closing(Endless):
    def close(self): sys.exit(0)

for kind in (Leaves, Groups, Mute, Constructed, Closing):
    gymnasium.register(f"{kind.__name__}-v0", entry_point=kind, max_episode_steps=30)
"""


@pytest.mark.parametrize("kind", ["Leaves", "Groups", "Mute", "Constructed", "Closing"])
def test_code_that_leaves_the_process_or_has_no_words_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaving.py").write_text(LEAVING)
    monkeypatch.delitem(sys.modules, "leaving", raising=False)
    with pytest.raises(UserError, match=r"failed: (SystemExit|BaseExceptionGroup|Silent)"):
        catalog.from_sentence("Go.", f"leaving:{kind}-v0")


def test_a_step_that_leaves_the_process_later_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gymnasium

    from envs.record import begin, take

    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    (tmp_path / "leaving.py").write_text(LEAVING)
    monkeypatch.delitem(sys.modules, "leaving", raising=False)
    env = gymnasium.make("leaving:Leaves-v0", disable_env_checker=True)
    begin(env, 0)
    with pytest.raises(UserError, match="SystemExit"):
        take(env, np.zeros(2))


@pytest.mark.parametrize("text", ["raise SystemExit(0)", "raise BaseExceptionGroup('g', [SystemExit(0)])"])
def test_a_module_that_leaves_the_process_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaves_at_once.py").write_text(text)
    with pytest.raises(UserError, match="importing the module"):
        catalog.from_sentence("Go.", "leaves_at_once:X-v0")


def test_the_folder_is_searched_for_what_an_option_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "only_here.py").write_text("def f(): return 1\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != ""])
    assert load_function("only_here:f", "--state")() == 1
    assert sys.path[-1] == str(folder)
    with pytest.raises(UserError, match="no module"):
        catalog.from_sentence("Go.", ":X-v0")
