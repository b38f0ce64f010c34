"""A designed reward as a Gymnasium wrapper. It needs numpy, gymnasium, for a latent reward safetensors, and the files
beside it.

What is paid: ``task_weight * native + sum of components``, in float32, as in the training of this reward; for a latent
reward what its decoder makes of the factors, and nothing of the task's own. A task's reward that the training withheld
until an episode's end is withheld here too, and its sum paid with the last step.
The component ``potential`` is ``gamma * Phi(s') - Phi(s)`` with ``Phi(s') = 0`` if and only if the episode
terminated (Ng, Harada, Russell 1999). Constructing the wrapper runs ``reward.py`` and ``state.py`` with all
the rights of this process: read both first.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple, SupportsFloat

import gymnasium
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class _CheckedSource(importlib.abc.SourceLoader):
    """Loads a module from bytes whose hash was checked: never from a cache, never read a second time."""

    def __init__(self, path: Path, source: bytes) -> None:
        self._path, self._source = str(path), source

    def get_filename(self, fullname: str) -> str:
        """Where the source lies, for tracebacks."""
        return self._path

    def get_data(self, path: str | bytes) -> bytes:
        """The checked source; there is no cached bytecode."""
        if path != self._path:
            raise OSError(f"{path!r} is no part of this bundle")
        return self._source

    def get_code(self, fullname: str) -> CodeType:
        """Compiled as the text that was checked: read from bytes, a comment could declare another encoding."""
        return compile(self._source.decode("utf-8"), self._path, "exec", dont_inherit=True)


def _checked(path: Path, sha256: str) -> bytes:
    """The file's bytes; ValueError if it was changed."""
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"{path} was changed: its sha256 is {found}, manifest.json says {sha256}")
    return content


def _load(folder: Path, name: str, sha256: str) -> ModuleType:
    """The file as a module named by its hash, ``sys.path`` left alone; ValueError if it was changed."""
    path = folder / name
    source = _checked(path, sha256)
    spec = importlib.util.spec_from_loader(f"_designed_{sha256[:16]}", _CheckedSource(path, source))
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def _finite(value: Any, name: str, rows: int) -> Array:
    """``(rows,)`` float32; ValueError unless it is a finite number for each row."""
    array = np.asarray(value)
    if array.shape != (rows,):
        raise ValueError(f"reward.py answered shape {array.shape} for {name!r}; it must be (B,)")
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError(f"reward.py answered {numbers[~np.isfinite(numbers)][0]} for {name!r}")
    return numbers


class _Decoder:
    """Makes a reward of a step's factors: a perceptron with ReLU on normalised factors, in units of its scale."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self._mean, self._deviation = tensors["factors.mean"], tensors["factors.deviation"]
        self._scale = tensors["scale"][0]
        count = sum(name.endswith(".weight") for name in tensors)
        self._layers = [(tensors[f"decoder.{i}.weight"], tensors[f"decoder.{i}.bias"]) for i in range(count)]

    def __call__(self, factors: Array) -> Array:
        """The rewards ``(B,)`` of ``(B, F)`` float32 factors, in the order of their names."""
        values = (factors - self._mean) / self._deviation
        if len(self._layers) > 1:
            values = np.clip(values, -10.0, 10.0)
        for i, (weight, bias) in enumerate(self._layers):
            values = (np.maximum(values, 0.0) if i else values) @ weight + bias
        return np.asarray(values[:, 0] * self._scale, dtype=np.float32)


class Paid(NamedTuple):
    """What ``B`` transitions are paid."""

    reward: Array
    """``(B,)`` float32."""
    components: dict[str, Array]
    """Its parts, each ``(B,)``, without the task's own reward."""
    factors: dict[str, Array]
    """What a latent reward's decoder read, each ``(B,)``."""

    def tell(self, info: dict[str, Any], row: int, native: float) -> None:
        """Put what a row was paid, and for what, into its ``info``."""
        if self.factors:
            info["reward_factors"] = {name: float(part[row]) for name, part in self.factors.items()}
        info["task_reward"] = native
        info["reward_components"] = {name: float(part[row]) for name, part in self.components.items()}


