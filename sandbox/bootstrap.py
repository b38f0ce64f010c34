"""How a worker starts: its source arrives on stdin, so that no jail needs a file of ours.

The interpreter runs ``STARTER``, which reads one length-prefixed JSON message: the text of our modules, the module to
start, and its options. ``-I`` would also ignore the hash seed, hence its parts: no user site (``-s``), no script
folder on the path (``-P``), and an environment that the host chose.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MODULES = ("", "lock", "wire", "worker", "zygote", "jail")
FLAGS = ("-P", "-s", "-S", "-B")
LENGTH = struct.Struct("<I")

STARTER = """
import importlib, importlib.abc, importlib.util, json, os, sys

def take(size):
    data = b""
    while len(data) < size:
        part = os.read(0, size - len(data))
        if not part:
            os._exit(0)
        data += part
    return data

class Sent(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    def __init__(self, texts):
        self.texts = texts
    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self) if name in self.texts else None
    def is_package(self, name):
        return name == "sandbox"
    def get_source(self, name):
        return self.texts[name]

message = json.loads(take(int.from_bytes(take(4), "little")))
sys.meta_path.insert(0, Sent(message["modules"]))
sys.path.extend(message["options"]["paths"])
importlib.import_module(message["start"]).main(message["options"])
"""


def first_message(start: str, options: Mapping[str, Any]) -> bytes:
    """What the starter reads: the worker's modules, ``start`` (the one whose ``main`` runs) and its options."""
    folder = Path(__file__).parent
    texts = {}
    for name in MODULES:
        path = folder / f"{name or '__init__'}.py"
        texts[f"sandbox.{name}".rstrip(".")] = path.read_text(encoding="utf-8")
    message = json.dumps({"modules": texts, "start": start, "options": dict(options)}).encode()
    return LENGTH.pack(len(message)) + message


def environment(hash_seed: int) -> dict[str, str]:
    """All that a worker may know of the host: one thread each, and the seed of Python's hashes."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    return {**threads, "PYTHONHASHSEED": str(hash_seed), "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
