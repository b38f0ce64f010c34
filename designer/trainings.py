"""Trainings of whole arms: which are still missing, within which caps, and what each leaves in the run's folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Literal

import numpy as np
import torch

from designer.arms import Arm
from designer.budget import Budget, CapReached
from designer.jailed import JailedReward
from designer.settings import DesignSettings
from designer.store import Json, RunStore
from envs.episode import Array, Episode
from envs.errors import UserError
from envs.task import TaskSpec
from sandbox.program import RewardProgram
from sandbox.recheck import Reference
from sandbox.service import Sandbox
from training.evaluate import EXAMPLES
from training.result import Progress, TrainingResult
from training.statistics import summary
from training.train import train

Purpose = Literal["selection", "confirmation", "bundle"]
"""What a training is for: to choose a candidate, to confirm the chosen one, or to see what its bundle teaches."""
EVALUATION_EPISODES = 100
JUDGED_AFTER = 0.1
"""Share of a training after which its speed tells whether the minutes suffice."""
EXTREMES = 3
"""Steps of an episode that are named for what a decoder pays there, at either end."""
_RECORD: dict[Purpose, str] = {"selection": "training", "confirmation": "confirmation", "bundle": "bundle"}


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

    def cost(self, learners: int) -> int:
        """Environment steps that these trainings and their evaluations can take at most."""
        evaluation = (EVALUATION_EPISODES + 2 * EXAMPLES) * self.task.agents * self.task.episode_steps
        return learners * (self._training_steps() + evaluation)

    def _training_steps(self) -> int:
        """Training steps of one learner, in whole rollouts."""
        rollout = self.task.ppo.envs * self.task.ppo.steps
        return max(1, -(-self.task.env_steps // rollout)) * rollout

    def _expected(self, learners: int) -> float:
        """Environment steps that they will probably take: final policies are evaluated as long as the native one."""
        native = self._store.read_json("controls/native/training.json")
        evaluation = native["evaluation_steps"] / len(native["seeds"]) if native else 0.0
        return learners * (self._training_steps() + evaluation)

    def result(self, arm: Arm, purpose: Purpose) -> Json | None:
        """What an arm's training showed, or None when it has not run."""
        found: Json | None = self._store.read_json(f"{arm.folder}/{_RECORD[purpose]}.json")
        return found

    def run(self, arms: Sequence[Arm], seeds: Sequence[int], purpose: Purpose, *, reserve: int = 0) -> None:
        """Train every arm that has no result yet, all in one population, and keep the results.

        What ``reserve`` further learners need is left untouched under the caps. Raises ``CapReached`` where the caps
        do not allow it; what was spent until then is counted.
        """
        missing = []
        for arm in arms:
            found = self.result(arm, purpose)
            if found is None:
                missing.append(arm)
            else:
                # A kill may have come between the result and the status.
                self._set_status(arm, purpose, found["failure"])
        if not missing:
            return
        wanted = len(missing) * len(seeds)
        left = self._budget.env_steps_left()
        if left is not None and self.cost(wanted + reserve) > left:
            raise CapReached("max_env_steps")
        self._budget.check_clock()
        self._store.event("training_started", arms=[arm.name for arm in missing], seeds=list(seeds), purpose=purpose)
        with ExitStack() as jails:
            learners = []
            for arm in missing:
                jailed = jails.enter_context(self._jailed(arm, arm.program)) if arm.program else None
                learners += arm.learners(self.task, seeds, jailed)
            began = time.monotonic()
            try:
                results = train(
                    self.task,
                    learners,
                    device=self._device,
                    on_rollout=lambda progress: self._on_rollout(progress, purpose, wanted + reserve),
                    on_step=lambda steps: self._on_step(steps, purpose),
                    on_evaluation=lambda progress: self._watch(f"{purpose}, evaluation", progress),
                    evaluation_episodes=EVALUATION_EPISODES,
                )
            finally:
                self._budget.write_env_steps(purpose)
        self._budget.add_training(time.monotonic() - began, wanted)
        for arm in missing:
            self._keep(arm, purpose, [r for r in results if r.arm == arm.name])

    def _jailed(self, arm: Arm, program: RewardProgram) -> JailedReward:
        """The arm's reward, with what it answered while it was probed."""
        kept = self._store.read_arrays(f"{arm.folder}/reference.npz")
        try:
            reference = Reference.from_arrays(kept) if kept else None
        except KeyError as error:
            raise UserError(f"{arm.folder}/reference.npz lacks the array {error}: remove the file.") from error
        return JailedReward(self._sandbox, program, reference=reference)

    def _on_step(self, steps: int, purpose: Purpose) -> None:
        """Count the steps, in training and evaluation; a cap or an interrupt ends the training here."""
        self._budget.add_env_steps(steps, purpose)
        self._budget.check_interrupt()
        self._budget.check_clock()

    def _on_rollout(self, progress: Progress, purpose: Purpose, learners: int) -> bool:
        """Show progress; raise ``CapReached`` once it is plain that the minutes do not suffice for all learners."""
        self._watch(purpose, progress)
        left = self._budget.seconds_left()
        if left is not None and progress.env_steps >= JUDGED_AFTER * progress.of_env_steps:
            to_come = self._expected(learners) - progress.env_steps
            if to_come / max(progress.steps_per_second, 1e-9) > left:
                raise CapReached("max_minutes")
        return True

    def _keep(self, arm: Arm, purpose: Purpose, results: Sequence[TrainingResult]) -> None:
        """Write an arm's results, the JSON last: it marks the arm as done."""
        record = _RECORD[purpose]
        if purpose == "selection":
            weights = {f"seed{r.seed}/{name}": value for r in results for name, value in r.weights.items()}
            self._store.write_tensors(f"{arm.folder}/policy.safetensors", weights)
            self._store.write_arrays(f"{arm.folder}/trajectories.npz", _pack(results[0].episodes))
            if results[0].decoded is not None:
                told = _disagreement(results[0].episodes, results[0].decoded)
                self._store.write_json(f"{arm.folder}/decoded.json", told)
            if results[0].decoder is not None:
                self._store.write_tensors(f"{arm.folder}/decoder.safetensors", dict(results[0].decoder))
        self._store.write_json(f"{arm.folder}/{record}.json", _record(self.task, arm, purpose, results))
        failure = next((r.failure for r in results if r.failure), None)
        self._set_status(arm, purpose, failure)
        fitness = summary([r.fitness for r in results])["iqm"]
        self._store.event("trained", arm=arm.name, purpose=purpose, fitness=fitness, failure=failure)

    def _set_status(self, arm: Arm, purpose: Purpose, failure: str | None) -> None:
        # A candidate whose bundle fails is still one that was trained.
        if arm.folder.startswith("candidates/") and purpose != "bundle":
            self._store.set_status(arm.name, "failed_in_training" if failure else "trained")


