"""Whether a team's decoder tells who earned an outcome: an agent that does nothing should get less credit.

    python -m benchmarks.contribution            train, freeze each agent in turn, print
    python -m benchmarks.contribution --write    and put it into docs/performance.md

On ``simple-spread-episodic`` policies are trained from outcomes alone, by the hand-written latents and by a decoder on
raw inputs. Then they act in held-out episodes in which one agent never pushes itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tyro

from benchmarks.credit import programs
from benchmarks.machine import commit, machine
from benchmarks.page import put

if TYPE_CHECKING:
    from envs.episode import Array
    from envs.task import TaskSpec
    from training.reward import RewardFunction

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
TASK = "simple-spread-episodic"
STILL = 0
"""The action that pushes nowhere."""


def credits(
    task: TaskSpec, weights: Mapping[str, Array], seed: int, reward: RewardFunction, episodes: int, frozen: int | None
) -> Array:
    """What each agent is paid in each episode, ``(E, agents)``, while agent ``frozen`` stands still."""
    import torch

    from envs.episode import Transitions
    from envs.make_vector import make_vector
    from training.evaluate import Actors
    from training.seeding import derive

    rows = episodes * task.agents
    env = make_vector(task, [derive(seed, "held-out rows", i) for i in range(rows)], split="test")
    actors = Actors(task, [weights], [seed], rows, env.observation, "cpu")
    observation, state = env.reset()
    steps: list[tuple[dict[str, Array], Array, dict[str, Array]]] = []
    for _ in range(task.episode_steps):
        action = actors.act(torch.arange(rows), observation)
        if frozen is not None:
            action[frozen :: task.agents] = STILL
        before = {name: value.numpy().copy() for name, value in state.items()}
        step = env.step(action)
        steps.append((before, action.numpy().copy(), {n: v.numpy().copy() for n, v in step.next_state.items()}))
        observation, state = step.observation, step.state
    env.close()
    ended = np.zeros((len(steps), rows), dtype=bool)
    ended[-1] = True
    walked = Transitions(
        state={name: np.stack([s[0][name] for s in steps]) for name in steps[0][0]},
        action=np.stack([s[1] for s in steps]),
        next_state={name: np.stack([s[2][name] for s in steps]) for name in steps[0][2]},
        terminated=np.zeros_like(ended),
        truncated=ended,
    )
    reward.restart()
    paid: Array = reward(walked).components["decoded"].sum(0)
    return paid.reshape(episodes, task.agents)


def measured(seeds: Sequence[int], env_steps: int, episodes: int) -> dict[str, Any]:
    """For each decoder and frozen agent, by seed: mean credit of that agent, frozen and free, and of its team-mates.

    Every seed has a policy and a decoder of its own.
    """
    import torch

    from designer.jailed import JailedReward
    from envs import catalog
    from sandbox.embedded import EmbeddedSandbox
    from sandbox.program import RewardProgram
    from training.credit.frozen import FrozenReward
    from training.credit.raw_inputs import RawInputs
    from training.credit.settings import Credit
    from training.payment import groups
    from training.population import Population
    from training.result import Learner

    torch.set_num_threads(1)
    task = catalog.load(TASK)
    found: dict[str, Any] = {}
    program = RewardProgram(programs()[TASK]["hand"]["source"], "latent")
    with JailedReward(EmbeddedSandbox(), program) as jailed:
        arms = {"hand-ridge": (jailed, Credit()), "raw-rrdu": (RawInputs(task.action), Credit(method="rrdu"))}
        for name, (reward, credit) in arms.items():
            learners = [Learner(arm=f"{name} {seed}", seed=seed, reward=reward, credit=credit) for seed in seeds]
            population = Population(task, learners, env_steps=env_steps, device="cpu")
            for group in groups(learners):
                group.reward.restart()
            while not population.done:
                population.advance()
            policies = [one.weights for one in population.finished()]
            decoders = [population.frozen(learner.arm) for learner in learners]
            population.close()
            for seed, policy, decoder in zip(seeds, policies, decoders, strict=True):
                assert decoder is not None, "no episode ended"
                frozen = FrozenReward(reward, decoder.weights)
                free = credits(task, policy, seed, frozen, episodes, None).mean(0)
                for agent in range(task.agents):
                    paid = credits(task, policy, seed, frozen, episodes, agent).mean(0)
                    told = found.setdefault(f"{name}, agent {agent} frozen", {"own": [], "free": [], "mates": []})
                    told["own"].append(float(paid[agent]))
                    told["free"].append(float(free[agent]))
                    told["mates"].append(float(np.delete(paid, agent).mean()))
    return found


def table(found: Mapping[str, Any], env_steps: int, episodes: int) -> str:
    """The figures as Markdown."""
    lines = [
        f"{machine()}, commit {commit()}. `python -m benchmarks.contribution --write`; {env_steps:,} steps of agents, "
        f"{episodes} episodes a seed.",
        "",
        "| decoder | its credit, free | frozen | its team-mates' then | frozen less mates [95 % interval over seeds] |",
        "|---|---|---|---|---|",
    ]
    rng = np.random.default_rng(0)
    for name, told in found.items():
        own, mates = np.array(told["own"]), np.array(told["mates"])
        drawn = (own - mates)[rng.integers(0, len(own), (10_000, len(own)))].mean(1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        gap = f"{(own - mates).mean():.3g} [{low:.3g}, {high:.3g}]"
        lines.append(f"| {name} | {np.mean(told['free']):.3g} | {own.mean():.3g} | {mates.mean():.3g} | {gap} |")
    return "\n".join(lines)


def main(seeds: int = 5, env_steps: int = 100_000, episodes: int = 200, write: bool = False) -> None:
    """Train, freeze each agent in turn, and print.

    Args:
        seeds: Seeds, from 0.
        env_steps: Steps of agents in a training.
        episodes: Held-out episodes of a seed.
        write: Keep the table.
    """
    found = measured(range(seeds), env_steps, episodes)
    print(table(found, env_steps, episodes))
    if write:
        put(PAGE, "benchmarks.contribution", table(found, env_steps, episodes))


if __name__ == "__main__":
    tyro.cli(main)
