"""What the host watches while hostile programs run: a secret, a folder, listeners, its environment, its processes."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from sandbox.service import Answer, Call

PREFIX = "rewardcanary"


def example_call(rows: int = 64, steps: int = 1, width: int = 4, seed: int = 0) -> Call:
    """A call on a state ``x`` of normal numbers."""
    draw = np.random.default_rng(seed)
    return Call(
        state={"x": draw.normal(size=(steps, rows, width)).astype(np.float32)},
        action=draw.integers(0, 4, (steps, rows)),
        next_state={"x": draw.normal(size=(steps, rows, width)).astype(np.float32)},
        ended=np.zeros((steps, rows), bool),
    )


def processes() -> dict[int, str]:
    """Command lines of all processes by id."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(folder.name)] = line.decode(errors="replace")
            except OSError:
                continue
    return found


class Canaries:
    """Things on the host that no program may touch."""

    def __init__(self, folder: Path, listeners: dict[str, socket.socket]) -> None:
        self.marker = PREFIX + secrets.token_hex(12)
        self.win = secrets.token_hex(12)
        self.sleep = str(10**6 + secrets.randbelow(10**6))
        self.folder = folder / "writable"
        self.folder.mkdir(mode=0o777)
        self.folder.chmod(0o777)
        self.secret = folder / "secret"
        self.secret.write_text(self.marker)
        self.secret.chmod(0o644)
        self.listeners = listeners
        os.environ["REWARD_CANARY"] = self.marker

    def fill(self, source: str) -> str:
        """``source`` with the canaries' addresses."""
        addresses = {
            "SECRET": str(self.secret),
            "FOLDER": str(self.folder),
            "PREFIX": PREFIX,
            "WIN": self.win,
            "SLEEP": self.sleep,
            "HOST": str(os.getpid()),
            "TCP": str(self.listeners["tcp"].getsockname()[1]),
            "UDP": str(self.listeners["udp"].getsockname()[1]),
            "UNIX": self.listeners["unix"].getsockname()[1:].decode(),
            "DOCKER": os.environ.get("DOCKER_HOST", "").removeprefix("unix://"),
        }
        for name, address in addresses.items():
            source = source.replace(f"@{name}@", address)
        return source

    def touched(self) -> list[str]:
        """What a program did to the host."""
        found = [f"wrote {path.name}" for path in self.folder.iterdir()]
        for name, listener in self.listeners.items():
            try:
                listener.recv(1) if name == "udp" else listener.accept()
            except BlockingIOError:
                continue
            found.append(f"reached {name}")
        found += [f"left process {pid}" for pid, line in processes().items() if self.sleep in line]
        if self.secret.read_text() != self.marker:
            found.append("wrote the secret")
        return found

    def leaked(self, answer: Answer | None, message: str) -> bool:
        """Whether the secret came out as reward or in words."""
        components = answer.components if answer else {}
        told = b"".join(np.clip(column, 0, 255).astype(np.uint8).tobytes() for column in components.values())
        told += " ".join([message, *components]).encode()
        return self.marker.encode() in told or self.win.encode() in told


@contextmanager
def watching(folder: Path) -> Iterator[Canaries]:
    """Canaries for as long as the block runs."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unix,
    ):
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", 0))
        unix.bind("\0reward" + secrets.token_hex(6))
        for listener in (tcp, udp, unix):
            listener.setblocking(False)
        tcp.listen()
        unix.listen()
        try:
            yield Canaries(folder, {"tcp": tcp, "udp": udp, "unix": unix})
        finally:
            os.environ.pop("REWARD_CANARY", None)
