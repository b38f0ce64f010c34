"""Scripted agents of MiniGrid environments, recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import gymnasium

from envs.episode import Episode
from envs.families import reader
from envs.make import make_env
from envs.record import Recorder, succeeded
from envs.scripted.grid_plan import NoPlan, make_plan
from envs.scripted.grid_scripts import Script, exploits, solutions
from envs.task import TaskSpec

Played = tuple[Mapping[str, Episode], Mapping[str, Episode]]


def play(task: TaskSpec, seeds: Iterable[int]) -> Iterator[Played]:
    """From each start, the episodes of the solutions and of the exploits by behaviour.

    A script that came out otherwise than its role says is left out. Raises ``NoPlan`` where the planner does not know
    how to solve a start.
    """
    env = make_env(task)
    try:
        world: Any = env.unwrapped
        # Scripted agents look at the world itself; the drawn view is most of what a step costs.
        world.gen_obs = dict
        for seed in seeds:
            yield _play_one(task, env, seed)
    finally:
        env.close()


def _play_one(task: TaskSpec, env: gymnasium.Env[Any, Any], seed: int) -> Played:
    world: Any = env.unwrapped
    limit = min(task.episode_steps, world.max_steps)
    world.reset(seed=seed)
    plan = make_plan(world)
    if len(plan.actions) > limit:
        raise NoPlan(f"the plan takes {len(plan.actions)} steps, the time limit is {limit}")
    world.reset(seed=seed)
    solving = solutions(world, plan, limit)
    world.reset(seed=seed)
    idling = dict(exploits(world, plan, limit, seed))
    won = {name: _record(task, env, script, seed, limit) for name, script in solving.items()}
    lost = {name: _record(task, env, script, seed, limit) for name, script in idling.items()}
    return (
        {name: episode for name, episode in won.items() if episode.success},
        {name: episode for name, episode in lost.items() if not episode.success},
    )


def _record(task: TaskSpec, env: gymnasium.Env[Any, Any], script: Script, seed: int, limit: int) -> Episode:
    """Run a script from its start to the episode's end or the time limit.

    A world that is unchanged after one pass of the loop goes on for ever as it did, so the rest is copied.
    """
    read, recorder, world = reader(task), Recorder(), env.unwrapped
    world.reset(seed=seed)
    recorder.start(None, read(env, None, {}))
    terminated = _take(env, recorder, read, script.prefix[:limit])
    while not terminated and len(recorder.actions) < limit:
        before, since = _fingerprint(world), len(recorder.actions)
        terminated = _take(env, recorder, read, script.loop[: limit - since])
        if not terminated and _fingerprint(world) == before:
            _repeat(recorder, since, limit)
    last, total = recorder.rewards[-1], sum(recorder.rewards)
    success = succeeded(task.fitness, last, terminated, total)
    return recorder.episode(terminated, success, observations=False)


def _take(env: gymnasium.Env[Any, Any], recorder: Recorder, read: Any, actions: tuple[int, ...]) -> bool:
    """Take the actions until one ends the episode; whether it did."""
    world: Any = env.unwrapped
    for action in actions:
        _, reward, terminated, _, _ = world.step(action)
        recorder.add(action, float(reward), None, read(env, None, {}))
        if terminated:
            return True
    return False


def _fingerprint(world: Any) -> tuple[Any, ...]:
    """All of a world that its dynamics depend on."""
    held = world.carrying
    carried = None if held is None else (held.type, held.color)
    return (*map(int, world.agent_pos), int(world.agent_dir), carried, world.grid.encode().tobytes())


def _repeat(recorder: Recorder, since: int, limit: int) -> None:
    """Copy the steps from ``since`` on again and again until there are ``limit`` of them."""
    actions, rewards, states = recorder.actions[since:], recorder.rewards[since:], recorder.states[since + 1 :]
    for i in range(limit - len(recorder.actions)):
        k = i % len(actions)
        recorder.add(actions[k], rewards[k], None, states[k])
