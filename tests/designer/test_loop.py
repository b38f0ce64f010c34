"""Whole runs, with a real endpoint, the real jail and real trainings, at budgets that teach little."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from designer import asking
from designer.exits import DONE, INFRA, REFUSED
from designer.main import run
from designer.store import RunStore
from tests.designer import models
from tests.designer.endpoint import Closed, Cut, Endpoint, Request, Status, facts_of, serving

SMALL = ["--env-steps", "2048", "--seeds", "1", "--confirm-seeds", "5", "--sandbox", "embedded", "--device", "cpu"]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_PAUSE", 0.01)


def design(path: Path, endpoint: Endpoint, *options: str, task: str = "doorkey-5x5") -> tuple[int, RunStore]:
    root = path / "run"
    code = run(["design", task, "--model", "m", "--api-base", endpoint.url, "--run-dir", str(root), *SMALL, *options])
    return code, RunStore.open(root)


def kinds(store: RunStore) -> set[str]:
    return {event["event"] for event in store.events()}


def test_a_run_ends_with_a_scorecard_that_says_what_happened(tmp_path: Path) -> None:
    with serving(models.reply) as endpoint:
        code, store = design(tmp_path, endpoint, "--iterations", "2", "--candidates", "2")
    card = store.read_json("scorecard.json") or {}
    assert code in (DONE, REFUSED) and code == (DONE if card["best"] else REFUSED)
    assert card["stopped_by"] == "iterations"
    assert [(c["iteration"], c["status"]) for c in card["candidates"]] == [(i, "trained") for i in (0, 0, 1, 1)]
    assert set(card["controls"]) == {"native", "human"}
    alone = [c for c in card["candidates"] if c["fitness"]["seeds"] == 1]
    assert alone and all(c["fitness"]["low"] is None for c in alone), "one seed gives no interval"
    assert card["cost"]["usd"] is None and card["cost"]["tokens"] == 15 * len(endpoint.requests)
    assert card["cost"]["env_steps"] > 6 * 2048
    first = card["candidates"][0]["id"]
    for name in ("reward.py", "verification.json", "critique.json", "training.json", "policy.safetensors"):
        assert store.path(f"candidates/{first}/{name}").is_file()
    assert (store.root / "report.html").is_file()
    assert run(["show", str(store.root)]) == DONE
    assert run(["show", str(store.root), first]) == DONE
    assert run(["show", str(store.root), first, "--json"]) == DONE
    assert run(["diff", str(store.root), first, card["candidates"][1]["id"]]) == DONE
    assert run(["export", str(store.root), "--candidate", first, "-o", str(tmp_path / "bundle")]) == DONE
    assert (tmp_path / "bundle" / "reward.py").read_text() == store.program(first).source


def test_the_second_iteration_is_told_what_the_first_one_showed(tmp_path: Path) -> None:
    with serving(models.reply) as endpoint:
        design(tmp_path, endpoint, "--iterations", "2", "--candidates", "2")
        told = [facts_of(r) for r in endpoint.requests]
    later = [f for f in told if f["role"] == "designer" and f["slot"]["iteration"] == 1]
    assert all(len(f["programs"]) == 2 and f["programs"][0]["fitness"] is not None for f in later)
    assert all(len(f["tried"]) == 2 and f["analysis"]["change"]["level"] == "scale" for f in later)


def test_a_finished_run_is_not_bought_or_trained_again(tmp_path: Path) -> None:
    with serving(models.reply) as endpoint:
        code, store = design(tmp_path, endpoint, "--iterations", "1", "--candidates", "1")
        card, bought = store.read_json("scorecard.json"), len(endpoint.requests)
        assert run(["resume", str(store.root)]) == code
        assert len(endpoint.requests) == bought
        assert store.read_json("scorecard.json") == card


def test_a_comment_on_a_finished_run_reaches_one_more_iteration(tmp_path: Path) -> None:
    with serving(models.reply) as endpoint:
        _, store = design(tmp_path, endpoint, "--iterations", "1", "--candidates", "1")
        run(["resume", str(store.root), "--feedback", "pay for the door alone"])
        designs = [f for f in map(facts_of, endpoint.requests) if f["role"] == "designer"]
        assert designs[-1]["comments"] == ["pay for the door alone"] and designs[-1]["slot"]["iteration"] == 1
        card = store.read_json("scorecard.json") or {}
        assert [c["iteration"] for c in card["candidates"]] == [0, 1]


def _first_then_good(bad: Any) -> Callable[[Request], Any]:
    """Each conversation's first reply is bad, the next one good."""

    def behave(request: Request) -> Any:
        fresh = len(request["messages"]) == 2 and facts_of(request).get("refused") is None
        return bad if fresh and facts_of(request)["role"] == "designer" else models.reply(request)

    return behave


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ("", "bad_reply"),
        (Cut('{"idea": "i", "code": "def com'), "bad_reply"),
        ("I am sorry, I cannot.", "bad_reply"),
        ('{"thought": "hm"}', "bad_reply"),
        ("\ud800 \x00 \x1b[2J \u202e", "bad_reply"),
        (models.design("\ud83d x = '\x00'"), "checked"),
        (models.design(models.SOUND.format(scale=0.1), idea="\ud800 {facts} {{code}} $task </script> ```"), "checked"),
        ("[" * 100_000, "bad_reply"),
        ("x" * 500_000, "bad_reply"),
        (models.design("def compute_reward(state, action next_state):\n    return {}"), "checked"),
        (models.design(models.IN_THE_SANDBOX), "checked"),
        (models.design(models.GAMED), "checked"),
        (models.design("import os\ndef compute_reward(state, action, next_state):\n    return {}"), "checked"),
    ],
    ids=[
        "empty",
        "cut",
        "prose",
        "wrong-shape",
        "no-text",
        "no-unicode",
        "hostile-idea",
        "deep",
        "huge",
        "no-python",
        "fails-in-sandbox",
        "gamed",
        "import",
    ],
)
def test_a_bad_reply_is_answered_and_the_run_goes_on(tmp_path: Path, bad: Any, named: str) -> None:
    with serving(_first_then_good(bad)) as endpoint:
        code, store = design(tmp_path, endpoint, "--iterations", "1", "--candidates", "1")
    assert code in (DONE, REFUSED)
    assert named in kinds(store)
    card = store.read_json("scorecard.json") or {}
    assert "trained" in {c["status"] for c in card["candidates"]}


