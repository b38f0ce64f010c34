"""A decoder that learns no more pays what the one it was frozen from says, and nothing of the task's own."""

import dataclasses

import numpy as np
import pytest
import torch

from envs.catalog import load
from envs.episode import Transitions, side_by_side
from training.credit.frozen import FrozenReward, layers
from training.credit.pool import CreditPool
from training.credit.settings import Credit
from training.evaluate import evaluate
from training.result import Learner
from training.reward import RewardAnswer, RewardFailure, paid
from training.train import train

torch.set_num_threads(1)
NAMES = ("a", "b", "c")


class Given:
    """Three factors, out of their names' order."""

    def __init__(self) -> None:
        self.restarts = 0

    def __call__(self, transitions: Transitions) -> RewardAnswer:
        every = transitions.state["every"]
        return RewardAnswer(components={name: every[..., i] for i, name in reversed(list(enumerate(NAMES)))})

    def restart(self) -> None:
        self.restarts += 1


def rollout(factors: np.ndarray, ended: np.ndarray) -> Transitions:
    state = {"every": factors}
    return Transitions(
        state=state, action=np.zeros(ended.shape, np.int64), next_state=state, terminated=ended,
        truncated=np.zeros_like(ended),
    )  # fmt: skip


@pytest.mark.parametrize("method", ["ridge", "rrdu"])
def test_it_pays_what_the_decoder_says(method):
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(1, 200, 4, 3)).astype(np.float32)
    ended = rng.random((1, 200, 4)) < 0.05
    native = factors @ np.array([0.5, -1.0, 0.0], np.float32) + 0.3
    credit = Credit(method=method, hidden=(16,), sampled=8, rows=64)
    pool = CreditPool(credit, [NAMES], [0], rows=4, longest=50, device="cpu")
    pool(torch.from_numpy(factors), native, ended)
    frozen = pool.frozen([0])
    assert frozen is not None and frozen.attribution is not None
    reward = FrozenReward(Given(), frozen.weights)
    answer = reward(rollout(factors[0], ended[0]))
    told = answer.components["decoded"]
    assert told.shape == (200, 4) and told.dtype == np.float32
    if method == "ridge":
        np.testing.assert_allclose(told, native[0], atol=0.02)
        assert frozen.attribution.explained is not None and frozen.attribution.explained > 0.99
        assert frozen.attribution.ablation["b"] > frozen.attribution.ablation["a"] > 0.1
        assert abs(frozen.attribution.ablation["c"]) < 0.01
        by_hand = frozen.weights["decoder.0.weight"][:, 0] * frozen.weights["scale"]
        effect = [frozen.attribution.effect[name] for name in NAMES]
        np.testing.assert_allclose(effect, by_hand, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(effect, [0.5, -1.0, 0.0] * factors.std((0, 1, 2)), atol=0.02)
    transitions = rollout(factors[0], ended[0])
    alone = paid(answer, transitions, 7.0 * native[0], gamma=0.9, task_weight=1.0)
    np.testing.assert_array_equal(alone, told)
    reward.restart()


@pytest.mark.parametrize("method", ["ridge", "rd", "rrdu"])
def test_what_helps_has_a_positive_effect_and_what_hurts_a_negative_one(method):
    """A walk along a chain, whose outcome is how far it came: steps ahead, back, and a factor that never varies."""
    rng = np.random.default_rng(0)
    ahead = rng.random((1, 400, 4)) < rng.random((1, 20, 4)).repeat(20, 1)
    factors = np.stack([ahead, ~ahead, np.full_like(ahead, 0.3, np.float32)], -1).astype(np.float32)
    ended = np.zeros((1, 400, 4), bool)
    ended[0, 19::20] = True
    pool = CreditPool(
        Credit(method=method, hidden=(16,), sampled=8, rows=256), [("ahead", "back", "same")], [0],
        rows=4, longest=20, device="cpu",
    )  # fmt: skip
    pool(torch.from_numpy(factors), np.where(ahead, 1.0, -1.0), ended)
    frozen = pool.frozen([0])
    assert frozen is not None and frozen.attribution is not None
    effect = frozen.attribution.effect
    # Each is half of the truth: either factor tells what the other one does.
    assert effect["ahead"] > 0.2 and effect["back"] < -0.2
    assert effect["same"] == 0.0


def test_a_frozen_network_goes_on_from_what_was_learned(monkeypatch):
    """It begins as the decoder of the learner that knows most, here the second one."""
    rng = np.random.default_rng(0)
    factors = torch.from_numpy(rng.normal(size=(2, 40, 2, 3)).astype(np.float32))
    ended = np.zeros((2, 40, 2), bool)
    ended[0, 39], ended[1, 9::10] = True, True
    pool = CreditPool(Credit(method="rd", hidden=(16,)), [NAMES, NAMES], [0, 1], rows=2, longest=40, device="cpu")
    pool(factors, rng.normal(size=(2, 40, 2)) * ended, ended)
    before = pool.decoder.weights(1)
    before["decoder.0.weight"] = before["decoder.0.weight"][: len(NAMES)]
    monkeypatch.setattr("training.credit.pool.REFIT", 0)
    monkeypatch.setattr("training.credit.pool.FITTED", 0)
    same = pool.frozen([0, 1])
    assert same is not None and all(np.array_equal(same.weights[name], before[name]) for name in before)
    monkeypatch.undo()
    fitted = pool.frozen([0, 1])
    assert fitted is not None and not any(np.array_equal(fitted.weights[name], before[name]) for name in before)
    kept = pool.decoder.weights(1)["decoder.1.weight"]
    assert np.array_equal(kept, before["decoder.1.weight"]), "the one that learns is not touched"


@pytest.mark.parametrize("length", [50, 1000])
def test_a_rare_factor_is_paid_whole(length):
    """One step in a thousand is worth the outcome: its sum is the outcome, however many deviations off it stands."""
    rng = np.random.default_rng(0)
    won = rng.random((1, 8, 4)) < 0.5
    factors = np.zeros((1, 8 * length, 4, 3), np.float32)
    factors[0, length - 1 :: length, :, 0] = won[0]
    factors[..., 1:] = rng.normal(size=(1, 8 * length, 4, 2))
    ended = np.zeros((1, 8 * length, 4), bool)
    ended[0, length - 1 :: length] = True
    pool = CreditPool(Credit(), [NAMES], [0], rows=4, longest=length, device="cpu")
    paid_now = pool(torch.from_numpy(factors), factors[..., 0].astype(np.float64), ended).numpy()
    sums = paid_now.reshape(1, 8, length, 4).sum(2)
    np.testing.assert_allclose(sums, won, atol=0.1)
    frozen = pool.frozen([0])
    assert frozen is not None
    told = FrozenReward(Given(), frozen.weights)(rollout(factors[0], ended[0])).components["decoded"]
    np.testing.assert_allclose(told.reshape(8, length, 4).sum(1), won[0], atol=0.1)


def linear(factors: int) -> dict[str, np.ndarray]:
    """A decoder that adds the factors up."""
    return {
        "decoder.0.weight": np.ones((factors, 1), np.float32),
        "decoder.0.bias": np.zeros(1, np.float32),
        "factors.mean": np.zeros(factors, np.float32),
        "factors.deviation": np.ones(factors, np.float32),
        "scale": np.ones(1, np.float32),
    }


@pytest.mark.parametrize("change", ["names", "width", "dtype", "nan", "none", "scale"])
def test_what_is_no_decoder_is_refused(change):
    weights = linear(3)
    assert layers(weights) == (3, 1)
    changed = {
        "names": {**weights, "other": np.ones(1, np.float32)},
        "width": {**weights, "decoder.0.weight": np.ones((2, 1), np.float32)},
        "dtype": {**weights, "scale": np.ones(1)},
        "nan": {**weights, "factors.mean": np.full(3, np.nan, np.float32)},
        "none": {},
        "scale": {**weights, "scale": np.ones(2, np.float32)},
    }[change]
    with pytest.raises(ValueError, match=r"it holds|does not fit|finite float32|do not fit"):
        FrozenReward(Given(), changed)


def test_another_number_of_factors_is_the_rewards_failure():
    with pytest.raises(RewardFailure, match="reads 2 factors, there are 3"):
        FrozenReward(Given(), linear(2))(rollout(np.zeros((2, 4, 3), np.float32), np.zeros((2, 4), bool)))


class Angle:
    def __call__(self, transitions: Transitions) -> RewardAnswer:
        angle = np.abs(transitions.next_state["pole_angle"])
        return RewardAnswer(components={"angle": angle, "push": transitions.action.astype(np.float32)})

    def restart(self) -> None:
        pass


def test_a_training_tells_what_its_decoder_makes_of_factors_and_episodes():
    task = dataclasses.replace(load("cartpole-episodic"), episode_steps=60)
    learners = [Learner(arm="latent", seed=s, reward=Angle(), credit=Credit()) for s in range(2)]
    found = train(task, learners, env_steps=8_192, evaluation_episodes=8)
    assert found[0].attribution is not None and set(found[0].attribution.importance) == {"angle", "push"}
    assert [steps for steps, _ in found[0].importance_course] == sorted({s for s, _ in found[0].importance_course})
    assert 3 <= len(found[0].importance_course) <= 5
    assert found[0].decoded is not None and found[0].decoder is not None
    reward = FrozenReward(Angle(), found[0].decoder)
    frozen = train(task, [Learner(arm="bundle", seed=7, reward=reward)], env_steps=2_048, evaluation_episodes=8)
    assert frozen[0].decoder is None and frozen[0].curve[-1].components.keys() == {"decoded"}
    assert found[1].decoded is None
    for episode, told in zip(found[0].episodes, found[0].decoded, strict=True):
        assert told.shape == (len(episode), 1)


class Away:
    """How far an agent is from the landmarks, and whether it pushes."""

    def __call__(self, transitions: Transitions) -> RewardAnswer:
        far = np.linalg.norm(transitions.next_state["landmark_offset"], axis=-1).mean(-1)
        return RewardAnswer(components={"far": far, "push": (transitions.action > 0).astype(np.float32)})

    def restart(self) -> None:
        pass


def test_what_a_decoder_makes_of_a_teams_episode_is_of_all_its_agents():
    pytest.importorskip("mpe2")
    task = load("simple-spread-episodic")
    task = dataclasses.replace(task, ppo=dataclasses.replace(task.ppo, envs=30, steps=50))
    learners = [Learner(arm="latent", seed=s, reward=Away(), credit=Credit()) for s in range(2)]
    first, second = train(task, learners, env_steps=3_000, evaluation_episodes=4)
    assert first.decoder is not None and first.decoded is not None and second.decoded is None
    (played,) = evaluate(task, [first.weights], [0], episodes=4)
    assert len(played.teams) == len(first.decoded) == 2
    reward = FrozenReward(Away(), first.decoder)
    for team, episode, told in zip(played.teams, first.episodes, first.decoded, strict=True):
        assert told.shape == (25, task.agents) and np.ptp(told, axis=1).min() > 0
        assert np.array_equal(told, reward(side_by_side(team)).components["decoded"])
        assert np.array_equal(team[0].action, episode.action)
        positions = np.stack([each.state["position"] for each in team], 1)
        np.testing.assert_allclose(
            positions[:, 1:] - positions[:, :1], team[0].state["teammate_offset"], atol=1e-6, err_msg="one world"
        )
        outcome = sum(float(each.reward.sum()) for each in team)
        assert outcome < 0 and 0.5 < told.sum() / outcome < 2
