"""Ends: deadlines are kept, nothing stays behind, and what was killed starts anew."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sandbox.choose import choose
from sandbox.container import LABEL, ContainerLink, build_image, connect, owner, sweep
from sandbox.errors import CandidateError, InfraError
from sandbox.pool import Pool
from sandbox.program import RewardProgram
from sandbox.service import Sandbox
from tests.sandbox.canaries import example_call

CALL = example_call(rows=4)
ROOT = Path(__file__).parents[2]
HONEST = "def compute_reward(s, a, n):\n    return {'r': n['x'][:, 0]}\n"
CHOOSY = "def compute_reward(s, a, n):\n    while len(a) == 4:\n        pass\n    return {'r': n['x'][:, 0]}\n"


def children(pid: int) -> set[int]:
    """All descendants of ``pid``."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found, fresh = set(), {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh}
        found |= fresh
    return found


def running(pid: int) -> bool:
    """Whether ``pid`` still runs; one that only waits to be reaped by init does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Whether ``true`` comes true in time."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def stand_ready(pool: Pool) -> None:
    """Wait until every worker that the pool began is started."""
    for begun in list(pool._warm.values()):
        begun.result().await_ready()


def containers(label: str) -> list[str]:
    client = connect()
    wanted = {"label": f"{LABEL}={label}"}
    try:
        return [c.id for c in client.containers.list(all=True, filters=wanted, ignore_removed=True)]
    finally:
        client.close()


def test_an_endless_loop_ends_in_time_and_the_service_goes_on(sandbox: Sandbox) -> None:
    with sandbox.serve(RewardProgram(CHOOSY)) as service:
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(CandidateError) as caught:
                service.evaluate(CALL, deadline=0.4)
            assert time.monotonic() - began < 0.4 + 0.15
            assert caught.value.violation.kind == "timeout"
            other = example_call(rows=5)
            np.testing.assert_array_equal(service.evaluate(other).components["r"], other.next_state["x"][..., 0])


def test_an_endless_top_level_ends_while_serving(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.host.CHECK_SECONDS", 0.4)
    with pytest.raises(CandidateError) as caught:
        sandbox.serve(RewardProgram("while True:\n    pass\n"))
    assert caught.value.violation.kind == "timeout"


def test_a_closed_service_leaves_no_process_and_answers_no_more(sandbox: Sandbox) -> None:
    before = children(os.getpid())
    service = sandbox.serve(RewardProgram(HONEST))
    service.evaluate(CALL, salt=1)
    service.close()
    service.close()
    # One jail stands ready for the next program.
    assert within(2, lambda: len(children(os.getpid()) - before) <= 2)
    with pytest.raises(InfraError, match="closed"):
        service.evaluate(CALL)


def test_a_killed_jail_is_replaced(sandbox: Sandbox) -> None:
    with sandbox.serve(RewardProgram(HONEST)) as service:
        link = service._workers[0].link  # type: ignore[attr-defined]
        if isinstance(link, ContainerLink):
            link.client.api.kill(link.container)
        else:
            os.kill(link.process.pid, signal.SIGKILL)
        answer = service.evaluate(CALL)
    np.testing.assert_array_equal(answer.components["r"], CALL.next_state["x"][..., 0])


HOST = """
import sys
from sandbox.choose import choose
from sandbox.pool import Pool
from sandbox.program import RewardProgram
from tests.sandbox.canaries import example_call
from tests.sandbox.test_lifetime import CHOOSY, stand_ready
sandbox = choose(sys.argv[1])
service = sandbox.serve(RewardProgram(CHOOSY))
if sandbox.name == "docker":
    stand_ready(sandbox.pool)
service.evaluate(example_call(rows=5))
print("ready", flush=True)
service.evaluate(example_call(rows=4), deadline=600.0)
"""


@pytest.mark.parametrize("name", ["embedded", pytest.param("docker", marks=pytest.mark.docker)])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_host_killed_in_mid_call_leaves_nothing(name: str, number: signal.Signals) -> None:
    command = [sys.executable, "-c", HOST, name]
    # A shell starts what runs in its background with SIGINT ignored, and children inherit that.
    interruptible = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, preexec_fn=interruptible
    ) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == b"ready\n"
        time.sleep(0.3)
        jailed = children(host.pid)
        label = owner().rpartition(":")[0] + f":{host.pid}"
        assert jailed if name == "embedded" else containers(label)
        host.send_signal(number)
        host.wait(10)
    if name == "embedded":
        assert within(2, lambda: not any(map(running, jailed)))
    else:
        assert within(2, lambda: not containers(label))
        assert not list(Path("/dev/shm").glob(f"rewardsmith-{host.pid}-*"))


@pytest.mark.docker
def test_a_container_of_a_dead_owner_is_swept() -> None:
    from sandbox.container import DockerSandbox

    sandbox = DockerSandbox()
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    dead = f"{owner().rpartition(':')[0]}:{gone.pid}"
    (Path("/dev/shm") / f"rewardsmith-{gone.pid}-left").mkdir()
    settings = {**sandbox._settings(0, None), "labels": {LABEL: dead}}
    sandbox.client.containers.create(sandbox.image, **settings)
    assert containers(dead)
    assert sweep(sandbox.client) >= 2
    assert not list(Path("/dev/shm").glob(f"rewardsmith-{gone.pid}-*"))
    assert not containers(dead)
    assert containers(owner()), "the living keep theirs"


@pytest.mark.docker
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to start a daemon of its own")
def test_a_daemon_that_goes_is_an_infrastructure_error_and_no_weaker_sandbox(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = str(ROOT / ".ci" / "dockerd.sh")
    monkeypatch.setenv("REWARDSMITH_DOCKERD", str(tmp_path))
    said = subprocess.run([script, "start"], check=True, capture_output=True, text=True).stdout
    try:
        monkeypatch.setenv("DOCKER_HOST", said.strip().removeprefix("export DOCKER_HOST="))
        build_image()
        service = choose("docker").serve(RewardProgram(HONEST))
        service.evaluate(CALL)
    finally:
        subprocess.run([script, "stop"], check=True)
    with pytest.raises(InfraError):
        service.evaluate(CALL)
    service.close()
