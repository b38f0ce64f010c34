"""Which sandbox runs: what was asked for, or an error that names what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.choose import choose, docker_status
from sandbox.errors import InfraError


@pytest.fixture
def no_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """DOCKER_HOST names a socket that nobody listens on."""
    where = f"unix://{tmp_path}/none.sock"
    monkeypatch.setenv("DOCKER_HOST", where)
    return where


def test_docker_asked_for_and_not_there_is_an_error(no_daemon: str) -> None:
    with pytest.raises(InfraError, match=no_daemon):
        choose("docker")


def test_a_runtime_asked_for_is_never_downgraded(no_daemon: str) -> None:
    with pytest.raises(InfraError, match=no_daemon):
        choose("auto", runtime="runsc")


def test_auto_without_a_daemon_is_embedded_and_says_so(no_daemon: str) -> None:
    sandbox = choose("auto")
    assert sandbox.name == "embedded"
    assert "shares" in sandbox.describe()


def test_the_status_without_a_daemon_says_how_to_mend_it(no_daemon: str) -> None:
    status = docker_status()
    assert (status.daemon, status.image) == (False, None)
    assert status.mend is not None
    assert no_daemon in status.message


def test_other_systems_are_sent_to_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(InfraError, match="docker"):
        choose("embedded")


@pytest.mark.docker
def test_auto_with_a_daemon_is_docker() -> None:
    sandbox = choose("auto")
    assert sandbox.name == "docker"
    assert sandbox.missing == ()
    assert docker_status().mend is None


@pytest.mark.docker
def test_a_runtime_that_the_daemon_lacks_is_named() -> None:
    with pytest.raises(InfraError, match="no-such-runtime"):
        choose("docker", runtime="no-such-runtime")


@pytest.mark.docker
def test_an_image_that_was_not_built_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.image.RECIPE", -1)
    with pytest.raises(InfraError, match="sandbox build"):
        choose("docker")
    status = docker_status()
    assert (status.daemon, status.image, status.mend) == (True, None, "rewardsmith sandbox build")
