"""The exported bundle pays what the training paid, needs nothing of ours, and cannot be changed unseen."""

from __future__ import annotations

import copy
import importlib.util
import json
import pickle
import sys
import textwrap
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from designer.bundle import export_bundle
from designer.jailed import JailedReward
from envs import catalog
from envs.episode import Array, Transitions
from envs.episodic import episodic
from envs.families import action_of, state_of
from envs.gym_vector import GymVectorEnvironment
from envs.make import make_env
from envs.task import Action, Field, Fitness, PPOSettings, TaskSpec
from sandbox.choose import choose
from sandbox.program import RewardProgram
from training.reward import RewardAnswer, components, paid

ROOT = Path(__file__).resolve().parents[2]

MARKOV = textwrap.dedent("""
    import numpy as np

    def potential(state):
        return -0.1 * np.abs(state["place"][:, 0] - 5.0) + state["flag"] * 0.7

    def compute_reward(state, action, next_state):
        moved = next_state["place"][:, 0] - state["place"][:, 0]
        return {"progress": np.tanh(moved) / 3.0, "effort": -0.01 * (action == 2).astype(np.float64)}
""")
MEMORY = textwrap.dedent("""
    import numpy as np

    def init_memory(batch_size):
        return {"best": np.full(batch_size, -100.0, dtype=np.float32)}

    def compute_reward(state, action, next_state, memory):
        here = next_state["place"][:, 0]
        record = here > memory["best"]
        best = np.where(record, here, memory["best"])
        return {"record": 0.3 * record.astype(np.float32), "height": best * 0.01}, {"best": best}
""")
EXTRACTOR = textwrap.dedent("""
    import numpy as np

    def facts(env, observation, info):
        world = env.unwrapped
        return {"place": np.array([world.place, world.wind], dtype=np.float32), "flag": world.flag}
""")


