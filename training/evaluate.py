"""The final policy on held-out episodes: fitness comes from here and from nowhere else."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from envs.episode import Array, Episode
from envs.make_vector import make_vector
from envs.task import TaskSpec
from envs.vector import Observation, Step, VectorEnvironment
from training.layers import padded
from training.network import Architecture, Network, draw_noise, load_network
from training.observation import Encoder, encoder
from training.result import OnEvaluation, OnStep, Progress
from training.rollout import in_bounds
from training.seeding import derive, generator
from training.sparse import lean

MEAN, DEVIATION = "observation.mean", "observation.deviation"
"""Names under which a policy's frozen observation statistics lie among its weights."""

EXAMPLES = 2
"""Episodes that are recorded of each kind, failed and successful."""

TOLD_EVERY = 1.0
"""Seconds between two words on how far an evaluation is."""

_CHUNK = 32
"""Steps for which noise is drawn at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one policy reached on its held-out episodes."""

    fitness: float
    """Success rate, mean return, or mean of the user's score, as the task says."""
    success_rate: float
    mean_return: float
    mean_length: float
    episodes: int
    steps: int
    """Environment steps taken, those that recorded the examples among them."""
    teams: tuple[tuple[Episode, ...], ...]
    """Up to two failed and two successful episodes, failed first: of each what every agent saw, one but for a team."""

    @property
    def examples(self) -> tuple[Episode, ...]:
        """Of each of these episodes what the first agent saw."""
        return tuple(team[0] for team in self.teams)


