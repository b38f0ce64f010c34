"""A byte stream to one worker with the host's own clock on it, and the file through which arrays are shared."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import subprocess
import time
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from sandbox.frames import ALIGNMENT, Layout
from sandbox.service import Array

PIPE_BYTES = 1 << 20


class Gone(Exception):
    """The worker ended, or its stream did."""


class Late(Exception):
    """The host's clock ran out."""


class Link(Protocol):
    """Bytes to and from one worker. Times are of ``time.monotonic``."""

    def write(self, data: memoryview, until: float) -> None:
        """Send all of ``data``. Raises Gone or Late."""

    def read(self, size: int, until: float) -> bytes:
        """Some bytes, at most ``size``. Raises Gone or Late."""

    def kill(self) -> None:
        """End the worker and all that it holds, at once; harmless when repeated."""


SLICE = 0.25
"""Seconds after which a wait looks up: a signal that came just before it would not end it."""


def wait(fd: int, event: int, until: float) -> None:
    """Wait for ``event`` on ``fd``. Raises Late."""
    poll = select.poll()
    poll.register(fd, event)
    while not poll.poll(min(SLICE, max(0.0, until - time.monotonic())) * 1000):
        if time.monotonic() >= until:
            raise Late


class PipeLink:
    """A child process of ours, spoken to through its stdin and stdout."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process needs pipes for stdin and stdout")
        self.process = process
        self._in, self._out = process.stdin.fileno(), process.stdout.fileno()
        for fd in (self._in, self._out):
            os.set_blocking(fd, False)
            with contextlib.suppress(OSError):  # a wider pipe is only quicker
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def write(self, data: memoryview, until: float) -> None:
        """Send all of ``data``. Raises Gone or Late."""
        while len(data):
            try:
                data = data[os.write(self._in, data) :]
            except BlockingIOError:
                wait(self._in, select.POLLOUT, until)
            except (OSError, ValueError) as error:
                raise Gone from error

    def read(self, size: int, until: float) -> bytes:
        """Some bytes, at most ``size``. Raises Gone or Late."""
        while True:
            try:
                data = os.read(self._out, size)
            except BlockingIOError:
                wait(self._out, select.POLLIN, until)
            except OSError as error:
                raise Gone from error
            else:
                if not data:
                    raise Gone
                return data

    def kill(self) -> None:
        """Kill and reap the process; its jail dies with it."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        self._in = self._out = -1
        self.process.kill()
        self.process.wait()


class SocketLink:
    """A worker behind a container engine's attached stream: stdin raw, stdout in blocks with an 8-byte head."""

    HEAD = 8

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        stream.setblocking(False)
        self._block = 0
        """Bytes left of the current block."""
        self._wanted = True
        """Whether the current block is stdout."""
        self._head = b""

    def write(self, data: memoryview, until: float) -> None:
        """Send all of ``data``. Raises Gone or Late."""
        while len(data):
            try:
                data = data[self.stream.send(data) :]
            except BlockingIOError:
                wait(self.stream.fileno(), select.POLLOUT, until)
            except OSError as error:
                raise Gone from error

    def _receive(self, size: int, until: float) -> bytes:
        while True:
            try:
                data = self.stream.recv(size)
            except BlockingIOError:
                wait(self.stream.fileno(), select.POLLIN, until)
            except OSError as error:
                raise Gone from error
            else:
                if not data:
                    raise Gone
                return data

    def read(self, size: int, until: float) -> bytes:
        """Some bytes of stdout, at most ``size``. Raises Gone or Late."""
        while True:
            while self._block == 0:
                self._head += self._receive(self.HEAD - len(self._head), until)
                if len(self._head) == self.HEAD:
                    self._wanted, self._block = self._head[0] == 1, int.from_bytes(self._head[4:], "big")
                    self._head = b""
            data = self._receive(min(size, self._block), until)
            self._block -= len(data)
            if self._wanted:
                return data

    def kill(self) -> None:
        """Close the stream."""
        self.stream.close()


class SharedFile:
    """A file in memory that the host fills and a worker maps: how big inputs reach a jail without a copy."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._size = 0

    def fill(self, layout: Layout, arrays: Mapping[str, Array]) -> None:
        """Write ``arrays`` into their places."""
        if layout.size != self._size:
            # Cut when it shrinks: a jail sees this call's arrays, and nothing of those before.
            os.ftruncate(self.fd, layout.size)
            self._size = layout.size
        for name, _, _, offset in layout.entries:
            data = np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data
            while len(data):
                count = os.pwrite(self.fd, data, offset)
                data, offset = data[count:], offset + count

    def close(self) -> None:
        """Give the memory back; harmless when repeated."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def inline(layout: Layout, arrays: Mapping[str, Array]) -> bytes:
    """The same bytes for a worker that shares no file: each array padded to its place."""
    parts = [np.ascontiguousarray(arrays[name]).tobytes() for name, _, _, _ in layout.entries]
    return b"".join(part + bytes(-len(part) % ALIGNMENT) for part in parts)
