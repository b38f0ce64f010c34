"""Keys in the environment: a whole run with canaries in their place, and then every place is searched for them."""

from __future__ import annotations

import gzip
import json
import secrets
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from designer.exits import DONE
from designer.main import run
from tests.designer import corridor
from tests.designer.command import descendants, environment, start
from tests.designer.endpoint import Request, facts_of, serving
from tests.designer.test_resume import CORRIDOR, HERE, at, walking

NAMES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "GITHUB_TOKEN")
NEVER_SENT = NAMES[1:]
"""The first one is the endpoint's own: it goes into the header that carries it, and nowhere else."""


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    values = {name: f"sk-canary{secrets.token_hex(16)}" for name in NAMES}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


def holds(path: Path, canaries: dict[str, str]) -> bool:
    data = path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            data += b"".join(archive.read(name) for name in archive.namelist())
    elif data[:2] == b"\x1f\x8b":
        data += gzip.decompress(data)
    return any(value.encode() in data for value in canaries.values())


def test_keys_are_in_no_file_no_prompt_no_child_and_no_output(tmp_path: Path, canaries: dict[str, str]) -> None:
    seen: dict[str, bytes] = {}
    with serving(walking) as endpoint:
        root = tmp_path / "run"
        (tmp_path / "corridor.py").write_text(Path(corridor.__file__).read_text())
        # The tests' own environment holds no key; this command gets them all.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.designer.command.environment", lambda **more: environment(**more) | canaries)
            process = start("design", *CORRIDOR, *at(endpoint, root), cwd=tmp_path, output=tmp_path / "log")
        own = b""
        while not own and process.poll() is None:  # empty for a moment after the process has become the command
            own = (Path("/proc") / str(process.pid) / "cmdline").read_bytes()
        while process.poll() is None:
            for pid in descendants(process.pid):
                place = Path("/proc") / str(pid)
                try:
                    command, told, still = ((place / what).read_bytes() for what in ("cmdline", "environ", "cmdline"))
                except OSError:
                    continue
                # Not a fork of the command that is about to become something else, nor one that does so right now.
                if command and command == still != own:
                    seen[str(pid)] = seen.get(str(pid), b"") + command + told
            time.sleep(0.01)
        assert process.returncode == DONE, (tmp_path / "log").read_text()
        bodies = [json.dumps(request) for request in endpoint.requests]
        headers = list(endpoint.headers)
    assert any(seen.values()), "children were looked at"
    assert not [told[:200] for told in seen.values() if any(v.encode() in told for v in canaries.values())]
    assert bodies and not [body for body in bodies if any(value in body for value in canaries.values())]
    assert all(canaries["OPENAI_API_KEY"] in header["authorization"] for header in headers)
    assert not [h for h in headers if any(canaries[name] in json.dumps(h) for name in NEVER_SENT)]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"log", "config.json", "events.jsonl", "state.sqlite", "scorecard.json", "report.html"} <= {
        path.name for path in files
    }
    assert not [path for path in files if holds(path, canaries)]


def test_a_key_in_an_error_of_the_endpoint_is_not_kept(
    tmp_path: Path, canaries: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A server that quotes the key back, in an error and in a reply."""
    from tests.designer.endpoint import Status
    from tests.designer.models import reply

    told: list[int] = []

    def quoting(request: Request) -> Any:
        told.append(1)
        if len(told) == 1:
            return Status(429, body=json.dumps({"error": {"message": f"bad key {canaries['OPENAI_API_KEY']}"}}))
        if facts_of(request)["role"] == "designer" and len(told) == 2:
            return json.dumps({"idea": f"use {canaries['OPENAI_API_KEY']}", "code": "x"})
        return walking(request) if facts_of(request)["role"] == "designer" else reply(request)

    monkeypatch.syspath_prepend(str(HERE))
    with serving(quoting) as endpoint:
        code = run(["design", *CORRIDOR, "--iterations", "1", *at(endpoint, tmp_path / "run")])
    assert code in (DONE, 1)
    said = capfd.readouterr()
    assert canaries["OPENAI_API_KEY"] not in said.out + said.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and holds(path, canaries)]
