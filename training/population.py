"""Training many learners at once: arms and seeds side by side in every tensor, none feeling another.

On the CPU a learner's result is bit-identical whatever its companions and whenever they are dropped. Run with
one intra-op thread (``torch.set_num_threads(1)``, the caller's affair): more threads lose more than they gain
at these sizes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.episode import Array
from envs.make_vector import make_vector, simulated
from envs.task import TaskSpec
from training.credit.pool import Frozen
from training.crediting import Crediting
from training.curve import Curves
from training.evaluate import architecture, policy_weights
from training.network import initial_network
from training.normalizer import RewardNormalizer
from training.observation import encoder
from training.payment import Payment, groups, paying, rewarded_rows
from training.ppo import Adam, Batch, Shuffle, gae, shuffled, update
from training.result import Learner, OnStep, Point, Progress
from training.rollout import Rollout, collect
from training.seeding import derive, generator
from training.sparse import lean

LOOKS = 5
"""How often in a training it is noted what decoders make of their factors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A learner that trains no more."""

    weights: dict[str, Array]
    curve: tuple[Point, ...]
    env_steps: int
    failure: str | None


class Population:
    """Learners in the middle of their training: ``advance`` takes one rollout and one update of each."""

    def __init__(self, task: TaskSpec, learners: Sequence[Learner], *, env_steps: int, device: str) -> None:
        if not learners:
            raise ValueError("a population needs a learner")
        settings = task.ppo
        self.task = task
        self.learners = list(learners)
        self.rollouts = max(1, math.ceil(env_steps / (settings.envs * settings.steps)))
        self.env_steps = 0
        """Environment steps of all learners so far."""
        self._of_env_steps = self.rollouts * settings.envs * settings.steps * len(learners)
        self._taken = 0
        self._positions = list(range(len(learners)))
        self._finished: dict[int, Finished] = {}
        seeds = [learner.seed for learner in learners]
        rows = [derive(seed, "training rows", j) for seed in seeds for j in range(settings.envs)]
        # In a simulation reading the state costs a fifth of a step, and native learners never look at it.
        played = replace(task, state=()) if simulated(task) and not groups(learners) else task
        self._env = make_vector(played, rows, device=device)
        self._observation, self._state = self._env.reset()
        shown = self._env.observation
        self._encoder = encoder(shown, len(seeds), normalize=settings.normalize_observation, device=device)
        self._network = initial_network(
            architecture(task, self._encoder), [generator(s, "initial weights") for s in seeds], device
        )
        self._adam = Adam(self._network.matrices)
        self._actions = [generator(s, "actions") for s in seeds]
        self._minibatches = [generator(s, "minibatches") for s in seeds]
        self._normalizer = RewardNormalizer(
            len(seeds), settings.envs, gamma=settings.gamma, clip=settings.reward_clip, device=device
        )
        self._curves = Curves(len(seeds), settings.envs, rollouts=self.rollouts)
        self._crediting = Crediting(
            learners, rows=settings.envs, agents=task.agents, longest=task.episode_steps, device=device
        )

    @property
    def done(self) -> bool:
        """The budget is spent, or no learner is left."""
        return self._taken >= self.rollouts or not self.learners

    def advance(self, on_step: OnStep | None = None) -> None:
        """One rollout, what it pays, one update. Arms whose reward failed are dropped before the update."""
        settings = self.task.ppo
        sharing = groups(self.learners)
        rollout, self._state = collect(
            self._env,
            self._network,
            self._encoder,
            self._observation,
            self._state,
            steps=settings.steps,
            generators=self._actions,
            rewarded=rewarded_rows(sharing, settings.envs),
            on_step=on_step,
        )
        self._observation = rollout.last_observation
        self._taken += 1
        self.env_steps += rollout.native.size
        with paying(
            self.learners,
            sharing,
            rollout.native,
            rollout.transitions,
            gamma=settings.gamma,
            task_weight=self.task.task_weight,
        ) as earned:
            seen = self._seen(rollout)
            rows = settings.steps * settings.envs
            shuffle = shuffled(rollout.features, rows, settings, self._minibatches, rollout.action.device)
            payment = self._credited(earned(), rollout)
        self._curves.take(rollout.native, rollout.ended, rollout.success, payment, rollout.entropy.cpu().numpy())
        reward = payment.reward
        if payment.failures:
            kept = self._drop(payment.failures)
            if not kept:
                return
            rollout, reward = rollout.select(kept), reward[kept]
            seen, shuffle = self._seen(rollout), shuffle.select(kept)
        if self._taken * LOOKS // self.rollouts > (self._taken - 1) * LOOKS // self.rollouts:
            self._crediting.look(self._taken * settings.envs * settings.steps)
        self._learn(rollout, seen, reward, shuffle)

    def _credited(self, payment: Payment, rollout: Rollout) -> Payment:
        """Outcomes made into rewards, for the learners that know no more."""
        if not any(learner.credit for learner in self.learners):
            return payment
        native, ended = (_learner_first(each, len(self.learners)).numpy() for each in (rollout.native, rollout.ended))
        return replace(payment, reward=self._crediting(payment.reward, payment.factors, native, ended))

    def _seen(self, rollout: Rollout) -> Seen:
        """What the critic says of the rollout; needs no reward, so it is had while the jails compute."""
        with torch.no_grad():
            return Seen(*self._values(rollout))

    def _learn(self, rollout: Rollout, seen: Seen, reward: Array, shuffle: Shuffle) -> None:
        settings = self.task.ppo
        device = rollout.action.device
        ended = _learner_first(rollout.ended, len(self.learners)).to(device)
        paid = self._normalizer(torch.from_numpy(reward).to(device), ended)
        value = seen.value
        advantage = gae(paid, value, seen.next_value, ended, gamma=settings.gamma, gae_lambda=settings.gae_lambda)
        batch = Batch(
            rollout.features,
            rollout.action.flatten(1, 2),
            rollout.log_probability.flatten(1, 2),
            advantage.flatten(1, 2),
            (advantage + value).flatten(1, 2),
        )
        left = 1 - (self._taken - 1) / self.rollouts if settings.anneal else 1.0
        update(
            self._network,
            self._adam,
            batch,
            settings,
            learning_rate=settings.learning_rate * left,
            shuffle=shuffle,
        )

    def _values(self, rollout: Rollout) -> tuple[Tensor, Tensor]:
        """Values of every step, and of what follows it within its episode, each ``(P, T, N)``."""
        population, steps, envs = rollout.action.shape[:3]
        value = self._network.value(rollout.features).view(population, steps, envs)
        last = lean(self._encoder(rollout.last_observation.view(population, envs, -1)))
        next_value = torch.cat([value[:, 1:], self._network.value(last)[:, None]], 1)
        terminated = _learner_first(rollout.terminated, population).to(value.device)
        next_value = torch.where(terminated, 0.0, next_value)
        self._bootstrap(rollout, next_value)
        return value, next_value

    def _bootstrap(self, rollout: Rollout, next_value: Tensor) -> None:
        """Write the value of the final observation where an episode was truncated.

        Each learner's truncated steps go through the network in blocks of a fixed number of rows, so that no
        learner's bits depend on how many another one has.
        """
        population, _, envs = next_value.shape
        steps, rows = np.nonzero(rollout.truncated)
        places = [np.flatnonzero(rows // envs == p) for p in range(population)]
        for start in range(0, max(len(own) for own in places), _FINAL_ROWS):
            blocks = [own[start : start + _FINAL_ROWS] for own in places]
            final = rollout.final_observation.new_zeros((population, _FINAL_ROWS, rollout.final_observation.shape[-1]))
            for p, own in enumerate(blocks):
                final[p, : len(own)] = rollout.final_observation[steps[own], rows[own]]
            value = self._network.value(lean(self._encoder(final)))
            for p, own in enumerate(blocks):
                next_value[p, steps[own], rows[own] % envs] = value[p, : len(own)]

    def _drop(self, failures: dict[str, str]) -> list[int]:
        """Let the arms in ``failures`` end here; returns who stays, as positions before the drop."""
        return self.drop({p: failures[one.arm] for p, one in enumerate(self.learners) if one.arm in failures})

    def drop(self, ends: Mapping[int, str | None]) -> list[int]:
        """Let the learners at these positions end here, each with why its reward failed, if it did.

        Returns who stays, as positions before the drop; they go on as if they had never had companions.
        """
        for p, failure in ends.items():
            self._finish(p, failure)
        kept = [p for p in range(len(self.learners)) if p not in ends]
        if kept:
            self._select(kept)
        self.learners = [self.learners[p] for p in kept]
        self._positions = [self._positions[p] for p in kept]
        return kept

    def _select(self, kept: list[int]) -> None:
        envs = self.task.ppo.envs
        learners = torch.tensor(kept, device=self._observation.device)
        rows = (learners[:, None] * envs + torch.arange(envs, device=learners.device)).flatten()
        self._env.select(rows)
        self._observation = self._observation[rows]
        self._state = {name: value[rows] for name, value in self._state.items()}
        self._network = self._network.select(learners)
        for part in (self._adam, self._encoder, self._normalizer):
            part.select(learners)
        self._curves.select(kept)
        self._crediting.select(kept)
        self._actions = [self._actions[p] for p in kept]
        self._minibatches = [self._minibatches[p] for p in kept]

    def _finish(self, p: int, failure: str | None) -> None:
        settings = self.task.ppo
        self._finished[self._positions[p]] = Finished(
            weights=policy_weights(self._network, self._encoder, p),
            curve=tuple(self._curves.points[p]),
            env_steps=self._taken * settings.envs * settings.steps,
            failure=failure,
        )

    def recent_success(self) -> list[float | None]:
        """Of each learner that still trains, the share of its last episodes that succeeded; None before it had any."""
        return [sum(recent) / len(recent) if recent else None for recent in self._curves.recent]

    def weights(self, position: int) -> dict[str, Array]:
        """The policy of one learner that still trains, as it stands."""
        return policy_weights(self._network, self._encoder, position)

    def frozen(self, arm: str) -> Frozen | None:
        """The decoder that the arm's learners come to together, if they have any."""
        return self._crediting.frozen(arm)

    def importance_course(self, arm: str) -> tuple[tuple[int, dict[str, float]], ...]:
        """How the importance of an arm's factors went, ``LOOKS`` times in a training."""
        return self._crediting.course(arm)

    def finished(self) -> list[Finished]:
        """Every learner, in the order they were given, as it stands."""
        for p in range(len(self.learners)):
            self._finish(p, None)
        return [self._finished[position] for position in sorted(self._finished)]

    def progress(self, seconds: float) -> Progress:
        """Where the population stands, ``seconds`` after its start."""
        latest: dict[str, Point] = {}
        # Where the last arm has failed, its curves are still there.
        for learner, points in zip(self.learners, self._curves.points, strict=False):
            if points:
                latest.setdefault(learner.arm, points[-1])
        return Progress(
            env_steps=self.env_steps,
            of_env_steps=self._of_env_steps,
            steps_per_second=self.env_steps / max(seconds, 1e-9),
            latest=latest,
        )

    def close(self) -> None:
        """Free the environments."""
        self._env.close()


class Seen(NamedTuple):
    """A rollout as the critic sees it."""

    value: Tensor
    """``(P, T, N)``: the critic's, of every step."""
    next_value: Tensor
    """``(P, T, N)``: of what follows it within its episode."""


_FINAL_ROWS = 32
"""Final observations of truncated episodes of a learner that go through the critic at once."""


def _learner_first(values: Array, population: int) -> Tensor:
    """``(T, P * N)`` on the host as a ``(P, T, N)`` tensor."""
    by_learner = values.reshape(values.shape[0], population, -1).transpose(1, 0, 2)
    return torch.from_numpy(np.ascontiguousarray(by_learner))
