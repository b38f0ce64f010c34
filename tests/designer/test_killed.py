"""``kill -9`` of the command at any moment of its work: two seconds later nothing of it is left on the machine."""

from __future__ import annotations

import os
import random
import tempfile
import time
from pathlib import Path

import pytest

from designer.exits import DONE
from tests.designer.command import alive, call, descendants, start
from tests.sandbox.test_lifetime import containers, owner

HUMAN = Path(__file__).parents[2] / "envs" / "human"
PLACES = (Path("/dev/shm"), Path(tempfile.gettempdir()))
VERIFY = ("verify", HUMAN / "doorkey.py", "--task", "doorkey-5x5")
TRAIN = ("train", HUMAN / "cartpole.py", "--task", "cartpole", "--seeds", "2", "--env-steps", "200000")
BUILD = ("sandbox", "build", "--way", "host")
WORK = {"verify": (VERIFY, 6.0), "train": (TRAIN, 12.0), "build": (BUILD, 4.0)}
"""Each command, and the seconds within which it is killed."""
TIMES = 20


def mounts() -> set[str]:
    return set(Path("/proc/mounts").read_text().splitlines())


def segments() -> set[str]:
    """What lies in shared memory, and our folders where temporary files go."""
    return {str(path) for place in PLACES for path in place.glob("rewardsmith-*-*")} | {
        str(path) for path in PLACES[0].iterdir()
    }


def killed_at(moment: float, arguments: tuple[object, ...], folder: Path) -> tuple[int, dict[int, str]]:
    """Run the command until ``moment``, kill it; its process id and the processes that it had."""
    process = start(*arguments, cwd=folder, output=folder / "log")
    until = time.monotonic() + moment
    below: dict[int, str] = {}
    while time.monotonic() < until and process.poll() is None:
        below |= descendants(process.pid)
        time.sleep(0.02)
    below |= descendants(process.pid)
    process.kill()
    process.wait()
    time.sleep(2.0)
    return process.pid, below


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(TIMES))
@pytest.mark.parametrize("work", ["verify", "train"])
def test_nothing_of_the_embedded_jail_is_left(work: str, seed: int, tmp_path: Path) -> None:
    arguments, longest = WORK[work]
    before = mounts(), segments()
    _, below = killed_at(random.Random(seed).uniform(0.3, longest), (*arguments, "--sandbox", "embedded"), tmp_path)
    assert not alive(below)
    assert mounts() <= before[0]
    assert segments() <= before[1]


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.parametrize("seed", range(TIMES))
@pytest.mark.parametrize("work", ["verify", "train"])
def test_nothing_of_a_container_is_left(work: str, seed: int, tmp_path: Path) -> None:
    arguments, longest = WORK[work]
    before = segments()
    moment = random.Random(seed).uniform(0.3, longest)
    pid, below = killed_at(moment, (*arguments, "--sandbox", "docker"), tmp_path)
    assert not alive(below)
    assert not containers(f"{owner().rpartition(':')[0]}:{pid}")
    assert segments() <= before


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.parametrize("seed", range(TIMES))
def test_a_build_that_was_killed_is_swept_by_the_next(seed: int, tmp_path: Path) -> None:
    arguments, longest = WORK["build"]
    before = segments()
    _, below = killed_at(random.Random(seed).uniform(0.3, longest), arguments, tmp_path)
    assert not alive(below)
    assert segments() <= before
    built = call(*BUILD, cwd=tmp_path)
    assert built.returncode == DONE and built.stdout.startswith("sha256:")
    assert segments() <= before
    verified = call(*VERIFY, "--sandbox", "docker", cwd=tmp_path)
    assert verified.returncode == DONE, verified.stderr


def test_the_killed_are_looked_for_where_they_would_be(tmp_path: Path) -> None:
    """The search itself: a folder of a process that is gone is seen."""
    made = Path(tempfile.mkdtemp(prefix=f"rewardsmith-{os.getpid()}-"))
    try:
        assert str(made) in segments()
    finally:
        made.rmdir()
