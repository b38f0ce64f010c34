"""Episodes of a whole team as they happen: of each, what every agent saw, did and was paid, side by side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from envs.episode import Array, Episode
from envs.extractors.mpe import read_team
from envs.record import Recorder
from envs.task import TaskSpec
from envs.team import Team


def random_team_episodes(task: TaskSpec, episodes: int, seed: int) -> list[Episode]:
    """Episodes in which every agent of a team acts at random, each from a seed of its own.

    ``task.agents`` consecutive ones are one of the team, an agent's each. They are paid as the rows of the vector
    environment are: the team's reward by the number of agents, so that they sum up to it. Raises ``UserError`` where
    MPE is not installed.
    """
    team, generator = Team(task), np.random.default_rng(seed)
    try:
        return [one for i in range(episodes) for one in _record(task, team, generator, seed + i)]
    finally:
        team.close()


def _record(task: TaskSpec, team: Team, generator: np.random.Generator, seed: int) -> list[Episode]:
    """One episode, by agent."""
    recorder, withheld, ended = Recorder(), 0.0, False
    team.reset(seed)
    recorder.start(None, _state(task, team))
    while not ended:
        actions = generator.integers(task.action.size, size=task.agents)
        step = team.step(actions)
        ended = step.terminated or step.truncated
        reward = step.reward
        if task.episodic:
            withheld += reward
            reward = withheld if ended else 0.0
        recorder.add(actions, reward / task.agents, None, _state(task, team))
    # No episode of a team is a success.
    whole = recorder.episode(step.terminated, success=False, observations=False)
    return [
        replace(
            whole,
            state={name: values[:, agent] for name, values in whole.state.items()},
            action=whole.action[:, agent],
            next_state={name: values[:, agent] for name, values in whole.next_state.items()},
        )
        for agent in range(task.agents)
    ]


def _state(task: TaskSpec, team: Team) -> dict[str, Array]:
    """The task's fields of all agents, each ``(n, *shape)``."""
    read = read_team(team.world)
    return {field.name: read[field.name] for field in task.state}
