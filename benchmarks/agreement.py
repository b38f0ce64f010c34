"""Do our learning curves agree with Stable-Baselines3's under the same settings?

    python -m benchmarks.agreement            print the table (needs benchmarks/requirements.txt)
    python -m benchmarks.agreement --write    and put it into docs/performance.md

Both sides get the same network (ReLU), the same features, the same normalisation of observations and rewards and the
same update; seeds are different random streams on both sides. A curve is cut into five parts of equal length; the
figures are interquartile means over seeds with 95 % bootstrap intervals.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks.machine import commit, machine
from benchmarks.page import put

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
TASKS = ("cartpole", "acrobot", "doorkey-5x5")
PARTS = 5
Ended = list[tuple[int, float]]
"""Env steps of the learner when an episode ended, and what it was worth: its return, or 1 for a success."""


def parts(ended: Ended, env_steps: int) -> list[float]:
    """Mean worth of the episodes that ended in each part of a training; a part without one goes on with the last."""
    found: list[float] = []
    for part in range(PARTS):
        first, last = env_steps * part / PARTS, env_steps * (part + 1) / PARTS
        worth = [value for step, value in ended if first < step <= last]
        found.append(float(np.mean(worth)) if worth else (found[-1] if found else 0.0))
    return found


def ours(task_id: str, seeds: list[int]) -> list[list[float]]:
    """Curves of all seeds, trained at once."""
    import torch

    from envs import catalog
    from training.population import Population
    from training.result import Learner

    torch.set_num_threads(1)
    task = catalog.load(task_id)
    envs = task.ppo.envs
    population = Population(
        task, [Learner(arm=str(s), seed=s, reward=None) for s in seeds], env_steps=task.env_steps, device="cpu"
    )
    ended: list[Ended] = [[] for _ in seeds]
    returns, steps = np.zeros(len(seeds) * envs), 0
    step = population._env.step

    def watched(action: Any) -> Any:
        nonlocal steps
        found = step(action)
        steps += envs
        returns[:] += found.reward.numpy()
        for row in (found.terminated | found.truncated).nonzero().view(-1).tolist():
            worth = float(found.success[row]) if task.fitness.kind == "success_rate" else float(returns[row])
            ended[row // envs].append((steps, worth))
            returns[row] = 0
        return found

    population._env.step = watched  # type: ignore[method-assign]
    while not population.done:
        population.advance()
    return [parts(each, task.env_steps) for each in ended]


def sb3(task_id: str, seed: int) -> list[float]:
    """One seed's curve."""
    import gymnasium
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

    from benchmarks.sb3 import encoded_view, ppo
    from envs import catalog

    torch.set_num_threads(1)
    task = catalog.load(task_id)
    settings, grid = task.ppo, task.extractor == "grid"
    ended: Ended = []

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            for info in self.locals["infos"]:
                if "episode" in info:
                    told = info["episode"]["r"]
                    worth = float(told > 0) if task.fitness.kind == "success_rate" else float(told)
                    ended.append((self.num_timesteps, worth))
            return True

    def make(i: int) -> Any:
        env = encoded_view(task.env_id) if grid else gymnasium.make(task.env_id, max_episode_steps=task.episode_steps)
        env.reset(seed=1000 * seed + i)
        return env

    env = VecNormalize(
        VecMonitor(DummyVecEnv([partial(make, i) for i in range(settings.envs)])),
        norm_obs=settings.normalize_observation,
        gamma=settings.gamma,
        clip_reward=settings.reward_clip,
    )
    model = ppo(task, env, seed, activation_fn=torch.nn.ReLU)
    model.learn(task.env_steps, callback=Watch())
    return parts(ended, task.env_steps)


def told(values: list[float]) -> str:
    """An interquartile mean with its interval."""
    from training.statistics import summary

    found = summary(values)
    return f"{found['iqm']:.3g} [{found['low']:.3g}, {found['high']:.3g}]"


def main(seeds: int = 8, tasks: tuple[str, ...] = TASKS, write: bool = False) -> None:
    """Measure and print.

    Args:
        seeds: Trainings on each side.
        tasks: Task ids.
        write: Keep the table.
    """
    titles = [f"{100 * part // PARTS} to {100 * (part + 1) // PARTS} %" for part in range(PARTS)]
    lines = [
        f"{machine()}, commit {commit()}, {seeds} seeds. `python -m benchmarks.agreement --write`",
        "",
        f"| task | side | {' | '.join(titles)} | whole curve |",
        "|---|---|" + "---|" * (PARTS + 1),
    ]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as workers:
        for task_id in tasks:
            mine = workers.submit(ours, task_id, list(range(seeds)))
            theirs = list(workers.map(partial(sb3, task_id), range(seeds)))
            curves = {"ours": mine.result(), "SB3": theirs}
            for side, found in curves.items():
                cells = [told([curve[part] for curve in found]) for part in range(PARTS)]
                cells.append(told([float(np.mean(curve)) for curve in found]))
                lines.append(f"| {task_id} | {side} | {' | '.join(cells)} |")
                print(lines[-1], file=sys.stderr)
    print("\n".join(lines))
    if write:
        put(PAGE, "benchmarks.agreement", "\n".join(lines))


if __name__ == "__main__":
    tyro.cli(main)