class Walk(gymnasium.Env[Array, int]):
    """A noisy walk on a line that ends at 5 (terminated) or after 12 steps (truncated)."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        self.place, self.wind, self.flag = float(self.np_random.normal()), 0.0, 0
        return self._seen(), {}

    def step(self, action: int) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        self.wind = float(self.np_random.normal())
        self.place += (action - 0.5) + 0.6 * self.wind
        self.flag = int(self.place > 2)
        done = self.place >= 5
        return self._seen(), 1.0 if done else 0.0, done, False, {}

    def _seen(self) -> Array:
        return np.array([self.place], dtype=np.float32)


gymnasium.register("rewardsmith-test/Walk-v0", entry_point=Walk, max_episode_steps=12)


def walk_task(extractor: str, task_weight: float = 1.0) -> TaskSpec:
    return TaskSpec(
        id="walk",
        env_id="rewardsmith-test/Walk-v0",
        description="Walk to 5.",
        state=(
            Field(name="place", meaning="where the walker is, and the wind", unit="m", shape=(2,)),
            Field(name="flag", meaning="beyond 2", unit="1", dtype="int64", values=((0, "no"), (1, "yes"))),
        ),
        action=Action(kind="discrete", size=3),
        fitness=Fitness(kind="success_rate", success="terminated"),
        extractor=extractor,
        task_weight=task_weight,
        episode_steps=12,
        env_steps=1000,
        ppo=PPOSettings(gamma=0.97),
    )


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TaskSpec:
    source = tmp_path / "modules"
    source.mkdir()
    (source / "walk_facts.py").write_text(EXTRACTOR)
    monkeypatch.syspath_prepend(source)
    return walk_task("walk_facts:facts")


def load_wrapper(folder: Path, file: str = "wrapper.py") -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{file[:-3]}_of_{folder.name}", folder / file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def direct(source: str, walked: Transitions) -> RewardAnswer:
    """The program evaluated in whole batches, memory walked in time order and restarted after each end."""
    module: dict[str, Any] = {}
    exec(compile(source, "reward.py", "exec"), module)
    ended = walked.terminated | walked.truncated
    rows: list[dict[str, Array]] = []
    memory = module["init_memory"](ended.shape[1]) if "init_memory" in module else None
    for t in range(ended.shape[0]):
        now = [{k: v[t].copy() for k, v in walked.state.items()}, walked.action[t]]
        now.append({k: v[t].copy() for k, v in walked.next_state.items()})
        if memory is None:
            rows.append(module["compute_reward"](*now))
        else:
            answer, memory = module["compute_reward"](*now, memory)
            rows.append(answer)
            fresh = module["init_memory"](ended.shape[1])
            memory = {k: np.where(ended[t].reshape(-1, *[1] * (v.ndim - 1)), fresh[k], v) for k, v in memory.items()}
    parts = {name: np.stack([row[name] for row in rows]).astype(np.float32) for name in rows[0]}
    if "potential" not in module:
        return RewardAnswer(components=parts)
    phi, next_phi = (
        np.stack([module["potential"]({k: v[t] for k, v in fields.items()}) for t in range(len(ended))])
        for fields in (walked.state, walked.next_state)
    )
    return RewardAnswer(components=parts, potential=phi.astype(np.float32), next_potential=next_phi.astype(np.float32))


def stack(fields: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.stack([f[name] for f in fields])[:, None] for name in fields[0]}


def walk(env: gymnasium.Env[Any, Any], read: Any, episodes: int) -> tuple[Transitions, Array, list[Any]]:
    """Random episodes in the unwrapped environment, in one row, and the native rewards ``(T, 1)``."""
    states: list[Any] = []
    nexts: list[Any] = []
    actions: list[Any] = []
    natives: list[float] = []
    ends: list[tuple[bool, bool]] = []
    env.action_space.seed(7)
    for seed in range(episodes):
        observation, info = env.reset(seed=seed)
        state, over = read(env, observation, info), False
        while not over:
            action = env.action_space.sample()
            observation, native, terminated, truncated, info = env.step(action)
            after = read(env, observation, info)
            over = terminated or truncated
            states.append(state)
            nexts.append(after)
            actions.append(action)
            natives.append(float(native))
            ends.append((terminated, truncated and not terminated))
            state = after
    flags = np.array(ends)[:, :, None]
    batch = np.asarray(actions)
    walked = Transitions(
        state=stack(states),
        action=batch[:, None],
        next_state=stack(nexts),
        terminated=flags[:, 0],
        truncated=flags[:, 1],
    )
    return walked, np.array(natives)[:, None], actions


def typed_reader(task: TaskSpec, folder: Path) -> Any:
    """The bundle's extractor, its fields in the dtypes of the task, as the trainer has them."""
    spec = importlib.util.spec_from_file_location("state_under_test", folder / "state.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, json.loads((folder / "manifest.json").read_text())["state_function"])
    kinds = task.numpy_dtypes()

    def read(env: Any, observation: Any, info: Any) -> dict[str, Array]:
        facts = function(env, observation, info)
        return {name: np.asarray(facts[name], dtype=kind) for name, kind in kinds.items()}

    return read


def assert_agrees(task: TaskSpec, reward: Any, folder: Path, make: Any, episodes: int) -> Transitions:
    """Replays the same actions in the wrapped environment and compares every number that is paid."""
    walked, native, actions = walk(make(), typed_reader(task, folder), episodes)
    answer = reward(walked)
    weight = task.task_weight
    total = paid(answer, walked, native, gamma=task.ppo.gamma, task_weight=weight)
    parts = components(answer, walked, task.ppo.gamma)
    env = load_wrapper(folder).DesignedReward(make(), str(folder))
    step = iter(range(len(actions)))
    for seed in range(episodes):
        env.reset(seed=seed)
        over = False
        while not over:
            t = next(step)
            _, reward, terminated, truncated, info = env.step(actions[t])
            over = terminated or truncated
            np.testing.assert_allclose(reward, total[t, 0], rtol=1e-5, atol=1e-7)
            assert info["task_reward"] == native[t, 0]
            assert list(info["reward_components"]) == list(parts)
            for name, value in info["reward_components"].items():
                np.testing.assert_allclose(value, parts[name][t, 0], rtol=1e-5, atol=1e-7)
    assert next(step, None) is None
    return walked


@pytest.mark.parametrize("source", [MARKOV, MEMORY], ids=["potential", "memory"])
def test_bundle_pays_what_the_training_paid_over_1000_episodes(task: TaskSpec, tmp_path: Path, source: str) -> None:
    folder = tmp_path / "bundle"
    export_bundle(folder, task=task, program=RewardProgram(source), manifest_extra={})
    walked = assert_agrees(task, partial(direct, source), folder, lambda: gymnasium.make(task.env_id), 1000)
    assert walked.terminated.sum() > 100 and walked.truncated.sum() > 100


@pytest.mark.parametrize("source", [MARKOV, MEMORY], ids=["potential", "memory"])
def test_bundle_pays_what_the_jailed_program_pays(task: TaskSpec, tmp_path: Path, source: str) -> None:
    folder = tmp_path / "bundle"
    program = RewardProgram(source)
    export_bundle(folder, task=task, program=program, manifest_extra={})
    with JailedReward(choose("embedded"), program) as reward:
        assert_agrees(task, reward, folder, lambda: gymnasium.make(task.env_id), 100)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_inside_vector_environments_the_last_step_reads_the_final_state(
    task: TaskSpec, tmp_path: Path, mode: AutoresetMode
) -> None:
    folder = tmp_path / "bundle"
    export_bundle(folder, task=task, program=RewardProgram(MARKOV + MEMORY_PART), manifest_extra={})
    wrapper = load_wrapper(folder).DesignedReward
    make = lambda: wrapper(gymnasium.make(task.env_id), str(folder))  # noqa: E731
    vector = SyncVectorEnv([make, make, make], autoreset_mode=mode)
    vector.reset(seed=[0, 1, 2])
    single = [make() for _ in range(3)]
    for seed, env in enumerate(single):
        env.reset(seed=seed)
    fresh = [False] * 3
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(300):
        actions = rng.integers(0, 3, 3)
        _, rewards, terminated, truncated, info = vector.step(actions)
        for i, env in enumerate(single):
            if fresh[i] and mode is AutoresetMode.NEXT_STEP:
                env.reset()
                assert rewards[i] == 0
                fresh[i] = False
                continue
            _, reward, term, trunc, told = env.step(actions[i])
            assert rewards[i] == reward and terminated[i] == term and truncated[i] == trunc
            fresh[i] = term or trunc
            ends += fresh[i]
            if mode is AutoresetMode.SAME_STEP and fresh[i]:
                final = info["final_info"]["reward_components"]
                assert {k: v[i] for k, v in final.items() if not k.startswith("_")} == pytest.approx(
                    told["reward_components"]
                )
                env.reset()
                fresh[i] = False
    assert ends > 30


MEMORY_PART = textwrap.dedent("""
    def init_memory(batch_size):
        return {"steps": np.zeros(batch_size, dtype=np.float32)}

    def compute_reward(state, action, next_state, memory):
        steps = memory["steps"] + 1.0
        return {"patience": 0.1 / steps}, {"steps": steps}
""")


def test_an_environment_goes_on_where_it_was_copied(task: TaskSpec, tmp_path: Path) -> None:
    export_bundle(tmp_path / "b", task=task, program=RewardProgram(MEMORY), manifest_extra={})
    env = load_wrapper(tmp_path / "b").DesignedReward(gymnasium.make(task.env_id))
    env.reset(seed=3)
    env.step(2)
    copies = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    expected = [env.step(1)[1] for _ in range(4)]
    for other in copies:
        assert [other.step(1)[1] for _ in range(4)] == expected


def test_spec_round_trips_through_json_and_rebuilds_the_reward(task: TaskSpec, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    export_bundle(folder, task=task, program=RewardProgram(MARKOV), manifest_extra={})
    env = load_wrapper(folder).DesignedReward(gymnasium.make(task.env_id), str(folder))
    # The class itself stands in the specification of Walk, which JSON cannot hold; its name can.
    assert env.spec is not None
    env.spec.entry_point = f"{__name__}:Walk"
    sys.modules.setdefault(__name__, sys.modules[Walk.__module__])
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    env.reset(seed=3)
    again.reset(seed=3)
    assert env.step(2)[1] == again.step(2)[1] != 0


PENDULUM = TaskSpec(
    id="swing",
    env_id="Pendulum-v1",
    description="Swing up.",
    state=state_of("classic", "Pendulum-v1", {}),
    action=action_of("classic", "Pendulum-v1"),
    fitness=Fitness(kind="return"),
    extractor="classic",
    task_weight=0.5,
    episode_steps=40,
    env_steps=1000,
)
SWING = textwrap.dedent("""
    import numpy as np

    def potential(state):
        return np.cos(state["angle"])

    def compute_reward(state, action, next_state):
        return {"effort": -0.1 * action[:, 0] ** 2, "still": -np.abs(next_state["angular_velocity"])}
""")
FETCH = textwrap.dedent("""
    import numpy as np

    def potential(state):
        gap = np.abs(state["agent_pos"] - state["goal_pos"]).sum(axis=1)
        return (state["carrying_type"] != 0) * 1.0 + (state["door_state"] == 0) - 0.05 * gap

    def compute_reward(state, action, next_state):
        return {"waste": -0.01 * (action == 6)}
""")


@pytest.mark.parametrize(
    ("task", "source", "steps"),
    [(PENDULUM, SWING, 400), (catalog.load("doorkey-6x6"), FETCH, 800), (episodic(PENDULUM), SWING, 400)],
    ids=["continuous", "grid", "episodic"],
)
def test_bundle_pays_what_the_trainers_vector_environment_pays(
    task: TaskSpec, source: str, steps: int, tmp_path: Path
) -> None:
    export_bundle(tmp_path / "b", task=task, program=RewardProgram(source), manifest_extra={})
    seeds = [3, 11]
    vector = GymVectorEnvironment(task, seeds)
    wrapper = load_wrapper(tmp_path / "b").DesignedReward
    # A withheld reward is paid alike around an environment that withholds it and around one that does not.
    bare = [make_env(replace(task, episodic=False)), make_env(task)]
    singles = [wrapper(env, str(tmp_path / "b")) for env in bare]
    _, state = vector.reset()
    for seed, env in zip(seeds, singles, strict=True):
        env.reset(seed=2 * seed)
        env.action_space.seed(seed)
    ended = 0
    for _ in range(steps):
        beyond = 1.5 if task.action.kind == "continuous" else 1
        sampled = np.stack([env.action_space.sample() * beyond for env in singles])
        action = torch.from_numpy(sampled)
        step = vector.step(action)
        taken = action.clip(-2, 2) if task.action.kind == "continuous" else action
        walked = Transitions(
            state={k: v.numpy()[None] for k, v in state.items()},
            action=taken.numpy()[None],
            next_state={k: v.numpy()[None] for k, v in step.next_state.items()},
            terminated=step.terminated.numpy()[None],
            truncated=step.truncated.numpy()[None],
        )
        answer = direct(source, walked)
        weight = task.task_weight
        total = paid(answer, walked, step.reward.numpy()[None], gamma=task.ppo.gamma, task_weight=weight)
        for row, env in enumerate(singles):
            _, reward, terminated, truncated, _ = env.step(sampled[row])
            np.testing.assert_allclose(reward, total[0, row], rtol=1e-5, atol=1e-7)
            if terminated or truncated:
                env.reset()
                ended += 1
        state = step.state
    assert ended >= 4
