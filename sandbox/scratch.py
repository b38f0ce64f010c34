"""A folder that is gone when the process that made it is, also when that is killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

PREFIX = "rewardsmith-"
_DONE = b"done"
_KEEPER = f"""
import os, shutil, sys
told = sys.stdin.buffer.read()
shutil.rmtree(sys.argv[1], ignore_errors=True)
if told != {_DONE!r} and len(sys.argv) > 2:
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""Waits until its standard input ends, which it does with the process that holds the other end."""


class Scratch:
    """A private folder below ``where``, and a keeper beside it that outlives this process by a moment."""

    def __init__(
        self, where: Path | None = None, *, farewell: Sequence[str] = (), variables: Mapping[str, str] | None = None
    ) -> None:
        """``where``: the place for temporary files when None. ``farewell``: a command that the keeper becomes when
        this process was killed, with the environment ``variables``. Raises OSError.
        """
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=where))
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _KEEPER, str(self.path), *farewell],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(variables or {}),
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
        self._finish = weakref.finalize(self, _end, os.getpid(), self.path, keeper)

    def close(self) -> None:
        """Remove the folder and what lies in it; harmless when repeated."""
        self._finish()


def _end(maker: int, path: Path, keeper: subprocess.Popen[bytes]) -> None:
    if os.getpid() != maker:  # a fork of the maker collects its copy
        return
    shutil.rmtree(path, ignore_errors=True)
    if keeper.stdin is not None:
        with contextlib.suppress(OSError):
            keeper.stdin.write(_DONE)
        keeper.stdin.close()
    keeper.wait()


def orphans(*places: Path) -> list[Path]:
    """Folders of processes that are gone, keepers and all."""
    found = []
    for place in places:
        for folder in place.glob(f"{PREFIX}*-*"):
            pid = folder.name.removeprefix(PREFIX).partition("-")[0]
            if pid.isdecimal() and not alive(int(pid)):
                found.append(folder)
    return found


def alive(pid: int) -> bool:
    """Whether a process with this id runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        pass  # gone, or a system without /proc
    if Path("/proc/self/stat").exists():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
