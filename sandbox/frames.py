"""Frames as the host writes and reads them: nothing that a worker says is believed before it has been measured.

A frame is a fixed prefix (magic, two sizes), a JSON object and raw bytes. Sizes are compared with caps before a byte
is stored; the JSON is parsed strictly; arrays are made from exact byte counts, never unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from sandbox.service import Array
from sandbox.wire import DTYPES, MAGIC, PREFIX

MAX_HEADER = 64 << 10
"""Bytes of a worker's JSON."""
ALIGNMENT = 64


class Malformed(Exception):
    """The worker sent what is no frame of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One parsed frame."""

    header: Mapping[str, Any]
    body: memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where each array of a request lies in the shared bytes."""

    entries: tuple[tuple[str, str, tuple[int, ...], int], ...]
    """Name, dtype, shape, offset."""
    size: int
    """Bytes in all, a multiple of ``ALIGNMENT``."""


def encode(header: Mapping[str, Any], body_size: int = 0) -> bytes:
    """Prefix and JSON of a frame whose ``body_size`` bytes follow."""
    text = json.dumps(header).encode()
    return PREFIX.pack(MAGIC, len(text), body_size) + text


def sizes(prefix: bytes, *, max_body: int) -> tuple[int, int]:
    """Bytes of header and body that ``prefix`` announces. Raises Malformed above the caps."""
    magic, header_size, body_size = PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise Malformed("the worker's frame does not begin with its magic bytes")
    if header_size > MAX_HEADER or body_size > max_body:
        raise Malformed(f"the worker announces {header_size} + {body_size} bytes, above its caps")
    return header_size, body_size


def parse_header(text: bytes) -> dict[str, Any]:
    """A worker's JSON object. Raises Malformed."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no JSON")

    try:
        header = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the worker's header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise Malformed("the worker's header is no JSON object")
    return header


def decode(data: bytes | memoryview, *, max_body: int) -> Frame:
    """The one frame that ``data`` holds, to the byte. Raises Malformed."""
    view = memoryview(data)
    if len(view) < PREFIX.size:
        raise Malformed("the worker's answer is shorter than a frame")
    header_size, body_size = sizes(bytes(view[: PREFIX.size]), max_body=max_body)
    if len(view) != PREFIX.size + header_size + body_size:
        raise Malformed(f"the worker's answer has {len(view)} bytes, not the announced count")
    end = PREFIX.size + header_size
    return Frame(header=parse_header(bytes(view[PREFIX.size : end])), body=view[end:])


def lay_out(arrays: Mapping[str, Array]) -> Layout:
    """Aligned places for ``arrays``. Raises ValueError for a dtype that may not cross."""
    entries, offset = [], 0
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES or not array.dtype.isnative:
            raise ValueError(f"array {name!r} has dtype {array.dtype}, which a sandbox does not take")
        entries.append((name, array.dtype.name, array.shape, offset))
        offset += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    return Layout(entries=tuple(entries), size=offset)


def split(body: memoryview, parts: Sequence[tuple[str, tuple[int, ...]]]) -> list[Array]:
    """Consecutive arrays of the given dtypes and shapes, copied out.

    Raises Malformed unless the bytes match exactly.
    """
    counts = [prod(shape) * np.dtype(dtype).itemsize for dtype, shape in parts]
    if sum(counts) != len(body):
        raise Malformed(f"the worker's body has {len(body)} bytes, expected {sum(counts)}")
    arrays, offset = [], 0
    for (dtype, shape), count in zip(parts, counts, strict=True):
        arrays.append(np.frombuffer(body[offset : offset + count], dtype).reshape(shape).copy())
        offset += count
    return arrays
