"""Which wall stops what: the attack corpus against the sandboxes with walls taken away.

    python -m benchmarks.layers            print the table
    python -m benchmarks.layers --write    and put it into docs/security.md

Every attack runs with the gate off and with an attacker's modules preloaded. The sandboxes have no switch that removes
a wall: this command edits the text of the worker that it sends into them. Attacks that would harm this machine where
a wall is missing are left out and counted. Docker's rows need a daemon (``eval "$(.ci/dockerd.sh start)"``).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import tyro
from rich.console import Console

from benchmarks.page import put
from sandbox import bootstrap, gate
from sandbox.choose import docker_status
from sandbox.container import DockerSandbox, build_image
from sandbox.embedded import EmbeddedSandbox
from sandbox.errors import CandidateError, InfraError
from sandbox.host import JailedService
from sandbox.program import RewardProgram
from sandbox.service import Answer, RewardService
from tests.attacks.corpus import FIRST, PRELOAD, Attack
from tests.sandbox.canaries import Canaries, processes, watching
from tests.sandbox.plain import plain_pool
from tests.sandbox.test_attacks import BENIGN, CALL, DEADLINE, EXPECTED
from tests.sandbox.test_lifetime import children

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "security.md"
PR_SET_CHILD_SUBREAPER = 36
FAMILIES = tuple(dict.fromkeys(attack.family for attack in FIRST))

SENDERS = ("sandbox.embedded", "sandbox.container", "tests.sandbox.plain")
"""Modules that start workers."""

Edits = Mapping[str, Sequence[tuple[str, str]]]
"""Module of the worker -> texts to exchange in it."""
_UNTESTED = (
    "def self_test(",
    "def self_test(memory: int) -> tuple[str, ...]:\n    return ()\n\n\ndef unused_self_test(",
)
WITHOUT: dict[str, Edits] = {
    "seccomp": {"lock": [("    prctl(PR_SET_SECCOMP, 2,", "    (PR_SET_SECCOMP, 2,"), _UNTESTED]},
    "rlimits": {"lock": [("    limit(memory, seconds)\n", "")]},
    "Landlock": {"jail": [('    attempt("landlock", landlock)\n', "")]},
    "namespaces": {"jail": [("got = enter_namespaces()", "got = []")]},
    "empty root": {"jail": [('        attempt("empty-root", empty_root)', "        pass")]},
    "unprivileged user, no capabilities": {
        "jail": [('        attempt("unprivileged-user", become_nobody)', "        pass"),
                 ('    attempt("no-capabilities", drop_capabilities)\n', "")],
    },
}  # fmt: skip


def joined(*parts: Edits) -> Edits:
    """All edits of several parts; an edit that two of them make is made once."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: list(dict.fromkeys(edit for part in parts for edit in part.get(name, ()))) for name in names}


def but(*kept: str) -> Edits:
    """Take all walls away but these."""
    return joined(*(edits for name, edits in WITHOUT.items() if name not in kept))


