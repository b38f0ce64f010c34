"""The Docker jail: one container without network, rights or writable files around each program.

The only file that knows docker, which it imports when it is first asked. The same worker runs inside as in the
embedded jail, and locks each child again.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.bootstrap import FLAGS, STARTER, environment, first_message
from sandbox.errors import InfraError
from sandbox.host import JailedService
from sandbox.image import LIBRARIES, PACKAGES, PYTHON_PATH, USER, Way, base_image, default_way, image_tag, write_root
from sandbox.link import SharedFile, SocketLink
from sandbox.pool import Pool
from sandbox.program import RewardProgram
from sandbox.scratch import Scratch, alive, orphans
from sandbox.service import RewardService
from sandbox.started import Worker

LABEL = "rewardsmith.owner"
INPUTS = "/in"
PING_SECONDS = 3
CALL_SECONDS = 60
REGISTRY_SECONDS = 8
"""How long a registry may take to say that it has the base image."""
CONTAINER_BYTES = 1 << 30
PROGRAM_BYTES = 512 << 20
SHARED_FOLDER = Path("/dev/shm")
LAYERS = (
    "container-namespaces", "no-network", "read-only-root", "no-capabilities", "container-no-new-privs",
    "container-seccomp", "memory-limit", "cpu-limit", "pids-limit", "unprivileged-user",
)  # fmt: skip


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


def image_id(client: Any) -> str | None:
    """The id of the sandbox's image, or None where it was not built. Raises InfraError."""
    from docker.errors import DockerException, ImageNotFound

    try:
        return str(client.images.get(image_tag()).id)
    except ImageNotFound:
        return None
    except (DockerException, OSError) as error:
        raise InfraError(f"the Docker daemon does not say which images it has: {error}") from error


def build_image(way: Way | None = None) -> str:
    """Make the image. Returns its id. Raises InfraError where it cannot be made."""
    client = connect()
    try:
        sweep(client)
    finally:
        client.close()
    if (way or default_way()) == "dockerfile":
        arguments = {"PYTHON": platform.python_version(), "NUMPY": np.__version__, "OWNER": owner()}
        return _build_from_dockerfile(Path(__file__).parent, image_tag(), arguments)
    if sys.platform != "linux":
        raise InfraError("an image can be made from the host's interpreter only on Linux; use the Dockerfile")
    with contextlib.closing(scratch(None)) as folder:
        path = folder.path / "root.tar"
        write_root(path)
        changes = [f"USER {USER}", f"ENV LD_LIBRARY_PATH={LIBRARIES} PYTHONHOME=/usr/local"]
        return _import_root(path, image_tag(), changes)


def way_to_build() -> Way:
    """``dockerfile`` where the daemon reaches a registry that has the base image, else ``host`` (Linux).

    Raises InfraError where no daemon answers.
    """
    from docker.errors import DockerException

    if default_way() == "dockerfile":
        return "dockerfile"
    client = connect(seconds=REGISTRY_SECONDS)
    try:
        client.images.get_registry_data(base_image())
    except (DockerException, OSError):
        return "host"
    finally:
        client.close()
    return "dockerfile"


def _import_root(path: Path, tag: str, changes: Sequence[str]) -> str:
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


def _build_from_dockerfile(folder: Path, tag: str, arguments: Mapping[str, str]) -> str:
    """Build ``folder``'s Dockerfile; needs a registry. Returns the image's id. Raises InfraError."""
    from docker.errors import DockerException

    client = connect(seconds=1800)
    try:
        built = client.images.build(path=str(folder), tag=tag, buildargs=dict(arguments), rm=True, forcerm=True)
        return str(built[0].id)
    except (DockerException, OSError, TypeError) as error:
        raise InfraError(f"the sandbox's image cannot be built: {error}") from error
    finally:
        client.close()


def is_local(client: Any) -> bool:
    """Whether the daemon is reached through a socket of this machine."""
    return str(client.api.base_url).startswith("http+docker")


def owner() -> str:
    """The label of this process's containers."""
    return f"{platform.node()}:{os.getpid()}"


def sweep(client: Any) -> int:
    """Remove what dead owners on this machine left: containers, half-built images, folders. Returns how many."""
    from docker.errors import DockerException

    removed = 0
    for folder in orphans(SHARED_FOLDER, Path(tempfile.gettempdir())):
        shutil.rmtree(folder, ignore_errors=True)
        removed += 1
    with contextlib.suppress(DockerException, OSError):
        for container in client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True):
            if _orphaned(container.labels):
                with contextlib.suppress(DockerException, OSError):
                    container.remove(force=True)
                    removed += 1
        for image in client.images.list(filters={"label": LABEL, "dangling": True}):
            if _orphaned(image.labels):
                with contextlib.suppress(DockerException, OSError):
                    client.images.remove(image.id)
                    removed += 1
    return removed


