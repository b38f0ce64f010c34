"""Files that somebody else may have made: opened without waiting for anybody, regular files alone, and not endless."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LARGEST = 64 << 20
"""Most bytes that are read of a file."""
LARGEST_PROGRAM = 1 << 20
"""Most bytes of a reward program."""
DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
"""What a disk refuses through no fault of a file's."""


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a regular file; a pipe or a device of that name is neither waited for nor touched.

    Raises ``OSError``, also for what is no regular file.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return descriptor


def read_regular(path: Path, *, most: int = LARGEST, flags: int = 0) -> bytes:
    """A regular file's content. Raises ``OSError``, also for what is no regular file or larger than ``most`` bytes."""
    with open(open_regular(path, flags), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EINVAL, f"Larger than {most} bytes", str(path))
    return data
