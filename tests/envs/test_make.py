"""Environments are made without a word on the terminal."""

from pathlib import Path

import pytest

from envs import catalog
from envs.make import make_env


@pytest.mark.parametrize("task", ["halfcheetah", "halfcheetah-episodic", "reacher"])
def test_mujoco_is_silent_and_writes_no_file(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        make_env(catalog.load(task)).close()
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")
    assert list(tmp_path.iterdir()) == []
