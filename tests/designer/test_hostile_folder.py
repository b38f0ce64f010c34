"""A folder that somebody sent, and a command started in it: nothing in it runs unless an option names it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from designer import bundle
from designer.exits import DEFECT, DONE, USER
from designer.main import own_packages_first
from envs import catalog
from tests.designer import corridor
from tests.designer.command import REWARDSMITH, call, environment

ROOT = Path(corridor.__file__).parents[2]
TAKEN = ("dill", "webcolors", "psutil", "tempfile", "__future__", "tomllib", "IPython", "attr", "simplejson",
         "sitecustomize", "usercustomize", "evilplug")  # fmt: skip
"""Names that Python, or what we use, imports where it finds them."""
SOUND = "import numpy as np\n\n\ndef compute_reward(state, action, next_state):\n    return {'x': action * 0.0}\n"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run."""
    home = tmp_path_factory.mktemp("recorded")
    arguments = ["cartpole", "--env-steps", "2048", "--seeds", "1", "--iterations", "1", "--candidates", "1"]
    call("design", *arguments, "--sandbox", "embedded", "--run-dir", home / "run", cwd=home)
    return home / "run"


@pytest.fixture
def sent(recorded: Path, tmp_path: Path) -> Path:
    """The run as a folder that holds code which its receiver never asked for."""
    folder = tmp_path / "sent"
    shutil.copytree(recorded, folder)
    for name in TAKEN:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'harm')!r}, 'a').write({name!r})\n")
    plugin = folder / "evilplug-1.0.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: evilplug\nVersion: 1.0\n")
    groups = ("torch.backends", "gymnasium.envs", "pygments.lexers", "langgraph", "console_scripts")
    (plugin / "entry_points.txt").write_text("".join(f"[{group}]\nevil = evilplug:go\n" for group in groups))
    (folder / "reward.py").write_text(SOUND)
    return folder


def commands(folder: Path) -> list[list[str]]:
    candidate = next(p.name for p in (folder / "candidates").iterdir())
    return [["show", ".", candidate], ["report", "."], ["doctor"], ["tasks"],
            ["verify", "reward.py", "--task", "cartpole", "--sandbox", "embedded"]]  # fmt: skip


@pytest.mark.parametrize("path", [None, os.pathsep], ids=["no path", "an empty entry of PYTHONPATH"])
def test_looking_at_a_folder_runs_nothing_in_it(sent: Path, path: str | None) -> None:
    if path is not None:
        # Python itself looks for these before anybody can say otherwise, the last one for an editable installation.
        for name in ("sitecustomize", "usercustomize", "__future__"):
            (sent / f"{name}.py").unlink()
    for command in commands(sent):
        ended = call(*command, cwd=sent, **({} if path is None else {"PYTHONPATH": path}))
        assert not (sent.parent / "harm").exists(), (command, (sent.parent / "harm").read_text())
        assert ended.returncode in (DONE, 1), (command, ended.stderr)


def test_the_attack_is_a_real_one(sent: Path) -> None:
    program = f"import sys; sys.path.append({str(sent)!r}); import torch"
    subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment(), check=False)
    assert "dill" in (sent.parent / "harm").read_text()
    (sent / "dill.py").unlink()
    subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment(), check=False)
    assert "evilplug" in (sent.parent / "harm").read_text()


@pytest.mark.timeout(120)
def test_a_report_reads_no_settings_of_matplotlib_from_the_folder(sent: Path) -> None:
    os.mkfifo(sent / "matplotlibrc")
    assert call("report", ".", cwd=sent).returncode == DONE


def test_a_module_of_the_folder_is_imported_where_an_option_names_it(tmp_path: Path) -> None:
    shutil.copy(corridor.__file__, tmp_path / "my_corridor.py")
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    (tmp_path / "reward.py").write_text(SOUND.replace("action * 0.0", "next_state['place'] - state['place'] * 1.0"))
    task = ["--task", "walk on", "--env", "my_corridor:Corridor-v0", "--state", "my_corridor:read_state"]
    ended = call("verify", "reward.py", *task, "--sandbox", "embedded", "--json", cwd=tmp_path)
    assert json.loads(ended.stdout)["ok"] is True, ended.stderr


def test_the_source_of_a_state_function_is_found_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "states").mkdir()
    (tmp_path / "states" / "__init__.py").write_text("raise SystemExit\n")
    (tmp_path / "states" / "mine.py").write_text("raise SystemExit\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != ""])
    task = replace(catalog.load("cartpole"), extractor="states.mine:read")
    assert bundle._extractor(task) == (b"raise SystemExit\n", "read")


def test_the_path_is_put_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    library = str(Path(os.__file__).parent)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), library, str(tmp_path / "link"), "/else/where", str(ROOT)])
    own_packages_first()
    assert sys.path == [str(ROOT), library, "/else/where"]
    monkeypatch.chdir(library)
    own_packages_first()
    assert library in sys.path
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", ["", library])
    own_packages_first()
    assert sys.path == [str(ROOT), library]


def test_a_folder_that_is_gone_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    line = f"cd gone && rmdir ../gone && exec {REWARDSMITH} tasks"
    ended = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False
    )
    assert ended.returncode == USER
    assert ended.stderr.splitlines()[-1] == "rewardsmith: the current folder is gone; go to one that exists."
    assert "Traceback" not in ended.stderr


def test_the_report_of_a_defect_is_made_to_be_sent(tmp_path: Path) -> None:
    canary = "sk-canary-of-the-command-line"
    broken = (
        "from envs import catalog; del catalog.ids; from designer.main import run; "
        f"raise SystemExit(run(['design', 'x{canary}', '--model', 'm']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", broken], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT), OPENAI_API_KEY=canary),
    )  # fmt: skip
    assert ended.returncode == DEFECT
    (report,) = tmp_path.glob("rewardsmith-defect-*.txt")
    assert canary not in report.read_text() and "NameError" in report.read_text()
    assert "<OPENAI_API_KEY>" in report.read_text()


def test_a_defect_where_the_folder_goes_away_is_still_told(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    broken = (
        "import os; from envs import catalog; del catalog.ids; from designer.main import run; "
        "os.rmdir(os.getcwd()); raise SystemExit(run(['tasks']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", broken], capture_output=True, text=True, check=False, cwd=tmp_path / "gone",
        env=environment(PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path)),
    )  # fmt: skip
    assert ended.returncode == DEFECT and "Traceback" not in ended.stderr
    assert list(tmp_path.glob("rewardsmith-defect-*.txt"))
