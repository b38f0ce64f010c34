"""Every hostile program, with no gate before it: contained by the jail, rightly named, without after-effect."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from sandbox.errors import CandidateError
from sandbox.program import RewardProgram
from sandbox.service import Answer, RewardService, Sandbox
from tests.attacks.corpus import ATTACKS, PRELUDE, Attack
from tests.sandbox.canaries import Canaries, example_call, watching

DEADLINE = 0.6
CALL = example_call()
BENIGN = RewardProgram(PRELUDE + "def compute_reward(s, a, n):\n    return {'r': np.sin(n['x']).sum(axis=1)}\n")
EXPECTED = np.sin(CALL.next_state["x"]).sum(axis=2)


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaries]:
    folder = tmp_path_factory.mktemp("canaries")
    with watching(folder) as found:
        yield found


@pytest.fixture(scope="module")
def service(sandbox: Sandbox) -> Iterator[RewardService]:
    """One service for all attacks: each must leave it as good as new."""
    with sandbox.serve(BENIGN) as found:
        yield found


def outcome(service: RewardService, source: str) -> tuple[str, str, Answer | None]:
    """What became of ``source`` in ``service``'s jail: ``ok`` or an error's kind, its message, the answer."""
    benign, service.program = service.program, RewardProgram(source)
    try:
        answer = service.evaluate(CALL, deadline=DEADLINE)
    except CandidateError as error:
        return error.violation.kind, error.violation.message, None
    finally:
        service.program = benign
    return "ok", "", answer


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.id)
def test_an_attack_is_contained(attack: Attack, service: RewardService, canaries: Canaries) -> None:
    before = {name: array.tobytes() for name, array in CALL.state.items()}
    began = time.monotonic()
    kind, message, answer = outcome(service, canaries.fill(attack.source))
    taken = time.monotonic() - began
    assert kind in attack.allowed, message
    assert not canaries.leaked(answer, message)
    assert canaries.touched() == []
    assert {name: array.tobytes() for name, array in CALL.state.items()} == before
    assert taken < DEADLINE + 0.15
    np.testing.assert_array_equal(service.evaluate(CALL).components["r"], EXPECTED)


def test_canaries_do_sing(canaries: Canaries) -> None:
    """The judge itself is judged: a process of ours that does these things is noticed."""
    import socket

    (canaries.folder / "probe").touch()
    with socket.create_connection(canaries.listeners["tcp"].getsockname()):
        pass
    assert sorted(canaries.touched()) == ["reached tcp", "wrote probe"]
    (canaries.folder / "probe").unlink()
