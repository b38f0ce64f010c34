"""One request over the wire, held to a deadline; behind ``--api-base``, where anyone may answer, to bytes too."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from envs.errors import UserError

T = TypeVar("T")
MAX_BODY = 1 << 20
"""Most bytes that are read of one answer; a client library makes a hundred times that of it."""


class Transient(Exception):
    """Another try may help."""

    def __init__(self, what: str, *, costly: bool = False, wait: float | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.costly = costly
        self.wait = wait


def overdue(seconds: float) -> Transient:
    """What a request comes to that took longer."""
    return Transient(f"no reply within {seconds:g} s", costly=True)


def within(seconds: float, call: Callable[[], T]) -> T:
    """What ``call`` returns or raises; ``Transient`` where it takes longer, and its thread is left to itself.

    No client library has a deadline over a whole exchange: their time-outs begin anew with each byte.
    """
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, name="model", daemon=True).start()
    if not wait([answer], timeout=seconds).done:
        raise overdue(seconds)
    return answer.result()


class Exchange:
    """One request to a server of the user's own, and the bounds on what it may answer: bytes, time, no redirects.

    ``refused`` says which bound it broke; the client library hides that.
    """

    def __init__(self, base: str, seconds: float) -> None:
        import httpx
        import openai

        self._httpx = httpx
        self._deadline = time.monotonic() + seconds
        self.refused: Transient | UserError | None = None
        http = httpx.Client(
            event_hooks={"request": [self._ask_for_plain], "response": [self._admit]},
            follow_redirects=False,
            timeout=seconds,
        )
        self.client = openai.OpenAI(api_key=key(), base_url=base, http_client=http, max_retries=0, timeout=seconds)

    def close(self) -> None:
        """Close the connection, also below a thread that still reads from it."""
        self.client.close()

    def _ask_for_plain(self, request: Any) -> None:
        request.headers["accept-encoding"] = "identity"

    def _admit(self, response: Any) -> None:
        """Read the whole body within the bounds. Raises what ``refused`` then holds, or httpx's time-out."""
        if 300 <= response.status_code < 400:
            self._refuse(UserError(f"--api-base redirects ({response.status_code}): give the address it leads to."))
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            # A few kilobytes can inflate to gigabytes.
            self._refuse(Transient("the answer is compressed, against what was asked for", costly=True))
        stream, body = response.stream, bytearray()
        for chunk in stream:
            body += chunk
            if len(body) > MAX_BODY:
                self._refuse(Transient(f"the answer is too large: more than {MAX_BODY} bytes", costly=True))
            if time.monotonic() > self._deadline:
                raise self._httpx.ReadTimeout("the answer came too slowly", request=response.request)
        stream.close()
        response.stream = self._httpx.ByteStream(bytes(body))

    def _refuse(self, problem: Transient | UserError) -> None:
        self.refused = problem
        raise problem


def key() -> str | None:
    """A placeholder for local servers, which want some key; None where the client finds the user's own."""
    return None if os.environ.get("OPENAI_API_KEY") else "none"
