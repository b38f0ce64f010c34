"""Runs that are killed, interrupted or broken off, and what a resumed run must not do again."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from designer import llm
from designer.main import DONE, INFRA, INTERRUPTED, REFUSED, USER, run
from designer.run import alone
from designer.store import RunStore
from tests.designer import models
from tests.designer.command import alive, call, descendants, events, start, until
from tests.designer.endpoint import Endpoint, Hang, Request, Status, facts_of, serving

SMALL = ["--env-steps", "2048", "--seeds", "1", "--confirm-seeds", "5", "--sandbox", "embedded", "--device", "cpu"]
WHOLE = ["--iterations", "2", "--candidates", "2", *SMALL]
RECORDS = {"training": "selection", "confirmation": "confirmation"}
LATEST = 0.4
"""Seconds after an event that a kill comes at most."""


def slowly(request: Request) -> Any:
    time.sleep(0.05)
    return models.reply(request)


def design(endpoint: Endpoint, root: Path, *options: str, task: str = "doorkey-5x5") -> list[str]:
    return ["design", task, "--model", "m", "--api-base", endpoint.url, "--run-dir", str(root), *options]


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
    root: Path
    result: Any
    requests: int
    events: int


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    root = tmp_path_factory.mktemp("undisturbed") / "run"
    with serving(slowly) as endpoint:
        ended = call(*design(endpoint, root, *WHOLE))
        assert ended.returncode in (DONE, REFUSED), ended.stderr
        yield Undisturbed(root, result(root), len(endpoint.requests), len(events(root)))
    shutil.rmtree(root)


def killed(process: subprocess.Popen[bytes]) -> None:
    """End the process at once; whatever it had started is gone two seconds later."""
    children = descendants(process.pid)
    process.kill()
    process.wait()
    time.sleep(2.0)
    assert not alive(children), "processes were left behind"


def survives(path: Path, undisturbed: Undisturbed, moments: list[tuple[int, float]]) -> None:
    """Kill a run at each moment (seconds after so many events), resume it, and hold it against the undisturbed one."""
    root, log = path / "run", path / "log"
    repeated = 0
    with serving(slowly) as endpoint:
        for kill in [*moments, None]:
            begun = (root / "config.json").is_file()
            kept, done = bought(root), trained(root)
            requests, happened = len(endpoint.requests), len(events(root))
            process = start(*(["resume", root] if begun else design(endpoint, root, *WHOLE)), output=log)
            try:
                if kill is not None:
                    until(lambda least=kill[0]: len(events(root)) >= least, process)
                    time.sleep(kill[1])
                else:
                    assert process.wait(240) in (DONE, REFUSED), log.read_text()
            finally:
                killed(process)
            again = [asked(r) for r in endpoint.requests[requests:]]
            assert not kept.intersection(again), "a reply that was kept is bought again"
            for event in events(root)[happened:]:
                if event["event"] == "training_started":
                    assert not done.intersection((arm, event["purpose"]) for arm in event["arms"])
        every = Counter(asked(r) for r in endpoint.requests)
        repeated = sum(every.values()) - len(every)
    assert repeated <= 2 * len(moments), "more was repeated than was in flight"
    assert result(root) == undisturbed.result
    assert (root / "report.html").is_file()


def moment(seed: int, count: int) -> tuple[int, float]:
    draw = random.Random(seed)
    return draw.randrange(count), draw.uniform(0.0, LATEST)


def test_a_run_that_is_killed_again_and_again_ends_as_if_it_never_was(tmp_path: Path, undisturbed: Undisturbed) -> None:
    survives(tmp_path, undisturbed, sorted(moment(seed, undisturbed.events) for seed in range(3)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_a_run_that_is_killed_at_any_moment_ends_as_if_it_never_was(
    tmp_path: Path, undisturbed: Undisturbed, seed: int
) -> None:
    survives(tmp_path, undisturbed, [moment(seed, undisturbed.events)])
