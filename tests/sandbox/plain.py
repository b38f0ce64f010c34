"""The worker as an ordinary process, without a jail around it: only its own lock stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from sandbox.bootstrap import FLAGS, STARTER, environment, first_message
from sandbox.link import PipeLink
from sandbox.pool import Pool
from sandbox.started import Worker
from tests.attacks.corpus import PRELOAD


def plain_pool() -> Pool:
    """Starts such workers, with an attacker's modules preloaded."""

    def start(hash_seed: int) -> Worker:
        pipe = subprocess.PIPE
        env = environment(hash_seed)
        command = [sys.executable, *FLAGS, "-c", STARTER]
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=env, bufsize=0)
        worker = Worker(PipeLink(process), None)
        packages = str(Path(np.__file__).parent.parent)
        worker.greet(first_message("sandbox.zygote", {"preload": list(PRELOAD), "paths": [packages], "inputs": None}))
        return worker

    return Pool(start, ahead=0)
