"""What was measured where: the processor, the packages, the commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def machine() -> str:
    """The machine in one line."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch"))
    system = f"Linux {platform.release()}, Python {platform.python_version()}"
    return f"{processor()}, {os.cpu_count()} processors, {system}, {packages}"


def processor() -> str:
    """The processor's name, where the kernel tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def commit() -> str:
    """The commit that was measured; with a mark where files differ from it that are not figures themselves."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False, cwd=ROOT)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", ".", ":!docs", ":!benchmarks/results")
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + ("-dirty" if changed else "")
