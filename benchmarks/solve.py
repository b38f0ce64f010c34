"""How long until 24 trainings have solved a task: ours all at once, Stable-Baselines3's one after another.

    python -m benchmarks.solve            print the table (needs benchmarks/requirements.txt)
    python -m benchmarks.solve --write    and put it into docs/performance.md, and the figures into results/

Both sides use two processes of one thread, side by side; each process has a dozen seeds. A training is solved when 90 %
of its last 50 episodes were successes and 90 % of 100 held-out episodes are; the second question is asked, and its time
counted, whenever the first is met. A training that is not solved within the cap counts with the cap. Start-up is not
counted. The sides take turns.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro

from benchmarks.machine import commit, machine
from benchmarks.page import put
from benchmarks.speed import ONE_THREAD, ROOT
from benchmarks.ways import EPOCHS, MINIBATCHES, STEPS

RESULTS = Path(__file__).resolve().parent / "results" / "solve.json"
PAGE = ROOT / "docs" / "performance.md"
TRAININGS, PROCESSES, ENVS = 24, 2, 16
CAP = 300_000
WANTED, HELD_OUT = 0.9, 100
Side = Literal["ours", "sb3"]
Act = Callable[[Any], Any]


def held_out_success(task: Any, act: Act, seed: int) -> float:
    """Success rate of a policy, ``(M, 56)`` observations to ``(M,)`` actions, in held-out episodes of a seed."""
    import torch

    from envs.make_vector import make_vector

    env = make_vector(task, [seed * HELD_OUT + i for i in range(HELD_OUT)], split="test")
    observation, _ = env.reset()
    playing, success = torch.ones(HELD_OUT, dtype=torch.bool), torch.zeros(HELD_OUT, dtype=torch.bool)
    while bool(playing.any()):
        step = env.step(act(observation))
        ended = (step.terminated | step.truncated) & playing
        success |= ended & step.success
        playing &= ~ended
        observation = step.observation
    return float(success.float().mean())


def ours(task: Any, seeds: list[int], program: str | None, cap: int) -> list[dict[str, float]]:
    """All seeds in one population; who has solved the task leaves it."""
    from contextlib import ExitStack

    import torch

    from designer.jailed import JailedReward
    from sandbox.embedded import EmbeddedSandbox
    from sandbox.program import RewardProgram
    from training.evaluate import architecture
    from training.network import load_network
    from training.observation import GridEncoder
    from training.population import Population
    from training.result import Learner

    look = GridEncoder("cpu")
    noise = torch.Generator().manual_seed(0)

    def act(network: Any, observation: Any) -> Any:
        policy = network.policy(look(observation[None]))
        return policy.sample(torch.rand((1, len(observation)), generator=noise))[0]

    found = {}
    with ExitStack() as stack:
        reward = stack.enter_context(JailedReward(EmbeddedSandbox(), RewardProgram(program))) if program else None
        learners = [Learner(arm=str(seed), seed=seed, reward=reward) for seed in seeds]
        population = Population(task, learners, env_steps=cap, device="cpu")
        steps = 0
        while not population.done:
            population.advance()
            steps += ENVS * STEPS
            solved = {}
            for p, (learner, recent) in enumerate(zip(population.learners, population.recent_success(), strict=True)):
                if recent is not None and recent >= WANTED:
                    network = load_network(architecture(task, look), [population.weights(p)], "cpu")
                    with torch.no_grad():
                        success = held_out_success(task, partial(act, network), learner.seed)
                    if success >= WANTED:
                        solved[p] = None
                        found[learner.seed] = {"seed": learner.seed, "steps": steps, "solved": 1.0}
            if solved:
                population.drop(solved)
    return [found.get(seed, {"seed": seed, "steps": cap, "solved": 0.0}) for seed in seeds]


def sb3(task: Any, seeds: list[int], program: str | None, cap: int) -> list[dict[str, float]]:
    """One training after another, with the task's own settings."""
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    from benchmarks.sb3 import flat, flat_view, ppo
    from envs.grid.cells import drawn

    class UntilSolved(BaseCallback):
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.seed, self.solved = seed, False
            self.recent: deque[bool] = deque(maxlen=50)

        def _on_step(self) -> bool:
            for done, info, reward in zip(
                self.locals["dones"], self.locals["infos"], self.locals["rewards"], strict=True
            ):
                if done:
                    self.recent.append(bool(info.get("native", reward) > 0))
            if self.num_timesteps % (ENVS * STEPS) == 0 and len(self.recent) and np.mean(self.recent) >= WANTED:
                self.solved = held_out_success(task, self.act, self.seed) >= WANTED
            return not self.solved

        def act(self, observation: Any) -> Any:
            action, _ = self.model.predict(flat(*drawn(observation.numpy())), deterministic=False)
            return torch.from_numpy(action)

    found = []
    for seed in seeds:
        paid = partial(flat_view, task.env_id, paid=task if program else None)
        envs = DummyVecEnv([partial(paid, seed=1000 * seed + i) for i in range(ENVS)])
        # Rewards are scaled as ours are: without that a potential's sizes are not those that its settings fit.
        scaled = VecNormalize(envs, norm_obs=False, gamma=task.ppo.gamma, clip_reward=task.ppo.reward_clip)
        model = ppo(task, scaled, seed)
        watch = UntilSolved(seed)
        model.learn(cap, callback=watch)
        steps = model.num_timesteps if watch.solved else cap
        found.append({"seed": seed, "steps": steps, "solved": float(watch.solved)})
    return found


