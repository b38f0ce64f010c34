"""Each wall by itself: the lock without a jail, the jail without the lock, and the jail for an ordinary user."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sandbox.bootstrap import environment
from sandbox.errors import CandidateError
from sandbox.host import JailedService
from sandbox.lock import COMPUTE, compute_filter
from sandbox.program import RewardProgram
from sandbox.service import Answer
from tests.attacks.corpus import ATTACKS, FIRST, PRELUDE, Attack
from tests.sandbox.canaries import Canaries, example_call, watching
from tests.sandbox.plain import plain_pool

ROOT = Path(__file__).parents[2]
CALL = example_call()
BENIGN = RewardProgram(PRELUDE + "def compute_reward(s, a, n):\n    return {'r': n['x'][:, 0]}\n")
# Without a process namespace of its own a signal to everybody would be stopped by the lock alone: tried last of all.
ESCAPES = [a for a in FIRST if a.family in ("escape", "exfiltration", "library") and a.id != "exf-dockersock"]


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaries]:
    with watching(tmp_path_factory.mktemp("canaries")) as found:
        yield found


@pytest.fixture(scope="module")
def unjailed() -> Iterator[JailedService]:
    """The worker as a plain process: only the lock stands."""
    with JailedService(BENIGN, plain_pool(), memory=256 << 20) as service:
        yield service


@pytest.mark.parametrize("attack", ESCAPES, ids=lambda attack: attack.id)
def test_the_lock_alone_contains_it(attack: Attack, unjailed: JailedService, canaries: Canaries) -> None:
    unjailed.program = RewardProgram(canaries.fill(attack.source))
    answer: Answer | None = None
    message = ""
    try:
        answer = unjailed.evaluate(CALL, deadline=2.0)
    except CandidateError as error:
        message = error.violation.message
    assert not canaries.leaked(answer, message)
    assert canaries.touched() == []
    unjailed.program = BENIGN
    np.testing.assert_array_equal(unjailed.evaluate(CALL).components["r"], CALL.next_state["x"][..., 0])


INSIDE = """
import errno, json, os, signal, socket, sys
from sandbox.jail import enter_namespaces, walls
said = os.dup(1)
secret, folder, tcp, host = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
got = enter_namespaces()
pid = os.fork()
if pid:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
layers, missing = walls(got)
achieved = []
def attempt(name, act):
    try:
        act()
        achieved.append(name)
    except OSError:
        pass
attempt("read", lambda: open(secret).read())
attempt("write", lambda: open(folder + "/jail", "w"))
attempt("proc", lambda: open("/proc/1/environ", "rb"))
attempt("list", lambda: os.listdir("/"))
attempt("tcp", lambda: socket.socket().connect(("127.0.0.1", tcp)))
attempt("kill", lambda: os.kill(host, 0))
attempt("root", lambda: os.setuid(0))
attempt("chroot", lambda: os.chroot("/"))
attempt("exec", lambda: os.execv("/bin/true", ["true"]))
os.write(said, json.dumps([achieved, layers, missing, os.getpid(), os.getuid()]).encode())
"""


def inside_the_jail(canaries: Canaries, *prefix: str) -> tuple[list[str], list[str], list[str], int, int]:
    """What a process in the jail, without the lock, can do."""
    arguments = [canaries.secret, canaries.folder, canaries.listeners["tcp"].getsockname()[1], os.getpid()]
    command = [*prefix, sys.executable, "-c", INSIDE, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, cwd=ROOT, timeout=60, env=environment(0))
    assert done.returncode == 0, done.stderr.decode()
    achieved, layers, missing, pid, uid = json.loads(done.stdout)
    return achieved, layers, missing, pid, uid


def test_the_jail_alone_contains_a_process(canaries: Canaries) -> None:
    achieved, layers, missing, pid, uid = inside_the_jail(canaries)
    assert achieved == []
    assert canaries.touched() == []
    assert (pid, uid == 0) == (1, False)
    assert "empty-root" in layers
    assert missing == []


MAY_READ = "+dac_read_search"
ORDINARY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={MAY_READ}",
            f"--ambient-caps={MAY_READ}", f"--bounding-set=-all,{MAY_READ}")  # fmt: skip
"""Begins a command as an ordinary user, who may read this checkout's files and nothing more."""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")


