"""Who is paid what: each reward function is asked once a rollout for all the learners that share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from envs.episode import Array, Fields, Transitions
from training.credit.decoder import Factors
from training.result import Learner
from training.reward import RewardFailure, RewardFunction, components, paid

Spread = tuple[float, float, float]
"""Mean, min and max of a component, per step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Learners that share one reward function."""

    reward: RewardFunction
    learners: tuple[int, ...]
    """Positions in the population, ascending."""
    decoded: bool
    """Whether what it says are factors, which a decoder makes a reward of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What a rollout pays."""

    reward: Array
    """``(P, T, N)`` float32, before any normalisation; meaningless for learners of a failed reward."""
    components: tuple[dict[str, Spread], ...]
    """For each learner, the components of its reward."""
    failures: dict[str, str]
    """Arm -> why its reward cannot be had."""
    factors: dict[int, Factors]
    """For each learner with a ``Credit``, whose reward is still to be made, what its program said."""


def groups(learners: Sequence[Learner]) -> tuple[Group, ...]:
    """The learners that have a reward function, by function, and by whether what it says is paid or decoded."""
    functions: dict[tuple[int, bool], RewardFunction] = {}
    members: dict[tuple[int, bool], list[int]] = {}
    for position, learner in enumerate(learners):
        if learner.reward is not None:
            key = id(learner.reward), learner.credit is not None
            functions[key] = learner.reward
            members.setdefault(key, []).append(position)
    return tuple(Group(reward=functions[key], learners=tuple(members[key]), decoded=key[1]) for key in functions)


def rewarded_rows(sharing: Sequence[Group], envs: int) -> Array | None:
    """Rows of the environments whose transitions a reward reads, group after group; None for none."""
    learners = np.array([p for group in sharing for p in group.learners], dtype=np.int64)
    if not len(learners):
        return None
    return (learners[:, None] * envs + np.arange(envs)).ravel()


@contextmanager
def paying(
    learners: Sequence[Learner],
    sharing: Sequence[Group],
    native: Array,
    transitions: Transitions | None,
    *,
    gamma: float,
    task_weight: float,
) -> Iterator[Callable[[], Payment]]:
    """Ask what each learner earned in a rollout of ``(T, M)`` native rewards; calling what is given waits for it.

    All rewards are asked at once, each in a thread that mostly waits for a jail of its own: the jails compute side by
    side, and beside what the caller does in the block. ``transitions`` holds the rows of ``rewarded_rows``. Learners
    without a reward function are paid the native reward itself. A reward that fails, or is not finite, ends up in
    ``failures``; other exceptions propagate.
    """
    steps, envs = native.shape[0], native.shape[1] // len(learners)
    by_learner = native.reshape(steps, len(learners), envs)

    def ask(group: Group, first: int) -> Earned | RewardFailure:
        own = _rows(transitions, slice(first, first + len(group.learners) * envs))
        paid_natively = by_learner[:, list(group.learners)].reshape(steps, -1)
        try:
            if group.decoded:
                return np.zeros_like(paid_natively), dict(group.reward(own).components)
            return _ask(group.reward, own, paid_natively, gamma, task_weight)
        except RewardFailure as failure:
            return failure

    firsts = np.cumsum([0, *(len(group.learners) * envs for group in sharing)])[:-1]
    with ThreadPoolExecutor(max(1, len(sharing)), thread_name_prefix="reward") as threads:
        asked = [threads.submit(ask, group, int(first)) for group, first in zip(sharing, firsts, strict=True)]
        yield lambda: _payment(learners, sharing, native, [each.result() for each in asked])


def _payment(
    learners: Sequence[Learner], sharing: Sequence[Group], native: Array, asked: Sequence[Earned | RewardFailure]
) -> Payment:
    steps = native.shape[0]
    envs = native.shape[1] // len(learners)
    by_learner = native.reshape(steps, len(learners), envs)
    reward = by_learner.transpose(1, 0, 2).astype(np.float32)
    spreads: list[dict[str, Spread]] = [{} for _ in learners]
    failures: dict[str, str] = {}
    factors: dict[int, Factors] = {}
    for group, answer in zip(sharing, asked, strict=True):
        members = list(group.learners)
        if isinstance(answer, RewardFailure):
            failures.update({learners[p].arm: str(answer) for p in members})
            continue
        earned, named = answer
        reward[members] = _learner_first(earned, envs)
        for name, values in named.items():
            flat = _learner_first(values, envs).reshape(len(members), -1)
            for p, *spread in zip(members, flat.mean(1), flat.min(1), flat.max(1), strict=True):
                spreads[p][name] = (float(spread[0]), float(spread[1]), float(spread[2]))
        if group.decoded:
            names = tuple(sorted(named))
            every = np.stack([_learner_first(named[name], envs) for name in names], -1)
            factors.update({p: Factors(names, own) for p, own in zip(members, every, strict=True)})
    return Payment(reward=reward, components=tuple(spreads), failures=failures, factors=factors)


Earned = tuple[Array, dict[str, Array]]
"""What a group is paid in all, ``(T, R)``, and the same by component."""


def _ask(reward: RewardFunction, transitions: Transitions, native: Array, gamma: float, task_weight: float) -> Earned:
    answer = reward(transitions)
    total = paid(answer, transitions, native, gamma=gamma, task_weight=task_weight)
    if total.shape != native.shape or not np.isfinite(total).all():
        raise RewardFailure(f"the reward must be finite numbers of shape {native.shape}")
    return total, components(answer, transitions, gamma)


def _rows(transitions: Transitions | None, rows: slice) -> Transitions:
    if transitions is None:
        raise ValueError("a reward function needs the transitions of its learners")

    def cut(fields: Fields) -> dict[str, Array]:
        return {name: values[:, rows] for name, values in fields.items()}

    return Transitions(
        state=cut(transitions.state),
        action=transitions.action[:, rows],
        next_state=cut(transitions.next_state),
        terminated=transitions.terminated[:, rows],
        truncated=transitions.truncated[:, rows],
    )


def _learner_first(values: Array, envs: int) -> Array:
    """``(T, K * N)`` as contiguous ``(K, T, N)``: a learner's sum never depends on its companions."""
    by_learner = values.reshape(values.shape[0], -1, envs).transpose(1, 0, 2)
    return np.ascontiguousarray(by_learner, dtype=np.float32)
