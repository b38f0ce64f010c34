"""The two real sandboxes, as every test of the service takes them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.choose import docker_status
from sandbox.container import DockerSandbox, build_image
from sandbox.embedded import EmbeddedSandbox
from sandbox.service import Sandbox
from tests.attacks.corpus import PRELOAD


@pytest.fixture(scope="session", params=["embedded", pytest.param("docker", marks=pytest.mark.docker)])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Each sandbox, with the modules preloaded that an attacker would want."""
    if request.param == "docker":
        if docker_status().image is None:
            build_image()
        yield DockerSandbox(preload=PRELOAD)
    else:
        yield EmbeddedSandbox(preload=PRELOAD)
