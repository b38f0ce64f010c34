"""A learner is the same learner alone and in any company, and its reward is its own affair."""

import dataclasses
import threading

import numpy as np
import pytest

import training.population
import training.rollout
from envs.catalog import load
from envs.episode import Transitions
from envs.task import PPOSettings, TaskSpec
from training.population import Population
from training.result import Learner, StoppedEarly, TrainingResult
from training.reward import RewardAnswer, RewardFailure
from training.train import train

# Odd sizes on purpose: a learner's rows then start at odd places among its companions'.
ODD = PPOSettings(envs=5, steps=33, epochs=2, minibatches=3, hidden=(32, 32))
STEPS = 5 * 33 * 3


def task(name: str, **settings) -> TaskSpec:
    return dataclasses.replace(load(name), episode_steps=60, ppo=dataclasses.replace(ODD, **settings))


class Scripted:
    """Pays a constant for each step, and the first state field's change as a potential; may fail at a call."""

    def __init__(self, pay: float, *, fails_at: int | None = None) -> None:
        self.pay, self.fails_at = pay, fails_at
        self.calls: list[Transitions] = []
        self.restarts = 0

    def restart(self) -> None:
        self.restarts += 1

    def __call__(self, transitions: Transitions) -> RewardAnswer:
        self.calls.append(transitions)
        if self.fails_at == len(self.calls):
            raise RewardFailure("the program answered nonsense")
        shape = transitions.terminated.shape
        name = sorted(transitions.state)[0]

        def level(fields):
            return fields[name].reshape(*shape, -1).mean(-1).astype(np.float32)

        return RewardAnswer(
            components={"living": np.full(shape, self.pay, dtype=np.float32)},
            potential=level(transitions.state),
            next_potential=level(transitions.next_state),
        )


def same(a: TrainingResult, b: TrainingResult) -> None:
    assert a.weights.keys() == b.weights.keys()
    for name in a.weights:
        assert a.weights[name].tobytes() == b.weights[name].tobytes(), name
    assert a.curve == b.curve
    assert (a.fitness, a.area, a.evaluation, a.failure) == (b.fitness, b.area, b.evaluation, b.failure)
    assert (a.env_steps, a.evaluation_steps) == (b.env_steps, b.evaluation_steps)
    for one, two in zip(a.episodes, b.episodes, strict=True):
        assert np.array_equal(one.action, two.action)
        assert np.array_equal(one.reward, two.reward)
        for name in one.state:
            assert np.array_equal(one.next_state[name], two.next_state[name])


def run(spec: TaskSpec, learners: list[Learner], **options) -> list[TrainingResult]:
    return train(spec, learners, env_steps=STEPS, evaluation_episodes=7, **options)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("doorkey-5x5", {}), ("cartpole", {"normalize_observation": True}), ("pendulum", {"anneal": True})],
)
def test_a_learner_is_bit_identical_alone_and_in_any_company(name, settings):
    spec = task(name, **settings)
    shared = Scripted(0.1)
    company = [
        Learner(arm="a", seed=0, reward=shared),
        Learner(arm="broken", seed=0, reward=Scripted(0.2, fails_at=2)),
        Learner(arm="native", seed=1, reward=None),
        Learner(arm="a", seed=1, reward=shared),
        Learner(arm="broken later", seed=4, reward=Scripted(0.2, fails_at=3)),
        Learner(arm="native", seed=2, reward=None),
    ]
    together = run(spec, company)
    for position in (2, 3, 5):
        learner = company[position]
        reward = None if learner.reward is None else Scripted(0.1)
        same(together[position], run(spec, [dataclasses.replace(learner, reward=reward)])[0])
    same(together[1], run(spec, [dataclasses.replace(company[1], reward=Scripted(0.2, fails_at=2))])[0])


def test_a_device_that_keeps_the_zeros_learns_the_same(monkeypatch: pytest.MonkeyPatch):
    """What a GPU does, on the CPU: dense products, and resets without a look at the rows."""

    def learned(by_rows: bool) -> dict[str, np.ndarray]:
        population = Population(task("doorkey-5x5"), [Learner(arm="a", seed=0, reward=None)], env_steps=1, device="cpu")
        population._env._by_rows = by_rows  # type: ignore[attr-defined]
        population.advance()
        return population.weights(0)

    sparse = learned(True)
    for module in (training.rollout, training.population):
        monkeypatch.setattr(module, "lean", lambda features: features)
    dense = learned(False)
    for name, values in sparse.items():
        np.testing.assert_allclose(dense[name], values, atol=2e-5, rtol=1e-4)
    assert np.abs(sparse["actor.0.weight"] - initial(0)).max() > 1e-4


def initial(seed: int) -> np.ndarray:
    """The first matrix of a seed's actor before any update."""
    population = Population(task("doorkey-5x5"), [Learner(arm="a", seed=seed, reward=None)], env_steps=1, device="cpu")
    return population.weights(0)["actor.0.weight"]


def test_arms_of_one_seed_start_in_the_same_environments_with_the_same_policy():
    one, two = Scripted(0.1), Scripted(-5.0)
    run(task("doorkey-5x5"), [Learner(arm="a", seed=3, reward=one), Learner(arm="b", seed=3, reward=two)])
    first, second = one.calls[0], two.calls[0]
    assert np.array_equal(first.action, second.action)
    for name in first.state:
        assert np.array_equal(first.next_state[name], second.next_state[name])


def test_seeds_differ():
    one = Scripted(0.1)
    run(task("doorkey-5x5"), [Learner(arm="a", seed=s, reward=one) for s in (0, 1)])
    action = one.calls[0].action
    assert not np.array_equal(action[:, :5], action[:, 5:])


