"""Arms of a comparison: a candidate's program, and the controls that no model wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from envs.episode import Array
from envs.task import TaskSpec
from sandbox.program import Form, RewardProgram
from training.credit.frozen import FrozenReward
from training.credit.raw_inputs import RawInputs
from training.credit.settings import DEFAULT_METHOD, Credit, Method
from training.result import Learner
from training.reward import RewardFunction

CONTROLS = ("native", "human", "raw", "uniform")
"""The native reward, a person's, the decoder on state and action as they are, and outcomes shared evenly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What a group of learners is paid."""

    name: str
    """The candidate's id, or that of a control."""
    program: RewardProgram | None
    """None: no generated code, but for the control's own way of being paid."""
    method: Method = DEFAULT_METHOD
    """How outcomes are decoded, where they are."""
    decoder: Mapping[str, Array] | None = None
    """A frozen decoder of the program's factors: what it says is paid, as a bundle pays it, and nothing is learned."""

    @property
    def folder(self) -> str:
        """Where its results lie in the run."""
        return f"controls/{self.name}" if self.name in CONTROLS else f"candidates/{self.name}"

    @property
    def credit(self) -> Credit | None:
        """How outcomes become rewards; None for an arm that is paid what its program or the environment says."""
        if self.name == "uniform":
            return Credit(method="uniform")
        if self.decoder is not None:
            return None
        latent = self.program is not None and self.program.form == "latent"
        return Credit(method=self.method) if latent or self.name == "raw" else None

    def learners(self, task: TaskSpec, seeds: Sequence[int], jailed: RewardFunction | None) -> list[Learner]:
        """A training for each seed; ``jailed`` answers for the arm's program."""
        reward = RawInputs(task.action) if self.name == "raw" else jailed
        if self.decoder is not None and jailed is not None:
            reward = FrozenReward(jailed, self.decoder)
        return [Learner(arm=self.name, seed=seed, reward=reward, credit=self.credit) for seed in seeds]


def controls(task: TaskSpec, form: Form | Literal["auto"] = "reward") -> tuple[Arm, ...]:
    """The arms that every candidate of a run is held against."""
    arms = [Arm(name="native", program=None)]
    source = task.human_source()
    if source is not None:
        arms.append(Arm(name="human", program=RewardProgram(source)))
    return (*arms, *(() if form == "reward" else decoded_controls()))


def confirming(task: TaskSpec, form: Form | Literal["auto"]) -> int:
    """How many arms confirm a candidate: its own, the controls', and the bundle of one with a decoder."""
    return 1 + len(controls(task, form)) + (form != "reward")


def decoded_controls(method: Method = DEFAULT_METHOD) -> tuple[Arm, ...]:
    """The arms that a latent reward is held against besides.

    State and action as they are need a decoder that is not linear: a linear one would be a weak control.
    """
    raw = Arm(name="raw", program=None, method="rrdu" if method == "ridge" else method)
    return raw, Arm(name="uniform", program=None)
