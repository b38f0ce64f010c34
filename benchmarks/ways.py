"""Ways to step and to train, ours and others', each as a function that does one round of work and counts its steps.

A way is made once (imports, environments, compilation), then asked for a round again and again; only rounds are timed.
Imports stand inside the functions: each process loads one way's packages.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

Round = Callable[[], int]
"""Does one round of work; returns how many environment steps it was."""

TASK = "doorkey-8x8"
ENVIRONMENT = "MiniGrid-DoorKey-8x8-v0"
PROGRAMS = Path(__file__).parent / "results" / "offline_programs.json"
CANDIDATES, SEEDS, ENVS, STEPS, EPOCHS, MINIBATCHES = 8, 3, 16, 128, 4, 4
HIDDEN = 64


def stepping(env: Any, actions: Any) -> Round:
    """One action after another, ``(T, M)`` in all."""
    env.reset()

    def one() -> int:
        for action in actions:
            env.step(action)
        return int(actions.shape[0] * actions.shape[1])

    return one


def environments(count: int, steps: int) -> Round:
    """Our simulator under random actions: the 7x7 view and every field of the state schema at each step."""
    import torch

    from envs import catalog
    from envs.make_vector import make_vector

    actions = torch.randint(0, 7, (steps, count), generator=torch.Generator().manual_seed(0))
    return stepping(make_vector(catalog.load(TASK), range(count)), actions)


def sync_environments(count: int, steps: int) -> Round:
    """MiniGrid's own environments in Gymnasium's ``SyncVectorEnv``."""
    import gymnasium
    import minigrid.wrappers
    import numpy as np

    def make() -> Any:
        return minigrid.wrappers.ImgObsWrapper(gymnasium.make(ENVIRONMENT))

    actions = np.random.default_rng(0).integers(0, 7, (steps, count))
    return stepping(gymnasium.vector.SyncVectorEnv([make] * count), actions)


def envpool_environments(count: int, steps: int) -> Round:
    """EnvPool's MiniGrid in C++, on one thread."""
    import envpool
    import numpy as np

    env = envpool.make(ENVIRONMENT, env_type="gymnasium", num_envs=count, num_threads=1)
    return stepping(env, np.random.default_rng(0).integers(0, 7, (steps, count)).astype(np.int32))


def population(candidates: int, seeds: int, envs: int, *, jailed: bool, rollouts: int) -> Round:
    """Our trainer: ``candidates`` times ``seeds`` learners at once, each candidate with a generated program of its own.

    Without ``jailed`` the learners are paid the native reward.
    """
    from dataclasses import replace

    from designer.jailed import JailedReward
    from envs import catalog
    from sandbox.embedded import EmbeddedSandbox
    from sandbox.program import RewardProgram
    from training.population import Population
    from training.result import Learner

    task = catalog.load(TASK)
    settings = replace(task.ppo, envs=envs, steps=STEPS, epochs=EPOCHS, minibatches=MINIBATCHES)
    task = replace(task, ppo=settings)
    rewards: list[JailedReward | None] = [None] * candidates
    if jailed:
        sandbox = EmbeddedSandbox()
        sources = [kept["source"] for kept in json.loads(PROGRAMS.read_text(encoding="utf-8"))]
        rewards = [JailedReward(sandbox, RewardProgram(sources[i])) for i in range(candidates)]
    learners = [Learner(arm=str(i), seed=s, reward=rewards[i]) for i in range(candidates) for s in range(seeds)]
    trained = Population(task, learners, env_steps=10**9, device="cpu")

    def one() -> int:
        before = trained.env_steps
        for _ in range(rollouts):
            trained.advance()
        return trained.env_steps - before

    return one


def stable_baselines(envs: int, *, matched: bool, steps: int) -> Round:
    """Stable-Baselines3's PPO: its default update, or ours (the same epochs, minibatches and network sizes)."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    from benchmarks.sb3 import flat_view

    env = DummyVecEnv([partial(flat_view, ENVIRONMENT, seed) for seed in range(envs)])
    update: dict[str, Any] = {"n_steps": STEPS, "batch_size": envs * STEPS // MINIBATCHES, "n_epochs": EPOCHS}
    kwargs = {"net_arch": [HIDDEN, HIDDEN]}
    model = PPO("MlpPolicy", env, device="cpu", policy_kwargs=kwargs, **(update if matched else {"n_steps": 512}))

    def one() -> int:
        before = model.num_timesteps
        model.learn(steps, reset_num_timesteps=False)
        return int(model.num_timesteps - before)

    return one


def navix(learners: int, *, epochs: int, rollouts: int) -> Round:
    """Navix's own PPO in JAX on its first-person view, ``learners`` seeds mapped into one program."""
    import jax
    import jax.numpy as jnp
    import navix as nx
    from navix.agents.models import ActorCritic
    from navix.agents.ppo import PPO, PPOHparams

    env = nx.make("Navix-DoorKey-8x8-v0", observation_fn=nx.observations.symbolic_first_person)
    see, space = env.observation_fn, env.observation_space
    env = env.replace(
        observation_fn=lambda state: jnp.ravel(see(state)).astype(jnp.float32),
        observation_space=space.replace(shape=(math.prod(space.shape),)),
    )
    settings = PPOHparams(
        budget=rollouts * ENVS * STEPS,
        num_envs=ENVS,
        num_steps=STEPS,
        num_minibatches=MINIBATCHES,
        num_epochs=epochs,
        anneal_lr=False,
    )
    agent = PPO(hparams=settings, network=ActorCritic(action_dim=len(env.action_set)), env=env)
    train = jax.jit(jax.vmap(agent.train))
    keys = jax.random.split(jax.random.PRNGKey(0), learners)

    def one() -> int:
        jax.block_until_ready(train(keys))
        return learners * settings.budget

    one()
    return one


WAYS: dict[str, Callable[[], Round]] = {
    **{f"env: ours, {n}": partial(environments, n, max(16, 2**17 // n)) for n in (1024, 4096, 8192)},
    **{f"env: SyncVectorEnv, {n}": partial(sync_environments, n, 2048 // n) for n in (8, 16)},
    "env: EnvPool, 1024": partial(envpool_environments, 1024, 128),
    "ppo: ours, 24 jailed": partial(population, CANDIDATES, SEEDS, ENVS, jailed=True, rollouts=2),
    "ppo: ours, 24 native": partial(population, CANDIDATES, SEEDS, ENVS, jailed=False, rollouts=2),
    "ppo: ours, 1 native": partial(population, 1, 1, ENVS, jailed=False, rollouts=8),
    "ppo: ours, 1 native, 8 environments": partial(population, 1, 1, 8, jailed=False, rollouts=8),
    "ppo: SB3, same update, 16": partial(stable_baselines, ENVS, matched=True, steps=2 * ENVS * STEPS),
    "ppo: SB3, same update, 8": partial(stable_baselines, 8, matched=True, steps=2 * 8 * STEPS),
    "ppo: SB3, its defaults, 8": partial(stable_baselines, 8, matched=False, steps=8 * 512),
    "ppo: Navix, 24": partial(navix, CANDIDATES * SEEDS, epochs=EPOCHS, rollouts=2),
}
"""Every way by name."""
