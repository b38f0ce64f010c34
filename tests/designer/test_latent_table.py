"""The table of latent rewards tells of the programs that lie beside it, not of those that lay there once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import credit
from benchmarks.credit import measured, program_of, programs, table, twin

TASK = "doorkey-6x6-episodic"
SEEDS = [0.2, 0.4, 0.6, 0.8, 1.0]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the programs, of which ``loop`` is ``hand`` once more, and one result."""
    known = programs()
    kept = {TASK: {"hand": known[TASK]["hand"], "loop": known[TASK]["hand"], "one-shot": known[TASK]["one-shot"]}}
    (tmp_path / "latents.json").write_text(json.dumps(kept))
    monkeypatch.setattr(credit, "RESULTS", tmp_path)
    return tmp_path


def keep(results: Path, arm: str, program: str | None, seeds: tuple[int, ...] = credit.SEEDS) -> None:
    path = results / "credit" / TASK / f"{arm}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"commit": "0123456789ab", "program": program, "seconds": 1.0, "fitness": SEEDS, "area": SEEDS}
    told["seeds"] = list(seeds)
    path.write_text(json.dumps(told))


def test_a_result_of_other_seeds_is_not_told(results: Path) -> None:
    keep(results, "raw-ridge", None)
    keep(results, "raw-rd", None, seeds=(0, 1))
    assert set(measured([TASK], ["raw-ridge", "raw-rd"], training=False)[TASK]) == {"raw-ridge"}


def test_a_result_of_another_program_is_not_told(results: Path) -> None:
    hand = program_of(TASK, "hand-ridge", programs())
    keep(results, "hand-ridge", hand)
    keep(results, "one-shot-ridge", hand)
    keep(results, "raw-ridge", None)
    found = measured([TASK], ["hand-ridge", "one-shot-ridge", "raw-ridge", "raw-rd"], training=False)
    assert set(found[TASK]) == {"hand-ridge", "raw-ridge"}


def test_the_same_program_is_trained_once_and_said_to_be_the_same(results: Path) -> None:
    assert twin(TASK, "raw-ridge", None) is None
    hand = program_of(TASK, "hand-ridge", programs())
    assert twin(TASK, "loop-ridge", hand) is None
    keep(results, "hand-ridge", hand)
    found = measured([TASK], ["hand-ridge", "loop-ridge"])
    assert found[TASK]["loop-ridge"] == found[TASK]["hand-ridge"]
    found[TASK]["one-shot-ridge"] = found[TASK]["hand-ridge"]
    assert "loop-ridge (the one-shot program) | 0.6" in table(found) and "0123456 |" in table(found)
