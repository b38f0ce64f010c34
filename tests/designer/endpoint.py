"""A chat-completions endpoint on loopback that answers, fails, hangs or lies as a test tells it to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Request = dict[str, Any]
Behaviour = Callable[[Request], Any]
"""Text to answer with, or one of the classes below."""


class Status:
    def __init__(
        self, code: int, headers: dict[str, str] | None = None, body: str = '{"error": {"message": "no"}}'
    ) -> None:
        self.code, self.headers, self.body = code, headers or {}, body


class Closed:
    """Close the connection without an answer."""


class Hang:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Raw:
    """Whatever bytes a test writes on the connection, which then ends."""

    def __init__(self, write: Callable[[Callable[[bytes], object]], None]) -> None:
        self.write = write


class Usage:
    """An answer that counts its tokens like this; None leaves the count out."""

    def __init__(self, usage: object) -> None:
        self.usage = usage


class Cut:
    """A text that the length limit cut off."""

    def __init__(self, text: str) -> None:
        self.text = text


def facts_of(request: Request) -> dict[str, Any]:
    """The facts block of a request's first user message."""
    text = next(m["content"] for m in request["messages"] if m["role"] == "user")
    found: dict[str, Any] = json.loads(text.split("```json\n")[1].split("\n```")[0])
    return found


class Endpoint:
    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.requests: list[Request] = []
        self.headers: list[dict[str, str]] = []
        self._lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                request = json.loads(self.rfile.read(length))
                with endpoint._lock:
                    endpoint.requests.append(request)
                    endpoint.headers.append({name.lower(): value for name, value in self.headers.items()})
                    told = endpoint.behaviour(request)
                self.answer(told)

            def answer(self, told: Any) -> None:
                if isinstance(told, Closed):
                    self.close_connection = True
                    self.connection.close()
                    return
                if isinstance(told, Raw):
                    with suppress(OSError):
                        told.write(self.wfile.write)
                    self.close_connection = True
                    return
                if isinstance(told, Hang):
                    time.sleep(told.seconds)
                    told = "late"
                if isinstance(told, Status):
                    self.reply(told.code, told.body, told.headers)
                    return
                usage = told if isinstance(told, Usage) else None
                told = "counted" if usage else told
                finish = "length" if isinstance(told, Cut) else "stop"
                text = told.text if isinstance(told, Cut) else told
                body = {
                    "id": "x",
                    "object": "chat.completion",
                    "created": 0,
                    "model": "m",
                    "choices": [
                        {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
                    ],
                    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
                }
                if usage is not None:
                    body["usage"] = usage.usage
                self.reply(200, json.dumps(body), {})

            def reply(self, code: int, body: str, headers: dict[str, str]) -> None:
                data = body.encode()
                try:
                    self.send_response(code)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(data)))
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(data)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[Endpoint]:
    endpoint = Endpoint(behaviour)
    thread = threading.Thread(target=endpoint.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.server.shutdown()
        endpoint.server.server_close()
