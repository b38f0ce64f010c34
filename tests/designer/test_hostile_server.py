"""A server behind ``--api-base`` that floods, inflates, drips or redirects."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from designer import asking
from designer.budget import CapReached
from envs.errors import UserError
from sandbox.errors import InfraError
from tests.designer.endpoint import Closed, Raw, Status, serving
from tests.designer.test_llm import MESSAGES, SLOT, models, short_pauses

__all__ = ["short_pauses"]
Write = Callable[[bytes], object]
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
SECONDS = 0.5
"""What the slow servers are given."""
PATIENCE = 20.0
"""Far less than a server that never ends, far more than a busy machine takes."""


def inflating(encodings: str) -> Raw:
    """64 MiB of blanks around an answer, compressed as often as it says."""
    body = b" " * (64 << 20) + json.dumps({"choices": [{"message": {"content": "in"}}]}).encode()
    for _ in encodings.split(","):
        body = gzip.compress(body, 1)
    head = OK + f"content-encoding: {encodings}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    return Raw(lambda write: (write(head), write(body), None)[-1])


def endless(start: bytes, piece: bytes, pause: float) -> Raw:
    def write_on(write: Write) -> None:
        write(start)
        while True:
            write(piece)
            time.sleep(pause)

    return Raw(write_on)


DRIPS = {
    "body": endless(OK + b"\r\n", b" ", 0.1),
    "headers": endless(OK + b"x: ", b"x", 0.1),
    "interim answers": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.1),
    "chunks": endless(OK + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n", 0.1),
}


@pytest.mark.parametrize("encodings", ["gzip", "gzip, gzip", "br"])
def test_a_compressed_answer_is_not_inflated(tmp_path: Path, encodings: str) -> None:
    answer = inflating(encodings) if "gzip" in encodings else Status(200, {"content-encoding": encodings}, "x")
    with serving(lambda request: answer) as endpoint:
        asked, _, _ = models(tmp_path, endpoint.url)
        with pytest.raises(InfraError, match="compressed"):
            asked.ask("designer", MESSAGES, SLOT)
        assert len(endpoint.requests) == asking.COSTLY_ATTEMPTS
        assert {headers["accept-encoding"] for headers in endpoint.headers} == {"identity"}


@pytest.mark.parametrize("status", [b"200 OK", b"500 No"])
def test_an_endless_answer_is_not_read_to_its_end(tmp_path: Path, status: bytes) -> None:
    flood = endless(b"HTTP/1.1 " + status + b"\r\n\r\n", b" " * 65536, 0.0)
    with serving(lambda request: flood) as endpoint:
        asked, _, _ = models(tmp_path, endpoint.url)
        with pytest.raises(InfraError, match="too large"):
            asked.ask("designer", MESSAGES, SLOT)
        assert len(endpoint.requests) == asking.COSTLY_ATTEMPTS


@pytest.mark.parametrize("kind", DRIPS)
def test_an_answer_that_drips_is_left_at_the_time_out(tmp_path: Path, kind: str) -> None:
    with serving(lambda request: DRIPS[kind]) as endpoint:
        asked, _, _ = models(tmp_path, endpoint.url, model_timeout=SECONDS)
        begun = time.monotonic()
        with pytest.raises(InfraError, match=r"no reply within 0\.5 s"):
            asked.ask("designer", MESSAGES, SLOT)
        assert time.monotonic() - begun < PATIENCE


def test_the_cap_on_minutes_ends_a_request(tmp_path: Path) -> None:
    with serving(lambda request: DRIPS["body"]) as endpoint:
        asked, _, _ = models(tmp_path, endpoint.url, max_minutes=0.02)
        begun = time.monotonic()
        with pytest.raises(CapReached, match="max_minutes"):
            asked.ask("designer", MESSAGES, SLOT)
        assert time.monotonic() - begun < PATIENCE


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(tmp_path: Path, code: int) -> None:
    with serving(lambda request: "followed") as other, serving(lambda request: moved) as endpoint:
        moved = Status(code, {"location": f"{other.url}/chat/completions"})
        asked, _, _ = models(tmp_path, endpoint.url)
        with pytest.raises(UserError, match="redirects"):
            asked.ask("designer", MESSAGES, SLOT)
        assert not other.requests and len(endpoint.requests) == 1


@pytest.mark.parametrize("body", ["[" * 500_000, '{"choices": ' + "9" * 5_000 + "}", "\x00", '{"choices": [[]]}'])
def test_a_body_that_breaks_a_parser_is_a_bad_answer(tmp_path: Path, body: str) -> None:
    answers: Iterator[Any] = iter([Status(200, body=body), Closed()])
    with serving(lambda request: next(answers, "at last")) as endpoint:
        asked, _, _ = models(tmp_path, endpoint.url)
        assert asked.ask("designer", MESSAGES, SLOT).text == "at last"
        assert len(endpoint.requests) == 3


def test_other_providers_have_the_same_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They keep their own clients: only LiteLLM knows how to ask them."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    with serving(lambda request: DRIPS["body"]) as endpoint:
        monkeypatch.setenv("ANTHROPIC_API_BASE", endpoint.url.removesuffix("/v1"))
        asked, _, _ = models(tmp_path, None, model="anthropic/claude-x", model_timeout=SECONDS)
        begun = time.monotonic()
        with pytest.raises(InfraError, match=r"no reply within 0\.5 s"):
            asked.ask("designer", MESSAGES, SLOT)
        assert endpoint.requests and time.monotonic() - begun < PATIENCE
