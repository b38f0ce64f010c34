"""The run's folder: the only module that writes into it. Files are written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from designer.regular_files import DISK, LARGEST, LARGEST_PROGRAM, open_regular, read_regular
from envs.episode import Array
from envs.errors import UserError
from sandbox.program import RewardProgram

Json = dict[str, Any]
LARGEST_ARRAYS = 4 * LARGEST
"""Most bytes of the arrays that a file holds, unpacked."""
_MOST_SECONDS = 1e10
_STRUCTURE = frozenset({errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP})
"""What stands in a file's place where the run is not as it was written."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def canonical(data: object) -> str:
    """JSON text that equal data share, for hashing; NaN is refused."""
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def digest(data: object) -> str:
    """First 16 hex digits of SHA-256 over the canonical JSON."""
    return hashlib.sha256(canonical(data).encode("utf-8", "surrogatepass")).hexdigest()[:16]


class RunStore:
    """One run's folder; every read and write of it goes through here."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.RLock()
        self._listeners: list[Callable[[Json], None]] = []
        self.last_read = "config.json"
        """The file that was read last: what is at fault where its content does not fit."""
        self._elapsed_before = 0.0
        self._opened = time.monotonic()

    @classmethod
    def create(cls, root: Path, config: Json) -> RunStore:
        """A new run. Raises ``UserError`` where the folder already holds one."""
        try:
            # A run that was killed before its first file was whole has begun nothing.
            if root.exists() and any(not path.name.endswith(".partial") for path in root.iterdir()):
                raise UserError(f"{root} is not empty: choose another --run-dir, or `rewardsmith resume {root}`.")
            root.mkdir(parents=True, exist_ok=True)
            store = cls(root)
            store.write_json("config.json", config)
        except OSError as error:
            raise UserError(f"No run can be kept in {root}: {error.strerror}. Choose another --run-dir.") from error
        return store

    @classmethod
    def open(cls, root: Path) -> RunStore:
        """An existing run. Raises ``UserError`` where there is none."""
        if not (root / "config.json").is_file():
            raise UserError(f"{root} is not a run: it has no config.json. `rewardsmith design` makes one.")
        store = cls(root)
        store._elapsed_before = max(map(_seconds, store.events()), default=0.0)
        return store

    def path(self, name: str) -> Path:
        """A path inside the run. Raises ``UserError`` for one that would leave it."""
        path = self.root / name
        self._inside(path)
        return path

    def _inside(self, path: Path) -> Path:
        """Where a path of the run leads to, free of links. Raises ``UserError`` where that is outside the run."""
        try:
            found = path.resolve()
            inside = found.is_relative_to(self.root.resolve())
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, or a name that no file can have
            raise UserError(f"{path} leads nowhere ({error}).") from error
        if not inside:
            raise UserError(f"{str(path)!r} points outside the run {self.root}.")
        return found

    def _read(self, name: str, *, most: int = LARGEST) -> bytes:
        """A file's content. Raises ``FileNotFoundError``, or ``UserError`` for what is no regular file of the run."""
        self.last_read = name
        path = self._inside(self.root / name)
        try:
            return read_regular(path, most=most, flags=os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(*error.args) from error
        except OSError as error:
            raise UserError(f"{self.root / name} cannot be read: {error.strerror}.") from error

    def _write(self, name: str, data: bytes) -> None:
        try:
            self._put(self.path(name), data)
        except OSError as error:
            if error.errno not in _STRUCTURE:
                raise
            raise UserError(f"{self.root / name} cannot be written: {error.strerror}.") from error

    @staticmethod
    def _put(path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
        # Only a new file: a name that a run has already may be a link to anywhere.
        partial.unlink(missing_ok=True)
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def write_text(self, name: str, text: str) -> None:
        """Write a text file; lone surrogates (a model may send them) become question marks."""
        self._write(name, text.encode("utf-8", "replace"))

    def write_json(self, name: str, data: object) -> None:
        """Write JSON; NaN and infinity are written as null."""
        self.write_text(name, json.dumps(finite(data), indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def write_arrays(self, name: str, arrays: Mapping[str, Array]) -> None:
        """Write a compressed npz, without pickles."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        self._write(name, buffer.getvalue())

    def write_tensors(self, name: str, arrays: Mapping[str, Array]) -> None:
        """Write a safetensors file."""
        from safetensors.numpy import save

        self._write(name, save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))

    def bundled(self, candidate: str) -> bool:
        """Whether a candidate can be exported: a latent reward needs the decoder that its training leaves."""
        return self.program(candidate).form == "reward" or self.decoder(candidate) is not None

    def read_decoder(self, candidate: str) -> dict[str, Array] | None:
        """A latent reward's frozen decoder, arrays by name; None where no training left one.

        Raises ``UserError`` for a file that holds anything else.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        from training.credit.frozen import layers

        content = self.decoder(candidate)
        if content is None:
            return None
        try:
            found: dict[str, Array] = load(content)
            layers(found)
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            path = self.root / "candidates" / candidate / "decoder.safetensors"
            raise UserError(f"{path} is no decoder: {error}. Remove the file, or start a new run.") from error
        return found

    def read_json(self, name: str) -> Any | None:
        """A JSON file's content, or None where there is none. Raises ``UserError`` for a broken one."""
        try:
            return json.loads(self._read(name))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError, MemoryError) as error:
            raise UserError(f"{self.root / name} cannot be read ({error}); delete it and resume.") from error

    def read_arrays(self, name: str) -> dict[str, Array]:
        """Arrays of an npz file, read without pickles; empty where there is none.

        Raises ``UserError`` for a broken one, and for one that unpacks to more than ``LARGEST_ARRAYS`` bytes.
        """
        try:
            data = self._read(name)
        except FileNotFoundError:
            return {}
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                size = sum(part.file_size for part in archive.infolist())
            if size > LARGEST_ARRAYS:
                raise ValueError(f"its arrays are larger than {LARGEST_ARRAYS} bytes")
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return {key: arrays[key] for key in arrays.files}
        except Exception as error:  # what a broken archive makes its readers raise has no common kind
            raise UserError(f"{self.root / name} holds no arrays ({type(error).__name__}: {error}).") from error

    def listen(self, listener: Callable[[Json], None]) -> None:
        """Call this with every event from now on."""
        self._listeners.append(listener)

    @property
    def elapsed(self) -> float:
        """Seconds that this run has been worked on, over all its processes."""
        return self._elapsed_before + time.monotonic() - self._opened

    def event(self, kind: str, **facts: Any) -> None:
        """Append one event to ``events.jsonl``."""
        record = finite({"time": round(time.time(), 3), "elapsed": round(self.elapsed, 3), "event": kind, **facts})
        line = json.dumps(record, ensure_ascii=True, allow_nan=False) + "\n"
        with self._lock:
            with self._appended("events.jsonl") as file:
                if file.seek(0, os.SEEK_END) and not self._whole_line(file):
                    file.write(b"\n")
                file.write(line.encode())
            for listener in self._listeners:
                listener(record)

    def _appended(self, name: str) -> BinaryIO:
        """A file that is written at its end, and read. Raises ``UserError`` for what is no regular file of the run."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        try:
            return open(open_regular(self.path(name), flags), "rb+")
        except OSError as error:
            if error.errno in DISK:
                raise
            raise UserError(f"{self.root / name} cannot be written: {error.strerror}.") from error

    def lock(self) -> BinaryIO:
        """The file that is locked by whoever works on the run. Raises ``UserError``."""
        try:
            return self._appended("lock")
        except OSError as error:
            raise UserError(f"{self.root} cannot be written: {error.strerror}.") from error

    @staticmethod
    def _whole_line(file: BinaryIO) -> bool:
        """Whether the file ends with a line break; a kill may have cut the last line short."""
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"

    def events(self) -> Iterator[Json]:
        """Every whole event so far; a line that a kill cut short is passed over."""
        try:
            text = self._read("events.jsonl").decode("utf-8", "replace")
        except FileNotFoundError:
            return
        for line in text.splitlines():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict) and isinstance(record.get("event"), str):
                yield record

    def replies(self) -> Iterator[Json]:
        """Every reply that was bought, with its tokens and price."""
        for path in sorted((self.root / "llm").glob("*.json")):
            kept: Json = self.read_json(f"llm/{path.name}") or {}
            yield kept["reply"]

    def candidate_ids(self) -> tuple[str, ...]:
        """Ids of all programs of this run, oldest first."""
        found = [(self.candidate(p.name), p.name) for p in (self.root / "candidates").glob("*") if p.is_dir()]
        known = [(c["iteration"], c["slot"], c["round"], name) for c, name in found if c]
        return tuple(name for *_, name in sorted(known))

    def candidate(self, candidate: str) -> Json | None:
        """``candidate.json`` of a program, or None."""
        if not _ID.fullmatch(candidate):
            return None
        found: Json | None = self.read_json(f"candidates/{candidate}/candidate.json")
        return found

    def add_program(self, program: RewardProgram, facts: Json) -> Json:
        """Record a program; of two slots that wrote the same one the earlier keeps it. Returns what is kept."""
        with self._lock:
            kept = self.candidate(program.id)
            order = ("iteration", "slot", "round")
            if kept is None or [facts[k] for k in order] < [kept[k] for k in order]:
                status = kept["status"] if kept else "written"
                kept = {"id": program.id, "form": program.form, "status": status, **facts}
                self.write_text(f"candidates/{program.id}/reward.py", program.source)
                self.write_json(f"candidates/{program.id}/candidate.json", kept)
            return kept

    def set_status(self, candidate: str, status: str) -> None:
        """Change a program's status."""
        with self._lock:
            kept = self.candidate(candidate)
            if kept is not None and kept["status"] != status:
                self.write_json(f"candidates/{candidate}/candidate.json", {**kept, "status": status})

    def comments(self) -> list[str]:
        """What a person said so far, oldest first."""
        return [comment["text"] for comment in self.read_json("feedback.json") or []]

    def add_feedback(self, text: str) -> None:
        """Keep a person's comment for the next design. Raises ``UserError`` for an empty one."""
        if not text.strip():
            raise UserError("The comment is empty; say what to change.")
        with self._lock:
            kept = self.read_json("feedback.json") or []
            self.write_json("feedback.json", [*kept, {"text": text.strip()}])
        self.event("feedback", text=text.strip())

    def program(self, candidate: str) -> RewardProgram:
        """A program by its id. Raises ``UserError`` for an unknown id or a source that was changed."""
        facts = self.candidate(candidate)
        if facts is None:
            known = ", ".join(self.candidate_ids()) or "none yet"
            raise UserError(f"{self.root} has no candidate {candidate!r}; it has: {known}.")
        name = f"candidates/{candidate}/reward.py"
        try:
            # Not as text, which would change line breaks, and the hash with them.
            source = self._read(name, most=LARGEST_PROGRAM).decode("utf-8")
        except (FileNotFoundError, UnicodeDecodeError) as error:
            raise UserError(f"{self.root / name} is missing or no UTF-8 text ({error}).") from error
        program = RewardProgram(source, facts["form"])
        if program.id != candidate:
            raise UserError(f"candidates/{candidate}/reward.py was changed: its hash is {program.id}.")
        return program

    def decoder(self, candidate: str) -> bytes | None:
        """The frozen decoder of a trained latent reward, as safetensors; None where there is none."""
        try:
            return self._read(f"candidates/{candidate}/decoder.safetensors", most=LARGEST_PROGRAM)
        except FileNotFoundError:
            return None


def _seconds(event: Json) -> float:
    """Seconds of work that an event came after; 0 where it holds no such number."""
    found = event.get("elapsed")
    return float(found) if isinstance(found, int | float) and 0 <= found < _MOST_SECONDS else 0.0


def finite(data: Any) -> Any:
    """The same JSON with NaN and infinities as null, numpy numbers as Python's, and keys as text."""
    if isinstance(data, Mapping):
        return {str(k): finite(v) for k, v in data.items()}
    if isinstance(data, list | tuple):
        return [finite(v) for v in data]
    if isinstance(data, np.generic):
        data = data.item()
    if isinstance(data, float) and not np.isfinite(data):
        return None
    return data