@contextlib.contextmanager
def edited(edits: Edits) -> Iterator[None]:
    """Workers that are started inside get the edited text."""
    sent = []

    def first_message(start: str, options: Mapping[str, Any]) -> bytes:
        size = bootstrap.LENGTH.size
        message = json.loads(bootstrap.first_message(start, options)[size:])
        for module, changes in edits.items():
            text = message["modules"][f"sandbox.{module}"]
            for old, new in changes:
                if text.count(old) != 1:
                    raise SystemExit(f"sandbox/{module}.py has changed: {old!r} is there {text.count(old)} times")
                text = text.replace(old, new)
            message["modules"][f"sandbox.{module}"] = text
        data = json.dumps(message).encode()
        sent.append(start)
        return bootstrap.LENGTH.pack(len(data)) + data

    with contextlib.ExitStack() as stack:
        for sender in SENDERS:
            stack.enter_context(patch(f"{sender}.first_message", first_message))
        yield
    if not sent:
        raise SystemExit(f"no worker got the edited text: does something else than {', '.join(SENDERS)} start it?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One row of the table."""

    name: str
    backend: str
    """``plain``, ``embedded``, ``docker`` or ``gate``."""
    edits: Edits = field(default_factory=dict)
    default_profile: bool = False
    """Docker's own seccomp profile in place of ours."""
    whole: bool = False
    """Nothing is missing: every attack is run, the harmful ones too."""


INNER = joined(WITHOUT["seccomp"], WITHOUT["rlimits"])
VARIANTS = (
    Variant(name="nothing: an ordinary process", backend="plain", edits=INNER),
    Variant(name="the gate alone", backend="gate", edits=INNER),
    Variant(name="rlimits alone", backend="plain", edits=WITHOUT["seccomp"]),
    Variant(name="seccomp alone", backend="plain", edits=WITHOUT["rlimits"]),
    Variant(name="Landlock alone", backend="embedded", edits=but("Landlock")),
    Variant(name="namespaces and empty root alone", backend="embedded", edits=but("namespaces", "empty root")),
    *(Variant(name=f"embedded without {name}", backend="embedded", edits=edits) for name, edits in WITHOUT.items()),
    Variant(name="**embedded, whole**", backend="embedded", whole=True),
    Variant(name="Docker's default profile alone", backend="docker", edits=INNER, default_profile=True),
    Variant(name="Docker with our profile alone", backend="docker", edits=INNER),
    *(
        Variant(name=f"Docker without the inner {name}", backend="docker", edits=WITHOUT[name])
        for name in ("seccomp", "rlimits")
    ),
    Variant(name="**Docker, whole**", backend="docker", whole=True),
)


@contextlib.contextmanager
def service_of(variant: Variant) -> Iterator[RewardService]:
    """A service behind the walls that this variant leaves."""
    if variant.backend in ("plain", "gate"):
        with edited(variant.edits), JailedService(BENIGN, plain_pool(), memory=512 << 20) as found:
            yield found
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(edited(variant.edits))
        if variant.default_profile:
            settings = DockerSandbox._settings

            def unconfined(self: DockerSandbox, hash_seed: int, inputs: Path | None) -> dict[str, Any]:
                return {**settings(self, hash_seed, inputs), "security_opt": ["no-new-privileges:true"]}

            stack.enter_context(patch.object(DockerSandbox, "_settings", unconfined))
        kind = EmbeddedSandbox if variant.backend == "embedded" else DockerSandbox
        sandbox = kind(preload=PRELOAD)
        yield stack.enter_context(sandbox.serve(BENIGN))


def achieved(attack: Attack, service: RewardService, canaries: Canaries) -> bool:
    """Whether the attack reached its aim: a canary sang, an outcome that must not be, or a service that is spoilt."""
    answer: Answer | None = None
    message = ""
    service.program = RewardProgram(canaries.fill(attack.source))
    try:
        answer = service.evaluate(CALL, deadline=DEADLINE)
        outcome = "ok"
    except CandidateError as error:
        outcome, message = error.violation.kind, error.violation.message
    except InfraError:
        outcome = "the worker is gone"
    finally:
        service.program = BENIGN
    sang = canaries.leaked(answer, message) or bool(canaries.touched())
    quieten(canaries)
    try:
        spoilt = not np.array_equal(service.evaluate(CALL).components["r"], EXPECTED)
    except (CandidateError, InfraError):
        spoilt = True
    return sang or spoilt or outcome not in attack.allowed


def quieten(canaries: Canaries) -> None:
    """Undo what made the canaries sing, so that the next attack is judged for itself."""
    for path in canaries.folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    canaries.secret.write_text(canaries.marker)
    for pid, line in processes().items():
        if canaries.sleep in line:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 2
    while canaries.touched() and time.monotonic() < until:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        time.sleep(0.01)


def run(variant: Variant, console: Console) -> dict[str, Any]:
    """Attacks achieved by family, and how many were left out."""
    attacks = [a for a in FIRST if variant.whole or not a.harmful]
    if variant.backend == "gate":
        attacks = [a for a in attacks if gate.check(a.for_gate()).ok]
    wins: list[Attack] = []
    with tempfile.TemporaryDirectory() as folder, watching(Path(folder)) as canaries, service_of(variant) as service:
        for attack in attacks:
            with console.status(f"{variant.name}: {attack.id}"):
                if achieved(attack, service, canaries):
                    wins.append(attack)
    end_orphans()
    left_out = 0 if variant.whole else sum(a.harmful for a in FIRST)
    return {"wins": Counter(a.family for a in wins), "left_out": left_out, "ids": [a.id for a in wins]}


def end_orphans() -> None:
    """Kill what attacks left running: it became a child of this process, which adopts orphans."""
    for pid in children(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The matrix as Markdown."""
    numbers = Counter(attack.family for attack in FIRST)
    lines = [
        f"{len(FIRST)} attacks, {sum(a.harmful for a in FIRST)} of them left out where a wall is missing, because "
        "they would harm the machine. Achieved, by family; `python -m benchmarks.layers --write`:",
        "",
        "| walls | " + " | ".join(f"{family} ({numbers[family]})" for family in FAMILIES) + " | all |",
        "|---|" + "---|" * (len(FAMILIES) + 1),
    ]
    for name, each in found.items():
        wins = each["wins"]
        cells = [str(wins[family]) if wins[family] else "·" for family in FAMILIES]
        lines.append(f"| {name} | {' | '.join(cells)} | **{sum(wins.values())}** |")
    return "\n".join(lines)


def main(write: bool = False, only: str = "") -> None:
    """Run the matrix and print it.

    Args:
        write: Put the table into docs/security.md.
        only: Rows whose name holds this text.
    """
    console = Console(stderr=True)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), None, None, None)
    docker = docker_status().daemon
    if docker:
        build_image()
    else:
        console.print("no Docker daemon answers: its rows are left out")
    found = {}
    for variant in VARIANTS:
        if only in variant.name and (docker or variant.backend != "docker"):
            found[variant.name] = run(variant, console)
            console.print(variant.name, len(found[variant.name]["ids"]), *found[variant.name]["ids"], highlight=False)
    text = table(found)
    print(text)
    if write:
        put(PAGE, "benchmarks.layers", text)


if __name__ == "__main__":
    tyro.cli(main)