@needs_root
def test_the_jail_of_an_ordinary_user_contains_a_process(canaries: Canaries) -> None:
    achieved, layers, missing, pid, uid = inside_the_jail(canaries, *ORDINARY)
    assert achieved == []
    assert (pid, uid) == (1, 65532)
    assert "user-namespace" in layers
    assert missing == []


@needs_root
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_jail_of_an_ordinary_user_contains_every_attack(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home", numbered=False)
    for folder in (home, *home.parents[:2]):
        folder.chmod(0o777)
    attacks = ["tests/sandbox/test_attacks.py", "-k", "contained", "-m", "not docker"]
    command = [*ORDINARY, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={home / 'tmp'}"]
    done = subprocess.run(
        [*command, *attacks], cwd=ROOT, env={**os.environ, "HOME": str(home)}, capture_output=True, check=False
    )
    said = done.stdout.decode()
    assert done.returncode == 0, said
    assert f"{len(ATTACKS)} passed" in said


PLAIN_CALL = (0, 4096, 4, 0)
"""First four arguments that every call of the table may have."""


def run_filter(program: bytes, *, arch: int, number: int, arguments: tuple[int, ...] = PLAIN_CALL) -> int:
    """What the BPF ``program`` gives for a system call: a small interpreter of the five operations it uses."""
    data = struct.pack("=IIQQQQQQQ", number, arch, 0, *arguments, 0, 0)
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at = value = 0
    while True:
        operation, if_true, if_false, constant = code[at]
        at += 1
        if operation == 0x06:
            return int(constant)
        if operation == 0x20:
            value = struct.unpack_from("=I", data, constant)[0]
        else:
            hit = {0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant)}[operation]
            at += if_true if hit else if_false


ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000


@pytest.mark.parametrize("machine", sorted(COMPUTE))
def test_the_filter_allows_its_table_and_nothing_else(machine: str) -> None:
    arch, table = COMPUTE[machine]
    program = compute_filter(machine)
    numbers = set(table.values())
    for number in range(600):
        expected = ALLOW if number in numbers else REFUSE
        plain = (0, 4096, 3, 2) if number in (table["mmap"], table["mprotect"]) else PLAIN_CALL
        assert run_filter(program, arch=arch, number=number, arguments=plain) == expected, number
    assert run_filter(program, arch=arch, number=0x40000000 | 1) == KILL
    assert run_filter(program, arch=arch ^ 1, number=table["read"]) == KILL


@pytest.mark.parametrize("machine", sorted(COMPUTE))
@pytest.mark.parametrize("call", ["mmap", "mprotect"])
def test_no_memory_becomes_executable(machine: str, call: str) -> None:
    arch, table = COMPUTE[machine]
    program = compute_filter(machine)
    for protection in range(8):
        expected = REFUSE if protection & 4 else ALLOW
        found = run_filter(program, arch=arch, number=table[call], arguments=(0, 4096, protection, 0x22))
        assert found == expected


@pytest.mark.parametrize("machine", sorted(COMPUTE))
def test_memory_is_a_programs_own_and_mapped_once(machine: str) -> None:
    """Shared pages are nobody's in the kernel's count, and a mapping of length zero is copied by ``mremap``."""
    arch, table = COMPUTE[machine]
    program = compute_filter(machine)

    def found(call: str, *arguments: int) -> int:
        return run_filter(program, arch=arch, number=table[call], arguments=arguments)

    assert [found("mmap", 0, 4096, 3, flags) for flags in (0x22, 0x21, 0x23)] == [ALLOW, REFUSE, REFUSE]
    assert [found("mmap", at, 4096, 3, 0x22) for at in (1 << 12, 1 << 40)] == [REFUSE, REFUSE]
    assert [found("mremap", 4096, size, 8192, 1) for size in (4096, 0)] == [ALLOW, REFUSE]
    assert found("mremap", 4096, 4096, 8192, 3) == REFUSE
    allowed = [advice for advice in range(30) if found("madvise", 4096, 4096, advice, 0) == ALLOW]
    assert allowed == [4, 8, 14, 15]


@pytest.mark.parametrize("machine", sorted(COMPUTE))
def test_no_call_that_reaches_out_is_in_the_table(machine: str) -> None:
    banned = "open socket connect clone fork vfork execve kill ptrace ioctl bpf io_uring unshare mount prctl memfd"
    assert not {name for name in COMPUTE[machine][1] for word in banned.split() if word in name}
