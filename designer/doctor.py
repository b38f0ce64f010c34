"""What this machine has and lacks, each lack with the command that mends it."""

from __future__ import annotations

import importlib.util
import os
import platform
from dataclasses import dataclass

import torch

from sandbox.choose import choose, docker_status
from sandbox.errors import InfraError

_KEYS = {
    "OPENAI_API_KEY": "OpenAI",
    "ANTHROPIC_API_KEY": "Anthropic",
    "GEMINI_API_KEY": "Google",
    "OPENROUTER_API_KEY": "OpenRouter",
}
_EXTRAS = {"box2d": "Box2D", "mujoco": "mujoco", "mpe": "mpe2", "sb3": "stable_baselines3"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that was looked at."""

    ok: bool
    what: str
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Everything that was looked at, and whether a run is possible."""

    rows: tuple[Row, ...]
    possible: bool


def _sandboxes() -> list[Row]:
    docker = docker_status()
    remedy = docker.mend or ""
    if not docker.daemon:
        remedy = "apt-get install docker.io && service docker start (or set DOCKER_HOST to a daemon's socket)"
    rows = [Row(ok=docker.daemon, what="Docker", found=docker.message, remedy=remedy)]
    try:
        jail = choose("embedded")
    except InfraError as error:
        rows.append(Row(ok=False, what="embedded jail", found=str(error), remedy="use Docker"))
    else:
        lacks = f"; missing: {', '.join(jail.missing)}" if jail.missing else ""
        rows.append(Row(ok=True, what="embedded jail", found=", ".join(jail.layers) + lacks))
    return rows


def _gpu() -> Row:
    if torch.cuda.is_available():
        return Row(ok=True, what="GPU", found=torch.cuda.get_device_name(0))
    built = "this PyTorch is a CPU build" if torch.version.cuda is None else "PyTorch sees no CUDA device"
    remedy = "trainings run on the CPU; with an NVIDIA GPU: pip install --force-reinstall torch (a CUDA build)"
    return Row(ok=False, what="GPU", found=built, remedy=remedy)


def _keys() -> list[Row]:
    found = [name for name in _KEYS if os.environ.get(name)]
    if found:
        return [Row(ok=True, what="model keys", found=", ".join(f"{_KEYS[n]} ({n} is set)" for n in found))]
    remedy = "export OPENAI_API_KEY=... (or another provider's), --api-base URL for a local server, or --model offline"
    return [Row(ok=False, what="model keys", found="none set", remedy=remedy)]


def _extras() -> list[Row]:
    rows = []
    for extra, module in _EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        remedy = "" if there else f"pip install -c constraints.txt -e '.[{extra}]'"
        rows.append(
            Row(
                ok=there,
                what=f"extra {extra}",
                found="installed" if there else "not installed",
                remedy=remedy,
            )
        )
    return rows


def examine() -> Examination:
    """Look at the machine; a run is possible when one of the sandboxes is."""
    sandboxes = _sandboxes()
    python = Row(ok=True, what="Python", found=platform.python_version())
    rows = (python, *sandboxes, _gpu(), *_keys(), *_extras())
    return Examination(rows=rows, possible=any(row.ok for row in sandboxes))
