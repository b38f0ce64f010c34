"""Runs that are killed, interrupted or broken off, and what a resumed run must not do again."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from designer import asking
from designer.exits import DONE, INFRA, INTERRUPTED, REFUSED, USER
from designer.main import run
from designer.run import alone
from designer.store import RunStore
from tests.designer import corridor, models
from tests.designer.command import alive, call, descendants, events, start, until
from tests.designer.endpoint import Endpoint, Hang, Request, Status, facts_of, serving

SMALL = ["--env-steps", "2048", "--seeds", "1", "--confirm-seeds", "5", "--sandbox", "embedded", "--device", "cpu"]
DOORKEY = ["doorkey-5x5", "--iterations", "2", "--candidates", "2", *SMALL]
CORRIDOR = ["walk to the end", "--env", "corridor:Corridor-v0", "--state", "corridor:read_state", *DOORKEY[1:]]
RECORDS = {"training": "selection", "confirmation": "confirmation"}
HERE = Path(corridor.__file__).parent
LATEST = 0.4
"""Seconds after an event that a kill comes at most."""
PUSHED = """
import numpy as np


def potential(state):
    return {scale} * state["place"]


def compute_reward(state, action, next_state):
    return {{"step": np.full(action.shape, -0.0005)}}
"""


def walking(request: Request) -> Any:
    """A model that pays for the way along the corridor; it takes a moment to think."""
    time.sleep(0.05)
    facts = facts_of(request)
    if facts["role"] != "designer":
        return models.reply(request)
    slot = facts["slot"]
    return models.design(PUSHED.format(scale=(1 + slot["candidate"] + 2 * slot["iteration"]) / 20))


def result(root: Path) -> Any:
    """The scorecard, but for what interruptions add to: time and environment steps."""
    card = json.loads((root / "scorecard.json").read_text())
    card["cost"] = {name: card["cost"][name] for name in ("tokens", "usd")}
    return card


def asked(request: Any) -> str:
    return json.dumps([request["messages"], request["temperature"]])


def bought(root: Path) -> set[str]:
    return {asked(json.loads(p.read_text())["request"]) for p in root.glob("llm/*.json")}


def trained(root: Path) -> set[tuple[str, str]]:
    """Finished trainings: arm and purpose."""
    found = [p for name in RECORDS for p in root.glob(f"*/*/{name}.json")]
    return {(p.parent.name, RECORDS[p.stem]) for p in found}


@dataclass(frozen=True)
class Undisturbed:
    """What a run comes to when nothing happens to it."""

    home: Path
    """The folder that its commands are started from."""
    arguments: list[str]
    behaviour: Callable[[Request], Any]
    result: Any
    events: int


def undisturbed(home: Path, arguments: list[str], behaviour: Callable[[Request], Any]) -> Undisturbed:
    shutil.copy(corridor.__file__, home)
    root = home / "undisturbed"
    with serving(behaviour) as endpoint:
        ended = call("design", *arguments, *at(endpoint, root), cwd=home)
    assert ended.returncode in (DONE, REFUSED), ended.stderr
    return Undisturbed(home, arguments, behaviour, result(root), len(events(root)))


def at(endpoint: Endpoint, root: Path) -> list[str]:
    return ["--model", "m", "--api-base", endpoint.url, "--run-dir", str(root)]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return undisturbed(tmp_path_factory.mktemp("walk"), CORRIDOR, walking)


@pytest.fixture(scope="module")
def doorkey(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return undisturbed(tmp_path_factory.mktemp("doorkey"), DOORKEY, models.reply)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the process at once; whatever it had started is gone two seconds later."""
    children = descendants(process.pid)
    process.kill()
    process.wait()
    time.sleep(2.0)
    assert not alive(children), "processes were left behind"


def survives(path: Path, whole: Undisturbed, moments: list[tuple[int, float]]) -> None:
    """Kill a run at each moment (seconds after so many events), resume it, and hold it against the undisturbed one."""
    root, log = path / "run", path / "log"
    with serving(whole.behaviour) as endpoint:

        def begin() -> subprocess.Popen[bytes]:
            begun = (root / "config.json").is_file()
            arguments = ["resume", str(root)] if begun else ["design", *whole.arguments, *at(endpoint, root)]
            return start(*arguments, cwd=whole.home, output=log)

        for seen, delay in moments:
            process = begin()
            until(lambda least=seen: len(events(root)) >= least, process)  # type: ignore[misc]
            time.sleep(delay)
            kill(process)
            kept, done = bought(root), trained(root)
            requests, happened = len(endpoint.requests), len(events(root))
        assert begin().wait(240) in (DONE, REFUSED), log.read_text()
        again = [asked(r) for r in endpoint.requests[requests:]]
        every = Counter(asked(r) for r in endpoint.requests)
    assert not kept.intersection(again), "a reply that was kept was bought again"
    assert sum(every.values()) - len(every) <= 2 * len(moments), "more was repeated than was in flight"
    for event in events(root)[happened:]:
        if event["event"] == "training_started":
            assert not done.intersection((arm, event["purpose"]) for arm in event["arms"])
    assert result(root) == whole.result
    assert (root / "report.html").is_file()


