"""The Docker daemon: a client of it, and the making of images. ``docker`` is imported when it is first asked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.errors import InfraError

PING_SECONDS = 3
CALL_SECONDS = 60


def connect(seconds: int = CALL_SECONDS) -> Any:
    """A client of the daemon that DOCKER_HOST (or the default socket) names. Raises InfraError."""
    try:
        import docker
        from docker.errors import DockerException
    except ImportError as error:
        raise InfraError("docker is not installed for Python: pip install docker") from error
    try:
        client = docker.from_env(timeout=PING_SECONDS)
        client.ping()
        client.api.timeout = seconds
    except (DockerException, OSError, ValueError) as error:
        where = os.environ.get("DOCKER_HOST", "the default socket")
        raise InfraError(f"no Docker daemon answers at {where}: {error}") from error
    return client


def import_root(path: Path, tag: str, changes: Sequence[str]) -> str:
    """Make an image from a tar of a root file system. Returns its id. Raises InfraError."""
    from docker.errors import DockerException

    client = connect()
    repository, _, version = tag.partition(":")
    try:
        client.api.import_image_from_file(str(path), repository=repository, tag=version, changes=list(changes))
        return str(client.images.get(tag).id)
    except (DockerException, OSError) as error:
        raise InfraError(f"the Docker daemon does not import the sandbox's image: {error}") from error
    finally:
        client.close()


def build_from_dockerfile(folder: Path, tag: str, arguments: Mapping[str, str]) -> str:
    """Build ``folder``'s Dockerfile; needs a registry. Returns the image's id. Raises InfraError."""
    from docker.errors import DockerException

    client = connect(seconds=1800)
    try:
        return str(client.images.build(path=str(folder), tag=tag, buildargs=dict(arguments), rm=True)[0].id)
    except (DockerException, OSError, TypeError) as error:
        raise InfraError(f"the sandbox's image cannot be built: {error}") from error
    finally:
        client.close()
