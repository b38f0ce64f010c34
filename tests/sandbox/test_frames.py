"""Frames: what is written is what is read, by both sides; whatever else arrives is refused, never believed."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sandbox import wire
from sandbox.frames import MAX_HEADER, Malformed, decode, encode, lay_out, parse_header, sizes, split
from sandbox.link import SharedFile, inline

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
headers = st.dictionaries(st.text(max_size=12), json_values, max_size=6)
numbers = st.sampled_from(sorted(wire.DTYPES)).map(np.dtype)
arrays = hnp.arrays(numbers, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))


@given(headers, st.binary(max_size=200))
def test_a_frame_survives_the_way(header: dict[str, Any], body: bytes) -> None:
    frame = decode(encode(header, len(body)) + body, max_body=200)
    assert frame.header == header
    assert bytes(frame.body) == body


@given(headers, st.lists(st.binary(max_size=100), max_size=4))
@settings(max_examples=30)
def test_the_worker_writes_what_the_host_reads(header: dict[str, Any], parts: list[bytes]) -> None:
    receive, send = os.pipe()
    with open(receive, "rb") as stream:
        wire.write_frame(send, header, list(parts))
        os.close(send)
        data = stream.read()
    frame = decode(data, max_body=400)
    assert (frame.header, bytes(frame.body)) == (header, b"".join(parts))


@given(headers, st.binary(max_size=100))
@settings(max_examples=30)
def test_the_worker_reads_what_the_host_writes(header: dict[str, Any], body: bytes) -> None:
    receive, send = os.pipe()
    os.write(send, encode(header, len(body)) + body)
    os.close(send)
    try:
        assert wire.read_frame(receive) == (header, bytearray(body))
        assert wire.read_frame(receive) is None
    finally:
        os.close(receive)


@given(st.binary(max_size=300))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data, max_body=1 << 20)


@given(headers, st.binary(min_size=1, max_size=100), st.data())
def test_a_torn_or_overlong_frame_is_refused(header: dict[str, Any], body: bytes, data: st.DataObject) -> None:
    whole = encode(header, len(body)) + body
    cut = data.draw(st.integers(0, len(whole) - 1))
    for wrong in (whole[:cut], whole + b"\0"):
        with pytest.raises(Malformed):
            decode(wrong, max_body=100)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_no_announced_size_passes_its_cap(header_size: int, body_size: int) -> None:
    prefix = wire.PREFIX.pack(wire.MAGIC, header_size, body_size)
    if header_size <= MAX_HEADER and body_size <= 1000:
        assert sizes(prefix, max_body=1000) == (header_size, body_size)
    else:
        with pytest.raises(Malformed):
            sizes(prefix, max_body=1000)


@pytest.mark.parametrize("text", [b"", b"[]", b"1", b"{", b'{"a": NaN}', b"\xff{}", b"[" * 60000, b'{"a": 1e999x}'])
def test_what_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_header(text)


@given(st.dictionaries(st.text("abc/", max_size=5), arrays, max_size=5))
def test_arrays_survive_the_way(given_arrays: dict[str, Any]) -> None:
    layout = lay_out(given_arrays)
    shared = SharedFile(os.memfd_create("shared"))
    try:
        shared.fill(layout, given_arrays)
        buffer = os.pread(shared.fd, layout.size, 0)
    finally:
        shared.close()
    assert buffer.ljust(layout.size, b"\0") == inline(layout, given_arrays)
    for name, dtype, shape, offset in layout.entries:
        there = np.frombuffer(buffer, dtype, int(np.prod(shape)), offset).reshape(shape)
        assert there.tobytes() == given_arrays[name].tobytes()
        assert offset % 64 == 0


def test_objects_do_not_cross() -> None:
    with pytest.raises(ValueError, match="object"):
        lay_out({"x": np.array([object()])})


@given(st.lists(arrays, max_size=4), st.integers(-3, 3))
def test_split_takes_the_exact_bytes_only(parts: list[Any], off: int) -> None:
    body = b"".join(part.tobytes() for part in parts)
    layout = [(part.dtype.name, part.shape) for part in parts]
    if off == 0:
        for part, found in zip(parts, split(memoryview(body), layout), strict=True):
            assert found.tobytes() == part.tobytes()
    elif len(body) + off >= 0:
        wrong = (body + bytes(3))[: len(body) + off]
        with pytest.raises(Malformed):
            split(memoryview(wrong), layout)
