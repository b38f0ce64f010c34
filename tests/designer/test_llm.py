from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from designer import asking, llm, redaction
from designer.asking import Models
from designer.budget import Budget, CapReached
from designer.llm import check_models
from designer.settings import DesignSettings
from designer.store import RunStore
from envs.errors import UserError
from sandbox.errors import InfraError
from tests.designer.endpoint import Closed, Cut, Hang, Status, Usage, serving

MESSAGES = [{"role": "user", "content": "hello"}]
SLOT = {"iteration": 0, "candidate": 0, "round": 0, "mend": 0}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_PAUSE", 0.01)


def models(path: Path, url: str | None, **options: Any) -> tuple[Models, RunStore, Budget]:
    settings = DesignSettings(task="t", api_base=url, **{"model": "m", **options})
    store = RunStore.create(path / "run", settings.to_json())
    budget = Budget(settings.caps, store)
    return Models(settings, store, budget), store, budget


def test_a_reply_is_bought_once_and_kept(tmp_path: Path) -> None:
    with serving(lambda request: "said") as endpoint:
        asked, store, budget = models(tmp_path, endpoint.url)
        first = asked.ask("designer", MESSAGES, SLOT)
        again = asked.ask("designer", MESSAGES, SLOT)
        assert (first.text, first.cached, again.text, again.cached) == ("said", False, "said", True)
        assert len(endpoint.requests) == 1
        assert endpoint.requests[0]["response_format"]["type"] == "json_schema"
        kept = json.loads((store.root / f"llm/{first.request}.json").read_text())
        assert kept["request"]["messages"] == MESSAGES and kept["reply"]["text"] == "said"
        assert (budget.spent.tokens, budget.spent.usd) == (15, None), "an unknown price is no price of 0"


def test_every_slot_gets_its_own_reply(tmp_path: Path) -> None:
    count = iter(range(10))
    with serving(lambda request: f"reply {next(count)}") as endpoint:
        asked, _, _ = models(tmp_path, endpoint.url)
        texts = {asked.ask("designer", MESSAGES, {**SLOT, "candidate": k}).text for k in range(4)}
    assert len(texts) == 4


def test_a_resumed_run_knows_what_it_paid(tmp_path: Path) -> None:
    with serving(lambda request: "x") as endpoint:
        asked, store, budget = models(tmp_path, endpoint.url)
        asked.ask("critic", MESSAGES, SLOT)
    again = Budget(DesignSettings(task="t").caps, RunStore.open(store.root))
    assert again.spent == budget.spent


@pytest.mark.parametrize(
    ("trouble", "named"),
    [
        (Status(429, {"retry-after": "0"}), "429"),
        (Status(500), "InternalServerError"),
        (Status(503), "ServiceUnavailable"),
        (Closed(), "InternalServerError|APIConnection"),
        (Status(200, body="not json"), "."),
        (Status(200, body='{"choices": []}'), "."),
    ],
    ids=["429", "500", "503", "closed", "no-json", "no-choice"],
)
def test_what_passes_is_tried_again(tmp_path: Path, trouble: object, named: str) -> None:
    answers = iter([trouble, trouble])
    with serving(lambda request: next(answers, "at last")) as endpoint:
        asked, store, _ = models(tmp_path, endpoint.url)
        assert asked.ask("designer", MESSAGES, SLOT).text == "at last"
        assert len(endpoint.requests) == 3, "one owner of retries: no client library multiplies them"
    failures = [e["problem"] for e in store.events() if e["event"] == "model_failed"]
    assert len(failures) == 2
    import re

    assert re.search(named, failures[0])


def test_what_does_not_pass_stops_the_run_resumable(tmp_path: Path) -> None:
    with serving(lambda request: Status(500)) as endpoint:
        asked, _store, _ = models(tmp_path, endpoint.url)
        with pytest.raises(InfraError, match="rewardsmith resume"):
            asked.ask("designer", MESSAGES, SLOT)
        assert len(endpoint.requests) == asking.ATTEMPTS


def test_a_hanging_server_is_left_after_two_time_outs(tmp_path: Path) -> None:
    with serving(lambda request: Hang(3.0)) as endpoint:
        asked, _, _ = models(tmp_path, endpoint.url, model_timeout=0.3)
        started = time.monotonic()
        with pytest.raises(InfraError, match="no reply within"):
            asked.ask("designer", MESSAGES, SLOT)
        assert time.monotonic() - started < 15


def test_a_server_that_refuses_response_format_is_asked_without(tmp_path: Path) -> None:
    def behave(request: dict[str, Any]) -> object:
        return Status(400) if "response_format" in request else "plain"

    with serving(behave) as endpoint:
        asked, _, _ = models(tmp_path, endpoint.url)
        assert asked.ask("designer", MESSAGES, SLOT).text == "plain"
        asked.ask("designer", MESSAGES, {**SLOT, "candidate": 1})
        assert len(endpoint.requests) == 3, "it is remembered"


@pytest.mark.parametrize("code", [401, 403, 404])
def test_what_the_user_must_change_is_said_at_once(tmp_path: Path, code: int) -> None:
    with serving(lambda request: Status(code)) as endpoint:
        asked, _, _ = models(tmp_path, endpoint.url)
        with pytest.raises(UserError):
            asked.ask("designer", MESSAGES, SLOT)
        assert len(endpoint.requests) == 1


def test_an_empty_and_a_cut_reply_are_replies(tmp_path: Path) -> None:
    answers: list[object] = ["", Cut("half a")]
    with serving(lambda request: answers.pop(0)) as endpoint:
        asked, _, _ = models(tmp_path, endpoint.url)
        assert asked.ask("designer", MESSAGES, SLOT).text == ""
        cut = asked.ask("designer", MESSAGES, {**SLOT, "round": 1})
        assert (cut.text, cut.finish) == ("half a", "length")


