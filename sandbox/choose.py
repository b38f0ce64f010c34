"""Which sandbox runs: what was asked for, or an error that names what is missing; never silently a weaker one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sandbox.container import DockerSandbox, build_image, connect, image_id
from sandbox.embedded import EmbeddedSandbox
from sandbox.errors import InfraError
from sandbox.image import default_way, image_tag
from sandbox.service import Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerStatus:
    """What this machine has of the Docker sandbox."""

    daemon: bool
    """Whether a daemon answers."""
    image: str | None
    """The image's name, where it was built."""
    message: str
    """What was found, in words."""
    mend: str | None
    """The command that mends what is missing; None where nothing is."""


def docker_status() -> DockerStatus:
    """Look for a daemon and the sandbox's image; changes nothing."""
    try:
        client = connect()
    except InfraError as error:
        return DockerStatus(
            daemon=False, image=None, message=str(error), mend="start Docker, or set DOCKER_HOST to its socket"
        )
    try:
        if image_id(client) is None:
            message = f"a daemon answers; the image {image_tag()} was not built"
            return DockerStatus(daemon=True, image=None, message=message, mend="rewardsmith sandbox build")
    except InfraError as error:
        return DockerStatus(daemon=True, image=None, message=str(error), mend="restart Docker")
    finally:
        client.close()
    return DockerStatus(daemon=True, image=image_tag(), message=f"a daemon answers and has {image_tag()}", mend=None)


def choose(name: Literal["auto", "docker", "embedded"], *, runtime: str | None = None) -> Sandbox:
    """The sandbox of this name.

    ``auto`` takes Docker where a daemon answers and the image exists or can be made from this interpreter within
    seconds, and otherwise the embedded jail, which then says so in ``describe``. ``runtime``: another OCI runtime of
    the daemon, such as ``runsc``; it implies Docker. Raises InfraError that names the missing layer.
    """
    if name == "docker" or runtime is not None:
        return DockerSandbox(runtime=runtime)
    if name == "embedded":
        return EmbeddedSandbox()
    status = docker_status()
    if status.daemon and (status.image is not None or default_way() == "host"):
        if status.image is None:
            build_image()
        return DockerSandbox()
    return EmbeddedSandbox()
