"""What decoding outcomes costs, beside an explicit reward of the same cost and beside LaRe's own way.

    python -m benchmarks.decoding            three rounds of interleaved trainings, then the table
    python -m benchmarks.decoding --write    and put it into docs/performance.md

Every arm trains the same learners for as many steps and asks for the same numbers of a step: ``explicit`` is paid their
sum, the others what a decoder makes of them; to fit the frozen one at the end is part of it. ``recomputed`` is RRDu as
LaRe's released code has it: states are remembered, every update computes the factors of its steps anew, on the host,
and nothing is frozen.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import tyro
from torch import Tensor

import training.crediting
from benchmarks.machine import commit, machine
from benchmarks.page import put
from designer.jailed import JailedReward
from envs import catalog
from envs.episode import Transitions
from envs.task import TaskSpec
from sandbox.embedded import EmbeddedSandbox
from sandbox.program import RewardProgram
from training.credit.decoder import initial_decoder, losses
from training.credit.pool import CreditPool
from training.credit.settings import Credit
from training.observation import RunningMoments
from training.population import Population
from training.ppo import Adam
from training.result import Learner
from training.reward import RewardAnswer
from training.seeding import generator

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
TASKS = {"doorkey-6x6-episodic": 200_000, "halfcheetah-episodic": 32_768}
"""Env steps of a learner by task; the first as many as in the table of `benchmarks.credit`."""
ARMS = ("explicit", "ridge", "rd", "rrd", "rrdu", "recomputed")


def door_key(state, action, next_state):  # type: ignore[no-untyped-def]
    """Factors of DoorKey."""

    def steps_to(here, target):  # type: ignore[no-untyped-def]
        return np.abs(target - here).sum(axis=-1).astype(np.float32)

    here, there = state["agent_pos"], next_state["agent_pos"]
    holds, is_open = next_state["carrying_type"] == 5, next_state["door_state"] == 0
    return {
        "holds": holds.astype(np.float32),
        "open": is_open.astype(np.float32),
        "to_door": steps_to(here, state["door_pos"]) - steps_to(there, state["door_pos"]),
        "to_goal": steps_to(here, state["goal_pos"]) - steps_to(there, state["goal_pos"]),
    }


def half_cheetah(state, action, next_state):  # type: ignore[no-untyped-def]
    """Factors of HalfCheetah."""
    speed = next_state["torso_velocity_x"]
    return {
        "moving": np.tanh(speed - 0.5),
        "running": np.tanh(speed - 2.0),
        "pitch": np.abs(next_state["torso_angle"]),
        "push": np.abs(action).max(axis=-1),
    }


FACTORS = {"doorkey-6x6-episodic": door_key, "halfcheetah-episodic": half_cheetah}


def program(task_id: str, form: str) -> RewardProgram:
    """The task's factors as a program, explicit or latent."""
    function = FACTORS[task_id]
    lines = [line.split("  # type:")[0] for line in inspect.getsource(function).splitlines()]
    name = "compute_latent" if form == "latent" else "compute_reward"
    source = "import numpy as np\n\n\n" + "\n".join(lines).replace(function.__name__, name) + "\n"
    return RewardProgram(source, "latent" if form == "latent" else "reward")


class Steps:
    """Whole transitions as components, to be remembered in the place of factors."""

    def __init__(self, task: TaskSpec) -> None:
        self._action = 1 if task.action.kind == "discrete" else task.action.size
        self.parts = [(part, f.name, f.shape) for part in ("state", "next_state") for f in task.state]

    def __call__(self, transitions: Transitions) -> RewardAnswer:
        """A component for each number, named so that their order stays."""
        lead = transitions.action.shape[:2]
        columns = [np.asarray(getattr(transitions, part)[name]).reshape(*lead, -1) for part, name, _ in self.parts]
        every = np.concatenate([*columns, transitions.action.reshape(*lead, -1)], -1).astype(np.float32)
        return RewardAnswer(components={f"{i:04d}": every[..., i] for i in range(every.shape[-1])})

    def restart(self) -> None:
        """Nothing is remembered."""

    def factors(self, task_id: str, columns: Tensor) -> Tensor:
        """``(..., F)`` factors of ``(..., C)`` columns, on the host."""
        rows = columns.cpu().numpy().reshape(-1, columns.shape[-1])
        given: dict[str, dict[str, Any]] = {"state": {}, "next_state": {}}
        at = 0
        for part, name, shape in self.parts:
            size = int(np.prod(shape, dtype=int))
            given[part][name] = rows[:, at : at + size].reshape(-1, *shape)
            at += size
        action = rows[:, at:] if self._action > 1 else rows[:, at]
        named = FACTORS[task_id](given["state"], action, given["next_state"])
        told = np.stack([named[name] for name in sorted(named)], -1).astype(np.float32)
        return torch.from_numpy(told.reshape(*columns.shape[:-1], -1)).to(columns.device)


