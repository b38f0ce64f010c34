"""Episodes as they happen: played, recorded, judged and cut into samples for probes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np

from envs.blackbox import THEIRS, calling, explained, load_function
from envs.episode import Array, Episode, Transitions, flat
from envs.errors import UserError
from envs.families import reader
from envs.make import make_env
from envs.task import Fitness, TaskSpec

Policy = Callable[[gymnasium.Env[Any, Any], Any, Mapping[str, Array]], Any]
"""``(env, observation, state) -> action``."""
PROBE_ROWS = 256


@dataclass(slots=True)
class Recorder:
    """Collects one running episode. Give None as observation where it need not be kept."""

    states: list[Mapping[str, Array]] = field(default_factory=list)
    observations: list[Any] = field(default_factory=list)
    actions: list[Any] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def start(self, obs: Any, state: Mapping[str, Array]) -> None:
        """The first observation and state."""
        self.observations.append(copy.deepcopy(obs))
        self.states.append(state)

    def add(self, action: Any, reward: float, obs: Any, state: Mapping[str, Array]) -> None:
        """One step, with what came after it."""
        self.actions.append(action)
        self.rewards.append(reward)
        self.start(obs, state)

    def episode(self, terminated: bool, success: bool, *, observations: bool = True) -> Episode:
        """The episode so far; it counts as truncated where it did not terminate."""
        fields = {name: np.stack([state[name] for state in self.states]) for name in self.states[0]}
        action = np.asarray(self.actions)
        return Episode(
            state={name: values[:-1] for name, values in fields.items()},
            action=action.astype(np.int64 if action.dtype.kind in "iub" else np.float32),
            next_state={name: values[1:] for name, values in fields.items()},
            reward=np.asarray(self.rewards, dtype=np.float32),
            terminated=terminated,
            truncated=not terminated,
            success=success,
            observation=_stacked(self.observations) if observations else None,
        )


def _stacked(observations: list[Any]) -> Array:
    """Observations as one array; of objects where each is a dictionary or a tuple."""
    if isinstance(observations[0], dict | tuple):
        out = np.empty(len(observations), dtype=object)
        out[:] = observations
        return out
    return np.stack([np.asarray(obs) for obs in observations])


def succeeded(fitness: Fitness, last_reward: float, terminated: bool, total: float) -> bool:
    """Whether an episode that ended is a success by the task's rule; ``total`` is its undiscounted return."""
    match fitness.success:
        case "reward_positive":
            return terminated and last_reward > 0
        case "terminated":
            return terminated
        case "return_at_least":
            return total >= (fitness.threshold or 0.0)
    return False


def score_function(task: TaskSpec) -> Callable[[Episode], float] | None:
    """The user's ``--fitness module:function``, or None. It takes an ``Episode`` and returns a finite number.

    The function raises ``UserError`` where the user's code fails or returns anything else.
    """
    path = task.fitness.function
    if path is None:
        return None
    function = load_function(path, "--fitness")

    def score(episode: Episode) -> float:
        with calling(f"--fitness {path}"):
            value = float(function(episode))
        if not np.isfinite(value):
            raise UserError(f"--fitness {path} must return a finite number; it returned {value}")
        return value

    return score


def begin(env: gymnasium.Env[Any, Any], seed: int | None) -> tuple[Any, dict[str, Any]]:
    """``env.reset``. Raises ``UserError`` for whatever the environment itself raises."""
    try:
        return env.reset(seed=seed)
    except THEIRS as error:
        raise explained(f"{_name(env)}: reset", error) from error


