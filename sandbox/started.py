"""One started jail, spoken to: frames go in with a deadline and come out measured."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any

from sandbox.answers import failure
from sandbox.errors import InfraError
from sandbox.frames import Frame, Malformed, encode, parse_header, sizes
from sandbox.link import Gone, Late, Link, SharedFile
from sandbox.wire import MAX_REQUEST_HEADER, PREFIX

ABANDON_SECONDS = 0.02
START_SECONDS = 60.0
"""How long a worker may take to import numpy and prove its lock."""


class Worker:
    """One started jail."""

    def __init__(self, link: Link, shared: SharedFile | None) -> None:
        self.link, self.shared = link, shared
        self.about: Mapping[str, Any] | None = None
        self._finish = weakref.finalize(self, _end, os.getpid(), link, shared)

    def greet(self, message: bytes) -> None:
        """Send what the starter in the jail waits for. Raises InfraError where it is gone."""
        try:
            self.link.write(memoryview(message), time.monotonic() + START_SECONDS)
        except (Gone, Late) as error:
            self.kill()
            raise InfraError("the sandbox's worker ended while it started") from error

    def await_ready(self, seconds: float = START_SECONDS) -> Mapping[str, Any]:
        """Layers, missing layers and versions, once the worker has proved its lock. Raises InfraError."""
        if self.about is None:
            try:
                about = self._read(time.monotonic() + seconds, max_body=0).header
            except (Gone, Late, Malformed) as error:
                self.kill()
                what = f"said nothing for {seconds:g} s" if isinstance(error, Late) else "ended while it started"
                raise InfraError(f"the sandbox's worker {what} {error}".strip()) from error
            if about.get("broken") != []:
                self.kill()
                refused = ", ".join(map(str, about.get("broken") or ["seccomp"]))
                raise InfraError(f"this kernel does not hold the worker's lock ({refused}); use --sandbox docker")
            self.about = about
        return self.about

    def ask(self, header: Mapping[str, Any], body: bytes, *, until: float, max_body: int) -> Frame:
        """Send one request and read its answer. Raises Gone, Late, Malformed, or CandidateError for a huge source."""
        text = encode(header, len(body))
        if len(text) > PREFIX.size + MAX_REQUEST_HEADER:
            raise failure("setup", "size", f"the source is too long: a call holds {MAX_REQUEST_HEADER} bytes")
        self.link.write(memoryview(text), until)
        self.link.write(memoryview(body), until)
        return self._read(until, max_body=max_body)

    def _read(self, until: float, *, max_body: int) -> Frame:
        header_size, body_size = sizes(bytes(self._exactly(PREFIX.size, until)), max_body=max_body)
        header = parse_header(bytes(self._exactly(header_size, until)))
        return Frame(header=header, body=self._exactly(body_size, until))

    def _exactly(self, size: int, until: float) -> memoryview:
        data, filled = memoryview(bytearray(size)), 0
        while filled < size:
            part = self.link.read(size - filled, until)
            data[filled : filled + len(part)] = part
            filled += len(part)
        return data

    def kill(self) -> None:
        """End the jail; harmless when repeated."""
        self._finish()

    def abandon(self) -> None:
        """End the jail, and wait only a moment for it: who waits for an error must not wait for an engine too."""
        end = threading.Thread(target=self._finish, name="sandbox-end")
        end.start()
        end.join(ABANDON_SECONDS)


def _end(host: int, link: Link, shared: SharedFile | None) -> None:
    if os.getpid() != host:  # a fork of the host collects its copy; the jail is not its own
        return
    link.kill()
    if shared is not None:
        shared.close()
