"""Hard caps: how far a run may go over them, what they count, and what the scorecard says of them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from designer.budget import Budget, CapReached
from designer.exits import DONE, REFUSED
from designer.main import run
from designer.settings import Caps
from designer.store import RunStore
from designer.trainings import EVALUATION_EPISODES
from tests.designer import corridor
from tests.designer.command import call
from tests.designer.endpoint import Hang, facts_of, serving
from tests.designer.test_resume import HERE, SMALL, at, walking

WALK = ["walk to the end", "--env", "corridor:Corridor-v0", "--state", "corridor:read_state", *SMALL]
ROLLOUT = 2048
"""Steps of one learner's rollout in an environment that no task lists."""
MOST = ROLLOUT + (EVALUATION_EPISODES + 4) * corridor.STEPS
"""Environment steps of one learner, its evaluation included, at most."""


@pytest.fixture(autouse=True)
def own_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))


def capped(path: Path, *options: str) -> tuple[int, Any, int]:
    """Exit code, scorecard, and how many replies were bought."""
    with serving(walking) as endpoint:
        code = run(["design", *WALK, *options, *at(endpoint, path / "run")])
        return code, json.loads((path / "run" / "scorecard.json").read_text()), len(endpoint.requests)


def events(path: Path, kind: str) -> list[dict[str, Any]]:
    return [e for e in RunStore.open(path / "run").events() if e["event"] == kind]


@pytest.mark.parametrize("option", [("--max-env-steps", "2000"), ("--max-minutes", "0.0001")])
def test_a_cap_that_not_even_the_controls_fit_ends_without_a_best(tmp_path: Path, option: tuple[str, str]) -> None:
    code, card, bought = capped(tmp_path, *option)
    assert (code, card["best"], card["controls"], card["candidates"], bought) == (REFUSED, None, {}, [], 0)
    assert card["stopped_by"] == option[0].removeprefix("--").replace("-", "_")
    assert card["cost"]["env_steps"] <= 8, "one step of every environment at most"
    assert run(["show", str(tmp_path / "run")]) == DONE
    assert run(["resume", str(tmp_path / "run")]) == REFUSED


def test_env_steps_count_controls_evaluation_and_confirmation(tmp_path: Path) -> None:
    code, card, _ = capped(tmp_path, "--iterations", "1", "--candidates", "1")
    assert code == DONE and card["stopped_by"] == "iterations"
    assert {e["purpose"] for e in events(tmp_path, "trained")} == {"selection", "confirmation"}
    records = [json.loads(p.read_text()) for p in (tmp_path / "run").glob("*/*/*.json") if p.stem in RECORDS]
    told = sum(r["env_steps"] + r["evaluation_steps"] for r in records)
    assert card["cost"]["env_steps"] == told == sum(e["steps"] for e in events(tmp_path, "env_steps"))
    learners = sum(len(r["seeds"]) for r in records)
    assert learners == 12 and learners * ROLLOUT < told <= learners * MOST


RECORDS = ("training", "confirmation")


def test_what_confirmation_needs_is_kept_back(tmp_path: Path) -> None:
    cap = MOST * (1 + 2 * 3 + 2 * 5)
    code, card, _ = capped(tmp_path, "--iterations", "9", "--candidates", "2", "--max-env-steps", str(cap))
    assert card["stopped_by"] == "max_env_steps" and card["cost"]["env_steps"] <= cap
    assert code == DONE and card["best"]["fitness"]["seeds"] == 5


def test_tokens_go_over_by_one_reply_of_each_call_at_once(tmp_path: Path) -> None:
    code, card, bought = capped(tmp_path, "--candidates", "3", "--concurrency", "3", "--max-tokens", "20")
    assert code in (DONE, REFUSED) and card["stopped_by"] == "max_tokens"
    assert card["cost"]["tokens"] == 15 * bought <= 20 + 3 * 15


@pytest.mark.parametrize("cap", ["0.05", "0.09"])
def test_minutes_end_a_slow_training_and_a_slow_evaluation(tmp_path: Path, cap: str) -> None:
    """2,048 steps of 8 environments take 2 s or more here, and 104 episodes another 2.5 s."""
    with serving(walking) as endpoint:
        root = tmp_path / "run"
        ended = call(
            *("design", *WALK, *at(endpoint, root), "--max-minutes", cap),
            cwd=HERE,
            CORRIDOR_SECONDS="0.001",
        )
    assert ended.returncode == REFUSED, ended.stderr
    card = json.loads((root / "scorecard.json").read_text())
    assert card["stopped_by"] == "max_minutes"
    assert card["cost"]["env_steps"] < 2 * MOST
    assert card["cost"]["seconds"] < 60 * float(cap) + 5


@pytest.mark.slow  # half a minute, and needs a machine that is as fast at its end as at its beginning
def test_a_slow_model_leaves_the_minutes_that_confirmation_needs(tmp_path: Path) -> None:
    """The first iteration's model answers at once, the second's never within the cap."""

    def slow_later(request: Any) -> Any:
        facts = facts_of(request)
        late = facts["role"] == "designer" and facts["slot"]["iteration"] == 1
        return Hang(60.0) if late else walking(request)

    with serving(slow_later) as endpoint:
        root = tmp_path / "run"
        ended = call(*("design", *WALK, *at(endpoint, root), "--max-minutes", "0.5"), cwd=HERE)
    card = json.loads((root / "scorecard.json").read_text())
    assert ended.returncode == DONE, ended.stderr
    assert card["stopped_by"] == "max_minutes" and card["best"]["fitness"]["seeds"] == 5
    assert card["cost"]["seconds"] < 30 + 5


def test_what_is_kept_back_is_kept_from_models_alone(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path / "run", {})
    budget = Budget(Caps(minutes=1.0), store, kept_learners=10)
    budget.add_training(4.0, 2)
    budget.add_training(0.1, 5)
    budget.check_models()
    for known in (budget, Budget(Caps(minutes=1.0), store, kept_learners=10)):
        left = known.model_seconds_left()
        assert left is not None and 20 < left <= 30, "the slowest counts, after a resume too"
    budget.add_training(8.0, 2)
    budget.check_clock()
    started = time.monotonic()
    budget.pause(30.0)
    assert time.monotonic() - started < 5
    with pytest.raises(CapReached, match="max_minutes"):
        budget.check_models()


def test_a_pause_between_two_attempts_ends_with_the_minutes(tmp_path: Path) -> None:
    budget = Budget(Caps(minutes=0.005), RunStore.create(tmp_path / "run", {}))
    started = time.monotonic()
    budget.pause(30.0)
    assert time.monotonic() - started < 5


def test_a_killed_run_knows_what_it_paid_for(tmp_path: Path) -> None:
    """A reply counts from the moment that its file is whole, whatever was written after it."""
    store = RunStore.create(tmp_path / "run", {})
    reply = {"text": "x", "finish": "stop", "prompt_tokens": 10, "completion_tokens": 5, "usd": 0.25}
    store.write_json("llm/0123.json", {"request": {}, "reply": reply})
    spent = Budget(Caps(), RunStore.open(store.root)).spent
    assert (spent.calls, spent.tokens, spent.usd) == (1, 15, 0.25)


def test_steps_of_a_long_training_are_written_down_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("designer.budget.WRITTEN_EVERY", 0.0)
    budget = Budget(Caps(), RunStore.create(tmp_path / "run", {}))
    budget.add_env_steps(8, "selection")
    time.sleep(0.01)
    budget.add_env_steps(8, "selection")
    assert Budget(Caps(), RunStore.open(tmp_path / "run")).spent.env_steps == 16