class BundledReward:
    """The bundle in one folder, for ``B`` rows that take their steps together."""

    def __init__(self, path: str | None) -> None:
        """``path``: the folder; None: this file's own. Runs the bundle's code.

        Raises ValueError when a file differs from its hash in ``manifest.json``.
        """
        self._folder = folder = Path(__file__).resolve().parent if path is None else Path(path).resolve()
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        files = manifest["files"]
        self.manifest: dict[str, Any] = manifest
        self.reader = _load(folder, "state.py", files["state.py"])
        self.read_state = getattr(self.reader, manifest["state_function"])
        self._program = _load(folder, "reward.py", files["reward.py"])
        self._gamma = np.float32(manifest["gamma"])
        self._task_weight = np.float32(manifest["task_weight"])
        self._decoder: _Decoder | None = None
        if manifest["form"] == "latent":
            from safetensors.numpy import load

            name = "decoder.safetensors"
            self._decoder = _Decoder(load(_checked(folder / name, files[name])))
            self._task_weight = np.float32(0)
        self._entry = getattr(self._program, manifest["entry_point"])
        self._fields: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
            name: (np.dtype(field["x-dtype"]), tuple(field["x-shape"][1:]))
            for name, field in manifest["state_schema"]["properties"].items()
        }
        self._state: dict[str, Array] = {}
        self._memory: Any = None
        self._withheld = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Where the bundle lies, and how far the episode is; its code is loaded, and checked, again."""
        return {"folder": str(self._folder), "episode": (self._state, self._memory, self._withheld)}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__init__(kept["folder"])  # type: ignore[misc]
        self._state, self._memory, self._withheld = kept["episode"]

    def restart(self, rows: int, facts: Mapping[str, Any]) -> None:
        """An episode begins, in the state that ``facts`` tell as ``read_state`` does; memory starts anew."""
        self._state = self._read(rows, facts)
        self._memory = self._program.init_memory(rows) if self.manifest["has_memory"] else None
        self._withheld = 0.0

    def __call__(
        self, action: Array, facts: Mapping[str, Any], native: float, *, terminated: bool, truncated: bool
    ) -> Paid:
        """What a step is paid, of which the rows take one each; ``native`` is what the task pays each row."""
        next_state = self._read(len(action), facts)
        factors, parts = {}, self._parts(action, next_state, terminated)
        self._state = next_state
        if self._decoder is not None:
            factors, parts = parts, {"decoded": self._decoder(np.stack([parts[name] for name in sorted(parts)], 1))}
        if self.manifest["episodic"]:
            # As in training: the task's reward comes once, as a sum.
            self._withheld += native
            native = self._withheld if terminated or truncated else 0.0
        reward = np.full(len(action), self._task_weight * np.float32(native))
        for part in parts.values():
            reward = reward + part
        return Paid(reward, parts, factors)

    def _parts(self, action: Array, next_state: dict[str, Array], terminated: bool) -> dict[str, Array]:
        """The named parts of the transitions' reward, ``potential`` last."""
        rows, arguments = len(action), [_copies(self._state), action, _copies(next_state)]
        with np.errstate(all="ignore"):
            if self.manifest["has_memory"]:
                answer, self._memory = self._entry(*arguments, self._memory)
            else:
                answer = self._entry(*arguments)
            parts = {str(name): _finite(value, str(name), rows) for name, value in answer.items()}
            if self.manifest["has_potential"] and self._decoder is None:
                before = _finite(self._program.potential(_copies(self._state)), "potential", rows)
                after = _finite(self._program.potential(_copies(next_state)), "potential", rows)
                parts["potential"] = self._gamma * (np.zeros_like(after) if terminated else after) - before
        return parts

    def _read(self, rows: int, facts: Mapping[str, Any]) -> dict[str, Array]:
        """The state's fields, each ``(rows, *shape)`` in the dtype that the reward was trained with."""
        state: dict[str, Array] = {}
        for name, (dtype, shape) in self._fields.items():
            value = np.array(facts[name], dtype=dtype)
            if self.manifest["agents"] == 1:
                value = value[None]
            if value.shape != (rows, *shape):
                raise ValueError(f"state field {name!r} has shape {value.shape[1:]}, manifest.json says {shape}")
            state[name] = value
        return state


class DesignedReward(gymnasium.Wrapper[Any, Any, Any, Any], gymnasium.utils.RecordConstructorArgs):
    """Pays the designed reward; put it around the environment before any wrapper that changes observations.

    ``info["reward_components"]`` holds the parts of each step's reward by name, ``info["task_reward"]``
    what the environment itself paid, and for a latent reward ``info["reward_factors"]`` what its decoder read.
    The state is read at reset and after each step, before any autoreset.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], path: str | None = None) -> None:
        """Load the bundle in the folder ``path`` (None: this file's own). Runs its code.

        Raises ValueError when a file differs from its hash in ``manifest.json``.
        """
        gymnasium.utils.RecordConstructorArgs.__init__(self, path=path)
        gymnasium.Wrapper.__init__(self, env)
        self._reward = BundledReward(path)
        self.manifest = self._reward.manifest

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; the reward's memory, where it has any, starts anew."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._reward.restart(1, self._reward.read_state(self.env, observation, info))
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take a step; the reward is the designed one, float32 arithmetic returned as a Python float."""
        observation, native, terminated, truncated, info = self.env.step(action)
        paid = self._reward(
            self._batch_of_one(action),
            self._reward.read_state(self.env, observation, info),
            float(native),
            terminated=bool(terminated),
            truncated=bool(truncated),
        )
        paid.tell(info, 0, float(native))
        return observation, float(paid.reward[0]), terminated, truncated, info

    def _batch_of_one(self, action: Any) -> Array:
        """As in training: ``(1,)`` int64 codes from 0, or ``(1, A)`` float32 clipped to the space."""
        space = self.env.action_space
        if isinstance(space, gymnasium.spaces.Box):
            return np.clip(np.asarray(action, dtype=np.float32), space.low, space.high).reshape(1, -1)
        start = space.start if isinstance(space, gymnasium.spaces.Discrete) else 0
        return np.asarray(action, dtype=np.int64).reshape(1) - start


def _copies(state: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays that the program may write into without changing ours."""
    return {name: value.copy() for name, value in state.items()}
