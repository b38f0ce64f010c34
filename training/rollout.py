"""Acting in the training environments for one rollout, and what that leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.episode import Array, Transitions
from envs.task import Action
from envs.vector import VectorEnvironment
from training.layers import Features
from training.network import Network, draw_noise
from training.observation import Encoder
from training.result import OnStep
from training.sparse import SparseFeatures, lean


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """``T`` steps of ``M = P * N`` environments; learner ``p`` owns the rows ``p * N`` to ``(p + 1) * N -
    1``.
    """

    features: Features
    """``(P, T * N, F)``, on the device: each learner's first step, then its second."""
    action: Tensor
    """``(P, T, N)`` int64 or ``(P, T, N, A)`` float32 as sampled, before any clipping."""
    log_probability: Tensor
    """``(P, T, N)``."""
    entropy: Tensor
    """``(P,)``: mean over the rollout, nats."""
    last_observation: Tensor
    """``(M, raw)``: what the next rollout starts from."""
    final_observation: Tensor
    """``(T, M, raw)``: before any reset, where ``truncated``."""
    native: Array
    """``(T, M)`` float32: what the environment paid; this and all below on the host."""
    terminated: Array
    """``(T, M)`` bool."""
    truncated: Array
    """``(T, M)`` bool."""
    success: Array
    """``(T, M)`` bool, meaningful where an episode ended."""
    transitions: Transitions | None
    """What reward functions read, for the rows that ``collect`` was asked to keep; None when there were none.
    """

    @property
    def ended(self) -> Array:
        """``(T, M)`` bool: the episode ended with this step."""
        return np.asarray(self.terminated | self.truncated)

    def select(self, learners: Sequence[int]) -> Rollout:
        """What these learners did, without the transitions."""
        kept = list(learners)
        envs = self.action.shape[2]
        rows = (np.array(kept)[:, None] * envs + np.arange(envs)).ravel()
        return Rollout(
            features=self.features.select(kept) if isinstance(self.features, SparseFeatures) else self.features[kept],
            action=self.action[kept],
            log_probability=self.log_probability[kept],
            entropy=self.entropy[kept],
            last_observation=self.last_observation[rows],
            final_observation=self.final_observation[:, rows],
            native=self.native[:, rows],
            terminated=self.terminated[:, rows],
            truncated=self.truncated[:, rows],
            success=self.success[:, rows],
            transitions=None,
        )


