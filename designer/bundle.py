"""The exported bundle: one folder that any trainer can load, which imports nothing of ours."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import keyword
import re
import sys
import tempfile
from collections.abc import Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from string import Template
from typing import Any

import envs
from envs.errors import UserError
from envs.extractors.mpe import TAG
from envs.task import TaskSpec
from sandbox.gate import parsed
from sandbox.program import RewardProgram

FORMAT = "rewardsmith-bundle/1"
FILES = frozenset(
    {"reward.py", "state.py", "wrapper.py", "team.py", "manifest.json", "README.md", "decoder.safetensors"}
)
_TEMPLATES = Path(__file__).parent / "templates"
_WRAPPERS = ("wrapper.py", "team.py")
_NAME = re.compile(r"[\w:./-]+")
_IMPORT_BY_PATH = Template("""\
import importlib.util, sys
spec = importlib.util.spec_from_file_location("designed_$program", $file)
module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
$wrapper_class = module.$wrapper_class""")

_WITHHELD = """
The task's own reward was withheld in training and is withheld here: its sum is paid with an episode's last step, so a
time limit belongs inside, as in `make_env()`.
"""
_PREY = """
The prey is paid as ever and is yours to steer. In the training of this reward it fled by a fixed policy, and the
figures hold for that one.
"""
_ALIKE = """
```python
# Stable-Baselines3: one policy for all agents (pip install supersuit)
import supersuit
from stable_baselines3 import PPO
rows = supersuit.pettingzoo_env_to_vec_env_v1(make_env())
envs = supersuit.concat_vec_envs_v1(rows, 8, base_class="stable_baselines3")
model = PPO("MlpPolicy", envs).learn(100_000)
```
"""


def export_bundle(
    directory: Path,
    *,
    task: TaskSpec,
    program: RewardProgram,
    manifest_extra: Mapping[str, Any],
    decoder: bytes | None = None,
) -> None:
    """Write reward, any decoder, extractor, wrapper, manifest and README into one folder, whole or not at all.

    ``manifest_extra`` adds to the manifest what the run knows: ``fitness`` with intervals, provenance.
    ``decoder``: of a latent reward, its frozen decoder as safetensors.
    An older bundle in ``directory`` is replaced. Raises ``UserError`` when the folder holds anything
    else, when the task's extractor cannot be found, when its names would be code in the README's lines, or when the
    program is a latent reward without its trained decoder.
    """
    directory = directory.expanduser().resolve()
    if (program.form == "latent") != (decoder is not None):
        raise UserError("a latent reward is exported with its decoder, which a training leaves; train it first")
    _refuse_foreign(directory)
    files = _contents(directory.name, task, program, manifest_extra, decoder)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{directory.name}.", dir=directory.parent) as scratch:
            fresh = Path(scratch) / "new"
            fresh.mkdir()
            for name, content in files.items():
                (fresh / name).write_bytes(content)
            if directory.exists():
                directory.rename(Path(scratch) / "old")
            fresh.rename(directory)
    except OSError as error:
        raise UserError(f"cannot write the bundle to {directory}: {error.strerror or error}") from error


def check_bundle(directory: Path) -> dict[str, Any]:
    """The manifest of a bundle whose files are what it says and whose wrappers are our fixed templates.

    Nothing of the bundle is run. Raises ``UserError`` that names the first file at fault.
    """
    try:
        manifest: dict[str, Any] = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
        hashes = {name: _sha256((directory / name).read_bytes()) for name in sorted(manifest["files"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{directory} is not a complete bundle: {error}") from error
    changed = [name for name, found in hashes.items() if found != manifest["files"][name]]
    for name in _WRAPPERS:
        # One that the manifest does not name would be run all the same.
        there = name == "wrapper.py" or (directory / name).exists()
        if there and hashes.get(name) != _sha256((_TEMPLATES / name).read_bytes()):
            changed.append(name)
    if changed:
        raise UserError(f"{directory / changed[0]} was changed after the export; export the reward again")
    return manifest


def _contents(
    name: str, task: TaskSpec, program: RewardProgram, extra: Mapping[str, Any], decoder: bytes | None
) -> dict[str, bytes]:
    """Every file of the bundle, by name."""
    _refuse_code_as_names(task)
    state, function = _extractor(task)
    files = {
        "reward.py": program.source.encode(),
        "state.py": state,
        "wrapper.py": (_TEMPLATES / "wrapper.py").read_bytes(),
        "README.md": _readme(name, task, program).encode(),
    }
    if task.agents > 1:
        files["team.py"] = (_TEMPLATES / "team.py").read_bytes()
    if decoder is not None:
        files["decoder.safetensors"] = decoder
    manifest = _manifest(task, program, {n: _sha256(content) for n, content in files.items()}, function)
    taken = sorted(set(manifest) & set(extra) - {"licence"})
    if taken:
        raise ValueError(f"manifest_extra may not replace {taken}")
    text = json.dumps({**manifest, **extra}, indent=2, allow_nan=False)
    return {**files, "manifest.json": (text + "\n").encode()}


def _manifest(task: TaskSpec, program: RewardProgram, files: Mapping[str, str], function: str) -> dict[str, Any]:
    """What the bundle says of itself; the wrapper reads its settings here."""
    defined = {node.name for node in parsed(program.source).body if isinstance(node, ast.FunctionDef)}
    ours = ":" not in task.extractor
    return {
        "format": FORMAT,
        "task": task.id,
        "env_id": task.env_id,
        "env_kwargs": dict(task.env_kwargs),
        "description": task.description,
        "measure": {
            "kind": task.fitness.kind,
            "success": task.fitness.success,
            "threshold": task.fitness.threshold,
            "function": task.fitness.function,
        },
        "episode_steps": task.episode_steps,
        "state_schema": task.state_schema(),
        "state_function": function,
        "action": task.action.in_words(),
        "form": program.form,
        "program": program.id,
        "entry_point": program.entry_point,
        "has_potential": "potential" in defined,
        "has_memory": "init_memory" in defined,
        "gamma": task.ppo.gamma,
        "task_weight": task.task_weight,
        "episodic": task.episodic,
        "agents": task.agents,
        "files": dict(files),
        "versions": {name: importlib.metadata.version(name) for name in ("gymnasium", "numpy")},
        "licence": "Apache-2.0" if ours else "Apache-2.0; state.py: its author's",
    }


def _extractor(task: TaskSpec) -> tuple[bytes, str]:
    """Source of the file that reads the task's state, and its function's name; ``UserError`` if not found.

    A user's module is copied as it stands, not imported: what else it imports must be there at training. The standard
    library's are refused: only a run that somebody made up names them.
    """
    if ":" not in task.extractor:
        path = Path(envs.__file__).parent / "extractors" / f"{task.extractor}.py"
        return path.read_bytes(), "read_state" if task.agents == 1 else "read_team"
    module, _, function = task.extractor.partition(":")
    if not function.isidentifier() or module.partition(".")[0] in sys.stdlib_module_names:
        raise UserError(f"--state {task.extractor!r} names no function of a module of yours that reads a state")
    # The current folder is not on the path: nothing is imported from it unless an option names it.
    spec, folders = None, [*sys.path, str(Path.cwd())]
    for part in module.split("."):
        # Not importlib.util.find_spec, which imports the packages on the way.
        spec = PathFinder.find_spec(part, folders)
        folders = list((spec.submodule_search_locations if spec else None) or [])
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise UserError(f"cannot find the source of the module {module!r} of --state {task.extractor}")
    return Path(spec.origin).read_bytes(), function


def _refuse_code_as_names(task: TaskSpec) -> None:
    """``UserError`` unless what stands as a name in the README's lines of Python and shell is one.

    A run's folder may come from anyone.
    """
    odd = [name for name in (task.id, task.env_id) if not _NAME.fullmatch(name)]
    odd += [key for key, _ in task.env_kwargs if not key.isidentifier() or keyword.iskeyword(key)]
    if odd:
        raise UserError(f"the task cannot be exported: {odd[0]!r} is no name")


def _readme(name: str, task: TaskSpec, program: RewardProgram) -> str:
    """The lines that plug the bundle into each trainer, for a bundle in a folder called ``name``."""
    file, wrapper = ("wrapper", "DesignedReward") if task.agents == 1 else ("team", "DesignedTeamReward")
    lines = {
        "env_id": task.env_id,
        "description": " ".join(task.description.replace("`", "'").split()),
        "task": task.id,
        "program": program.id,
        "form": " --form latent" if program.form == "latent" else "",
        "safetensors": ", safetensors" if program.form == "latent" else "",
        "withheld": _WITHHELD if task.episodic and program.form == "reward" else "",
        "import_lines": f"from {name}.{file} import {wrapper}"
        if name.isidentifier()
        else _IMPORT_BY_PATH.substitute(
            program=program.id, file=json.dumps(f"{name}/{file}.py"), wrapper_class=wrapper
        ),
    }
    if task.agents == 1:
        return _filled("README.md", {**lines, **_single(task)})
    settings = {"max_cycles": task.episode_steps, **dict(task.env_kwargs)}
    team = {"settings": ", ".join(f"{key}={value!r}" for key, value in settings.items())}
    return _filled("TEAM.md", {**lines, **team, "others": _PREY if task.env_id == TAG else _ALIKE})


def _filled(template: str, lines: Mapping[str, str]) -> str:
    return Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(lines)


def _single(task: TaskSpec) -> dict[str, str]:
    """How each trainer makes an environment of one agent."""
    minigrid = task.env_id.startswith(("MiniGrid-", "BabyAI-"))
    settings = {**dict(task.env_kwargs), "max_episode_steps": task.episode_steps}
    wrapped = "lambda env: ImgObsWrapper(DesignedReward(env))" if minigrid else "DesignedReward"
    sb3_import = "from minigrid.wrappers import ImgObsWrapper\n" if minigrid else ""
    return {
        "make_id": f"minigrid:{task.env_id}" if minigrid else task.env_id,
        "make_kwargs": "".join(f", {key}={value!r}" for key, value in settings.items()),
        "sb3_wrapper": f"{sb3_import}wrap = {wrapped}",
        "sb3_kwargs": f", env_kwargs={settings!r}",
    }


def _refuse_foreign(directory: Path) -> None:
    """``UserError`` unless the folder is absent, empty, or an earlier bundle and nothing more."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise UserError(f"{directory} is a file; give a folder for the bundle")
    found = {path.name for path in directory.iterdir()} - {"__pycache__"}
    if not found:
        return
    if found <= FILES and _is_bundle(directory / "manifest.json"):
        return
    raise UserError(f"{directory} holds files that are no bundle of ours; give an empty or a new folder")


def _is_bundle(manifest: Path) -> bool:
    """Whether this is the manifest of an exported bundle."""
    try:
        text = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(text, dict) and text.get("format") == FORMAT


def _sha256(content: bytes) -> str:
    """SHA-256 as hex digits."""
    return hashlib.sha256(content).hexdigest()