def evaluate(
    task: TaskSpec,
    weights: Sequence[Mapping[str, Array]],
    seeds: Sequence[int],
    *,
    episodes: int = 100,
    device: str = "cpu",
    on_step: OnStep | None = None,
) -> list[Evaluation]:
    """Let each policy act, with sampled actions, in ``episodes`` held-out episodes of its seed.

    Every environment plays exactly one episode, so short episodes are not over-represented. A team's episode takes a
    slot for each agent, which are paid alike. The answer for a policy depends on the task, its weights and its seed
    alone. ``on_step`` is told of every step.
    """
    slots = episodes * task.agents
    every = np.arange(len(weights) * slots)
    outcome, _ = _play(task, weights, seeds, slots, every, device, on_step, record=False)
    chosen = [p * slots + e for p in range(len(weights)) for e in _examples(outcome.success[p], task.agents).tolist()]
    replay, recorded = _play(task, weights, seeds, slots, np.array(chosen), device, on_step, record=True)
    steps = outcome.length.sum(1) + replay.length.sum(1)
    out = []
    for row in range(len(weights)):
        firsts = [slot for slot in chosen[:: task.agents] if slot // slots == row]
        own = [tuple(recorded[slot + agent] for agent in range(task.agents)) for slot in firsts]
        out.append(
            Evaluation(
                fitness=_fitness(task, outcome, row),
                success_rate=float(outcome.success[row].mean()),
                mean_return=float(outcome.task_return[row].mean()),
                mean_length=float(outcome.length[row].mean()),
                episodes=episodes,
                steps=int(steps[row]),
                teams=tuple(sorted(own, key=lambda team: team[0].success)),
            )
        )
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """Each ``(P, E)``; zero where an episode was not played."""

    success: Array
    task_return: Array
    length: Array
    score: Array

    @staticmethod
    def empty(shape: tuple[int, int]) -> _Outcome:
        return _Outcome(
            success=np.zeros(shape, dtype=bool),
            task_return=np.zeros(shape),
            length=np.zeros(shape, dtype=np.int64),
            score=np.zeros(shape),
        )


def _fitness(task: TaskSpec, outcome: _Outcome, row: int) -> float:
    if task.fitness.function is not None:
        return float(outcome.score[row].mean())
    if task.fitness.kind == "success_rate":
        return float(outcome.success[row].mean())
    return float(outcome.task_return[row].mean())


def _examples(success: Array, agents: int) -> Array:
    """Slots of the first failed and the first successful episodes, all agents', ascending."""
    won = success[::agents]
    first = np.sort(np.concatenate([np.flatnonzero(~won)[:EXAMPLES], np.flatnonzero(won)[:EXAMPLES]]))
    return np.asarray((first[:, None] * agents + np.arange(agents)).ravel())


class Actors:
    """The policies, acting on ``(P, E)`` slots; a slot's answer never depends on which others still play."""

    def __init__(
        self,
        task: TaskSpec,
        weights: Sequence[Mapping[str, Array]],
        seeds: Sequence[int],
        slots: int,
        observation: Observation,
        device: str,
    ) -> None:
        self.encoder = frozen_encoder(observation, weights, device)
        self.network = load_network(architecture(task, self.encoder), weights, device)
        self._generators = [generator(seed, "held-out actions") for seed in seeds]
        self._slots = slots
        self._seen: Tensor | None = None
        self._noise: Tensor | None = None
        self._t = 0

    @torch.no_grad()
    def act(self, slot: Tensor, observation: Tensor) -> Tensor:
        """Actions for the ``(M,)`` playing slots, seen as ``(M, raw)``."""
        population, space = self.network.population, self.network.architecture.action
        width = padded(self._slots)
        if self._seen is None:
            self._seen = observation.new_zeros((population * width, observation.shape[1]))
        # One row of a padded square for every slot: shapes, and so bits, stay the same as slots fall away.
        place = slot // self._slots * width + slot % self._slots
        self._seen[place] = observation
        if self._t % _CHUNK == 0:
            self._noise = draw_noise((_CHUNK, width), space, self._generators, observation.device)
        assert self._noise is not None
        policy = self.network.policy(lean(self.encoder(self._seen.view(population, width, -1))))
        action = policy.sample(self._noise[:, self._t % _CHUNK]).flatten(0, 1)[place]
        self._t += 1
        return in_bounds(action, space)


def watched(on_step: OnStep | None, on_evaluation: OnEvaluation | None, *, most: int) -> OnStep | None:
    """What is told of every step of an evaluation, of at most so many steps."""
    if on_evaluation is None:
        return on_step
    began, taken, told = time.perf_counter(), 0, 0.0

    def step(steps: int) -> None:
        nonlocal taken, told
        if on_step is not None:
            on_step(steps)
        # A few episodes are played once more, to be looked at.
        taken = min(taken + steps, most)
        seconds = time.perf_counter() - began
        if seconds - told >= TOLD_EVERY:
            told = seconds
            speed = taken / seconds
            on_evaluation(Progress(env_steps=taken, of_env_steps=most, steps_per_second=speed, latest={}, at_most=True))

    return step


def _play(
    task: TaskSpec,
    weights: Sequence[Mapping[str, Array]],
    seeds: Sequence[int],
    episodes: int,
    slots: Array,
    device: str,
    on_step: OnStep | None,
    *,
    record: bool,
) -> tuple[_Outcome, dict[int, Episode]]:
    """Play one episode, or one agent's part of it, in each slot ``p * episodes + e``; recorded ones by slot."""
    outcome = _Outcome.empty((len(weights), episodes))
    row_seeds = [derive(seeds[s // episodes], "held-out rows", s % episodes) for s in slots.tolist()]
    env = make_vector(task, row_seeds, device=device, split="test")
    recorder = _Recorder() if record else None
    try:
        _play_out(
            task,
            env,
            Actors(task, weights, seeds, episodes, env.observation, device),
            slots,
            outcome,
            recorder,
            on_step,
        )
    finally:
        env.close()
    return outcome, recorder.episodes if recorder else {}


def _play_out(
    task: TaskSpec,
    env: VectorEnvironment,
    actors: Actors,
    slots: Array,
    outcome: _Outcome,
    recorder: _Recorder | None,
    on_step: OnStep | None,
) -> None:
    observation, state = env.reset()
    for step_number in range(1, task.episode_steps + 1):
        action = actors.act(torch.from_numpy(slots).to(observation.device), observation)
        step = env.step(action)
        if on_step is not None:
            on_step(len(slots))
        overdue = step_number == task.episode_steps
        ended = (step.terminated | step.truncated).cpu().numpy() | overdue
        outcome.task_return.ravel()[slots] += step.reward.cpu().numpy()
        outcome.length.ravel()[slots] += 1
        outcome.success.ravel()[slots[ended]] = step.success.cpu().numpy()[ended]
        if step.score is not None:
            outcome.score.ravel()[slots[ended]] = step.score.cpu().numpy()[ended]
        if recorder is not None:
            recorder.step(slots, state, action, step, ended)
        observation, state = step.observation, step.state
        if ended.all():
            return
        if ended.any():
            keep = torch.from_numpy(np.flatnonzero(~ended)).to(observation.device)
            env.select(keep)
            observation, state = observation[keep], {name: value[keep] for name, value in state.items()}
            slots = slots[~ended]


class _Recorder:
    """Steps of a few playing slots, gathered into episodes."""

    def __init__(self) -> None:
        self.episodes: dict[int, Episode] = {}
        self._steps: dict[int, list[tuple[dict[str, Array], Array, dict[str, Array], float]]] = {}

    def step(self, slots: Array, state: dict[str, Tensor], action: Tensor, step: Step, ended: Array) -> None:
        """Take in one step of every playing slot."""
        before = {name: value.cpu().numpy().copy() for name, value in state.items()}
        after = {name: value.cpu().numpy().copy() for name, value in step.next_state.items()}
        actions, rewards = action.cpu().numpy(), step.reward.cpu().numpy()
        for row, slot in enumerate(slots.tolist()):
            self._steps.setdefault(slot, []).append(
                (
                    {name: value[row] for name, value in before.items()},
                    actions[row],
                    {name: value[row] for name, value in after.items()},
                    float(rewards[row]),
                )
            )
            if ended[row]:
                self._finish(slot, step, row)

    def _finish(self, slot: int, step: Step, row: int) -> None:
        states, actions, next_states, rewards = zip(*self._steps.pop(slot), strict=True)
        terminated = bool(step.terminated[row])
        self.episodes[slot] = Episode(
            state={name: np.stack([s[name] for s in states]) for name in states[0]},
            action=np.stack(actions),
            next_state={name: np.stack([s[name] for s in next_states]) for name in next_states[0]},
            reward=np.array(rewards, dtype=np.float32),
            terminated=terminated,
            truncated=not terminated,
            success=bool(step.success[row]),
        )


def architecture(task: TaskSpec, features: Encoder) -> Architecture:
    """The networks that a task's settings ask for."""
    return Architecture(features.size, task.ppo.hidden, task.action)


def frozen_encoder(observation: Observation, weights: Sequence[Mapping[str, Array]], device: str) -> Encoder:
    """The encoder of kept policies, at the observation statistics they ended with."""
    if MEAN not in weights[0]:
        return encoder(observation, len(weights), normalize=False, device=device)
    mean, deviation = (
        torch.from_numpy(np.stack([named[key] for named in weights])).to(device) for key in (MEAN, DEVIATION)
    )
    return encoder(observation, len(weights), normalize=True, device=device, moments=(mean, deviation))


def policy_weights(network: Network, features: Encoder, learner: int) -> dict[str, Array]:
    """Everything that ``evaluate`` needs of a learner, by name, float32."""
    named = network.weights(learner)
    moments = features.moments()
    if moments is not None:
        named[MEAN] = moments[0][learner].cpu().numpy().copy()
        named[DEVIATION] = moments[1][learner].cpu().numpy().copy()
    return named
