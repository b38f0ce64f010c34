"""A potential may speed learning up, but never change which policy is best."""

import numpy as np

from envs.episode import Transitions
from training.reward import RewardAnswer, components, paid

GAMMA = 0.9
LEFT, STAY, RIGHT = 0, 1, 2
# A corridor 0..4. Leaving it on the left pays 0.3 and on the right 1; both ends terminate.
START, STATES = 2, 5
POTENTIAL = np.array([40.0, 10.0, 0.0, -10.0, -40.0], dtype=np.float32)


def outcome(state: int, action: int) -> tuple[int, float, bool]:
    after = state + action - 1
    return after, {0: 0.3, 4: 1.0}.get(after, 0.0), after in (0, 4)


def best_first_move(shaped) -> int:
    """Action of the optimal policy at the start, by value iteration over what ``shaped`` pays."""
    value = np.zeros(STATES)
    for _ in range(500):
        for state in (1, 2, 3):
            value[state] = max(backup(value, state, action, shaped) for action in (LEFT, STAY, RIGHT))
    return int(np.argmax([backup(value, START, action, shaped) for action in (LEFT, STAY, RIGHT)]))


def backup(value, state, action, shaped) -> float:
    after, native, terminated = outcome(state, action)
    return shaped(state, after, native, terminated) + (0.0 if terminated else GAMMA * value[after])


def one_step(state: int, after: int, terminated: bool, truncated: bool = False) -> tuple[RewardAnswer, Transitions]:
    flag = {True: np.ones((1, 1), dtype=bool), False: np.zeros((1, 1), dtype=bool)}
    answer = RewardAnswer(components={}, potential=POTENTIAL[[[state]]], next_potential=POTENTIAL[[[after]]])
    return answer, Transitions(
        state={}, action=np.zeros((1, 1), dtype=np.int64), next_state={},
        terminated=flag[terminated], truncated=flag[truncated],
    )  # fmt: skip


def system(state: int, after: int, native: float, terminated: bool) -> float:
    answer, step = one_step(state, after, terminated)
    return float(paid(answer, step, np.full((1, 1), native), gamma=GAMMA, task_weight=1.0)[0, 0])


def naive(state: int, after: int, native: float, terminated: bool) -> float:
    return native + GAMMA * float(POTENTIAL[after]) - float(POTENTIAL[state])


def test_a_terminal_potential_flips_the_best_policy_and_the_system_restores_it():
    assert best_first_move(lambda state, after, native, terminated: native) == RIGHT
    assert best_first_move(naive) == LEFT
    assert best_first_move(system) == RIGHT


def test_shaping_telescopes_to_the_starting_potential_over_a_whole_episode():
    path = [(2, 3), (3, 2), (2, 3), (3, 4)]
    total = sum(GAMMA**t * system(state, after, 0.0, terminated=after == 4) for t, (state, after) in enumerate(path))
    assert np.isclose(total, -POTENTIAL[START], atol=1e-5)


def test_truncation_keeps_the_potential_of_the_final_state():
    answer, step = one_step(2, 1, terminated=False, truncated=True)
    assert np.isclose(components(answer, step, GAMMA)["potential"][0, 0], GAMMA * POTENTIAL[1] - POTENTIAL[2])