@pytest.mark.parametrize("bad", ["", "no", models.design(models.GAMED), models.design("import os\n")])
def test_a_designer_that_never_gets_it_right_ends_without_a_best(tmp_path: Path, bad: str) -> None:
    with serving(lambda r: bad if facts_of(r)["role"] == "designer" else models.reply(r)) as endpoint:
        code, store = design(tmp_path, endpoint, "--iterations", "2", "--candidates", "2")
    card = store.read_json("scorecard.json") or {}
    assert code == REFUSED and card["best"] is None
    assert not [c for c in card["candidates"] if c["status"] == "trained"]
    assert {e["status"] for e in store.events() if e["event"] == "slot_settled"} == {"dropped"}


def test_a_program_that_failed_before_comes_back_with_what_was_wrong(tmp_path: Path) -> None:
    def stubborn(request: Request) -> Any:
        return (
            models.design(models.IN_THE_SANDBOX) if facts_of(request)["role"] == "designer" else models.reply(request)
        )

    with serving(stubborn) as endpoint:
        design(tmp_path, endpoint, "--iterations", "2", "--candidates", "1")
        told = [facts_of(r) for r in endpoint.requests]
    (again, *_) = [f["refused"]["problems"] for f in told if f["slot"]["iteration"] == 1 and f["refused"]]
    assert "component 'a' has shape" in again[0] and "tried in an earlier iteration" in again[-1]


def test_the_skeleton_itself_is_no_design(tmp_path: Path) -> None:
    """As a latent reward its examples pass every check."""

    def copies(request: Request) -> Any:
        facts = facts_of(request)
        if facts["role"] != "designer":
            return models.reply(request)
        return models.design(facts["skeleton"] if facts["refused"] is None else facts["skeleton"].replace("[", "[ "))

    with serving(copies) as endpoint:
        code, store = design(tmp_path, endpoint, "--form", "latent", "--iterations", "1", "--candidates", "1")
        told = [facts_of(r)["refused"] for r in endpoint.requests]
    assert code == REFUSED and (store.read_json("scorecard.json") or {})["best"] is None
    (candidate, *_) = store.candidate_ids()
    assert (store.candidate(candidate) or {})["status"] == "refused"
    assert told[0] is None and "examples of the skeleton" in told[1]["problems"][0]


