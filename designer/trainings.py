"""Trainings of whole arms: which are still missing, within which caps, and what each leaves in the run's folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import torch

from designer.budget import Budget, CapReached
from designer.jailed import JailedReward
from designer.settings import DesignSettings
from designer.store import Json, RunStore
from envs.episode import Array, Episode
from envs.errors import UserError
from envs.task import TaskSpec
from sandbox.program import RewardProgram
from sandbox.service import Sandbox
from training.population import train
from training.result import Learner, Progress, StoppedEarly, TrainingResult
from training.statistics import summary

Purpose = Literal["selection", "confirmation"]
EVALUATION_EPISODES = 100
_RECORD: dict[Purpose, str] = {"selection": "training", "confirmation": "confirmation"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What a group of learners is paid: a candidate's program, or a control."""

    name: str
    """The candidate's id, ``native`` or ``human``."""
    program: RewardProgram | None
    """None: the native reward alone."""

    @property
    def folder(self) -> str:
        """Where its results lie in the run."""
        return f"controls/{self.name}" if self.name in ("native", "human") else f"candidates/{self.name}"


def controls(task: TaskSpec) -> tuple[Arm, ...]:
    """The arms that every candidate is held against."""
    arms = [Arm(name="native", program=None)]
    source = task.human_source()
    if source is not None:
        arms.append(Arm(name="human", program=RewardProgram(source)))
    return tuple(arms)


def device_of(wanted: str) -> str:
    """The device to train on. Raises ``UserError`` for a GPU that is not there."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "--device cuda: PyTorch sees no CUDA device; use --device auto. `rewardsmith doctor` tells more."
        )
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


class Trainings:
    """Trains arms and keeps what they showed. A finished training is never done again."""

    def __init__(
        self,
        task: TaskSpec,
        settings: DesignSettings,
        store: RunStore,
        budget: Budget,
        sandbox: Sandbox,
        watch: Callable[[str, Progress], None],
    ) -> None:
        self.task = task
        self._settings = settings
        self._store = store
        self._budget = budget
        self._sandbox = sandbox
        self._watch = watch
        self._device = device_of(settings.device)
        self._seconds_per_step: float | None = None

    def cost(self, arms: int, seeds: int) -> int:
        """Environment steps that these trainings and their evaluations can take at most."""
        return arms * seeds * (self.task.env_steps + EVALUATION_EPISODES * self.task.episode_steps)

    def result(self, arm: Arm, purpose: Purpose) -> Json | None:
        """What an arm's training showed, or None when it has not run."""
        found: Json | None = self._store.read_json(f"{arm.folder}/{_RECORD[purpose]}.json")
        return found

    def run(self, arms: Sequence[Arm], seeds: Sequence[int], purpose: Purpose, *, reserve: int = 0) -> None:
        """Train every arm that has no result yet, all in one population, and keep the results.

        ``reserve`` environment steps are left untouched under the caps. Raises ``CapReached`` where the caps do
        not allow it; what was spent until then is counted.
        """
        missing = [arm for arm in arms if self.result(arm, purpose) is None]
        if not missing:
            return
        left = self._budget.env_steps_left()
        if left is not None and self.cost(len(missing), len(seeds)) + reserve > left:
            raise CapReached("max_env_steps")
        self._budget.check_clock()
        self._store.event("training_started", arms=[arm.name for arm in missing], seeds=list(seeds), purpose=purpose)
        with ExitStack() as jails:
            learners = []
            for arm in missing:
                reward = jails.enter_context(JailedReward(self._sandbox, arm.program)) if arm.program else None
                learners += [Learner(arm=arm.name, seed=seed, reward=reward) for seed in seeds]
            try:
                results = train(
                    self.task,
                    learners,
                    device=self._device,
                    on_rollout=lambda progress: self._on_rollout(progress, purpose, reserve),
                    evaluation_episodes=EVALUATION_EPISODES,
                )
            except StoppedEarly as error:
                self._budget.add_env_steps(error.env_steps, f"{purpose}, stopped early")
                raise CapReached(self._cap_in_sight()) from error
        for arm in missing:
            self._keep(arm, purpose, [r for r in results if r.arm == arm.name])
        steps = sum(r.env_steps + r.evaluation_steps for r in results)
        self._budget.add_env_steps(steps, purpose)
        self._seconds_per_step = results[0].seconds / max(1, steps)

    def _on_rollout(self, progress: Progress, purpose: Purpose, reserve: int) -> bool:
        self._budget.check_interrupt()
        self._watch(purpose, progress)
        left = self._budget.env_steps_left()
        seconds = self._budget.seconds_left()
        rate = self._seconds_per_step or 1 / max(progress.steps_per_second, 1.0)
        return (left is None or progress.env_steps + reserve < left) and (seconds is None or seconds > reserve * rate)

    def _cap_in_sight(self) -> str:
        return "max_minutes" if self._budget.caps.minutes is not None else "max_env_steps"

    def _keep(self, arm: Arm, purpose: Purpose, results: Sequence[TrainingResult]) -> None:
        """Write an arm's results, the JSON last: it marks the arm as done."""
        record = _RECORD[purpose]
        if purpose == "selection":
            weights = {f"seed{r.seed}/{name}": value for r in results for name, value in r.weights.items()}
            self._store.write_tensors(f"{arm.folder}/policy.safetensors", weights)
            self._store.write_arrays(f"{arm.folder}/trajectories.npz", _pack(results[0].episodes))
        self._store.write_json(f"{arm.folder}/{record}.json", _record(self.task, arm, purpose, results))
        if arm.program is not None and arm.folder.startswith("candidates/"):
            failed = any(r.failure for r in results)
            self._store.set_status(arm.name, "failed_in_training" if failed else "trained")
        self._store.event(
            "trained",
            arm=arm.name,
            purpose=purpose,
            fitness=summary([r.fitness for r in results])["iqm"],
            failure=next((r.failure for r in results if r.failure), None),
        )


