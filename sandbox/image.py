"""The image that holds reward programs: an interpreter and numpy. It holds nothing of ours, so its name says it all.

Two ways to make it. From this machine's own interpreter: a tar of Python, its standard library, numpy and the shared
libraries that they need, imported without a registry (Linux). From ``Dockerfile``: everywhere, with a registry.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import platform
import py_compile
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

REPOSITORY = "rewardsmith-sandbox"
RECIPE = 1
"""Raised when the content of images changes for the same interpreter and numpy."""
PYTHON_PATH = "/usr/local/bin/reward-python"
LIBRARIES = "/usr/local/lib"
STDLIB = f"{LIBRARIES}/python{sys.version_info.major}.{sys.version_info.minor}"
PACKAGES = f"{STDLIB}/site-packages"
"""Where both ways put numpy."""
USER = "65532:65532"
SKIPPED = frozenset(
    {"__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages"}
)
Way = Literal["host", "dockerfile"]


def image_tag() -> str:
    """The image's name: a hash of the interpreter, numpy, machine and recipe that it is made from."""
    content = [RECIPE, platform.python_version(), np.__version__, platform.machine()]
    return f"{REPOSITORY}:{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]}"


def base_image() -> str:
    """The public image that the Dockerfile starts from: this interpreter's version."""
    return f"python:{platform.python_version()}-slim"


def default_way() -> Way:
    """``host`` where this machine's own interpreter can run in a container, else ``dockerfile``."""
    return "host" if sys.platform == "linux" else "dockerfile"


def shared_libraries(binaries: list[Path]) -> list[Path]:
    """The shared libraries that ``binaries`` need, the loader among them (what ``ldd`` resolves)."""
    found: set[Path] = set()
    for binary in binaries:
        listing = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False).stdout
        found |= {Path(path) for path in re.findall(r"(/\S+) \(0x", listing)}
    return sorted(found)


def source_files(folder: Path) -> Iterator[Path]:
    """The files below ``folder`` that a program could need at run time, in a fixed order."""
    for path in sorted(folder.iterdir()):
        if path.name in SKIPPED or path.name.startswith("config-"):
            continue
        if path.is_dir():
            yield from source_files(path)
        elif path.suffix not in (".pyc", ".pyi", ".a", ".h", ".exe"):
            yield path


class _Tar:
    """A tar of files owned by root, without times: the same files give the same bytes."""

    def __init__(self, path: Path) -> None:
        self.tar = tarfile.open(path, "w")  # noqa: SIM115 - closed by close()

    def add(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """One regular file."""
        info = tarfile.TarInfo(name.lstrip("/"))
        info.size, info.mode = len(data), mode
        self.tar.addfile(info, io.BytesIO(data))

    def add_tree(self, folder: Path, at: str, scratch: Path) -> None:
        """``folder``'s files below ``at``, each module compiled: a read-only image never writes bytecode."""
        for path in source_files(folder):
            name = f"{at}/{path.relative_to(folder)}"
            self.add(name, path.read_bytes(), 0o755 if path.suffix == ".so" else 0o644)
            if path.suffix == ".py":
                mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
                try:
                    py_compile.compile(str(path), str(scratch), name, doraise=True, invalidation_mode=mode)
                except py_compile.PyCompileError:
                    continue  # templates that are no modules
                compiled = Path(importlib.util.cache_from_source(name))
                self.add(str(compiled), scratch.read_bytes())

    def close(self) -> None:
        """Finish the archive."""
        self.tar.close()


def write_root(path: Path) -> None:
    """Write the tar of a root file system with this interpreter, its standard library and numpy.

    A compiled module passes through a file beside ``path``.
    """
    interpreter = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    stdlib = Path(sysconfig.get_path("stdlib"))
    packages = Path(np.__file__).parent.parent
    extensions = [p for folder in (stdlib, packages / "numpy", packages / "numpy.libs") if folder.is_dir()
                  for p in source_files(folder) if ".so" in p.name]  # fmt: skip
    root = _Tar(path)
    root.add(PYTHON_PATH, interpreter.read_bytes(), 0o755)
    compiled = path.with_name("module.pyc")
    root.add_tree(stdlib, STDLIB, compiled)
    for name in ("numpy", "numpy.libs"):
        if (packages / name).is_dir():
            root.add_tree(packages / name, f"{PACKAGES}/{name}", compiled)
    for library in shared_libraries([interpreter, *extensions]):
        if packages in library.parents:
            continue
        loader = library.name.startswith("ld-")
        root.add(str(library) if loader else f"{LIBRARIES}/{library.name}", library.read_bytes(), 0o755)
    root.add("/etc/passwd", b"sandbox:x:65532:65532::/:/none\n")
    root.close()
