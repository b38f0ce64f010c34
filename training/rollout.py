"""Acting in the training environments for one rollout, and what that leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from envs.episode import Array, Transitions
from envs.task import Action
from envs.vector import Step, VectorEnvironment
from training.network import Features, Network, draw_noise
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
    """Tensors of each step, copied into one ``(T, ...)`` tensor a name."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._tape: dict[str, Tensor] = {}

    def write(self, t: int, name: str, value: Tensor) -> None:
        """Copy ``value`` into place ``t``."""
        if name not in self._tape:
            self._tape[name] = torch.empty((self._steps, *value.shape), dtype=value.dtype, device=value.device)
        self._tape[name][t] = value

    def __getitem__(self, name: str) -> Tensor:
        return self._tape[name]

    def host(self, name: str) -> Array:
        """The tensor as a numpy array."""
        array: Array = self._tape[name].cpu().numpy()
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
    rewarded: Tensor | None,
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
    features, tape = FeatureTape(steps), Tape(steps)
    for t in range(steps):
        seen = observation.view(population, envs, -1)
        encoder.observe(seen)
        policy = network.policy(features.write(t, encoder(seen)))
        sampled = policy.sample(noise[:, t])
        tape.write(t, "sampled", sampled)
        tape.write(t, "log_probability", policy.log_probability(sampled))
        tape.write(t, "entropy", policy.entropy())
        action = in_bounds(sampled.flatten(0, 1), action_space)
        step = env.step(action)
        if on_step is not None:
            on_step(len(action))
        _write_step(tape, t, step, action, state, rewarded)
        observation, state = step.observation, step.state
    return (
        Rollout(
            features=features.whole(),
            action=tape["sampled"].transpose(0, 1),
            log_probability=tape["log_probability"].transpose(0, 1),
            entropy=tape["entropy"].transpose(0, 1).flatten(1).mean(1),
            last_observation=observation,
            final_observation=tape["final_observation"],
            native=tape.host("native"),
            terminated=tape.host("terminated"),
            truncated=tape.host("truncated"),
            success=tape.host("success"),
            transitions=None if rewarded is None else _transitions(tape, rewarded),
        ),
        state,
    )


def in_bounds(action: Tensor, space: Action) -> Tensor:
    """The action that is really taken: continuous ones clipped to the space, where its bounds are known."""
    if space.kind == "discrete" or not space.low:
        return action
    low = torch.tensor(space.low, dtype=action.dtype, device=action.device)
    high = torch.tensor(space.high, dtype=action.dtype, device=action.device)
    return torch.minimum(torch.maximum(action, low), high)


def _write_step(
    tape: Tape, t: int, step: Step, action: Tensor, state: dict[str, Tensor], rewarded: Tensor | None
) -> None:
    tape.write(t, "native", step.reward)
    tape.write(t, "terminated", step.terminated)
    tape.write(t, "truncated", step.truncated)
    tape.write(t, "success", step.success)
    tape.write(t, "final_observation", step.final_observation)
    if rewarded is None:
        return
    tape.write(t, "action", action[rewarded])
    for name, value in state.items():
        tape.write(t, f"state.{name}", value[rewarded])
    for name, value in step.next_state.items():
        tape.write(t, f"next.{name}", value[rewarded])


def _transitions(tape: Tape, rewarded: Tensor) -> Transitions:
    rows = rewarded.cpu().numpy()
    return Transitions(
        state=tape.named("state."),
        action=tape.host("action"),
        next_state=tape.named("next."),
        terminated=tape.host("terminated")[:, rows],
        truncated=tape.host("truncated")[:, rows],
    )