def work(side: Side, task_id: str, human: bool, seeds: list[int], cap: int) -> None:
    """One process of a side: imports, then waits for a line, then trains."""
    import torch

    from envs import catalog

    torch.set_num_threads(1)
    task = catalog.load(task_id)
    settings = replace(task.ppo, envs=ENVS, steps=STEPS, epochs=EPOCHS, minibatches=MINIBATCHES)
    task = replace(task, ppo=settings)
    program = task.human_source() if human else None
    held_out_success(task, lambda observation: torch.zeros(len(observation), dtype=torch.int64), 0)
    print("{}", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    found = {"ours": ours, "sb3": sb3}[side](task, seeds, program, cap)
    print(json.dumps({"wall": time.perf_counter() - began, "trainings": found}), flush=True)


def one_side(side: Side, task_id: str, human: bool, cap: int = CAP) -> dict[str, Any]:
    """Both processes of a side, from the first line to the last answer."""
    import os

    processes = []
    for share in range(PROCESSES):
        seeds = list(range(share, TRAININGS, PROCESSES))
        code = f"from benchmarks.solve import work; work({side!r}, {task_id!r}, {human!r}, {seeds!r}, {cap})"
        pipe = subprocess.PIPE
        env = {**os.environ, **ONE_THREAD}
        processes.append(
            subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=env)
        )
    for process in processes:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "{}":
            if process.poll() is not None:
                raise SystemExit(f"{side} ended with {process.returncode}: what it said stands above")
    began = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    trainings = []
    for process in processes:
        assert process.stdout is not None
        trainings += next(json.loads(line) for line in process.stdout if line.startswith("{"))["trainings"]
    return {"wall": time.perf_counter() - began, "trainings": trainings}


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        f"{found['machine']}, commit {found['commit']}. `python -m benchmarks.solve --write`",
        "",
        "| task, reward | side | wall, s | solved | steps until solved, median [quartiles], unsolved at the cap |",
        "|---|---|---|---|---|",
    ]
    for case in found["cases"]:
        for side in ("ours", "sb3"):
            for each in case[side]:
                steps = [t["steps"] for t in each["trainings"]]
                solved = sum(t["solved"] for t in each["trainings"])
                low, middle, high = np.quantile(steps, [0.25, 0.5, 0.75])
                lines.append(
                    f"| {case['task']}, {case['reward']} | {side} | {each['wall']:.0f} | {solved:.0f} of "
                    f"{len(steps)} | {middle:,.0f} [{low:,.0f}, {high:,.0f}] |"
                )
        ratio = statistics.median(e["wall"] for e in case["sb3"]) / statistics.median(e["wall"] for e in case["ours"])
        lines.append(f"| {case['task']}, {case['reward']} | SB3's wall time over ours | {ratio:.1f} | | |")
    return "\n".join(lines)


def main(rounds: int = 1, tasks: tuple[str, ...] = ("doorkey-5x5", "doorkey-8x8:human"), write: bool = False) -> None:
    """Measure and print.

    Args:
        rounds: How often each side trains all of them.
        tasks: Task ids; with ``:human`` behind for the hand-written potential on both sides.
        write: Keep the figures and the table.
    """
    found: dict[str, Any] = {"machine": machine(), "commit": commit(), "cases": []}
    for name in tasks:
        task_id, _, reward = name.partition(":")
        case: dict[str, Any] = {"task": task_id, "reward": reward or "native", "ours": [], "sb3": []}
        for _ in range(rounds):
            for side in ("ours", "sb3"):
                case[side].append(one_side(side, task_id, reward == "human"))
                print(f"{name} {side}: {case[side][-1]['wall']:.0f} s", file=sys.stderr)
        found["cases"].append(case)
    print(table(found))
    if write:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        put(PAGE, "benchmarks.solve", table(found))


if __name__ == "__main__":
    tyro.cli(main)
