"""What a training leaves behind: curves, the final fitness, the weights, and a few episodes to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from envs.episode import Array, Episode
from training.credit.attribution import Attribution
from training.credit.settings import Credit
from training.reward import RewardFunction


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """One training to do: an arm (a candidate's id, ``native`` or ``human``) under one seed."""

    arm: str
    seed: int
    reward: RewardFunction | None
    """None: the arm is paid the native reward alone."""
    credit: Credit | None = None
    """How outcomes become rewards where nothing else is known: the components of ``reward`` are factors then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a learner's curve, over the episodes that ended and the steps taken since the last one."""

    env_steps: int
    """Steps of this learner so far."""
    episodes: int
    success: float | None
    """Share of successes among the episodes that ended; None when none did."""
    task_return: float | None
    """Mean undiscounted native return of those episodes."""
    length: float | None
    """Mean length of those episodes, in steps."""
    paid: float
    """Mean of what was paid per step, before normalisation."""
    components: Mapping[str, tuple[float, float, float]]
    """Component name -> mean, min, max per step."""
    entropy: float
    """Policy entropy, nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """One finished learner."""

    arm: str
    seed: int
    env_steps: int
    """Training steps taken."""
    evaluation_steps: int
    """Environment steps that the final evaluation took."""
    seconds: float
    """Wall time of the whole population, shared by its learners."""
    curve: tuple[Point, ...]
    fitness: float
    """Final policy, sampled actions, held-out episodes: success rate, mean return, or the user's score."""
    area: float
    """Mean of the success curve (or of the return curve) over the budget: breaks ties."""
    evaluation: Mapping[str, float]
    """``episodes``, ``success_rate``, ``mean_return``, ``mean_length`` of the final evaluation."""
    weights: Mapping[str, Array]
    """Policy parameters by name, float32, for safetensors."""
    episodes: tuple[Episode, ...]
    """A few held-out episodes of the final policy, failed and successful where both exist: of a team its first agent's.
    """
    decoder: Mapping[str, Array] | None = None
    """For an arm whose outcomes are decoded, one decoder fitted to the episodes of all its seeds, and frozen."""
    attribution: Attribution | None = None
    """What that decoder makes of its factors; None where they are raw inputs."""
    importance_course: tuple[tuple[int, Mapping[str, float]], ...] = ()
    """The same arm's first decoder in training: environment steps of a learner, and each factor's importance then."""
    decoded: tuple[Array, ...] | None = None
    """What the frozen decoder pays in ``episodes``, each ``(L, agents)``, for the first learner of an arm."""
    failure: str | None = None
    """Why the arm ended early; its fitness is then what the policy had reached, and it is never selected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a population stands, in training or in the evaluation of its final policies."""

    env_steps: int
    """Steps of all learners together, of this stage of the call."""
    of_env_steps: int
    """How many there will be."""
    steps_per_second: float
    latest: Mapping[str, Point]
    """Arm -> the newest point of its first seed; nothing in an evaluation, which has no curve."""
    at_most: bool = False
    """Whether there may be fewer steps: an evaluation's episodes may end early."""

    def in_words(self) -> str:
        """Steps, speed, and what is left at that speed."""
        bound = "at most " if self.at_most else ""
        left = int((self.of_env_steps - self.env_steps) / max(self.steps_per_second, 1.0))
        return (
            f"{self.env_steps:,} of {bound}{self.of_env_steps:,} env steps, {self.steps_per_second:,.0f} a second, "
            f"{bound}{left // 60}:{left % 60:02d} left"
        )


OnRollout = Callable[[Progress], bool]
"""Called after every rollout; returning False stops the training there (``StoppedEarly``)."""


OnEvaluation = Callable[[Progress], object]
"""Called every second of an evaluation."""


OnStep = Callable[[int], None]
"""Told of every step, in training and in evaluation: how many environments took it. What it raises goes through."""


class StoppedEarly(Exception):
    """The caller asked the training to stop; nothing of it is kept. ``env_steps`` says what it cost."""

    def __init__(self, env_steps: int) -> None:
        super().__init__(f"training stopped after {env_steps} environment steps")
        self.env_steps = env_steps