def _record(task: TaskSpec, arm: Arm, purpose: Purpose, results: Sequence[TrainingResult]) -> Json:
    return {
        "arm": arm.name,
        "purpose": purpose,
        "measure": task.fitness.kind,
        "fitness": summary([r.fitness for r in results]),
        "area": float(np.mean([r.area for r in results])),
        "failure": next((r.failure for r in results if r.failure), None),
        **_attribution(results[0]),
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


def _attribution(result: TrainingResult) -> Json:
    """What a decoder makes of its factors; all None where there are none."""
    found = result.attribution
    return {
        "effect": found and dict(found.effect),
        "importance": found and dict(found.importance),
        "ablation": found and dict(found.ablation),
        "explained": found and found.explained,
        "importance_course": [[steps, dict(told)] for steps, told in result.importance_course],
    }


def _disagreement(episodes: Sequence[Episode], decoded: Sequence[Array]) -> list[Json]:
    """For each recorded episode its outcome, what the frozen decoder makes of it, and where it pays most and least.

    ``decoded``: each ``(L, agents)``. A team's agents are paid its reward in equal shares, so its outcome is what they
    are paid together, and so is what is decoded. A step is told as its number and pay, in a team also whose it is.
    """
    told = []
    for i, (episode, rewards) in enumerate(zip(episodes, decoded, strict=True)):
        agents = rewards.shape[1]
        order = np.argsort(rewards, axis=None, kind="stable")
        ranked = [[int(place) // agents, float(rewards.flat[place]), int(place) % agents] for place in order]
        if agents == 1:
            ranked = [step[:2] for step in ranked]
        told.append(
            {
                "episode": f"e{i}",
                "outcome": float(episode.reward.sum()) * agents,
                "decoded": float(rewards.sum()),
                "highest": ranked[::-1][:EXTREMES],
                "lowest": ranked[:EXTREMES],
            }
        )
    return told


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
