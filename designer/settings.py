"""What a design run was asked to do: the options of ``design``, saved as ``config.json`` and rebuilt on resume."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import tyro

from envs.errors import UserError
from sandbox.program import Form


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Hard limits; None is no limit. What ends a run early is named in its scorecard."""

    usd: float | None = None
    tokens: int | None = None
    env_steps: int | None = None
    minutes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignSettings:
    """Run the design loop for a task, and say whether a reward was found that trains better."""

    task: Annotated[str, tyro.conf.Positional]
    """A task's id (`rewardsmith tasks` lists them), or a sentence together with --env."""
    env: str | None = None
    """Gymnasium id of any environment, also `my_module:MyEnv-v0`."""
    state: str | None = None
    """`module:function` that turns (env, obs, info) into named fields; without it, the observation's dimensions."""
    fitness: str | None = None
    """`module:function` that scores an episode; without it, the environment's return is the fitness."""
    model: str = "offline"
    """Any LiteLLM model name; `offline` is a baseline that needs no language model."""
    critic_model: str | None = None
    """Model of the critic; --model when left out."""
    analyzer_model: str | None = None
    """Model of the trajectory analyzer; --model when left out."""
    api_base: str | None = None
    """URL of an OpenAI-compatible endpoint."""
    model_timeout: float = 300.0
    """Seconds that one reply may take."""
    concurrency: int = 4
    """Candidates that are written and checked at once."""
    temperature: float = 0.8
    """Sampling temperature of the designer."""
    iterations: int = 2
    """Rounds of design, training and analysis; 1 is the best-of-N control."""
    candidates: int = 6
    """Programs per iteration."""
    seeds: int = 3
    """Paired seeds that candidates are compared on."""
    confirm_seeds: int = 8
    """Fresh seeds that the best candidate is confirmed on; at least 5."""
    target: float | None = None
    """Stop searching once the best candidate's fitness reaches this."""
    env_steps: int | None = None
    """Training steps of one learner; the task's own budget when left out."""
    form: Literal["reward", "latent", "auto"] = "reward"
    """Explicit rewards, latent ones (factors, which a decoder makes a reward of), or both by turns."""
    review: bool = False
    """Pause before each training and show the programs to you."""
    sandbox: Literal["auto", "docker", "embedded"] = "auto"
    """Which jail holds generated code; auto takes Docker where a daemon answers."""
    sandbox_runtime: str | None = None
    """Docker runtime, such as runsc (gVisor)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where learners are trained."""
    seed: int = 0
    """Seed of the whole run."""
    max_usd: float | None = None
    """Hard cap on money, in US dollars."""
    max_tokens: int | None = None
    """Hard cap on prompt and completion tokens."""
    max_env_steps: int | None = None
    """Hard cap on environment steps: training, evaluation, controls and confirmation."""
    max_minutes: float | None = None
    """Hard cap on time."""

    def __post_init__(self) -> None:
        for name, least in (
            ("iterations", 1),
            ("candidates", 1),
            ("seeds", 1),
            ("confirm_seeds", 5),
            ("concurrency", 1),
            ("seed", 0),
        ):
            if getattr(self, name) < least:
                raise UserError(f"{_option(name)} must be at least {least}, not {getattr(self, name)}.")
        for name in ("env_steps", "model_timeout", "max_usd", "max_tokens", "max_env_steps", "max_minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"{_option(name)} must be above 0, not {value}.")
        if self.api_base is not None:
            _check_api_base(self.api_base)
        if self.env is None and (self.state or self.fitness):
            raise UserError("--state and --fitness go with --env: a listed task brings its own.")

    @property
    def caps(self) -> Caps:
        """The hard limits."""
        return Caps(
            usd=self.max_usd,
            tokens=self.max_tokens,
            env_steps=self.max_env_steps,
            minutes=self.max_minutes,
        )

    def model_of(self, role: str) -> str:
        """The model that plays this role (``designer``, ``critic`` or ``analyzer``)."""
        chosen = {"critic": self.critic_model, "analyzer": self.analyzer_model}.get(role)
        return chosen or self.model

    def form_of(self, iteration: int, slot: int) -> Form:
        """What is written in a slot; ``auto`` takes turns from slot to slot, and begins with the other next time."""
        if self.form == "auto":
            return "latent" if (iteration + slot) % 2 else "reward"
        return self.form

    def merging_slot(self, iteration: int) -> int | None:
        """The slot of the first iteration that merges what the other latent ones wrote; None with fewer than three.

        After LaRe (Qu et al. 2025): independent candidates, of which the model itself makes one.
        """
        latent = [slot for slot in range(self.candidates) if self.form_of(iteration, slot) == "latent"]
        return latent[-1] if iteration == 0 and len(latent) > 2 else None

    def selection_seeds(self) -> tuple[int, ...]:
        """Seeds that candidates are compared on; the same for every arm."""
        return tuple(1_000 * self.seed + i for i in range(self.seeds))

    def confirmation_seeds(self) -> tuple[int, ...]:
        """Seeds that selection never saw and the designer never sees."""
        return tuple(1_000 * self.seed + 500 + i for i in range(self.confirm_seeds))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild from ``to_json``; names that this version does not know raise ``UserError``."""
        try:
            return cls(**data)
        except TypeError as error:
            raise UserError(f"config.json does not fit this version of rewardsmith: {error}.") from error


def _check_api_base(base: str) -> None:
    """Raise ``UserError`` unless this is an http(s) address without credentials, which runs and reports would keep.

    What is refused for its credentials is not repeated in the message.
    """
    if "@" in base or "?" in base or "#" in base:
        raise UserError(
            "--api-base takes an address alone, without user, password, query or fragment: "
            "give the key as OPENAI_API_KEY."
        )
    try:
        parts = urlsplit(base)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "\\" in base or not base.isprintable() or any(c.isspace() for c in base):
        raise UserError(f"--api-base {base!r} is no address: write http://host:port/v1 or https://host/v1.")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
