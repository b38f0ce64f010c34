"""Runs whose files are not what rewardsmith wrote: every command on them ends with words, never with a defect."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import random
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from designer.exits import DONE, USER
from designer.main import run
from designer.reading import reading
from designer.regular_files import LARGEST, LARGEST_PROGRAM
from designer.store import RunStore
from envs.errors import UserError
from sandbox.errors import InfraError
from tests.designer import corridor
from tests.designer.endpoint import serving
from tests.designer.test_resume import CORRIDOR, at, walking

SAMPLE = 150
"""Mutations that are tried in the default suite."""
EVERY = 1_000
"""Those of the slow one."""
DEEP = "[" * 100_000
OTHERS = (None, True, -1, 2.5, 10**400, float("nan"), float("inf"), "", "x[/y]", "\ud800\x1b", [], {}, [[]], {"a": 1})


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a user's module and a finished run on its environment."""
    home = tmp_path_factory.mktemp("recorded")
    shutil.copy(corridor.__file__, home / "corridor.py")
    with pytest.MonkeyPatch.context() as patch, serving(walking) as endpoint:
        patch.syspath_prepend(str(home))
        assert run(["design", *CORRIDOR, *at(endpoint, home / "run")]) == DONE
    return home


@pytest.fixture
def sent(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run, to be changed."""
    shutil.copytree(recorded / "run", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(recorded))
    return tmp_path / "run"


def best(root: Path) -> str:
    """The candidate with a training and an analysis on record."""
    return str(json.loads((root / "scorecard.json").read_text())["best"]["id"])


def looks(root: Path, *, resume: bool = False) -> list[list[str]]:
    """Every command that reads the run; the candidate is the run's best."""
    name = best(root)
    other = next(p.name for p in sorted((root / "candidates").iterdir()) if p.name != name)
    commands = [["show", "run"], ["show", "run", name], ["diff", "run", name, other], ["report", "run"],
                ["export", "run", "-o", "bundle", "--candidate", name], ["show", "run", "--json"],
                ["show", "run", name, "--json"], ["export", "run", "-o", "bundle"]]  # fmt: skip
    return [*commands, ["resume", "run"]] if resume else commands


def leaves(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything in a JSON value, the value itself first."""
    yield path
    for key in data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ():
        yield from leaves(data[key], (*path, key))


def changed(data: Any, path: tuple[Any, ...], draw: random.Random) -> Any:
    """A copy of a JSON value in which one thing is missing or another."""
    if not path:
        return draw.choice(OTHERS)
    made = copy.deepcopy(data)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    if draw.random() < 0.4:
        del inner[path[-1]]
    else:
        inner[path[-1]] = draw.choice(OTHERS)
    return made


def mutations(root: Path, draw: random.Random) -> Iterator[tuple[Path, tuple[Any, ...], str]]:
    """Endlessly: a file of the run, the place in it that is changed, and the changed text."""
    files = sorted(p for p in root.rglob("*.json") if "llm" not in p.parts or draw.random() < 0.1)
    while True:
        file = draw.choice(files)
        data = json.loads(file.read_text())
        # Every depth alike: most leaves lie deep in long curves.
        places = list(leaves(data))
        depth = draw.choice(sorted({len(place) for place in places}))
        place = draw.choice([p for p in places if len(p) == depth])
        yield file, place, json.dumps(changed(data, place, draw))


def endings(sent: Path, count: int, seed: int) -> list[str]:
    """What ended otherwise than with the run shown, or with words on what does not fit in it."""
    draw = random.Random(seed)
    commands = looks(sent)
    wrong = []
    for number, (file, place, text) in zip(range(count), mutations(sent, draw), strict=False):
        kept = file.read_bytes()
        file.write_text(text)
        command = commands[number % len(commands)]
        code = run(command)
        if code not in (DONE, USER):
            wrong.append(f"{file.relative_to(sent)} {place} {command}: {code}")
        file.write_bytes(kept)
    return wrong


def test_one_changed_value_anywhere_is_no_defect(sent: Path) -> None:
    assert endings(sent, SAMPLE, seed=0) == []


@pytest.mark.slow
def test_one_changed_value_anywhere_is_no_defect_in_many_more(sent: Path) -> None:
    assert endings(sent, EVERY, seed=1) == []


BROKEN: dict[str, bytes] = {
    "deep": DEEP.encode(),
    "no text": b"\xff\xfe\x00",
    "no JSON": b"{",
    "a long number": b"1" * 5_000,
    "empty": b"",
    "lone surrogate": b'"\\ud800"',
}


@pytest.mark.parametrize("name", ["config.json", "task.json", "scorecard.json", "feedback.json", "candidate.json"])
def test_a_file_that_is_no_json_is_named(sent: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = sent / "candidates" / best(sent) / name if name == "candidate.json" else sent / name
    commands = looks(sent)
    for content in BROKEN.values():
        file.write_bytes(content)
        for command in (commands[0], commands[3]) if name != "task.json" else (commands[1], commands[3]):
            assert run(command) in (DONE, USER), (command, content[:9])
    file.write_bytes(BROKEN["no JSON"])
    capsys.readouterr()
    code = run(commands[3])
    assert code == USER and name in capsys.readouterr().err


def spoilt(kind: str) -> bytes:
    """An archive of arrays that is none, or not one of ours."""
    buffer = io.BytesIO()
    match kind:
        case "pickle":
            return pickle.dumps({"e0/action": 1})
        case "one array":
            np.save(buffer, np.zeros(3))
        case "objects":
            np.savez(buffer, **{"e0/action": np.array([{}, None], dtype=object)})  # type: ignore[arg-type]
        case "other names":
            np.savez(buffer, **{"x": np.zeros(2), "e0/action": np.zeros(2), "eX/end": np.zeros(3)})  # type: ignore[arg-type]
        case "a huge shape":
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40, 1 << 10)}
            )
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr("e0/action.npy", header.getvalue())
        case "a bomb":
            with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
                for number in range(5):
                    archive.writestr(f"e{number}/action.npy", bytes(LARGEST))
        case "cut":
            np.savez(buffer, **{"e0/action": np.zeros(99)})  # type: ignore[arg-type]
            return buffer.getvalue()[:-40]
    return buffer.getvalue() or b"garbage"


@pytest.mark.parametrize(
    "kind", ["garbage", "pickle", "one array", "objects", "other names", "a huge shape", "a bomb", "cut"]
)
def test_arrays_that_are_none_of_ours_are_refused(sent: Path, kind: str) -> None:
    (sent / "candidates" / best(sent) / "trajectories.npz").write_bytes(spoilt(kind))
    assert run(["show", "run", best(sent)]) == USER
    assert run(["report", "run"]) == USER


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_loop(path: Path) -> None:
    path.symlink_to(path.name)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def too_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)


FILES = ("config.json", "task.json", "scorecard.json", "feedback.json", "events.jsonl", "report.html", "lock",
         "state.sqlite", "state.sqlite-wal", "candidates/ID/candidate.json", "candidates/ID/reward.py",
         "candidates/ID/training.json", "candidates/ID/trajectories.npz", "candidates/ID/verification.json",
         "controls/native/confirmation.json", "best/manifest.json")  # fmt: skip


@pytest.mark.parametrize("put", [a_folder, a_pipe, a_loop, a_device, too_large])
@pytest.mark.timeout(120)
def test_what_stands_in_a_files_place_is_neither_waited_for_nor_followed(
    sent: Path, put: Callable[[Path], None], recorded: Path
) -> None:
    for name in FILES:
        if put is too_large and name.startswith(("state.", "lock", "report", "events")):
            continue
        file = sent / name.replace("ID", best(sent))
        kept = file.read_bytes() if file.exists() else None
        file.unlink(missing_ok=True)
        commands = looks(recorded / "run", resume=True)
        put(file)
        for command in (commands[1], commands[3], commands[-1]):
            # A finished run is resumed in a moment, or not at all.
            code = run(command)
            assert code in (DONE, USER), (name, command, code)
        if name in ("state.sqlite", "state.sqlite-wal", "lock"):
            assert code == USER, name
        shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink()
        if kept is not None:
            file.write_bytes(kept)


def test_a_program_that_is_missing_not_text_or_not_python_is_said(sent: Path) -> None:
    name = best(sent)
    file = sent / "candidates" / name / "reward.py"
    for content in (None, b"\xff", b"x" * (LARGEST_PROGRAM + 1), b"def f(:\n"):
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_bytes(content)
        for command in looks(sent)[1:5]:
            assert run(command) == USER, (content and content[:9], command)
    # One whose id is that of a source which is no Python.
    from sandbox.program import RewardProgram

    store = RunStore.open(sent)
    broken = RewardProgram("def f(:\n")
    facts = store.candidate(name) or {}
    store.add_program(broken, {k: facts[k] for k in ("iteration", "slot", "round", "idea", "revision_of")})
    assert run(["show", "run", broken.id]) == DONE
    assert run(["export", "run", "-o", "bundle", "--candidate", broken.id]) == USER


def outside(sent: Path) -> dict[Path, bytes]:
    """Everything beside the run, to see that it stays as it is."""
    return {p: p.read_bytes() for p in sent.parent.rglob("*") if p.is_file() and sent not in p.parents}


@pytest.mark.parametrize("name", ["events.jsonl", "lock", "best", "state.sqlite", "report.html", "feedback.json"])
def test_a_resumed_run_writes_nothing_outside_of_it(sent: Path, name: str) -> None:
    target = sent.parent / "mine"
    if name == "best":
        target.mkdir()
    elif name == "state.sqlite":
        with sqlite3.connect(target) as database:
            database.execute("create table mine (x)")
    else:
        target.write_text("mine")
    before = outside(sent)
    found = sent / name
    shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)
    found.symlink_to(target)
    assert run(["resume", "run", "--feedback", "more"]) == USER
    assert outside(sent) == before and (name != "best" or not list(target.iterdir()))


def test_a_lock_that_links_into_the_run_truncates_nothing(sent: Path) -> None:
    kept = (sent / "config.json").read_bytes()
    (sent / "lock").unlink(missing_ok=True)
    (sent / "lock").symlink_to("config.json")
    assert run(["resume", "run"]) == USER
    assert (sent / "config.json").read_bytes() == kept


def test_no_partial_file_is_written_through_a_link(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path / "run", {})
    (tmp_path / "mine").write_text("mine")
    import threading

    name = f".x.json.{os.getpid()}.{threading.get_ident()}.partial"
    (tmp_path / "run" / name).symlink_to(tmp_path / "mine")
    store.write_json("x.json", {})
    assert (tmp_path / "mine").read_text() == "mine" and store.read_json("x.json") == {}


def test_resume_reads_before_it_goes_on(sent: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sent / "candidates" / best(sent) / "training.json").write_text('{"failure": null}')
    assert run(["resume", "run"]) == USER
    said = capsys.readouterr().err
    assert "not a run as rewardsmith writes it" in said and "training.json" in said and "'fitness'" in said


def test_what_does_not_fit_keeps_its_cause_and_a_full_disk_stays_one(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path / "run", {})
    with pytest.raises(UserError, match="KeyError") as told, reading(store):
        (store.read_json("config.json") or {})["task"]
    assert isinstance(told.value.__cause__, KeyError) and "config.json" in str(told.value)
    for error in (OSError(28, "No space left on device"), BrokenPipeError(), InfraError("x"), AssertionError()):
        with pytest.raises(type(error)), reading(store):
            raise error
    assert "designer/store.py" in _told(store)


def _told(store: RunStore) -> str:
    """What is told of an error that a line of ours raised."""
    with pytest.raises(UserError) as told, reading(store):
        store.event(None, elapsed=object())  # type: ignore[arg-type]
    return str(told.value)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("command", ["verify", "train"])
def test_a_program_file_is_a_regular_file(tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "large.py").write_bytes(b"#" * (LARGEST_PROGRAM + 1))
    for path in (tmp_path / "pipe.py", tmp_path, Path("/dev/zero"), tmp_path / "large.py"):
        assert run([command, str(path), "--task", "cartpole"]) == USER
        assert str(path) in capsys.readouterr().err


def test_a_program_with_other_line_breaks_keeps_its_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sandbox.program import RewardProgram

    source = "def compute_reward(state, action, next_state):\r\n    return {'x': action * 0.0}\r\n"
    program = RewardProgram(source)
    store = RunStore.create(tmp_path / "run", {})
    facts = {"iteration": 0, "slot": 0, "round": 0, "idea": "i", "revision_of": None}
    store.add_program(program, facts)
    assert store.program(program.id) == program
    (tmp_path / "reward.py").write_bytes(source.encode())
    run(["verify", str(tmp_path / "reward.py"), "--task", "cartpole", "--json"])
    assert json.loads(capsys.readouterr().out)["program"] == program.id


def test_events_of_another_shape_are_passed_over(tmp_path: Path) -> None:
    RunStore.create(tmp_path / "run", {})
    lines = ["[]", "3", '{"event": 5}', '{"elapsed": 1}', '{"event": "x", "elapsed": "y"}', DEEP,
             '{"event": "x", "elapsed": 1' + "0" * 400 + "}", '{"event": "x", "elapsed": NaN}',
             '{"event": "x", "elapsed": 7}']  # fmt: skip
    (tmp_path / "run" / "events.jsonl").write_text("\n".join(lines) + "\n")
    assert 7 <= RunStore.open(tmp_path / "run").elapsed < 60