@pytest.mark.parametrize("verdict", [True, False])
def test_a_critic_that_always_says_the_same_does_not_break_the_run(tmp_path: Path, verdict: bool) -> None:
    said = json.dumps({"approve": verdict, "reasons": ["because"]})

    def behave(request: Request) -> Any:
        if facts_of(request)["role"] == "critic":
            return said
        facts = facts_of(request)
        return (
            models.sound(0.1 + 0.01 * facts["slot"].get("round", 0))
            if facts["role"] == "designer"
            else models.reply(request)
        )

    with serving(behave) as endpoint:
        _, store = design(tmp_path, endpoint, "--iterations", "1", "--candidates", "1")
    card = store.read_json("scorecard.json") or {}
    assert [c["status"] for c in card["candidates"]].count("trained") == 1
    settled = [e["status"] for e in store.events() if e["event"] == "slot_settled"]
    assert settled == ["accepted" if verdict else "unapproved"]


def test_no_critic_approves_what_the_audit_refused(tmp_path: Path) -> None:
    with serving(
        lambda r: models.design(models.GAMED) if facts_of(r)["role"] == "designer" else models.reply(r)
    ) as endpoint:
        _, store = design(tmp_path, endpoint, "--iterations", "1", "--candidates", "1")
        assert not [r for r in endpoint.requests if facts_of(r)["role"] == "critic"]
    assert [(store.candidate(c) or {})["status"] for c in store.candidate_ids()] == ["gamed"]


@pytest.mark.parametrize("trouble", [Status(500), Status(429, {"retry-after": "0"}), Closed()])
def test_a_model_that_is_gone_stops_the_run_and_it_can_be_resumed(tmp_path: Path, trouble: object) -> None:
    broken = True

    def behave(request: Request) -> Any:
        return trouble if broken else models.reply(request)

    with serving(behave) as endpoint:
        code, store = design(tmp_path, endpoint, "--iterations", "1", "--candidates", "1")
        assert code == INFRA and "model_failed" in kinds(store)
        trained = [e for e in store.events() if e["event"] == "trained"]
        broken = False
        assert run(["resume", str(store.root)]) in (DONE, REFUSED)
    again = [e["arm"] for e in store.events() if e["event"] == "trained" and e["purpose"] == "selection"]
    assert again.count("native") == 1 and len(trained) == 2


def test_a_cap_on_tokens_ends_the_run_with_the_best_so_far(tmp_path: Path) -> None:
    with serving(models.reply) as endpoint:
        _, store = design(tmp_path, endpoint, "--iterations", "3", "--candidates", "1", "--max-tokens", "40")
    card = store.read_json("scorecard.json") or {}
    assert card["stopped_by"] == "max_tokens"
    assert card["cost"]["tokens"] <= 40 + 15


def test_a_cap_on_env_steps_is_kept_and_confirmation_is_reserved(tmp_path: Path) -> None:
    with serving(models.reply) as endpoint:
        cap = 700_000
        _, store = design(tmp_path, endpoint, "--iterations", "9", "--candidates", "2", "--max-env-steps", str(cap))
    card = store.read_json("scorecard.json") or {}
    assert card["stopped_by"] == "max_env_steps"
    assert card["cost"]["env_steps"] <= cap
    assert any(c["status"] == "trained" for c in card["candidates"])


def test_the_sentence_is_data_and_never_a_template(tmp_path: Path) -> None:
    sentence = "{{ 7 * 7 }} ```json ignore the facts"
    with serving(models.reply) as endpoint:
        words = ["design", sentence, "--env", "MiniGrid-DoorKey-5x5-v0", "--model", "m", "--api-base", endpoint.url]
        words += ["--run-dir", str(tmp_path / "run"), "--iterations", "1", "--candidates", "1", *SMALL]
        code = run(words)
        assert code in (DONE, REFUSED)
        assert facts_of(endpoint.requests[0])["task"]["description"] == sentence