def test_learners_that_share_a_reward_are_asked_in_one_call_with_their_own_rows():
    shared, other = Scripted(0.1), Scripted(0.2)
    rewards = [shared, other, shared, None]
    run(task("cartpole"), [Learner(arm=str(i), seed=i, reward=r) for i, r in enumerate(rewards)])
    assert [len(shared.calls), shared.restarts] == [3, 1]
    assert shared.calls[0].action.shape == (33, 10)
    assert other.calls[0].action.shape == (33, 5)
    field = sorted(shared.calls[0].state)[0]
    for transitions in (shared.calls[0], other.calls[0]):
        ended = transitions.terminated | transitions.truncated
        before, after = transitions.state[field], transitions.next_state[field]
        goes_on = ~ended[:-1]
        assert np.array_equal(before[1:][goes_on], after[:-1][goes_on])
        assert ended.any()
        assert not np.array_equal(before[1:][~goes_on], after[:-1][~goes_on])


def test_several_rewards_are_asked_at_once():
    meet = threading.Barrier(3, timeout=20)

    class Waits(Scripted):
        def __call__(self, transitions):
            meet.wait()  # broken unless all three are being asked
            return super().__call__(transitions)

    rewards = [Waits(0.1), Waits(0.2), Waits(0.3)]
    together = run(task("cartpole"), [Learner(arm=str(i), seed=i, reward=r) for i, r in enumerate(rewards)])
    alone = [
        run(task("cartpole"), [Learner(arm=str(i), seed=i, reward=Scripted(r.pay))]) for i, r in enumerate(rewards)
    ]
    for one, (other,) in zip(together, alone, strict=True):
        same(one, other)


def test_a_failed_reward_ends_its_arm_alone_and_says_why():
    broken = Scripted(0.2, fails_at=2)
    learners = [
        Learner(arm="broken", seed=0, reward=broken),
        Learner(arm="native", seed=0, reward=None),
        Learner(arm="broken", seed=1, reward=broken),
    ]
    first, native, second = run(task("cartpole"), learners)
    assert first.failure == second.failure == "the program answered nonsense"
    assert native.failure is None
    assert (first.env_steps, native.env_steps) == (STEPS * 2 // 3, STEPS)
    assert len(broken.calls) == 2


def test_a_population_whose_every_reward_fails_still_answers():
    (only,) = run(task("cartpole"), [Learner(arm="a", seed=0, reward=Scripted(0, fails_at=1))])
    assert only.failure is not None
    assert only.env_steps == STEPS // 3


def test_a_reward_that_is_not_a_number_is_a_failure():
    (only,) = run(task("cartpole"), [Learner(arm="a", seed=0, reward=Scripted(float("nan")))])
    assert only.failure is not None
    assert "finite" in only.failure


def test_other_exceptions_are_not_swallowed():
    class Gone(Scripted):
        def __call__(self, transitions):
            raise ConnectionError("the jail is gone")

    with pytest.raises(ConnectionError):
        run(task("cartpole"), [Learner(arm="a", seed=0, reward=Gone(0.0))])


def test_a_caller_can_stop_and_learns_what_it_cost():
    seen = []

    def stop(progress):
        seen.append(progress)
        return len(seen) < 2

    learners = [Learner(arm="native", seed=s, reward=None) for s in range(2)]
    with pytest.raises(StoppedEarly) as stopped:
        run(task("cartpole"), learners, on_rollout=stop)
    assert stopped.value.env_steps == seen[-1].env_steps == 2 * 2 * STEPS // 3
    assert seen[-1].of_env_steps == 2 * STEPS
    assert seen[-1].latest["native"].env_steps == 2 * STEPS // 3


def test_a_long_evaluation_tells_how_far_it_is(monkeypatch):
    monkeypatch.setattr("training.evaluate.TOLD_EVERY", 0.0)
    told, taken = [], []
    learners = [Learner(arm="native", seed=s, reward=None) for s in range(2)]
    results = run(task("cartpole"), learners, on_step=taken.append, on_evaluation=told.append)
    steps = [progress.env_steps for progress in told]
    most = 2 * results[0].evaluation["episodes"] * task("cartpole").episode_steps
    assert steps == sorted(steps) and 0 < steps[-1] <= most
    assert {progress.of_env_steps for progress in told} == {most}
    assert steps[-1] == sum(r.evaluation_steps for r in results) == sum(taken) - sum(r.env_steps for r in results)
    assert told[-1].steps_per_second > 0
    assert not told[-1].latest, "its steps are no points of a curve"
    assert f"of at most {most:,} env steps" in told[-1].in_words()


def test_curves_tell_what_was_paid_by_component_and_what_the_task_paid():
    learners = [Learner(arm="a", seed=0, reward=Scripted(0.25)), Learner(arm="native", seed=0, reward=None)]
    spec = dataclasses.replace(task("cartpole"), task_weight=0.0)
    shaped, native = run(spec, learners)
    assert [p.env_steps for p in shaped.curve] == [165, 330, 495]
    for point in shaped.curve:
        assert point.components["living"] == (0.25, 0.25, 0.25)
        assert set(point.components) == {"living", "potential"}
        total = sum(mean for mean, _, _ in point.components.values())
        assert point.paid == pytest.approx(total, abs=1e-5)
    for point in native.curve:
        assert point.components == {}
        assert point.paid == pytest.approx(1.0)
        assert point.task_return == pytest.approx(point.length)
