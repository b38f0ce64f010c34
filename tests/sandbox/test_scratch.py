"""Scratch folders go with their process, and a command is run when it was killed."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from sandbox.scratch import Scratch, alive, orphans
from tests.sandbox.test_lifetime import within

ROOT = Path(__file__).parents[2]
MAKER = """
import sys, time
from pathlib import Path
from sandbox.scratch import Scratch
made = Scratch(Path(sys.argv[1]), farewell=(sys.executable, "-c", f"open({sys.argv[2]!r}, 'w')"))
(made.path / "inputs").write_bytes(bytes(1000))
print(made.path, flush=True)
time.sleep(float(sys.argv[3]))
"""


def maker(where: Path, mark: Path, seconds: float) -> tuple[subprocess.Popen[str], Path]:
    command = [sys.executable, "-c", MAKER, str(where), str(mark), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_ends_with_its_block_or_its_owner(tmp_path: Path) -> None:
    with closing(Scratch(tmp_path)) as made:
        (made.path / "file").write_text("x")
        assert orphans(tmp_path) == []
    assert not made.path.exists()
    made.close()
    forgotten = Scratch(tmp_path).path
    assert within(2, lambda: not forgotten.exists())


def test_a_killed_process_leaves_no_folder_and_its_farewell_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    process, folder = maker(tmp_path, mark, 60)
    assert folder.is_dir()
    process.kill()
    assert within(2, lambda: not folder.exists() and mark.exists())
    assert not alive(process.pid), "also before anybody reaped it"
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_process_that_ends_by_itself_says_no_farewell(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    process, folder = maker(tmp_path, mark, 0)
    assert process.wait() == 0 and not folder.exists()
    time.sleep(0.3)
    assert not mark.exists()
    assert process.stdout is not None
    process.stdout.close()


def test_folders_of_the_dead_are_found(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    for name in (f"rewardsmith-{gone.pid}-x", "rewardsmith-dockerd", "rewardsmith-abc-x", "rewardsmith-1-x"):
        (tmp_path / name).mkdir()
    assert [path.name for path in orphans(tmp_path)] == [f"rewardsmith-{gone.pid}-x"]