class FeatureTape:
    """Features of each step: without their zeros where most are zero and the device allows it, else as they are."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._sparse: list[SparseFeatures] = []
        self._dense: Tensor | None = None

    def write(self, t: int, features: Tensor) -> Features:
        """Keep ``(P, N, F)``; returns what a network reads of it."""
        found = lean(features)
        if isinstance(found, SparseFeatures):
            self._sparse.append(found)
            return found
        if self._dense is None:
            population, rows, size = features.shape
            self._dense = features.new_empty((population, self._steps, rows, size))
        self._dense[:, t] = features
        return found

    def whole(self) -> Features:
        """All steps, ``(P, T * N, F)``."""
        return SparseFeatures.joined(self._sparse) if self._dense is None else self._dense.flatten(1, 2)


class Tape:
    """Tensors of each step by name. They are kept as they are, not copied: nobody may write into them."""

    def __init__(self) -> None:
        self._tape: dict[str, list[Tensor]] = {}

    def write(self, name: str, value: Tensor) -> None:
        """Keep the value of the next step."""
        self._tape.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> Tensor:
        """``(T, ...)``."""
        return torch.stack(self._tape[name])

    def host(self, name: str) -> Array:
        """The same as a numpy array."""
        array: Array = self[name].cpu().numpy()
        return array

    def named(self, prefix: str) -> dict[str, Array]:
        """Host arrays of every name that starts with the prefix, without it."""
        return {n.removeprefix(prefix): self.host(n) for n in self._tape if n.startswith(prefix)}


@torch.no_grad()
def collect(
    env: VectorEnvironment,
    network: Network,
    encoder: Encoder,
    observation: Tensor,
    state: dict[str, Tensor],
    *,
    steps: int,
    generators: Sequence[torch.Generator],
    rewarded: Array | None,
    on_step: OnStep | None = None,
) -> tuple[Rollout, dict[str, Tensor]]:
    """Take ``steps`` steps with sampled actions, starting at ``observation`` ``(M, raw)`` and ``state``.

    ``rewarded`` names the rows whose transitions are kept, ``(R,)`` int64; None keeps none. ``on_step`` is told
    of every step.
    Returns the rollout, and the state that goes with its last observation.
    """
    population = network.population
    action_space = network.architecture.action
    envs = observation.shape[0] // population
    noise = draw_noise((steps, envs), action_space, generators, observation.device)
    features, tape = FeatureTape(steps), Tape()
    kept = None if rewarded is None else Kept.of(rewarded, observation)
    for t in range(steps):
        seen = observation.view(population, envs, -1)
        encoder.observe(seen)
        preferences = network.preferences(features.write(t, encoder(seen)))
        sampled = network.distribution(preferences).sample(noise[:, t])
        tape.write("preferences", preferences)
        tape.write("sampled", sampled)
        action = in_bounds(sampled.flatten(0, 1), action_space)
        step = env.step(action)
        if on_step is not None:
            on_step(len(action))
        for name in ("reward", "terminated", "truncated", "success", "final_observation"):
            tape.write(name, getattr(step, name))
        if kept is not None:
            kept.write(tape, state, action, step.next_state)
        observation, state = step.observation, step.state
    action = tape["sampled"].transpose(0, 1)
    policy = network.distribution(tape["preferences"].transpose(0, 1).flatten(1, 2))
    terminated, truncated = tape.host("terminated"), tape.host("truncated")
    return (
        Rollout(
            features=features.whole(),
            action=action,
            log_probability=policy.log_probability(action.flatten(1, 2)).view(population, steps, envs),
            entropy=policy.entropy().mean(1),
            last_observation=observation,
            final_observation=tape["final_observation"],
            native=tape.host("reward"),
            terminated=terminated,
            truncated=truncated,
            success=tape.host("success"),
            transitions=None if kept is None else kept.transitions(tape, terminated, truncated),
        ),
        state,
    )


class Kept(NamedTuple):
    """The rows whose transitions a reward reads."""

    host: Array
    """``(R,)`` int64."""
    rows: Tensor | None
    """The same on the device; None where they are all there are, in order."""

    @classmethod
    def of(cls, rewarded: Array, observation: Tensor) -> Kept:
        """``rewarded`` out of the rows that ``observation`` ``(M, raw)`` has."""
        every = np.array_equal(rewarded, np.arange(len(observation)))
        return cls(rewarded, None if every else torch.from_numpy(rewarded).to(observation.device))

    def write(self, tape: Tape, state: dict[str, Tensor], action: Tensor, next_state: dict[str, Tensor]) -> None:
        """Keep one step of these rows."""
        for name, value in state.items():
            tape.write(f"state.{name}", self._of(value))
        tape.write("action", self._of(action))
        for name, value in next_state.items():
            tape.write(f"next.{name}", self._of(value))

    def transitions(self, tape: Tape, terminated: Array, truncated: Array) -> Transitions:
        """All that was kept; ``terminated`` and ``truncated`` ``(T, M)`` are of all rows."""
        return Transitions(
            state=tape.named("state."),
            action=tape.host("action"),
            next_state=tape.named("next."),
            terminated=terminated[:, self.host],
            truncated=truncated[:, self.host],
        )

    def _of(self, value: Tensor) -> Tensor:
        return value if self.rows is None else value.index_select(0, self.rows)


def in_bounds(action: Tensor, space: Action) -> Tensor:
    """The action that is really taken: continuous ones clipped to the space, where its bounds are known."""
    if space.kind == "discrete" or not space.low:
        return action
    low = torch.tensor(space.low, dtype=action.dtype, device=action.device)
    high = torch.tensor(space.high, dtype=action.dtype, device=action.device)
    return torch.minimum(torch.maximum(action, low), high)