def take(env: gymnasium.Env[Any, Any], action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
    """``env.step`` with an allowed action. Raises ``UserError`` for whatever the environment itself raises."""
    try:
        return env.step(act(env, action))
    except THEIRS as error:
        raise explained(f"{_name(env)}: step", error) from error


def _name(env: gymnasium.Env[Any, Any]) -> str:
    return f"the environment {env.spec.id if env.spec else env.unwrapped}"


def allowed(task: TaskSpec, action: Any) -> Any:
    """A task's action, or a batch of them, as it is taken and recorded: codes as they are, numbers in bounds."""
    if task.action.kind == "discrete":
        return action
    low, high = (np.array(bound, dtype=np.float32) for bound in (task.action.low, task.action.high))
    return np.clip(np.asarray(action, dtype=np.float32), low, high)


def act(env: gymnasium.Env[Any, Any], action: Any) -> Any:
    """An allowed action as the environment's own space has it: codes from its start, numbers in its shape."""
    space: Any = env.action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        return int(action) + int(space.start)
    return np.asarray(action, dtype=space.dtype).reshape(space.shape)


def record(
    env: gymnasium.Env[Any, Any], task: TaskSpec, policy: Policy, seed: int, max_steps: int | None = None
) -> Episode:
    """Play one episode from a seeded reset to its end, or to ``max_steps``, which counts as truncation.

    Actions are the task's: a code from 0, or ``(A,)`` numbers, clipped here.
    """
    read, recorder, kept = reader(task), Recorder(), task.fitness.function is not None
    obs, info = begin(env, seed)
    state = read(env, obs, info)
    recorder.start(obs if kept else None, state)
    terminated = truncated = False
    while not (terminated or truncated or len(recorder.actions) == max_steps):
        action = allowed(task, policy(env, obs, state))
        obs, reward, ended, cut, info = take(env, action)
        state = read(env, obs, info)
        terminated, truncated = bool(ended), bool(cut)
        recorder.add(action, float(reward), obs if kept else None, state)
    success = succeeded(task.fitness, recorder.rewards[-1], terminated, sum(recorder.rewards))
    return recorder.episode(terminated, success, observations=kept)


def random_policy(task: TaskSpec, seed: int) -> Policy:
    """Uniform actions from a generator of its own; dimensions without bounds below a million, standard normal."""
    generator = np.random.default_rng(seed)
    if task.action.kind == "discrete":
        return lambda env, obs, state: int(generator.integers(task.action.size))
    low, high = np.array(task.action.low), np.array(task.action.high)
    bounded = (np.abs(low) < 1e6) & (np.abs(high) < 1e6)
    base, span = np.where(bounded, low, 0.0), np.where(bounded, high - low, 0.0)

    def draw(env: gymnasium.Env[Any, Any], obs: Any, state: Mapping[str, Array]) -> Any:
        uniform = base + span * generator.random(len(low))
        return np.where(bounded, uniform, generator.standard_normal(len(low))).astype(np.float32)

    return draw


def random_episodes(task: TaskSpec, episodes: int, seed: int) -> list[Episode]:
    """Episodes of a uniformly random policy, each from a seed of its own."""
    env = make_env(task)
    policy = random_policy(task, seed)
    try:
        return [record(env, task, policy, seed + i) for i in range(episodes)]
    finally:
        env.close()


def probe_samples(
    task: TaskSpec, scripted: Mapping[str, Sequence[Episode]] | None = None, *, seed: int = 0
) -> dict[str, Transitions]:
    """Transitions to ask a program about, by where they come from; each ``(1, B, ...)`` with ``B`` at most 256.

    ``random``: steps of random episodes; ``reset``: first steps; ``episode_end``: last steps; ``goal`` and
    ``failure``: last steps of episodes that succeeded, or terminated without success, where any were seen.
    """
    played = random_episodes(task, 8, seed)
    every = [*played, *(episode for episodes in (scripted or {}).values() for episode in episodes)]
    ends = flat(every)
    last = np.cumsum([len(e) for e in every]) - 1
    first = last + 1 - np.array([len(e) for e in every])
    won = np.array([e.success for e in every])
    lost = np.array([e.terminated and not e.success for e in every])
    steps = np.arange(sum(len(e) for e in played))
    rows = {"random": steps, "reset": first, "goal": last[won], "failure": last[lost], "episode_end": last}
    generator = np.random.default_rng(seed)
    return {origin: _take(ends, generator, index) for origin, index in rows.items() if len(index)}


def _take(batch: Transitions, generator: np.random.Generator, index: Array) -> Transitions:
    if len(index) > PROBE_ROWS:
        index = np.sort(generator.choice(index, PROBE_ROWS, replace=False))
    return Transitions(
        state={name: values[:, index] for name, values in batch.state.items()},
        action=batch.action[:, index],
        next_state={name: values[:, index] for name, values in batch.next_state.items()},
        terminated=batch.terminated[:, index],
        truncated=batch.truncated[:, index],
    )
