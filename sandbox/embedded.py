"""The embedded jail, from outside: needs Linux and nothing else. ``sandbox.jail`` is its inside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from sandbox.bootstrap import FLAGS, STARTER, environment, first_message
from sandbox.errors import InfraError
from sandbox.host import JailedService
from sandbox.link import PipeLink, SharedFile
from sandbox.pool import Pool
from sandbox.program import RewardProgram
from sandbox.service import RewardService
from sandbox.started import Worker

MEMORY_BYTES = 512 << 20


class EmbeddedSandbox:
    """Namespaces, an empty root, Landlock, limits and a compute-only system call filter around each program."""

    name = "embedded"

    def __init__(
        self, *, memory: int = MEMORY_BYTES, preload: tuple[str, ...] = (), running: int | None = None
    ) -> None:
        """``memory``: bytes that a program may use besides its inputs; ``preload``: more modules for the worker;
        ``running``: calls that compute at once, one a processor when None.

        Raises InfraError where this machine cannot hold the mandatory wall (seccomp).
        """
        if sys.platform != "linux":
            raise InfraError(f"the embedded sandbox needs Linux, this is {sys.platform}: use --sandbox docker")
        self.memory, self.preload = memory, preload
        first = self._launch(0)
        about = first.await_ready()
        self.layers: tuple[str, ...] = tuple(map(str, about["layers"]))
        self.missing: tuple[str, ...] = tuple(map(str, about["missing"]))
        self.pool = Pool(self._launch, running=running)
        self.pool.add(0, first)

    def describe(self) -> str:
        """Which sandbox runs, and what it does not defend."""
        lacks = f" This kernel lacks: {', '.join(self.missing)}." if self.missing else ""
        return (
            "Embedded jail: each program computes in a process without files, network or other processes. It shares "
            f"this machine's kernel and has no limit on the worker's total share of memory and cores.{lacks}"
        )

    def serve(self, program: RewardProgram) -> RewardService:
        """A new jail for this program. Raises CandidateError or InfraError."""
        return JailedService(program, self.pool, memory=self.memory)

    def _launch(self, hash_seed: int) -> Worker:
        """Start a jail without waiting for it. Raises InfraError."""
        memory = os.memfd_create("inputs", os.MFD_CLOEXEC)
        # The jail gets a descriptor that can only read.
        readable = os.open(f"/proc/self/fd/{memory}", os.O_RDONLY)
        options = {
            "preload": list(self.preload),
            "paths": [str(Path(np.__file__).parent.parent)],
            "inputs": readable,
            "host": os.getpid(),
        }
        try:
            process = subprocess.Popen(
                [sys.executable, *FLAGS, "-c", STARTER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(hash_seed),
                pass_fds=(readable,),
                start_new_session=True,
                cwd="/",
                bufsize=0,
            )
        except OSError as error:
            os.close(memory)
            raise InfraError(f"cannot start the sandbox's worker: {error}") from error
        finally:
            os.close(readable)
        worker = Worker(PipeLink(process), SharedFile(memory))
        worker.greet(first_message("sandbox.jail", options))
        return worker