def _record(task: TaskSpec, arm: Arm, purpose: Purpose, results: Sequence[TrainingResult]) -> Json:
    return {
        "arm": arm.name,
        "purpose": purpose,
        "measure": task.fitness.kind,
        "fitness": summary([r.fitness for r in results]),
        "area": float(np.mean([r.area for r in results])),
        "failure": next((r.failure for r in results if r.failure), None),
        "env_steps": sum(r.env_steps for r in results),
        "evaluation_steps": sum(r.evaluation_steps for r in results),
        "seeds": [
            {
                "seed": r.seed,
                "fitness": r.fitness,
                "area": r.area,
                "evaluation": dict(r.evaluation),
                "curve": [asdict(point) for point in r.curve],
            }
            for r in results
        ],
    }


def _pack(episodes: Sequence[Episode]) -> dict[str, Array]:
    """Episodes as flat named arrays: ``e<i>/state/<field>`` and so on."""
    packed: dict[str, Array] = {}
    for i, episode in enumerate(episodes):
        packed[f"e{i}/action"] = episode.action
        packed[f"e{i}/reward"] = episode.reward
        packed[f"e{i}/end"] = np.array([episode.terminated, episode.truncated, episode.success])
        for part, fields in (("state", episode.state), ("next_state", episode.next_state)):
            packed.update({f"e{i}/{part}/{name}": values for name, values in fields.items()})
    return packed


def unpack(packed: dict[str, Array]) -> tuple[Episode, ...]:
    """Episodes as ``_pack`` wrote them."""
    ids = sorted({key.split("/", 1)[0] for key in packed}, key=lambda e: int(e[1:]))

    def fields(episode: str, part: str) -> dict[str, Array]:
        head = f"{episode}/{part}/"
        return {key[len(head) :]: value for key, value in packed.items() if key.startswith(head)}

    return tuple(
        Episode(
            state=fields(e, "state"),
            action=packed[f"{e}/action"],
            next_state=fields(e, "next_state"),
            reward=packed[f"{e}/reward"],
            terminated=bool(packed[f"{e}/end"][0]),
            truncated=bool(packed[f"{e}/end"][1]),
            success=bool(packed[f"{e}/end"][2]),
        )
        for e in ids
    )
