"""A team's exported bundle pays each agent what the training paid it, around PettingZoo's own environment."""

from __future__ import annotations

import copy
import json
import pickle
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from safetensors.numpy import save

from designer.bundle import check_bundle, export_bundle
from designer.jailed import JailedReward
from envs import catalog
from envs.episode import Array, Transitions
from envs.errors import UserError
from envs.make_vector import make_vector
from envs.scripted.prey import flee
from envs.task import TaskSpec
from sandbox.choose import choose
from sandbox.program import RewardProgram
from tests.designer.test_bundle import load_wrapper
from training.credit.frozen import FrozenReward
from training.reward import RewardFunction, components, paid

EPISODES = 4

NEAR = textwrap.dedent("""
    import numpy as np

    def init_memory(batch_size):
        return {"nearest": np.full(batch_size, 9.0, dtype=np.float32)}

    def potential(state):
        return -0.5 * np.abs(state["position"]).sum(axis=-1)

    def compute_reward(state, action, next_state, memory):
        gap = np.linalg.norm(next_state["teammate_offset"], axis=-1).min(axis=-1)
        nearest = np.minimum(gap, memory["nearest"])
        return {"apart": nearest * 0.1, "still": 0.01 * (action == 0)}, {"nearest": nearest}
""")
FACTORS = textwrap.dedent("""
    import numpy as np

    def compute_latent(state, action, next_state):
        return {
            "speed": np.abs(next_state["velocity"]).sum(axis=-1),
            "apart": np.linalg.norm(next_state["teammate_offset"], axis=-1).min(axis=-1),
            "pushes": (action != 0).astype(np.float32),
        }
""")


def decoder(hidden: tuple[int, ...]) -> dict[str, Array]:
    rng, widths = np.random.default_rng(5), (3, *hidden, 1)
    weights = {"factors.mean": rng.normal(size=3), "factors.deviation": rng.random(3) + 0.5, "scale": np.array([2.5])}
    for i in range(len(widths) - 1):
        weights[f"decoder.{i}.weight"] = rng.normal(size=widths[i : i + 2])
        weights[f"decoder.{i}.bias"] = rng.normal(size=widths[i + 1])
    return {name: values.astype(np.float32) for name, values in weights.items()}


def walked(task: TaskSpec, seed: int) -> tuple[Transitions, Array]:
    """Random play of one team in the trainer's own environment: its transitions ``(T, n)`` and what they were paid."""
    vector, rng = make_vector(task, range(seed, seed + task.agents)), np.random.default_rng(seed)
    _, state = vector.reset()
    steps = []
    for _ in range(EPISODES * task.episode_steps):
        action = torch.from_numpy(rng.integers(0, 5, task.agents))
        step = vector.step(action)
        steps.append((state, action, step.next_state, step.terminated, step.truncated, step.reward))
        state = step.state
    vector.close()

    def fields(part: int) -> dict[str, Array]:
        return {name: np.stack([s[part][name].numpy() for s in steps]) for name in steps[0][part]}

    action, terminated, truncated, native = (np.stack([s[i].numpy() for s in steps]) for i in (1, 3, 4, 5))
    return Transitions(
        state=fields(0), action=action, next_state=fields(2), terminated=terminated, truncated=truncated
    ), native


