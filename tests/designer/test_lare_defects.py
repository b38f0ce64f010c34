"""The defects found in the released code of LaRe (Qu et al. 2025), each with a test that would catch it here."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from designer.agents import Agents
from designer.arms import Arm
from designer.asking import Models
from designer.budget import Budget
from designer.facts import designer_facts, task_facts
from designer.settings import DesignSettings
from designer.store import RunStore
from envs import catalog
from envs.episode import Transitions
from envs.make import make_env
from sandbox import gate, probes
from sandbox.embedded import EmbeddedSandbox
from sandbox.errors import CandidateError
from sandbox.program import RewardProgram
from sandbox.service import Call
from tests.designer import models
from tests.designer.endpoint import serving
from training.credit.decoder import Sampled, draw_steps, losses
from training.credit.pool import CreditPool
from training.credit.settings import Credit
from training.population import Population
from training.result import Learner
from training.reward import RewardAnswer

NAMES = ("angle", "push")
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("designer", "envs", "prompts", "sandbox", "training")


class Counted:
    """Two factors of CartPole, and how often they were asked for."""

    def __init__(self) -> None:
        self.calls = self.rows = 0

    def restart(self) -> None:
        pass

    def __call__(self, transitions: Transitions) -> RewardAnswer:
        self.calls += 1
        self.rows += transitions.action.size
        angle = transitions.next_state["pole_angle"].astype(np.float32)
        return RewardAnswer(components={"angle": np.abs(angle), "push": transitions.action.astype(np.float32)})


def small(method: Any = "rrdu", seeds: tuple[int, ...] = (0,)) -> tuple[Population, Counted]:
    factors = Counted()
    credit = Credit(method=method, rows=256, updates=2, sampled=8)
    learners = [Learner(arm="latent", seed=seed, reward=factors, credit=credit) for seed in seeds]
    return Population(catalog.load("cartpole-episodic"), learners, env_steps=1, device="cpu"), factors


def test_1_the_trainer_parses_and_runs() -> None:
    """Its PPO entry was a syntax error."""
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        compile(path.read_text(encoding="utf-8"), str(path), "exec", dont_inherit=True)
    population, _ = small()
    population.advance()
    assert population.env_steps > 0


def test_2_the_request_is_one_that_the_official_client_takes_and_its_answer_is_read(tmp_path: Path) -> None:
    """It gave a string for ``response_format`` and read an object of the client's as text: every call raised."""
    reply = models.design("def compute_latent(state, action, next_state):\n    return {}")
    with serving(lambda request: reply) as endpoint:
        settings = DesignSettings(task="cartpole-episodic", form="latent", model="m", api_base=endpoint.url)
        store = RunStore.create(tmp_path / "run", settings.to_json())
        agents = Agents(Models(settings, store, Budget(settings.caps, store)), store)
        slot = {"iteration": 0, "candidate": 0, "round": 0}
        facts = designer_facts(
            catalog.load(settings.task),
            store,
            {**slot, "seed": 0},
            form="latent",
            merging=False,
            refused=None,
            comments=[],
        )
        design = agents.design(facts, 1, slot)
        (request,) = endpoint.requests
    assert isinstance(request["response_format"], dict) and request["response_format"]["type"] == "json_schema"
    assert "compute_latent" in design.code


def test_10_what_a_run_asks_of_its_decoder_is_what_it_gets() -> None:
    """Its PPO never switched the unbiased loss on; ours is chosen in one place, and changes what is learned."""
    program = RewardProgram("def compute_latent(state, action, next_state):\n    return {}\n", "latent")
    for method in ("ridge", "rd", "rrd", "rrdu"):
        (learner,) = Arm(name="ab", program=program, method=method).learners(catalog.load("cartpole"), [0], Counted())
        assert learner.credit is not None and learner.credit.method == method
    learned = []
    for method in ("rrd", "rrdu"):
        pool = CreditPool(Credit(method=method, sampled=4, rows=64), [NAMES], [0], rows=2, longest=20, device="cpu")
        rng = np.random.default_rng(0)
        factors = torch.from_numpy(rng.normal(size=(1, 40, 2, 2)).astype(np.float32))
        ended = np.zeros((1, 40, 2), dtype=bool)
        ended[:, 9::10] = True
        pool(factors, rng.normal(size=(1, 40, 2)) * ended, ended)
        learned.append(pool.decoder.weights(0)["decoder.0.weight"])
    assert not np.array_equal(*learned)