def recomputing(task: TaskSpec) -> type[CreditPool]:
    """A pool that remembers transitions and computes the factors of the sampled steps at every update."""
    steps, width = Steps(task), 4

    class Recomputed(CreditPool):
        def __init__(self, credit: Credit, names: Any, seeds: Sequence[int], **rest: Any) -> None:
            super().__init__(credit, names, seeds, **rest)
            device = rest["device"]
            weights = [generator(seed, "decoder weights") for seed in seeds]
            self._decoder = initial_decoder(width, credit.hidden, weights, device)
            self._adam = Adam(self._decoder.matrices)
            self._moments = RunningMoments(len(seeds), width, device)

        def __call__(self, factors: Tensor, native: Any, ended: Any) -> Tensor:
            self._episodes.add(factors, native, ended)
            told = steps.factors(task.id, factors)
            self._moments.update(told.flatten(1, 2))
            scale = self.scale()
            self._fit(self._credit.updates, scale)
            with torch.no_grad():
                rewards = self._decoder(self._normal(told.flatten(1, 2)))
            return rewards.view(native.shape) * scale[:, None, None]

        def _update(self, method: Any, batch: Any, known: Tensor) -> None:
            told = steps.factors(task.id, batch.inputs)
            rewards = self._decoder(self._normal(told.flatten(1, 2))).view(batch.taken.shape)
            loss = (losses(method, rewards, batch) * known).sum()
            gradients = list(torch.autograd.grad(loss, self._decoder.matrices))
            self._adam.step(self._decoder.matrices, gradients, learning_rate=self._credit.learning_rate, max_norm=1.0)

        def learns(self, learner: int) -> bool:
            return False  # LaRe's code does not look at what its decoder makes of the factors

    return Recomputed


class Arm:
    """One training of all seeds, and what it has taken from its first rollout to its frozen decoder."""

    def __init__(self, task_id: str, arm: str, seeds: Sequence[int], stack: ExitStack) -> None:
        task = catalog.load(task_id)
        self._arm, self._pool = arm, recomputing(task) if arm == "recomputed" else CreditPool
        if arm == "recomputed":
            reward: Any = Steps(task)
        else:
            form = "reward" if arm == "explicit" else "latent"
            reward = stack.enter_context(JailedReward(EmbeddedSandbox(), program(task_id, form)))
        method: Any = "rrdu" if arm == "recomputed" else arm
        credit = None if arm == "explicit" else Credit(method=method)
        learners = [Learner(arm=arm, seed=seed, reward=reward, credit=credit) for seed in seeds]
        self._population = Population(task, learners, env_steps=TASKS[task_id], device="cpu")
        stack.callback(self._population.close)
        reward.restart()
        self.seconds = 0.0

    def advance(self) -> bool:
        """A rollout and what is learned from it, the frozen decoder after the last. False when there is no more."""
        if self._population.done:
            return False
        began = time.perf_counter()
        with patch.object(training.crediting, "CreditPool", self._pool):
            self._population.advance()
        if self._population.done and self._arm != "recomputed":
            self._population.frozen(self._arm)
        self.seconds += time.perf_counter() - began
        return True


def seconds(task_id: str, seeds: Sequence[int]) -> dict[str, float]:
    """Wall time of each arm's training of all seeds; their rollouts alternate.

    So what slows the machine for seconds or minutes slows all arms alike.
    """
    with ExitStack() as stack:
        arms = {arm: Arm(task_id, arm, seeds, stack) for arm in ARMS}
        turn = list(arms.values())
        while turn:
            turn = [arm for arm in turn if arm.advance()]
        return {name: arm.seconds for name, arm in arms.items()}


def table(found: Mapping[str, Mapping[str, Sequence[float]]], seeds: int) -> str:
    """The figures as Markdown."""
    lines = [
        f"{machine()}, commit {commit()}. `python -m benchmarks.decoding --write`; {seeds} learners at once.",
        "",
        "| task, env steps | arm | wall, s, median | over explicit, median of the rounds [least, most] |",
        "|---|---|---|---|",
    ]
    for task, arms in found.items():
        for arm, times in arms.items():
            ratio = np.array(times) / np.array(arms["explicit"])
            told = f"{np.median(ratio):.2f} [{ratio.min():.2f}, {ratio.max():.2f}]"
            lines.append(f"| {task}, {TASKS[task]:,} | {arm} | {np.median(times):.1f} | {told} |")
    return "\n".join(lines)


def main(rounds: int = 3, seeds: int = 5, write: bool = False) -> None:
    """Train every arm, rollout by rollout in turn, and print.

    Args:
        rounds: Trainings of each arm; a first one, which warms up, is not counted.
        seeds: Learners trained at once.
        write: Keep the table.
    """
    torch.set_num_threads(1)
    found: dict[str, dict[str, list[float]]] = {task: {arm: [] for arm in ARMS} for task in TASKS}
    for turn in range(rounds + 1):
        for task in TASKS:
            for arm, took in seconds(task, range(seeds)).items():
                if turn:
                    found[task][arm].append(took)
    print(table(found, seeds))
    if write:
        put(PAGE, "benchmarks.decoding", table(found, seeds))


if __name__ == "__main__":
    tyro.cli(main)
