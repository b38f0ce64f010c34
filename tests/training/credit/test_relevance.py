"""What factors say of the outcomes of recorded episodes."""

import dataclasses

import numpy as np
import pytest

from envs.episode import Episode, Transitions
from training.credit.relevance import relevance
from training.reward import RewardAnswer


def episodes(count: int, *, noise: float = 0.0, alike: bool = False) -> list[Episode]:
    """Walks of unlike lengths: each step is worth its ``x``, and ``y`` is worth nothing."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        length = int(rng.integers(5, 30))
        x = (rng.normal(size=length) + rng.normal()).astype(np.float32)
        y = rng.normal(size=length).astype(np.float32)
        reward = np.zeros(length, np.float32) if alike else x + noise * rng.normal(size=length).astype(np.float32)
        found.append(
            Episode(
                state={"x": x, "y": y},
                action=np.zeros(length, np.int64),
                next_state={"x": x, "y": y},
                reward=reward,
                terminated=True,
                truncated=False,
                success=False,
            )
        )
    return found


class Reads:
    def __init__(self, *names: str) -> None:
        self.names = names

    def __call__(self, transitions: Transitions) -> RewardAnswer:
        constant = np.full(transitions.action.shape, 0.1, np.float32)
        return RewardAnswer(components={n: transitions.state.get(n, constant) for n in self.names})

    def restart(self) -> None:
        pass


def test_factors_that_tell_the_outcome_are_found():
    found = relevance(episodes(40), Reads("x", "y", "one"))
    assert found.episodes == 40
    assert found.explained is not None and found.explained > 0.95
    assert found.correlation["x"] is not None and found.correlation["x"] > 0.99
    assert found.correlation["y"] is not None and abs(found.correlation["y"]) < 0.4
    assert found.correlation["one"] is None


class Counts:
    """Remembers how many steps of its row's episode went by, as a program with memory does."""

    def __call__(self, transitions: Transitions) -> RewardAnswer:
        ended = transitions.terminated | transitions.truncated
        count, every = np.zeros(ended.shape[1], np.float32), []
        for over in ended:
            count = count + 1
            every.append(count)
            count = np.where(over, 0, count).astype(np.float32)
        return RewardAnswer(components={"steps": np.stack(every), "one": np.ones(ended.shape, np.float32)})

    def restart(self) -> None:
        pass


def test_memory_goes_on_through_an_episode():
    played = [dataclasses.replace(e, reward=np.full(len(e), len(e), np.float32)) for e in episodes(70)]
    found = relevance(played, Counts())
    assert found.correlation["steps"] is not None and found.correlation["steps"] > 0.99


def test_factors_that_tell_nothing_are_found():
    found = relevance(episodes(40), Reads("y", "one"))
    assert found.explained is not None and found.explained < 0.1


def test_nothing_is_said_where_episodes_end_alike_or_are_few():
    assert relevance(episodes(40, alike=True), Reads("x", "y")).explained is None
    assert relevance(episodes(4), Reads("x", "y")).explained is None


def team_episodes(count: int, agents: int) -> list[Episode]:
    """Each step is worth the agent's own ``x``; all are paid alike, at the end: the team's sum by their number."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(count, agents, 5)) + rng.normal(size=(count, agents, 1))).astype(np.float32)
    reward = np.zeros((count, 5), np.float32)
    reward[:, -1] = x.sum((1, 2)) / agents
    return [
        Episode(
            state={"x": x[i, agent], "y": x[i, agent] ** 2},
            action=np.zeros(5, np.int64),
            next_state={"x": x[i, agent], "y": x[i, agent] ** 2},
            reward=reward[i],
            terminated=False,
            truncated=True,
            success=False,
        )
        for i in range(count)
        for agent in range(agents)
    ]


def test_a_team_is_held_against_its_outcome_whole():
    played = team_episodes(40, 3)
    found = relevance(played, Reads("x", "y"), agents=3)
    assert found.episodes == 40
    assert found.explained is not None and found.explained > 0.95
    assert found.correlation["x"] is not None and found.correlation["x"] > 0.99
    alone = relevance(played[::3], Reads("x", "y"))
    assert alone.explained is not None and alone.explained < 0.7


def test_a_teams_episodes_count_once_and_come_whole():
    assert relevance(team_episodes(7, 3), Reads("x", "y"), agents=3).explained is None
    with pytest.raises(ValueError, match="8 episodes make no whole teams of 3 agents"):
        relevance(episodes(8), Reads("x", "y"), agents=3)


def test_what_varies_and_what_follows_another_is_told_of_every_step():
    found = relevance(episodes(10), Reads("x", "one", "two"))
    assert found.constant == {"one": np.float32(0.1), "two": np.float32(0.1)} and found.likeness > 1 - 1e-6
    found = relevance(episodes(10), Reads("x", "y", "one"))
    assert found.constant.keys() == {"one"} and found.likeness < 0.9
    assert found.deviation["x"] == np.concatenate([e.state["x"] for e in episodes(10)]).astype(np.float64).std()


class Once:
    """A copy of ``x`` that departs from it in a single step of all."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, transitions: Transitions) -> RewardAnswer:
        copy = transitions.state["x"].copy()
        copy[0, 0] += 100.0 if self.asked == 0 else 0.0
        self.asked += 1
        return RewardAnswer(components={"x": transitions.state["x"], "copy": copy})

    def restart(self) -> None:
        pass


def test_one_step_that_differs_tells_factors_apart():
    assert relevance(episodes(40), Once()).likeness < 1 - 1e-6
