"""A folder that is gone when the process that made it is, also when that is killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

PREFIX = "rewardsmith-"
_KEEPER = "import shutil, sys; sys.stdin.read(); shutil.rmtree(sys.argv[1], ignore_errors=True)"
"""Waits until its standard input ends, which it does with the process that holds the other end."""


class Scratch:
    """A private folder below ``where``, and a keeper beside it that outlives this process by a moment."""

    def __init__(self, where: Path | None = None) -> None:
        """``where``: the place for temporary files when None. Raises OSError."""
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=where))
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _KEEPER, str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
        )
        self._finish = weakref.finalize(self, _end, os.getpid(), self.path, keeper)

    def close(self) -> None:
        """Remove the folder and what lies in it; harmless when repeated."""
        self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _end(maker: int, path: Path, keeper: subprocess.Popen[bytes]) -> None:
    if os.getpid() != maker:  # a fork of the maker collects its copy
        return
    shutil.rmtree(path, ignore_errors=True)
    if keeper.stdin is not None:
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
    """Whether a process has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
