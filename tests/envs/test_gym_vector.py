"""The vector environment over single Gymnasium environments: rows that depend on nothing but their seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from envs import catalog
from envs.episode import Episode
from envs.grid.cells import drawn
from envs.gym_vector import GymVectorEnvironment
from envs.make_vector import make_vector
from envs.task import TaskSpec
from envs.vector import Step

torch.set_num_threads(1)
VARIED = ("doorkey-5x5", "cartpole", "pendulum", "lunarlander", "reacher")


def actions(task: TaskSpec, steps: int, seed: int = 0) -> Tensor:
    """One row's actions."""
    generator = torch.Generator().manual_seed(seed)
    if task.action.kind == "discrete":
        return torch.randint(task.action.size, (steps,), generator=generator)
    return 2 * torch.randn(steps, task.action.size, generator=generator)


def run(task: TaskSpec, seeds: list[int], steps: int, split: str = "train") -> list[Step]:
    vector = GymVectorEnvironment(task, seeds, split=split)  # type: ignore[arg-type]
    vector.reset()
    rows = torch.stack([actions(task, steps, seed) for seed in seeds], dim=1)
    out = [vector.step(rows[t]) for t in range(steps)]
    vector.close()
    return out


def row(step: Step, i: int) -> dict[str, Tensor]:
    flat = {name: getattr(step, name)[i] for name in ("observation", "reward", "terminated", "truncated", "success")}
    flat["final"] = step.final_observation[i]
    flat |= {f"s/{name}": value[i] for name, value in step.state.items()}
    return flat | {f"n/{name}": value[i] for name, value in step.next_state.items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("task_id", VARIED)
def test_a_row_is_the_same_in_any_company(task_id: str) -> None:
    task = replace(catalog.load(task_id), episode_steps=30)
    alone, together = run(task, [7], 70), run(task, [3, 7, 11], 70)
    assert all(same(row(a, 0), row(b, 1)) for a, b in zip(alone, together, strict=True))
    assert any(bool(step.truncated[0]) or bool(step.terminated[0]) for step in alone)


@pytest.mark.parametrize("task_id", VARIED)
def test_dropping_rows_leaves_the_others_undisturbed(task_id: str) -> None:
    task = replace(catalog.load(task_id), episode_steps=20)
    whole = run(task, [1, 2, 3], 50)
    vector = GymVectorEnvironment(task, [1, 2, 3])
    vector.reset()
    rows = torch.stack([actions(task, 50, seed) for seed in (1, 2, 3)], dim=1)
    for t in range(25):
        vector.step(rows[t])
    vector.select(torch.tensor([0, 2]))
    assert vector.num_envs == 2
    for t in range(25, 50):
        step = vector.step(rows[t][[0, 2]])
        assert same(row(step, 0), row(whole[t], 0)) and same(row(step, 1), row(whole[t], 2))
    vector.close()


def test_reset_starts_every_row_anew() -> None:
    task = catalog.load("doorkey-5x5")
    vector = GymVectorEnvironment(task, [4, 5])
    first, state = vector.reset()
    for t in range(30):
        vector.step(actions(task, 60)[2 * t : 2 * t + 2])
    again, state_again = vector.reset()
    assert torch.equal(first, again) and all(torch.equal(state[n], state_again[n]) for n in state)
    vector.close()


def test_next_state_at_an_episodes_end_is_the_final_state() -> None:
    task = replace(catalog.load("cartpole"), episode_steps=15)
    vector = GymVectorEnvironment(task, [0, 1, 2, 3])
    vector.reset()
    ends = 0
    for t in range(60):
        step = vector.step(actions(task, 240)[4 * t : 4 * t + 4])
        over = step.terminated | step.truncated
        assert torch.allclose(step.next_state["pole_angle"], step.final_observation[:, 2], atol=1e-6)
        assert torch.allclose(step.state["pole_angle"], step.observation[:, 2], atol=1e-6)
        changed = step.state["cart_position"] != step.next_state["cart_position"]
        assert torch.equal(changed, over)
        ends += int(over.sum())
    assert ends > 8
    vector.close()


def test_time_limit_is_truncation_and_never_termination() -> None:
    steps = run(replace(catalog.load("pendulum"), episode_steps=10), [0, 1], 30)
    flags = torch.stack([step.truncated for step in steps])
    assert flags.sum() == 6 and bool(flags[9].all())
    assert not any(bool(step.terminated.any()) for step in steps)


def test_a_step_that_terminates_at_the_limit_counts_as_termination() -> None:
    task = catalog.load("cartpole")
    free = run(task, [5], 100)
    end = next(t for t, step in enumerate(free) if bool(step.terminated[0]))
    step = run(replace(task, episode_steps=end + 1), [5], end + 1)[-1]
    assert bool(step.terminated[0]) and not bool(step.truncated[0])


def test_success_follows_the_tasks_rule() -> None:
    task = catalog.load("cartpole")
    low = replace(task, fitness=replace(task.fitness, threshold=12.0))
    outcomes: list[tuple[bool, float]] = []
    total = 0.0
    for step in run(low, [0], 400):
        total += float(step.reward[0])
        if bool(step.terminated[0]):
            outcomes.append((bool(step.success[0]), total))
            total = 0.0
        else:
            assert not bool(step.success[0])
    assert {won for won, _ in outcomes} == {True, False}
    assert all(won == (total >= 12) for won, total in outcomes)


def test_grid_success_is_a_reward_at_a_termination() -> None:
    task = catalog.load("doorkey-5x5")
    steps = run(task, [2, 9, 12, 21], 500)
    won = [bool(s.success[i]) for s in steps for i in range(4)]
    paid = [bool(s.terminated[i]) and float(s.reward[i]) > 0 for s in steps for i in range(4)]
    assert won == paid and any(won)


def test_grid_observations_are_the_view_and_the_direction() -> None:
    task = catalog.load("doorkey-6x6")
    vector = GymVectorEnvironment(task, [3])
    obs, state = vector.reset()
    assert (vector.observation.kind, obs.shape, obs.dtype) == ("grid", (1, 56), torch.uint8)
    image, direction = drawn(obs.numpy())
    assert direction[0] == state["agent_dir"][0]
    assert image[0, 3, 5, 0] == state["ahead_type"][0]
    vector.close()


def test_test_layouts_are_not_training_layouts() -> None:
    task = catalog.load("fourrooms")
    kinds = {}
    for split in ("train", "test"):
        vector = GymVectorEnvironment(task, range(12), split=split)  # type: ignore[arg-type]
        _, state = vector.reset()
        kinds[split] = {
            (*a.tolist(), c.numpy().tobytes()) for a, c in zip(state["agent_pos"], state["cells"], strict=True)
        }
        vector.close()
    assert not kinds["train"] & kinds["test"] and len(kinds["train"]) == 12


def test_actions_beyond_the_space_are_clipped() -> None:
    task = catalog.load("pendulum")
    ends = []
    for torque in (2.0, 50.0):
        vector = GymVectorEnvironment(task, [0])
        vector.reset()
        ends.append(vector.step(torch.tensor([[torque]])).next_state["angular_velocity"])
        vector.close()
    assert torch.equal(*ends)


def test_make_vector_takes_a_users_fitness(tmp_path: object) -> None:
    task = catalog.load("cartpole")
    scored = replace(task, episode_steps=12, fitness=replace(task.fitness, function=f"{__name__}:furthest"))
    import sys

    module = type(sys)(__name__)
    module.furthest = furthest  # type: ignore[attr-defined]
    sys.modules.setdefault(__name__, module)
    vector = make_vector(scored, [0, 1])
    vector.reset()
    seen = 0
    positions: list[list[float]] = [[], []]
    for t in range(40):
        step = vector.step(actions(task, 80)[2 * t : 2 * t + 2])
        assert step.score is not None
        for i in range(2):
            positions[i].append(abs(float(step.next_state["cart_position"][i])))
            if bool(step.terminated[i] | step.truncated[i]):
                assert float(step.score[i]) == pytest.approx(max(positions[i]))
                positions[i], seen = [], seen + 1
    assert seen >= 6
    vector.close()


def furthest(episode: Episode) -> float:
    """How far the cart came from the middle."""
    assert episode.observation is not None and len(episode.observation) == len(episode) + 1
    return float(np.abs(episode.next_state["cart_position"]).max())