def scratch(where: Path | None) -> Scratch:
    """A folder of ours; its keeper also sweeps the daemon where this process is killed."""
    root = str(Path(__file__).resolve().parents[1])
    code = f"import sys; sys.path.insert(0, {root!r}); from sandbox.container import farewell; farewell()"
    variables = {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
    return Scratch(where, farewell=(sys.executable, "-P", "-c", code), variables=variables)


def farewell() -> None:
    """Remove what a killed process left with the daemon, and what the daemon was still making when it died."""
    client = connect()
    for pause in (0.0, 0.5):
        time.sleep(pause)
        sweep(client)


def _orphaned(labels: Mapping[str, str]) -> bool:
    """Whether the owner in ``labels`` was a process of this machine that is gone."""
    node, _, pid = labels.get(LABEL, "").rpartition(":")
    return node == platform.node() and pid.isdecimal() and not alive(int(pid))


class ContainerLink(SocketLink):
    """A started container's stream; killing it removes the container."""

    def __init__(self, stream: Any, client: Any, container: str) -> None:
        super().__init__(stream if isinstance(stream, socket.socket) else stream._sock)
        self.keep = stream
        """The response that owns the socket: it closes it when it is collected."""
        self.client, self.container = client, container

    def kill(self) -> None:
        """Close the stream (the worker ends) and remove the container (it ends whatever it does)."""
        from docker.errors import DockerException

        super().kill()
        with contextlib.suppress(DockerException, OSError):
            self.client.api.remove_container(self.container, force=True)


class DockerSandbox:
    """A container for each program, from one image that holds only an interpreter and numpy."""

    name = "docker"

    def __init__(
        self,
        *,
        runtime: str | None = None,
        memory: int = PROGRAM_BYTES,
        preload: tuple[str, ...] = (),
        running: int | None = None,
    ) -> None:
        """``runtime``: another OCI runtime of the daemon (``runsc``); the rest as in ``EmbeddedSandbox``.

        Raises InfraError naming what is missing.
        """
        self.runtime, self.memory, self.preload = runtime, memory, preload
        self.client = connect()
        found = image_id(self.client)
        if found is None:
            raise InfraError(f"the image {image_tag()} was not built: run `rewardsmith sandbox build`")
        self.image = found
        # A daemon on another machine, or in a virtual one, cannot mount a file of ours: arrays then go through stdin.
        self._mounts = sys.platform == "linux" and SHARED_FOLDER.is_dir() and is_local(self.client)
        sweep(self.client)
        self._scratch = scratch(SHARED_FOLDER if self._mounts else None)
        self._numbers = itertools.count()
        first = self._launch_somehow()
        about = first.await_ready()
        self.pool = Pool(self._launch, running=running)
        self.pool.add(0, first)
        outermost = () if runtime is None else (f"runtime-{runtime}",)
        self.layers: tuple[str, ...] = (*outermost, *LAYERS, *map(str, about["layers"]))
        self.missing: tuple[str, ...] = ()

    def describe(self) -> str:
        """Which sandbox runs, and what it does not defend."""
        shares = f"the runtime {self.runtime}" if self.runtime else "this machine's kernel"
        return (
            f"Docker ({self.image[:19]}): each program computes in a container without network, rights or writable "
            f"files, and each call in a process that may only compute. It relies on {shares} and the Docker daemon."
        )

    def serve(self, program: RewardProgram) -> RewardService:
        """A new container for this program. Raises CandidateError or InfraError."""
        return JailedService(program, self.pool, memory=self.memory)

    def _launch_somehow(self) -> Worker:
        try:
            return self._launch(0)
        except InfraError:
            if not self._mounts:
                raise
            self._mounts = False
            return self._launch(0)

    def _settings(self, hash_seed: int, inputs: Path | None) -> dict[str, Any]:
        from docker.types import LogConfig, Mount, Ulimit

        mounts = [] if inputs is None else [Mount(INPUTS, str(inputs), type="bind", read_only=True)]
        profile = Path(__file__).with_name("seccomp.json").read_text(encoding="utf-8")
        return {
            "command": [PYTHON_PATH, *FLAGS, "-c", STARTER],
            "stdin_open": True,
            "auto_remove": True,
            "labels": {LABEL: owner()},
            "network_mode": "none",
            "read_only": True,
            "tmpfs": {"/tmp": "rw,noexec,nosuid,nodev,size=1m,mode=1777"},
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true", f"seccomp={profile}"],
            "pids_limit": 512 if self.runtime == "runsc" else 64,
            "mem_limit": CONTAINER_BYTES,
            "memswap_limit": CONTAINER_BYTES,
            "nano_cpus": 10**9,
            "user": USER,
            "ipc_mode": "none",
            "hostname": "sandbox",
            "log_config": LogConfig(type="none"),
            "oom_score_adj": 500,
            "ulimits": [Ulimit(name="nofile", soft=256, hard=256), Ulimit(name="core", soft=0, hard=0)],
            "environment": environment(hash_seed),
            "working_dir": "/",
            "mounts": mounts,
            "runtime": self.runtime,
        }

    def _launch(self, hash_seed: int) -> Worker:
        """Start a container. Raises InfraError."""
        path, shared = None, None
        if self._mounts:
            path = self._scratch.path / f"inputs{next(self._numbers)}"
            shared = SharedFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
            path.chmod(0o644)
        try:
            return self._start(hash_seed, path, shared)
        finally:
            # The container holds the file now, or never will: nothing of it stays in the folder.
            if path is not None:
                path.unlink(missing_ok=True)

    def _start(self, hash_seed: int, path: Path | None, shared: SharedFile | None) -> Worker:
        from docker.errors import DockerException

        try:
            link = self._attach(self._settings(hash_seed, path))
        except (DockerException, OSError) as error:
            if shared is not None:
                shared.close()
            raise InfraError(f"the Docker daemon does not start a sandbox: {error}") from error
        worker = Worker(link, shared)
        options = {"preload": list(self.preload), "paths": [PACKAGES], "inputs": INPUTS if shared else None}
        worker.greet(first_message("sandbox.zygote", options))
        worker.await_ready()
        return worker

    def _attach(self, settings: dict[str, Any]) -> ContainerLink:
        from docker.errors import DockerException

        container = self.client.containers.create(self.image, **settings)
        try:
            stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1, "logs": 0})
            container.start()
        except BaseException:  # not ours to judge: whatever stops us here must not leave a container behind
            with contextlib.suppress(DockerException, OSError):
                self.client.api.remove_container(container.id, force=True)
            raise
        return ContainerLink(stream, self.client, container.id)
