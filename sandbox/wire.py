"""The wire between host and worker: a fixed prefix, a JSON header, raw bytes; and the bounds of an answer.

Standard library only. The host's side, which believes nothing it reads, is ``sandbox.frames``.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

MAGIC = b"RSW1"
PREFIX = struct.Struct("<4sIQ")
"""Magic, bytes of the header, bytes of the body."""
MAX_REQUEST_HEADER = 1 << 20
MEMORY_EXIT = 77
"""Exit status of a child that had not even the memory to say so."""

MAX_COMPONENTS = 32
MAX_NAME = 64
"""Characters of a component's name, and of a rule's."""
MAX_MAGNITUDE = 1e6
"""Bound of every component and potential."""
MAX_MEMORY_ARRAYS = 16
MAX_DIMENSIONS = 8
"""Of an array of memory, the rows among them."""
MAX_MEMORY_BYTES = 16 << 20
MAX_MESSAGE = 600
"""Characters of what a child says is wrong."""
DTYPES = frozenset(
    {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
    | {"float16", "float32", "float64"}
)
"""What may cross: numbers only."""


def read_exactly(fd: int, size: int) -> bytearray | None:
    """``size`` bytes from a blocking descriptor, or None where the stream ends first."""
    data = bytearray(size)
    view, filled = memoryview(data), 0
    while filled < size:
        count = os.readv(fd, [view[filled:]])
        if count == 0:
            return None
        filled += count
    return data


def read_frame(fd: int) -> tuple[dict[str, Any], bytearray] | None:
    """One frame from the host, or None where the stream ends or is torn: the worker then ends too."""
    prefix = read_exactly(fd, PREFIX.size)
    if prefix is None:
        return None
    magic, header_size, body_size = PREFIX.unpack(prefix)
    if magic != MAGIC or header_size > MAX_REQUEST_HEADER:
        return None
    header, body = read_exactly(fd, header_size), read_exactly(fd, body_size)
    return None if header is None or body is None else (json.loads(bytes(header)), body)


def write_frame(fd: int, header: dict[str, Any], body: list[Any]) -> None:
    """One frame of ``header`` as JSON and the bytes of ``body`` in order, to a blocking descriptor."""
    text = json.dumps(header).encode()
    views = [memoryview(part).cast("B") for part in body if len(part)]
    for part in [memoryview(PREFIX.pack(MAGIC, len(text), sum(map(len, views))) + text), *views]:
        while len(part):
            part = part[os.write(fd, part) :]
