"""What the options refuse, with a sentence that says what to change."""

from __future__ import annotations

from pathlib import Path

import pytest

from designer.exits import USER
from designer.main import run
from designer.settings import DesignSettings
from envs.errors import UserError


@pytest.mark.parametrize(
    "base",
    [
        "http://me:canary@127.0.0.1:8000/v1",
        "https://canary@host/v1",
        "https://host/v1?api_key=canary",
        "https://host/v1#canary",
        "https://host/v1?",
    ],
)
def test_an_address_with_credentials_is_refused_and_not_repeated(base: str) -> None:
    with pytest.raises(UserError, match="OPENAI_API_KEY") as refused:
        DesignSettings(task="t", api_base=base)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "base",
    [
        "",
        " ",
        "host",
        "localhost:8000",
        "ftp://host/v1",
        "file:///etc/passwd",
        "http://",
        "http:///v1",
        "http://:8000/v1",
        "http://host:port/v1",
        "http://host:99999/v1",
        "http://host:0/v1",
        "http://[::1/v1",
        "http://ho st/v1",
        "http://host/v1\n",
        "http://host\\evil/v1",
    ],
)
def test_what_is_no_address_is_refused(base: str) -> None:
    with pytest.raises(UserError, match="--api-base"):
        DesignSettings(task="t", api_base=base)


@pytest.mark.parametrize(
    "base", ["http://127.0.0.1:8000/v1", "https://host", "http://[::1]:8000/v1", "HTTPS://Host.example/a/b/"]
)
def test_an_address_is_let_pass(base: str) -> None:
    assert DesignSettings(task="t", api_base=base).api_base == base


@pytest.mark.parametrize("base", ["", "ftp://host", "http://me:canary@host/v1"])
def test_the_command_ends_before_it_keeps_such_an_address(
    base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "run"
    assert run(["design", "doorkey-5x5", "--model", "m", "--api-base", base, "--run-dir", str(root)]) == USER
    said = capsys.readouterr()
    assert "--api-base" in said.err and "canary" not in said.out + said.err and not root.exists()


def test_auto_writes_both_forms_with_one_candidate_too() -> None:
    alone = DesignSettings(task="t", form="auto", candidates=1)
    assert [alone.form_of(iteration, 0) for iteration in range(4)] == ["reward", "latent", "reward", "latent"]
    five = DesignSettings(task="t", form="auto", candidates=5)
    forms = [five.form_of(iteration, slot) for iteration in range(2) for slot in range(5)]
    assert forms.count("reward") == forms.count("latent") == 5
