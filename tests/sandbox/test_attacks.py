"""Every hostile program, with no gate before it: contained by the jail, rightly named, without after-effect.

What the gate says of them is in ``test_gate.py``; here the probes refuse those that answer with harmless numbers.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from sandbox.errors import KINDS, CandidateError
from sandbox.frames import lay_out
from sandbox.host import JailedService, arrays_of
from sandbox.link import inline
from sandbox.probes import probe
from sandbox.program import RewardProgram
from sandbox.service import Answer, RewardService, Sandbox
from tests.attacks.attack import FAMILIES
from tests.attacks.corpus import ATTACKS, PRELUDE, Attack
from tests.sandbox.canaries import Canaries, example_call, watching

DEADLINE = 0.6
CALL = example_call()
SAMPLES = {"random": example_call(rows=20, steps=12, seed=1), "goal": example_call(rows=8, steps=12, seed=2)}
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


def outcome(service: RewardService, program: RewardProgram) -> tuple[str, str, Answer | None]:
    """What became of ``program`` in ``service``'s jail: ``ok`` or an error's kind, its message, the answer."""
    benign, service.program = service.program, program
    try:
        answer = service.evaluate(CALL, deadline=DEADLINE)
    except CandidateError as error:
        return error.violation.kind, error.violation.message, None
    finally:
        service.program = benign
    return "ok", "", answer


def shared_bytes(service: RewardService) -> list[bytes]:
    """What each jail's shared file holds now, to its end."""
    assert isinstance(service, JailedService)
    files = [worker.shared.fd for worker in service._workers.values() if worker.shared is not None]
    return [os.pread(fd, 1 << 20, 0) for fd in files]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.id)
def test_an_attack_is_contained(attack: Attack, service: RewardService, canaries: Canaries) -> None:
    arrays, _ = arrays_of(CALL)
    before = inline(lay_out(arrays), arrays)
    began = time.monotonic()
    kind, message, answer = outcome(service, RewardProgram(canaries.fill(attack.source), attack.form))
    taken = time.monotonic() - began
    assert kind in attack.allowed, message
    assert not canaries.leaked(answer, message)
    assert canaries.touched() == []
    assert inline(lay_out(arrays), arrays) == before, "the caller's arrays"
    assert set(shared_bytes(service)) <= {before}, "the bytes that the host shares with the jail"
    assert taken < DEADLINE + 0.15
    np.testing.assert_array_equal(service.evaluate(CALL).components["r"], EXPECTED)


CHANCE = {"determinism", "permutation", "batch_size"}


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a.probe], ids=lambda attack: attack.id)
def test_the_probes_refuse_what_answers_with_harmless_numbers(
    attack: Attack, service: RewardService, canaries: Canaries
) -> None:
    service.program = RewardProgram(canaries.fill(attack.source))
    try:
        report = probe(service, SAMPLES, deadline=5.0)
    finally:
        service.program = BENIGN
    # Two answers can be equal by chance: what draws is then found when it is asked in another batch.
    found_by = CHANCE if attack.probe in CHANCE else {attack.probe}
    assert found_by & {violation.rule for violation in report.violations}, report.violations
    assert {violation.stage for violation in report.violations} == {"probe"}
    assert canaries.touched() == []


def test_the_corpus_has_eight_families_and_names_each_attack_once() -> None:
    families = Counter(attack.family for attack in ATTACKS)
    assert len(set(FAMILIES.values())) == 8
    assert set(families) == set(FAMILIES.values())
    assert min(families.values()) >= 20
    assert len(ATTACKS) >= 130
    assert max(Counter(attack.id for attack in ATTACKS).values()) == 1
    assert max(Counter(attack.source for attack in ATTACKS).values()) == 1
    assert {kind for attack in ATTACKS for kind in attack.allowed} <= {"ok", *KINDS} - {"worker_died", "rejected"}


_HARMLESS = """
    exf-lowbits det-pad-empty res-coding-cookie res-form-feeds toctou-by-duplicates val-32-components val-64-letters
    val-bool val-bound val-half val-half-subnormal val-keyword-names val-list val-memory-alias val-memory-bool
    val-memory-broadcast val-memory-empty val-memory-half val-memory-nan val-memory-self val-memory-unsigned
    val-memory-zero-size val-negative-stride val-negative-zero val-range val-tiny-double val-tuple
    val-zero-stride-small
"""
"""Odd numbers and shapes that are what a reward may be; the covert channel that nobody closes; rows that are found out
in training."""


def test_an_attack_that_may_answer_is_refused_by_the_gate_or_a_probe_or_is_harmless() -> None:
    harmless = {*_HARMLESS.split()}
    free = {a.id for a in ATTACKS if "ok" in a.allowed and not a.gate and not a.probe}
    assert free == harmless


def test_canaries_do_sing(canaries: Canaries) -> None:
    """The judge itself is judged: a process of ours that does these things is noticed."""
    import socket

    (canaries.folder / "probe").touch()
    with socket.create_connection(canaries.listeners["tcp"].getsockname()):
        pass
    assert sorted(canaries.touched()) == ["reached tcp", "wrote probe"]
    (canaries.folder / "probe").unlink()
    told = np.frombuffer(canaries.marker.encode(), np.uint8).astype(np.float32)
    paid = Answer(components={"leak": told}, potential=None, next_potential=None, memory=None)
    named = Answer(components={canaries.marker: told * 0}, potential=None, next_potential=None, memory=None)
    assert canaries.leaked(paid, "")
    assert canaries.leaked(named, "")
    assert canaries.leaked(None, f"no such file: {canaries.marker}")
    assert not canaries.leaked(None, "no such file")