@pytest.mark.parametrize("body", ["{}", '{"only": next_state["x"]}'])
def test_3_no_factor_or_one_is_no_latent_reward(body: str) -> None:
    """The empty reply passed its check."""
    source = f"def compute_latent(state, action, next_state):\n    return {body}\n"
    if not gate.check(source, "latent").ok:
        return
    call = Call(
        state={"x": np.arange(6.0)[None]}, action=np.zeros((1, 6), dtype=np.int64),
        next_state={"x": np.arange(6.0)[None] + 1}, ended=np.zeros((1, 6), dtype=bool),
    )  # fmt: skip
    with EmbeddedSandbox().serve(RewardProgram(source, "latent")) as service:
        try:
            report = probes.probe(service, {"play": call})
        except CandidateError:
            return
    assert not report.ok and any(v.rule == "factors" for v in report.violations)


def test_4_the_model_is_told_what_an_action_is() -> None:
    """Its prompt never held the action's description."""
    told = task_facts(catalog.load("halfcheetah-episodic"))["action"]
    assert "6" in told and "float32" in told


@pytest.mark.parametrize("name", ["halfcheetah", "walker2d", "hopper", "reacher", "humanoidstandup"])
def test_5_and_6_every_number_of_the_physics_is_described(name: str) -> None:
    """It described HalfCheetah with wrong labels, and 45 of 376 numbers of another robot.

    That each label names the right number is held in ``tests/envs/test_extractors.py``.
    """
    pytest.importorskip("mujoco")
    task = catalog.load(name)
    env: Any = make_env(task)
    model = env.unwrapped.model
    env.close()
    described = sum(int(np.prod(field.shape)) for field in task.state)
    assert described >= model.nq + model.nv, "every position and velocity of the physics"
    assert all(len(field.meaning) > 8 and field.unit for field in task.state)


def test_7_every_decoder_learns() -> None:
    """One of its decoders was left out of the optimiser."""
    population, _ = small(seeds=(0, 1, 2))
    population.advance()
    ((members, pool),) = population._crediting._pools or ()
    assert members == [0, 1, 2]
    first = CreditPool(
        Credit(rows=256, updates=2, sampled=8), [NAMES] * 3, [0, 1, 2], rows=8, longest=500, device="cpu"
    ).decoder
    for learner in range(3):
        before, after = first.weights(learner), pool.decoder.weights(learner)
        assert all(np.abs(after[n] - before[n]).max() > 0 for n in before if n.endswith("weight"))


def test_8_short_episodes_count_with_the_right_sign() -> None:
    """Its unbiased loss turned around where an episode had fewer than K steps."""
    rewards = torch.tensor([[[1.0, -1.0, 3.0, 9.0]]])
    steps, taken = draw_steps(torch.tensor([3]), 4, torch.Generator().manual_seed(0))
    batch = Sampled(torch.zeros(1, 1, 4, 0), taken[None], torch.tensor([[3.0]]), torch.tensor([[3.0]]))
    told = rewards[0, 0][steps][None]
    assert float(losses("rrdu", told, batch)) == pytest.approx(float(losses("rd", told, batch))) == pytest.approx(0.0)


def test_9_factors_are_asked_for_once_a_step() -> None:
    """It ran the program again, on the host, at every look of the decoder."""
    population, factors = small()
    for rollout in range(1, 4):
        population.advance()
        assert (factors.calls, factors.rows) == (rollout, population.env_steps)


def test_11_nothing_is_needed_that_phones_home_and_no_file_can_run_code(tmp_path: Path) -> None:
    """It needed wandb, and kept its artifacts as pickles."""
    assert not any("wandb" in need for need in requires("rewardsmith") or ())
    script = "import sys, training.population, training.credit.pool; print('wandb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "False"
    store = RunStore.create(tmp_path / "run", {"task": "cartpole"})
    np.savez(store.path("a.npz"), a=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(Exception, match=r"a\.npz"):
        store.read_arrays("a.npz")
    assert json.loads(store.path("config.json").read_text())