def readmes_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What ``make_env`` of the bundle's README makes."""
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.chdir(folder.parent)
    (block,) = re.findall(r"```python\n(# pettingzoo.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    return names["make_env"]()


@pytest.mark.parametrize("task_id", ["simple-spread", "simple-tag", "simple-tag-episodic", "simple-spread-6"])
@pytest.mark.parametrize("form", ["reward", "ridge", "network"])
def test_each_agent_is_paid_what_the_training_pays_it(
    task_id: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, seed = catalog.load(task_id), 7
    # Names with a dash are loaded by path.
    folder = tmp_path / (f"{form}-{task_id}" if form == "ridge" else f"{form}_{task_id}".replace("-", "_"))
    weights = None if form == "reward" else decoder((16, 16) if form == "network" else ())
    program = RewardProgram(NEAR) if weights is None else RewardProgram(FACTORS, "latent")
    export_bundle(
        folder, task=task, program=program, manifest_extra={}, decoder=None if weights is None else save(weights)
    )
    transitions, native = walked(task, seed)
    assert native.any()
    with JailedReward(choose("embedded"), program) as jailed:
        reward: RewardFunction = jailed if weights is None else FrozenReward(jailed, weights)
        reward.restart()
        answer = reward(transitions)
    total = paid(answer, transitions, native, gamma=task.ppo.gamma, task_weight=task.task_weight)
    parts = components(answer, transitions, task.ppo.gamma)

    env = readmes_environment(folder, monkeypatch)
    env.reset(seed=2 * seed)  # the training's split of this seed
    world, t = env.unwrapped.world, 0
    others = [agent for agent in world.agents if agent.name not in env.team]
    for _ in range(EPISODES):
        earned = np.zeros(len(env.team))
        while env.agents:
            actions = dict(zip(env.team, transitions.action[t].tolist(), strict=True))
            hunters = np.array([a.state.p_pos for a in world.agents if a not in others])
            actions |= {other.name: flee(other.state.p_pos, hunters) for other in others}
            _, rewards, _, _, infos = env.step(actions)
            for row, agent in enumerate(env.team):
                np.testing.assert_allclose(rewards[agent], total[t, row], rtol=1e-4, atol=1e-6)
                told = infos[agent]["reward_components"]
                assert list(told) == list(parts)
                np.testing.assert_allclose(list(told.values()), [p[t, row] for p in parts.values()], 1e-4, 1e-6)
                assert (set(infos[agent].get("reward_factors", ())) == {"apart", "pushes", "speed"}) == bool(weights)
                earned[row] += infos[agent]["task_reward"]
                if not task.episodic:
                    np.testing.assert_allclose(infos[agent]["task_reward"], native[t, row], rtol=1e-5, atol=1e-7)
                elif not env.agents:
                    np.testing.assert_allclose(earned[row], native[t, row], rtol=1e-5, atol=1e-7)
            assert all("reward_components" not in infos[other.name] for other in others)
            t += 1
        env.reset()
    assert t == len(native) and np.ptp(total) > 0
    assert json.loads((folder / "manifest.json").read_text())["agents"] == task.agents == len(env.team)


def bundle(folder: Path, task_id: str) -> Any:
    """The module that wraps, of an explicit reward's bundle."""
    export_bundle(folder, task=catalog.load(task_id), program=RewardProgram(NEAR), manifest_extra={})
    return load_wrapper(folder, "team.py")


@pytest.mark.parametrize(("task_id", "alike"), [("simple-spread", True), ("simple-tag", False)])
def test_every_snippet_of_the_readme_is_short_python(task_id: str, alike: bool, tmp_path: Path) -> None:
    bundle(tmp_path / "b", task_id)
    blocks = re.findall(r"```python\n# ([\w-]+)(.*?)```", (tmp_path / "b" / "README.md").read_text(), re.DOTALL)
    # SuperSuit makes rows of agents that are alike, which prey and predators are not.
    assert [name for name, _ in blocks] == ["pettingzoo", *["Stable-Baselines3"] * alike, "TorchRL", "RLlib"]
    for name, body in blocks:
        compile(f"# {name}{body}", name, "exec")
        assert "$" not in body and len(body.splitlines()) <= 8


def test_the_potential_of_an_end_is_nothing_for_every_row(tmp_path: Path) -> None:
    """MPE only ever cuts its episodes off."""
    facts = {
        "position": np.array([[1.0, -2.0], [0.5, 0.0], [3.0, 3.0]]), "velocity": np.zeros((3, 2)),
        "landmark_offset": np.zeros((3, 3, 2)), "teammate_offset": np.ones((3, 2, 2)),
    }  # fmt: skip
    reward = bundle(tmp_path / "b", "simple-spread").BundledReward(None)
    for terminated in (True, False):
        reward.restart(3, facts)
        paid = reward(np.zeros(3, int), facts, 0.0, terminated=terminated, truncated=not terminated)
        before = -0.5 * np.array([3.0, 0.5, 6.0])
        np.testing.assert_allclose(
            paid.components["potential"], -before if terminated else (0.95 - 1) * before, rtol=1e-5
        )


def test_a_copied_environment_pays_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MPE's own copies begin anew."""
    bundle(tmp_path / "copied", "simple-spread")
    env = readmes_environment(tmp_path / "copied", monkeypatch)
    env.reset(seed=1)

    def episode(env: Any) -> list[dict[str, float]]:
        env.reset(seed=2)
        return [env.step(dict.fromkeys(env.team, 2))[1] for _ in range(3)]

    assert episode(copy.deepcopy(env)) == episode(pickle.loads(pickle.dumps(env))) == episode(env)


def test_a_changed_team_wrapper_is_found_even_where_the_manifest_leaves_it_out(tmp_path: Path) -> None:
    bundle(tmp_path / "b", "simple-spread")
    check_bundle(tmp_path / "b")
    (tmp_path / "b" / "team.py").write_text("print('hello')\n")
    for named in (True, False):
        manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
        if not named:
            del manifest["files"]["team.py"]
            (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(UserError, match=r"team\.py was changed"):
            check_bundle(tmp_path / "b")


def test_misuse_is_named(tmp_path: Path) -> None:
    from mpe2 import simple_spread_v3, simple_tag_v3

    wrapper = bundle(tmp_path / "three", "simple-spread").DesignedTeamReward
    with pytest.raises(ValueError, match="this reward is for simple_spread_v3, not for simple_tag_v3"):
        wrapper(simple_tag_v3.parallel_env())
    with pytest.raises(TypeError, match=r"make it with parallel_env\(\)"):
        wrapper(simple_spread_v3.env())
    env = wrapper(simple_spread_v3.parallel_env(max_cycles=1))
    with pytest.raises(ResetNeeded):
        env.step({})
    env.reset(seed=0)
    env.step(dict.fromkeys(env.team, 0))
    assert env.step({}) == ({}, {}, {}, {}, {})
    with pytest.raises(ValueError, match=r"the team has 4 agents, manifest\.json says 3"):
        wrapper(simple_spread_v3.parallel_env(N=4)).reset(seed=0)
