"""The files of an exported bundle: carried whole, checked before they run, never written over someone else's."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import py_compile
import re
import textwrap
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import pytest

from designer.bundle import check_bundle, export_bundle
from envs.errors import UserError
from envs.families import action_of, state_of
from envs.task import Fitness, TaskSpec
from sandbox.program import RewardProgram

ROOT = Path(__file__).resolve().parents[2]
FIRST = textwrap.dedent("""
    import numpy as np

    def potential(state):
        return -np.abs(state["pole_angle"])

    def compute_reward(state, action, next_state):
        return {"centre": -np.abs(next_state["cart_position"])}
""")
SECOND = FIRST.replace("centre", "middle")


@pytest.fixture
def task() -> TaskSpec:
    return TaskSpec(
        id="pole",
        env_id="CartPole-v1",
        description="Keep the pole upright.",
        state=state_of("classic", "CartPole-v1", {}),
        action=action_of("classic", "CartPole-v1"),
        fitness=Fitness(kind="return"),
        extractor="classic",
        task_weight=1.0,
        episode_steps=500,
        env_steps=1000,
    )


def load_wrapper(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"files_of_{folder.name}", folder / "wrapper.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_program_and_extractor_are_carried_byte_for_byte(task: TaskSpec, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    source = FIRST.replace("\n", "\r\n") + "# ü"
    program = RewardProgram(source)
    extra = {"fitness": {"iqm": 0.9, "low": 0.8, "high": 0.95, "seeds": 5}, "model": "offline"}
    export_bundle(folder, task=task, program=program, manifest_extra=extra)
    assert (folder / "reward.py").read_bytes() == source.encode()
    assert (folder / "state.py").read_bytes() == (ROOT / "envs/extractors/classic.py").read_bytes()
    assert (folder / "wrapper.py").read_bytes() == (ROOT / "designer/templates/wrapper.py").read_bytes()
    manifest = check_bundle(folder)
    assert manifest["program"] == program.id and manifest["fitness"]["low"] == 0.8
    assert manifest["state_schema"] == task.state_schema() and manifest["gamma"] == 0.99
    assert manifest["has_potential"] is True and manifest["has_memory"] is False
    assert {path.name for path in folder.iterdir()} == {*manifest["files"], "manifest.json"}


@pytest.mark.parametrize("name", ["reward.py", "state.py"])
def test_changed_code_is_refused_before_it_runs(task: TaskSpec, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "bundle"
    export_bundle(folder, task=task, program=RewardProgram(FIRST), manifest_extra={})
    with (folder / name).open("a") as file:
        file.write(f"\nopen({str(tmp_path / 'ran')!r}, 'w').close()\n")
    with pytest.raises(ValueError, match=name):
        load_wrapper(folder).DesignedReward(gymnasium.make(task.env_id), str(folder))
    assert not (tmp_path / "ran").exists()
    with pytest.raises(UserError, match=name):
        check_bundle(folder)


def test_wrapper_is_checked_against_the_template_and_not_only_the_manifest(task: TaskSpec, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    export_bundle(folder, task=task, program=RewardProgram(FIRST), manifest_extra={})
    (folder / "wrapper.py").write_text("import os\n")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["wrapper.py"] = hashlib.sha256(b"import os\n").hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"wrapper\.py"):
        check_bundle(folder)


def test_an_encoding_that_the_program_declares_is_not_believed(task: TaskSpec, tmp_path: Path) -> None:
    """Read as UTF-7, the second line holds a line break; what was verified is the text."""
    folder = tmp_path / "bundle"
    hidden = f"# coding: utf-7\n# +AAo-open({str(tmp_path / 'ran')!r}, 'w')\n"
    export_bundle(folder, task=task, program=RewardProgram(hidden + FIRST), manifest_extra={})
    load_wrapper(folder).DesignedReward(gymnasium.make(task.env_id), str(folder))
    assert not (tmp_path / "ran").exists()


def test_stale_bytecode_beside_the_source_is_never_run(task: TaskSpec, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    export_bundle(folder, task=task, program=RewardProgram(FIRST), manifest_extra={})
    cached = Path(importlib.util.cache_from_source(str(folder / "reward.py")))
    cached.parent.mkdir()
    evil = tmp_path / "evil.py"
    evil.write_text("raise SystemExit('stale bytecode ran')\n")
    py_compile.compile(str(evil), cfile=str(cached), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    load_wrapper(folder).DesignedReward(gymnasium.make(task.env_id), str(folder)).reset(seed=0)


def test_export_replaces_a_bundle_and_refuses_other_folders(task: TaskSpec, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    for source in (FIRST, SECOND):
        export_bundle(folder, task=task, program=RewardProgram(source), manifest_extra={})
        assert check_bundle(folder)["program"] == RewardProgram(source).id
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="no bundle"):
        export_bundle(folder, task=task, program=RewardProgram(FIRST), manifest_extra={})
    assert (folder / "notes.txt").read_text() == "mine"
    empty = tmp_path / "empty"
    empty.mkdir()
    export_bundle(empty, task=task, program=RewardProgram(FIRST), manifest_extra={})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle", "empty"]


def test_export_that_cannot_be_had_leaves_nothing(task: TaskSpec, tmp_path: Path) -> None:
    lost = replace(task, extractor="no_such_module_anywhere:facts")
    with pytest.raises(UserError, match="no_such_module_anywhere"):
        export_bundle(tmp_path / "b", task=lost, program=RewardProgram(FIRST), manifest_extra={})
    latent = RewardProgram("def compute_latent(state, action, next_state):\n    return {}\n", "latent")
    with pytest.raises(UserError, match="latent"):
        export_bundle(tmp_path / "b", task=task, program=latent, manifest_extra={})
    with pytest.raises(ValueError, match="gamma"):
        export_bundle(tmp_path / "b", task=task, program=RewardProgram(FIRST), manifest_extra={"gamma": 1.0})
    assert not (tmp_path / "b").exists()


def test_a_number_that_is_not_finite_stops_the_training(task: TaskSpec, tmp_path: Path) -> None:
    source = "def compute_reward(state, action, next_state):\n    return {'x': state['pole_angle'] / 0.0}\n"
    folder = tmp_path / "bundle"
    export_bundle(folder, task=task, program=RewardProgram(source), manifest_extra={})
    env = load_wrapper(folder).DesignedReward(gymnasium.make(task.env_id), str(folder))
    env.reset(seed=0)
    with pytest.raises(ValueError, match="'x'"):
        env.step(0)


@pytest.mark.parametrize(
    "changed",
    [
        {"env_id": "X'); EVIL(); ('"},
        {"env_id": 'X"); EVIL(); ("'},
        {"env_id": "X\nEVIL()"},
        {"id": "x; rm -rf ~"},
        {"id": "`EVIL`"},
        {"env_kwargs": (("a=1); EVIL(); (b", 1),)},
        {"env_kwargs": (("class", 1),)},
        {"extractor": "os:system"},
        {"extractor": "os.path:join"},
        {"extractor": "classic:a.b"},
    ],
)
def test_a_task_whose_names_are_code_is_not_exported(task: TaskSpec, tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        export_bundle(tmp_path / "b", task=replace(task, **changed), program=RewardProgram(FIRST), manifest_extra={})
    assert not (tmp_path / "b").exists()


def test_a_description_opens_no_block_in_the_readme(task: TaskSpec, tmp_path: Path) -> None:
    odd = replace(
        task,
        description="Do it.\n```python\n# gymnasium\nEVIL()\n```\n$env_id",
        env_kwargs=(("note", "'); EVIL(); ('\n```"),),
    )
    export_bundle(tmp_path / 'b"); EVIL(); ("', task=odd, program=RewardProgram(FIRST), manifest_extra={})
    text = (tmp_path / 'b"); EVIL(); ("' / "README.md").read_text()
    assert [line for line in text.splitlines() if line.startswith(("EVIL", "# gymnasium"))] == ["# gymnasium"]
    for code in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        calls = [node.func for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
        assert "EVIL" not in [called.id for called in calls if isinstance(called, ast.Name)]