@pytest.mark.parametrize("cap", [{"max_tokens": 20}])
def test_a_cap_is_checked_before_each_call(tmp_path: Path, cap: dict[str, int]) -> None:
    with serving(lambda request: "x") as endpoint:
        asked, _, budget = models(tmp_path, endpoint.url, **cap)
        asked.ask("designer", MESSAGES, SLOT)
        asked.ask("designer", MESSAGES, {**SLOT, "round": 1})
        with pytest.raises(CapReached, match="max_tokens"):
            asked.ask("designer", MESSAGES, {**SLOT, "round": 2})
        assert budget.spent.tokens == 30, "the overshoot is one reply"
        assert len(endpoint.requests) == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "m", "api_base": "http://127.0.0.1:9/v1", "max_usd": 1.0}, "--max-tokens"),
        ({"model": "no-such-model"}, "no such model is known"),
        ({"model": ""}, "no such model is known"),
        ({"model": "gpt-4o"}, "export OPENAI_API_KEY"),
        ({"model": "offline", "critic_model": "anthropic/claude-x"}, "export ANTHROPIC_API_KEY"),
    ],
)
def test_a_model_that_cannot_be_asked_is_told_before_anything_is_trained(
    options: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=says):
        check_models(DesignSettings(task="doorkey-6x6", **options))


def test_a_model_that_may_answer_is_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    for model in ("offline", "gpt-4o", "ollama/llama3", "vertex_ai/gemini-pro"):
        check_models(DesignSettings(task="doorkey-6x6", model=model))
    check_models(DesignSettings(task="doorkey-6x6", model="my-own", api_base="http://127.0.0.1:9/v1"))
    check_models(DesignSettings(task="doorkey-6x6", model="gpt-4o", max_usd=1.0))


def test_keys_are_not_echoed_into_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary-0123456789")
    body = json.dumps({"error": {"message": "bad key canary-0123456789"}})
    answers: list[Callable[[], object]] = [lambda: Status(500, body=body), lambda: "ok"]
    with serving(lambda request: answers.pop(0)()) as endpoint:
        asked, store, _ = models(tmp_path, endpoint.url)
        asked.ask("designer", MESSAGES, SLOT)
    everything = b"".join(p.read_bytes() for p in store.root.rglob("*") if p.is_file())
    assert b"canary" not in everything


def counted(prompt: object, completion: object) -> Usage:
    return Usage({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": 0})


@pytest.mark.parametrize(
    ("usage", "tokens", "estimated"),
    [
        (Usage(None), (2, 2), True),
        (counted(-5, -(10**9)), (2, 2), True),
        (counted(0, 0), (2, 2), True),
        (counted(7, 0), (7, 2), True),
        (counted(10**30, int("9" * 4299)), (10**9, 10**9), False),
        (counted(7, 3), (7, 3), False),
    ],
    ids=["none", "negative", "zero", "free", "huge", "honest"],
)
def test_a_count_of_tokens_is_believed_within_reason(
    tmp_path: Path, usage: Usage, tokens: tuple[int, int], estimated: bool
) -> None:
    with serving(lambda request: usage) as endpoint:
        asked, store, budget = models(tmp_path, endpoint.url)
        reply = asked.ask("designer", MESSAGES, SLOT)
    kept = json.loads((store.root / f"llm/{reply.request}.json").read_text())["reply"]
    assert (kept["prompt_tokens"], kept["completion_tokens"]) == tokens
    assert kept["tokens_estimated"] is estimated and budget.spent.tokens == sum(tokens)
    assert [e["tokens_estimated"] for e in store.events() if e["event"] == "reply"] == [estimated]


def test_a_server_that_counts_nothing_reaches_the_cap(tmp_path: Path) -> None:
    with serving(lambda request: counted(0, 0)) as endpoint:
        asked, _, _ = models(tmp_path, endpoint.url, max_tokens=10)
        with pytest.raises(CapReached, match="max_tokens"):
            for candidate in range(4):
                asked.ask("designer", MESSAGES, {**SLOT, "candidate": candidate})


@pytest.mark.parametrize("told", [-1.0, 0.0, float("nan"), float("inf"), 10**400, "x", None])
def test_a_price_that_cannot_be_is_no_price(told: Any) -> None:
    assert llm._price(told) is None
    assert llm._price(0.25) == 0.25


def test_what_went_wrong_is_told_without_a_traceback(tmp_path: Path) -> None:
    settings = DesignSettings(task="t")
    store = RunStore.create(tmp_path / "run", settings.to_json())
    with pytest.raises(InfraError, match="holds no fenced JSON") as failed:
        Models(settings, store, Budget(settings.caps, store)).ask("designer", MESSAGES, SLOT)
    assert "Traceback (most" not in str(failed.value) and ".py" not in str(failed.value)


def test_credentials_are_taken_out_of_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary-0123456789")
    text = "canary-0123456789 at http://me:pass@host/v1?api_key=hidden&model=m#token=hidden not a@b"
    assert (
        redaction.redacted(text) == "<OPENAI_API_KEY> at http://host/v1?api_key=<secret>&model=m#token=<secret> not a@b"
    )
    begun = time.process_time()
    for long in ("://" * 70_000, "?" * 200_000, "?key" * 50_000, "a" * 200_000, "://" + "@" * 200_000):
        redaction.redacted(long)
    assert time.process_time() - begun < 1
