"""A training from its first rollout to its result: the population, its frozen decoders, and its evaluation."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from envs.episode import Array, Episode, side_by_side
from envs.task import TaskSpec
from training.credit.frozen import FrozenReward
from training.credit.raw_inputs import RawInputs
from training.curve import area
from training.evaluate import evaluate, watched
from training.payment import groups
from training.population import Population
from training.result import Learner, OnEvaluation, OnRollout, OnStep, StoppedEarly, TrainingResult
from training.reward import RewardFailure


def train(
    task: TaskSpec,
    learners: Sequence[Learner],
    *,
    env_steps: int | None = None,
    device: str = "cpu",
    on_rollout: OnRollout | None = None,
    on_step: OnStep | None = None,
    on_evaluation: OnEvaluation | None = None,
    evaluation_episodes: int = 100,
) -> list[TrainingResult]:
    """Train every learner for ``env_steps`` steps (the task's budget by default) and evaluate its final
    policy.

    The steps are rounded up to whole rollouts. Learners of one seed meet the same training environments and
    start from the same weights, whatever their arm. A ``RewardFailure`` ends the arm that raised it; any
    other exception propagates, those of ``on_step`` too, which is told of every step taken, also in evaluation.
    ``on_evaluation`` is told how far that one is. Raises ``StoppedEarly`` when ``on_rollout`` returns False. Results
    come in the order of ``learners``.
    """
    started = time.perf_counter()
    population = Population(task, learners, env_steps=env_steps or task.env_steps, device=device)
    try:
        for group in groups(learners):
            group.reward.restart()
        while not population.done:
            population.advance(on_step)
            if on_rollout is not None and not on_rollout(population.progress(time.perf_counter() - started)):
                raise StoppedEarly(population.env_steps)
    finally:
        population.close()
    # Raw inputs are a control, which nobody takes home: to freeze its decoder would only cost memory.
    programs = [one for one in population.learners if one.credit and not isinstance(one.reward, RawInputs)]
    decoders = {arm: population.frozen(arm) for arm in dict.fromkeys(one.arm for one in programs)}
    # Of the learners of an arm the first one's episodes stand for all.
    shown = set({learner.arm: i for i, learner in reversed(list(enumerate(learners)))}.values())
    finished = population.finished()
    evaluations = evaluate(
        task,
        [one.weights for one in finished],
        [learner.seed for learner in learners],
        episodes=evaluation_episodes,
        device=device,
        on_step=watched(
            on_step,
            on_evaluation,
            most=len(learners) * evaluation_episodes * task.agents * task.episode_steps,
        ),
    )
    seconds = time.perf_counter() - started
    return [
        TrainingResult(
            arm=learner.arm,
            seed=learner.seed,
            env_steps=one.env_steps,
            evaluation_steps=found.steps,
            seconds=seconds,
            curve=one.curve,
            fitness=found.fitness,
            area=area(one.curve, task.fitness.kind),
            evaluation={
                "episodes": found.episodes,
                "success_rate": found.success_rate,
                "mean_return": found.mean_return,
                "mean_length": found.mean_length,
            },
            weights=one.weights,
            episodes=found.examples,
            decoder=None if decoder is None else decoder.weights,
            attribution=None if decoder is None else decoder.attribution,
            importance_course=population.importance_course(learner.arm),
            decoded=_decoded(learner, decoder.weights, found.teams) if decoder is not None and i in shown else None,
            failure=one.failure,
        )
        for i, (learner, one, found) in enumerate(zip(learners, finished, evaluations, strict=True))
        for decoder in (decoders.get(learner.arm),)
    ]


def _decoded(
    learner: Learner, weights: Mapping[str, Array], teams: Sequence[Sequence[Episode]]
) -> tuple[Array, ...] | None:
    """What a frozen decoder pays every agent in each step of these episodes, each ``(L, agents)``.

    None where the program fails on them.
    """
    if learner.reward is None:
        return None
    frozen, paid = FrozenReward(learner.reward, weights), []
    for team in teams:
        frozen.restart()
        try:
            paid.append(frozen(side_by_side(team)).components["decoded"])
        except RewardFailure:
            return None
    return tuple(paid)
