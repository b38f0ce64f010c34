"""The exported bundle in other people's projects: without us, by the lines of its own README."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from designer.bundle import export_bundle
from envs import catalog
from envs.task import Action, Field, Fitness, TaskSpec
from sandbox.program import RewardProgram

ROOT = Path(__file__).resolve().parents[2]


FOREIGN = ("envs", "sandbox", "designer", "prompts", "training")


def foreign_folder(folder: Path) -> None:
    """A user's project whose packages bear the names of ours."""
    for name in FOREIGN:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"OWNER = 'the user of {name}'\n")


def blocks(readme: Path) -> dict[str, str]:
    """The README's Python blocks by the first word of their first comment."""
    found = re.findall(r"```python\n# ([\w-]+)(.*?)```", readme.read_text(), re.DOTALL)
    return {name: f"# {name}{body}" for name, body in found}


def cartpole() -> TaskSpec:
    names = ("cart_x", "cart_speed", "pole_angle", "pole_speed")
    return TaskSpec(
        id="pole",
        env_id="CartPole-v1",
        description="Keep the pole upright.",
        state=tuple(Field(name=n, meaning=n, unit="1") for n in names),
        action=Action(kind="discrete", size=2),
        fitness=Fitness(kind="return"),
        extractor="pole_facts:facts",
        task_weight=0.0,
        episode_steps=500,
        env_steps=1000,
    )


POLE_FACTS = textwrap.dedent("""
    from __future__ import annotations
    from dataclasses import asdict, dataclass

    @dataclass
    class Facts:
        cart_x: float
        cart_speed: float
        pole_angle: float
        pole_speed: float

    def facts(env, observation, info):
        return asdict(Facts(*observation))
""")
POLE_REWARD = textwrap.dedent("""
    import numpy as np

    def compute_reward(state, action, next_state):
        return {"upright": 1.0 - np.abs(next_state["pole_angle"]), "centre": -np.abs(next_state["cart_x"])}
""")


@pytest.fixture
def pole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TaskSpec:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/pole_facts.py").write_text(POLE_FACTS)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    return cartpole()


def test_works_without_us_in_a_project_with_folders_of_our_names(pole: TaskSpec, tmp_path: Path) -> None:
    project = tmp_path / "project"
    foreign_folder(project)
    reward = project / "pole_reward"
    export_bundle(reward, task=pole, program=RewardProgram(POLE_REWARD), manifest_extra={})
    lines = blocks(reward / "README.md")
    site = [path for path in sys.path if path.endswith("site-packages")]
    script = f"""import sys
sys.path[:0] = {[str(project), *site]!r}
assert {str(ROOT)!r} not in sys.path
{lines["gymnasium"]}
env = make_env()
env.reset(seed=0)
observation, reward, *_, info = env.step(1)
assert abs(reward - sum(info["reward_components"].values())) < 1e-6 and info["task_reward"] == 1.0
import json
from gymnasium.envs.registration import EnvSpec
again = gym.make(EnvSpec.from_json(env.spec.to_json()))
again.reset(seed=0)
assert again.step(1)[1] == reward
import {", ".join(FOREIGN)}
assert all(sys.modules[name].OWNER.endswith(name) for name in {FOREIGN!r})
assert not any("torch" in name or str(getattr(m, "__file__", "")).startswith({str(ROOT)!r} + "/designer")
               for name, m in sys.modules.items())
print(json.dumps(info["reward_components"]))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], cwd=project, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"upright", "centre"}


def test_every_snippet_of_the_readme_is_short_python(pole: TaskSpec, tmp_path: Path) -> None:
    for name in ("bundle", "not-an-identifier"):
        export_bundle(tmp_path / name, task=pole, program=RewardProgram(POLE_REWARD), manifest_extra={})
        lines = blocks(tmp_path / name / "README.md")
        assert set(lines) == {"gymnasium", "Stable-Baselines3", "CleanRL", "TorchRL", "RLlib", "Tianshou"}
        for trainer, code in lines.items():
            compile(code, trainer, "exec")
            written = [line for line in code.splitlines() if line and not line.startswith("#")]
            assert trainer == "gymnasium" or len(written) <= 6
        assert "unsandboxed" in (tmp_path / name / "README.md").read_text()
        assert "$" not in (tmp_path / name / "README.md").read_text()


def test_a_folder_whose_name_python_cannot_import_loads_by_path(pole: TaskSpec, tmp_path: Path) -> None:
    folder = tmp_path / "doorkey-6x6"
    export_bundle(folder, task=pole, program=RewardProgram(POLE_REWARD), manifest_extra={})
    code = blocks(folder / "README.md")["gymnasium"]
    there: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        exec(code, there)
        env = there["make_env"]()
    env.reset(seed=0)
    assert set(env.step(1)[4]["reward_components"]) == {"upright", "centre"}


FETCH = textwrap.dedent("""
    import numpy as np

    def potential(state):
        gap = np.abs(state["agent_pos"] - state["goal_pos"]).sum(axis=1)
        return (state["carrying_type"] != 0) * 1.0 + (state["door_state"] == 0) - 0.05 * gap

    def compute_reward(state, action, next_state):
        return {"waste": -0.01 * (action == 6)}
""")


@pytest.mark.slow
def test_clean_environment_trains_with_the_readmes_own_lines(tmp_path: Path) -> None:
    project = tmp_path / "project"
    foreign_folder(project)
    task = catalog.load("doorkey-5x5")
    export_bundle(project / "fetch", task=task, program=RewardProgram(FETCH), manifest_extra={})
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv/bin/python")
    packages = ["gymnasium", "minigrid", "numpy", "stable-baselines3"]
    pip = [python, "-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, *packages], check=True)
    lines = blocks(project / "fetch" / "README.md")
    script = project / "train.py"
    script.write_text(
        lines["gymnasium"]
        + lines["Stable-Baselines3"].replace("100_000", "2_500")
        + """
from gymnasium.envs.registration import EnvSpec
env = gym.make(EnvSpec.from_json(make_env().spec.to_json()))
env.reset(seed=0)
_, reward, _, _, info = env.step(6)
assert abs(info["reward_components"]["waste"] + 0.01) < 1e-6
assert abs(reward - sum(info["reward_components"].values())) < 1e-6
print("steps", model.num_timesteps)
import envs, sandbox, designer, prompts, training
assert envs.OWNER and designer.OWNER
"""
    )
    done = subprocess.run([python, str(script)], cwd=project, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) >= 2_500
