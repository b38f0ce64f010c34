"""What an agent is asked to do, as data: the task, the state a reward may read, and how a learner is trained on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from envs.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What random play showed of a field whose bounds nobody stated; facts, not bounds."""

    low: float
    high: float
    start: float | None
    """Its value at every reset, for a single number that always starts the same; None otherwise."""
    changes: float
    """Share of random steps that changed it."""


DType = Literal["float32", "int64", "uint8", "bool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One named array of the state that a reward program reads; batched it has shape ``(B, *shape)``."""

    name: str
    meaning: str
    """What the field says about the world, in one sentence; for models and for people."""
    unit: str
    """Unit of its numbers (``cell``, ``m``, ``rad``, ``m/s`` ...); ``1`` for pure numbers and codes."""
    dtype: DType = "float32"
    shape: tuple[int, ...] = ()
    low: float | None = None
    """Smallest possible value, where it is known."""
    high: float | None = None
    """Largest possible value, where it is known."""
    values: tuple[tuple[int, str], ...] = ()
    """What each code means, for fields that hold codes."""
    seen: Seen | None = None
    """What random play showed, for the fields of a user's ``--state`` function."""

    def json_schema(self) -> dict[str, Any]:
        """The field as JSON Schema: facts only, with ``x-`` keys for what JSON Schema has no word for."""
        number = "boolean" if self.dtype == "bool" else "number" if self.dtype == "float32" else "integer"
        leaf: dict[str, Any] = {"type": number}
        if self.low is not None:
            leaf["minimum"] = self.low
        if self.high is not None:
            leaf["maximum"] = self.high
        if self.values:
            leaf["enum"] = [code for code, _ in self.values]
        schema = leaf
        for size in reversed(self.shape):
            schema = {"type": "array", "minItems": size, "maxItems": size, "items": schema}
        schema = {**schema, "description": self.meaning, "x-unit": self.unit, "x-dtype": self.dtype}
        schema["x-shape"] = ["B", *self.shape]
        if self.values:
            schema["x-values"] = {str(code): meaning for code, meaning in self.values}
        if self.seen is not None:
            schema["x-seen-in-random-play"] = asdict(self.seen)
        return schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """The action space: ``(B,)`` int64 codes when discrete, ``(B, size)`` float32 when continuous."""

    kind: Literal["discrete", "continuous"]
    size: int
    """Number of codes, or of dimensions."""
    meanings: tuple[str, ...] = ()
    """What each code or dimension does; empty when unknown (a black-box environment)."""
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def in_words(self) -> str:
        """The action space as one paragraph for a prompt."""
        names = self.meanings or tuple(f"{self.kind} {i}" for i in range(self.size))
        if self.kind == "discrete":
            codes = "; ".join(f"{i}: {name}" for i, name in enumerate(names))
            return f"action has shape (B,), int64 codes: {codes}"
        dims = "; ".join(
            f"{i}: {name} in [{lo:g}, {hi:g}]"
            for i, (name, lo, hi) in enumerate(zip(names, self.low, self.high, strict=True))
        )
        return f"action has shape (B, {self.size}), float32, dimensions: {dims}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitness:
    """The task's own measure of an episode, computed by trusted code only."""

    kind: Literal["success_rate", "return"]
    success: Literal["reward_positive", "terminated", "return_at_least", "never"] = "never"
    """When an episode is a success: its last reward was positive at a termination; it terminated; its
    undiscounted return reached ``threshold``; or the task has no notion of success."""
    threshold: float | None = None
    function: str | None = None
    """A user's ``module:function`` that scores an episode (see ``envs.episode.Episode``); overrides ``kind``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PPOSettings:
    """One set for each task, tuned on the native reward alone; the same in every arm."""

    envs: int = 16
    """Environments per learner; of a team, agents per learner."""
    steps: int = 128
    """Steps of each environment in a rollout."""
    epochs: int = 4
    minibatches: int = 4
    learning_rate: float = 7e-4
    anneal: bool = False
    """Whether the learning rate falls linearly to zero over the budget."""
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip: float = 0.2
    entropy: float = 0.01
    value: float = 0.5
    max_grad_norm: float = 0.5
    hidden: tuple[int, ...] = (64, 64)
    normalize_observation: bool = False
    """Running mean and deviation of continuous observations, per learner; off for grids."""
    reward_clip: float = 10.0
    """Bound on a normalised reward, the same in every arm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """Everything that the loop must know of a task."""

    id: str
    env_id: str
    """Gymnasium id, or ``module:Id-v0`` for an environment that a user's module registers."""
    description: str
    """The task in words; the only thing a model is told about what is wanted."""
    state: tuple[Field, ...]
    action: Action
    fitness: Fitness
    extractor: str
    """Where state is read: a file of ``envs/extractors`` (``grid`` ...) or a user's ``module:function``."""
    task_weight: float
    """Weight of the native reward in what a learner is paid: 1 where it is sparse, 0 where it is the fitness."""
    episode_steps: int
    """Time limit of an episode."""
    env_steps: int
    """Training budget of one learner."""
    ppo: PPOSettings = field(default_factory=PPOSettings)
    budget: Literal["cpu", "gpu"] = "cpu"
    """``gpu`` says that at ``env_steps`` no arm was seen above a random policy on a CPU budget."""
    human: str | None = None
    """File of ``envs/human``: a dense reward that a person wrote, in our signature, its source in its docstring."""
    extra: str | None = None
    """The extra of ours that installs the environment (``box2d``, ``mujoco``, ``mpe``)."""
    env_kwargs: tuple[tuple[str, Any], ...] = ()
    episodic: bool = False
    """Whether the reward is withheld until an episode ends, when its sum is paid (``envs.episodic``)."""
    agents: int = 1
    """Agents that learn in one copy of the environment; all act by one policy, and share the team's reward equally.

    Each is a row of the vector environment (``envs.multi_agent``), so ``ppo.envs`` counts agents and is a multiple of
    this, environment steps are steps of agents, and a row's return is the team's by the number of agents.
    """

    def __post_init__(self) -> None:
        """Raises ``ValueError`` where a learner's rows would not make whole copies."""
        if self.agents < 1 or self.ppo.envs % self.agents:
            raise ValueError(f"envs = {self.ppo.envs} is no multiple of agents = {self.agents}")

    @classmethod
    def from_json(cls, data: Any) -> TaskSpec:
        """The task that ``asdict`` and JSON made ``data`` of. Nothing that it names is imported or read.

        Raises ``UserError`` for anything else, and for a task that names files: those of the catalogue are loaded
        by their id.
        """
        try:
            action: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data["action"].items()}
            parts: dict[str, Any] = {
                "state": tuple(_field_from_json(f) for f in data["state"]),
                "action": Action(**action),
                "fitness": Fitness(**data["fitness"]),
                "ppo": PPOSettings(**{**data["ppo"], "hidden": tuple(data["ppo"]["hidden"])}),
                "env_kwargs": tuple((str(name), value) for name, value in data["env_kwargs"]),
            }
            made = cls(**{**data, **parts})
            named = ":" in made.extractor or made.extractor.isidentifier()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"this is no task of ours: {type(error).__name__}: {error}") from error
        if made.human is not None or not named:
            raise UserError("this task names files; a task of the catalogue is loaded by its id")
        return made

    def state_schema(self) -> dict[str, Any]:
        """The state as one JSON Schema object, a property for each field."""
        return {
            "type": "object",
            "properties": {f.name: f.json_schema() for f in self.state},
            "required": [f.name for f in self.state],
            "additionalProperties": False,
        }

    def human_source(self) -> str | None:
        """Source of the reward that a person wrote for this task, or None."""
        if self.human is None:
            return None
        return (Path(__file__).parent / "human" / self.human).read_text(encoding="utf-8")

    def numpy_dtypes(self) -> dict[str, np.dtype[Any]]:
        """The dtype of each state field."""
        return {f.name: np.dtype(f.dtype) for f in self.state}


def _field_from_json(data: Any) -> Field:
    values = tuple((int(code), str(meaning)) for code, meaning in data["values"])
    seen = None if data["seen"] is None else Seen(**data["seen"])
    return Field(**{**data, "shape": tuple(data["shape"]), "values": values, "seen": seen})
