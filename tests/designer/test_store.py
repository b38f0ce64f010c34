from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from designer.store import RunStore, canonical, digest, finite
from envs.errors import UserError
from sandbox.program import RewardProgram

FACTS = {"iteration": 0, "slot": 1, "round": 0, "idea": "i", "revision_of": None}


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore.create(tmp_path / "run", {"task": "t"})


def test_a_folder_that_holds_something_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        RunStore.create(tmp_path, {})
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_only_a_run_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run"):
        RunStore.open(tmp_path)


def test_no_partial_file_is_left_and_numbers_stay_json(store: RunStore) -> None:
    store.write_json("x/y.json", {"a": math.nan, "b": np.float32(0.5), 3: [math.inf, np.int64(2)]})
    assert store.read_json("x/y.json") == {"a": None, "b": 0.5, "3": [None, 2]}
    assert [p.name for p in (store.root / "x").iterdir()] == ["y.json"]


@pytest.mark.parametrize("name", ["../outside.json", "/etc/passwd", "candidates/../../x"])
def test_paths_cannot_leave_the_run(store: RunStore, name: str) -> None:
    with pytest.raises(UserError, match="outside"):
        store.write_json(name, {})


def test_a_candidate_id_is_no_path(store: RunStore) -> None:
    with pytest.raises(UserError, match="no candidate"):
        store.program("../../etc")


def test_equal_programs_are_kept_once_and_by_the_earlier_slot(store: RunStore) -> None:
    program = RewardProgram("def compute_reward(s, a, n): return {}")
    store.add_program(program, FACTS)
    store.add_program(program, {**FACTS, "slot": 0, "idea": "earlier"})
    store.add_program(program, {**FACTS, "slot": 5, "idea": "later"})
    assert store.candidate_ids() == (program.id,)
    assert (store.candidate(program.id) or {})["idea"] == "earlier"


def test_a_changed_program_is_noticed(store: RunStore) -> None:
    program = RewardProgram("x = 1\n")
    store.add_program(program, FACTS)
    assert store.program(program.id) == program
    store.path(f"candidates/{program.id}/reward.py").write_text("x = 2\n")
    with pytest.raises(UserError, match="was changed"):
        store.program(program.id)


def test_text_of_any_encoding_is_written(store: RunStore) -> None:
    store.write_text("a.txt", "lone \ud800 surrogate")
    assert store.path("a.txt").read_bytes() == b"lone ? surrogate"
    assert digest({"text": "\ud800"}) == digest({"text": "\ud800"})


def test_events_survive_a_line_that_a_kill_cut_short(store: RunStore) -> None:
    store.event("one", value=math.nan)
    with (store.root / "events.jsonl").open("a") as file:
        file.write('{"event": "tw')
    assert [e["event"] for e in store.events()] == ["one"]


def test_an_event_after_a_cut_line_is_whole(store: RunStore) -> None:
    with (store.root / "events.jsonl").open("a") as file:
        file.write('{"event": "cut')
    again = RunStore.open(store.root)
    again.event("two")
    assert [e["event"] for e in again.events()] == ["two"]


def test_time_adds_up_over_processes(store: RunStore) -> None:
    (store.root / "events.jsonl").write_text(json.dumps({"event": "x", "elapsed": 100.0}) + "\n")
    assert RunStore.open(store.root).elapsed >= 100.0


def test_tensors_and_arrays_come_back(store: RunStore) -> None:
    values = {"a/b": np.arange(6, dtype=np.float32).reshape(2, 3)}
    store.write_arrays("t.npz", values)
    store.write_tensors("w.safetensors", values)
    assert np.array_equal(store.read_arrays("t.npz")["a/b"], values["a/b"])
    assert store.read_arrays("none.npz") == {}


def test_canonical_json_ignores_order_and_refuses_nan() -> None:
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1})
    with pytest.raises(ValueError):
        canonical(math.nan)
    assert finite({"a": (1, 2)}) == {"a": [1, 2]}


def test_empty_feedback_is_refused(store: RunStore) -> None:
    with pytest.raises(UserError, match="empty"):
        store.add_feedback("  ")
    store.add_feedback("more")
    assert store.read_json("feedback.json") == [{"text": "more"}]