def moment(seed: int, whole: Undisturbed) -> tuple[int, float]:
    draw = random.Random(seed)
    return draw.randrange(whole.events), draw.uniform(0.0, LATEST)


def test_a_run_that_is_killed_again_and_again_ends_as_if_it_never_was(tmp_path: Path, walk: Undisturbed) -> None:
    assert walk.result["best"] is not None, "the run goes through confirmation and export"
    survives(tmp_path, walk, sorted(moment(seed, walk) for seed in range(3)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_a_run_that_is_killed_at_any_moment_ends_as_if_it_never_was(
    tmp_path: Path, doorkey: Undisturbed, seed: int
) -> None:
    survives(tmp_path, doorkey, [moment(seed, doorkey)])


def stopped(process: subprocess.Popen[bytes], number: signal.Signals, root: Path, log: Path) -> None:
    """Send the signal: the process ends in time, says how the run goes on, and leaves nothing behind."""
    children = descendants(process.pid)
    told = len(log.read_text())
    process.send_signal(number)
    assert process.wait(8.0) == INTERRUPTED
    words = log.read_text()[told:]
    assert f"rewardsmith resume {root}`" in words and "Traceback" not in words
    until(lambda: not alive(children))


def test_an_interrupted_run_ends_in_time_and_can_be_resumed(tmp_path: Path, walk: Undisturbed) -> None:
    root, log = tmp_path / "run", tmp_path / "log"
    hangs = True

    def behave(request: Request) -> Any:
        return Hang(60.0) if hangs else walking(request)

    with serving(behave) as endpoint:
        process = start("design", *walk.arguments, *at(endpoint, root), cwd=walk.home, output=log)
        until(lambda: len(endpoint.requests) == 2, process)
        second = call("resume", root, cwd=walk.home)
        assert second.returncode == USER and "another process" in second.stderr
        stopped(process, signal.SIGINT, root, log)
        hangs = False
        process = start("resume", root, cwd=walk.home, output=log)
        until(lambda: events(root)[-1]["event"] == "training_started", process)
        stopped(process, signal.SIGTERM, root, log)
        assert start("resume", root, cwd=walk.home, output=log).wait(240) == DONE
    assert result(root) == walk.result


def test_a_run_belongs_to_one_process(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store = RunStore.create(tmp_path / "run", {"task": "doorkey-5x5", "max_env_steps": 1})
    with alone(store):
        assert run(["resume", str(store.root), "--feedback", "not now"]) == USER
    assert "another process" in capfd.readouterr().err
    assert not list(store.events()), "the second one changed nothing"


def test_a_slot_that_fails_loses_nothing_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_PAUSE", 0.01)
    monkeypatch.syspath_prepend(str(HERE))
    broken = True

    def behave(request: Request) -> Any:
        facts = facts_of(request)
        return Status(500) if broken and facts["slot"]["candidate"] == 1 else walking(request)

    with serving(behave) as endpoint:
        options = [*CORRIDOR, "--iterations", "1", "--candidates", "3", *at(endpoint, tmp_path / "run")]
        assert run(["design", *options]) == INFRA
        kept, requests = bought(tmp_path / "run"), len(endpoint.requests)
        assert len(kept) >= 2, "the other slots' designs were kept"
        broken = False
        assert run(["resume", str(tmp_path / "run")]) in (DONE, REFUSED)
        assert not kept.intersection(asked(r) for r in endpoint.requests[requests:])
    card = result(tmp_path / "run")
    assert [c["status"] for c in card["candidates"]] == ["trained"] * 3


class Lines:
    """Standard input that a person types into, line by line, and then leaves."""

    def __init__(self, *lines: str) -> None:
        self._lines = list(lines)

    def readline(self) -> str:
        return self._lines.pop(0) + "\n" if self._lines else ""


def test_a_review_waits_for_a_person_who_rejects_and_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "run"
    monkeypatch.syspath_prepend(str(HERE))
    with serving(walking) as endpoint:
        monkeypatch.setattr("sys.stdin", Lines())
        assert run(["design", *CORRIDOR, "--review", *at(endpoint, root)]) == INTERRUPTED
        assert f"rewardsmith resume {root}`" in capfd.readouterr().out
        assert {arm for arm, _ in trained(root)} == {"native"}
        first = RunStore.open(root).candidate_ids()
        monkeypatch.setattr("sys.stdin", Lines("what?", "r"))
        assert run(["resume", str(root)]) == INTERRUPTED, "half an answer is none"
        monkeypatch.setattr("sys.stdin", Lines("reject", "c pay for the key alone", "c", "and little", "a"))
        assert run(["resume", str(root)]) == INTERRUPTED, "the second iteration waits for its own review"
        monkeypatch.setattr("sys.stdin", Lines("a", "accept"))
        assert run(["resume", str(root)]) in (DONE, REFUSED)
        designs = [f for f in map(facts_of, endpoint.requests) if f["role"] == "designer"]
    card = result(root)
    assert [c["status"] for c in card["candidates"]] == ["rejected_by_person", "trained", "trained", "trained"]
    assert first[0] not in {arm for arm, _ in trained(root)}
    told = [f"On program {first[1]}: pay for the key alone", f"On program {first[1]}: and little"]
    assert [f["comments"] for f in designs if f["slot"]["iteration"] == 1] == [told, told]
