"""A run's folder that somebody sent: looking at it runs nothing of it, and its checkpoints are data."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import ormsgpack
import pytest

from designer.exits import DONE, USER
from designer.graph import PLAIN
from designer.main import run
from designer.settings import DesignSettings
from envs import catalog
from envs.errors import UserError
from envs.task import TaskSpec
from tests.designer import corridor
from tests.designer.endpoint import serving
from tests.designer.test_resume import CORRIDOR, at, walking

CALLS_A_FUNCTION = 0
"""LangGraph's code of an extension that names a module, a callable in it, and its argument."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a user's module and a finished run on its environment."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copy(corridor.__file__, folder / "corridor.py")
    with pytest.MonkeyPatch.context() as patch, serving(walking) as endpoint:
        patch.syspath_prepend(str(folder))
        assert run(["design", *CORRIDOR, *at(endpoint, folder / "run")]) == DONE
    return folder


@pytest.fixture
def sent(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same run as a stranger sends it: its modules would do harm when they are imported."""
    shutil.copytree(home / "run", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    task = json.loads((tmp_path / "run" / "task.json").read_text())
    for record in (config, task):
        text = json.dumps(record).replace("corridor:", "evil.inside:")
        record.clear()
        record.update(json.loads(text))
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    (tmp_path / "run" / "task.json").write_text(json.dumps(task))
    (tmp_path / "evil").mkdir()
    for name in ("__init__", "inside"):
        (tmp_path / "evil" / f"{name}.py").write_text(f"open({str(tmp_path / 'harm')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_looking_at_a_run_imports_nothing_that_it_names(sent: Path) -> None:
    ids = sorted(path.name for path in (sent / "run" / "candidates").iterdir())
    for arguments in (["show", "run"], ["show", "run", ids[0]], ["show", "run", "--json"], ["diff", "run", *ids[:2]],
                      ["report", "run"], ["report", "run", "--beside", "run"],
                      ["export", "run", "-o", "bundle", "--candidate", ids[0]]):  # fmt: skip
        assert run(arguments) == DONE, arguments
        assert not (sent / "harm").exists(), arguments
    (sent / "run" / "scorecard.json").unlink()
    assert run(["show", "run"]) == DONE and not (sent / "harm").exists()


@pytest.mark.parametrize(
    "task", ["[]", "{}", '{"state": 3}', "null", '{"human": "../../../etc/passwd"}', '{"extractor": "../../x"}']
)
def test_a_task_that_was_tampered_with_is_refused(sent: Path, task: str) -> None:
    good = json.loads((sent / "run" / "task.json").read_text())
    found = json.loads(task)
    written = {**good, **found} if isinstance(found, dict) and found else found
    (sent / "run" / "task.json").write_text(json.dumps(written))
    assert run(["report", "run"]) == USER


def test_the_record_of_a_task_is_the_task() -> None:
    for spec in (catalog.load("doorkey-6x6"), catalog.load("reacher")):
        plain = json.loads(json.dumps(DesignSettings(task=spec.id).to_json()))
        assert plain["task"] == spec.id
    import dataclasses

    for name in ("cartpole", "pendulum", "empty-8x8"):
        spec = dataclasses.replace(catalog.load(name), human=None)
        assert TaskSpec.from_json(json.loads(json.dumps(dataclasses.asdict(spec)))) == spec
    with pytest.raises(UserError, match="by its id"):
        TaskSpec.from_json(json.loads(json.dumps(dataclasses.asdict(catalog.load("cartpole")))))


def hostile(command: str) -> bytes:
    """A checkpoint whose reader is asked to call ``os.system``."""
    payload = ormsgpack.packb(("os", "system", command))
    return ormsgpack.packb({"v": 1, "id": "x", "channel_values": ormsgpack.Ext(CALLS_A_FUNCTION, payload)})


def test_a_checkpoint_calls_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "harm"
    PLAIN.loads_typed(("msgpack", hostile(f"touch {mark}")))
    assert not mark.exists()
    with pytest.raises(NotImplementedError):
        PLAIN.loads_typed(("pickle", b"cos\nsystem\n(S'true'\ntR."))
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    JsonPlusSerializer(allowed_msgpack_modules=True).loads_typed(("msgpack", hostile(f"touch {mark}")))
    assert mark.exists(), "the attack is a real one: the library's permissive reader falls for it"


@pytest.mark.parametrize("kind", ["msgpack", "pickle", "json", "made up"])
def test_a_run_with_hostile_checkpoints_is_refused(home: Path, tmp_path: Path, kind: str, monkeypatch: Any) -> None:
    shutil.copytree(home / "run", tmp_path / "run")
    mark = tmp_path / "harm"
    with sqlite3.connect(tmp_path / "run" / "state.sqlite") as connection:
        data = hostile(f"touch {mark}") if kind == "msgpack" else b"cos\nsystem\n(S'touch harm'\ntR."
        connection.execute("UPDATE checkpoints SET type = ?, checkpoint = ?", (kind, data))
    monkeypatch.syspath_prepend(str(home))
    assert run(["resume", str(tmp_path / "run")]) == USER
    assert not mark.exists()
