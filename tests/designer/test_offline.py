"""The offline designer: deterministic, varied, ignorant of our tasks, and reached through LiteLLM like a model."""

from __future__ import annotations

import copy
import itertools
import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from designer.llm import check_models
from designer.offline import reply as offline
from designer.offline import terms
from designer.offline.composer import Composer
from designer.offline.schema import read
from designer.replies import parse_analysis, parse_critique, parse_design
from designer.settings import DesignSettings
from envs import catalog
from envs.task import TaskSpec
from sandbox import gate

ROOT = Path(__file__).resolve().parents[2]
K = 8


def facts(task: TaskSpec, candidate: int = 0, iteration: int = 0, **more: Any) -> dict[str, Any]:
    about = {
        "description": task.description,
        "task_weight": task.task_weight,
        "gamma": task.ppo.gamma,
        "action": task.action.in_words(),
    }
    return {
        "role": "designer",
        "slot": {"iteration": iteration, "candidate": candidate, "round": 0},
        "form": "reward",
        "task": about,
        "state": task.state_schema(),
        "programs": [],
        "tried": [],
        "refused": None,
        "analysis": None,
        **more,
    }


def levers() -> dict[str, Any]:
    """A grid world in other words than ours: a walker, a lever, an exit."""

    def place(name: str, low: int) -> dict[str, Any]:
        cell = {"type": "integer", "minimum": low, "maximum": 11}
        row = {"type": "array", "minItems": 2, "maxItems": 2, "items": cell}
        return {**row, "description": f"Tile of the {name}.", "x-unit": "tile", "x-dtype": "int64", "x-shape": ["B", 2]}

    lever = {
        "type": "integer",
        "enum": [0, 1],
        "description": "Whether the lever was pulled.",
        "x-values": {"0": "up", "1": "pulled"},
        "x-unit": "1",
        "x-dtype": "int64",
        "x-shape": ["B"],
    }
    fields = {"walker_xy": place("walker", 0), "lever_xy": place("lever", 0), "exit_xy": place("exit", 0)}
    return {
        "role": "designer",
        "slot": {"iteration": 0, "candidate": 0, "round": 0},
        "form": "reward",
        "task": {
            "description": "A walker stands in a maze. It must pull the lever and then leave through the exit.",
            "task_weight": 1.0,
            "gamma": 0.99,
            "action": "action has shape (B,), int64 codes: 0: north; 1: east; 2: south; 3: west; 4: pull",
        },
        "state": {"type": "object", "properties": {**fields, "lever_state": lever}},
        "programs": [],
        "tried": [],
        "refused": None,
        "analysis": None,
    }


def first(request: dict[str, Any], count: int = K) -> list[dict[str, str]]:
    slots = [{**request["slot"], "candidate": k} for k in range(count)]
    return [offline.design({**request, "slot": slot}, 0) for slot in slots]


def potential(source: str, state: dict[str, Any]) -> Any:
    there: dict[str, Any] = {}
    exec(compile(source, "reward.py", "exec"), there)
    return there["potential"]({name: np.array(value) for name, value in state.items()})


@pytest.mark.parametrize("name", catalog.ids())
def test_first_programs_differ_and_pass_the_gate_on_every_task(name: str) -> None:
    task = catalog.load(name)
    designs = first(facts(task))
    assert len({d["code"] for d in designs}) == K and len({d["idea"] for d in designs}) == K
    for design in designs:
        report = gate.check(design["code"])
        assert report.ok, (design["code"], report.violations)
        assert parse_design(json.dumps(design)).code == design["code"]
        if task.task_weight == 0:
            assert not report.has_potential


@pytest.mark.parametrize("name", catalog.ids())
def test_first_programs_answer_finite_numbers_for_every_row(name: str) -> None:
    task = catalog.load(name)
    rng = np.random.default_rng(0)
    rows = 16
    state: dict[str, Any] = {}
    for field in task.state:
        low, high = field.low if field.low is not None else -2, field.high if field.high is not None else 2
        drawn = rng.uniform(low, high, (rows, *field.shape))
        values = np.array([code for code, _ in field.values]) if field.values else None
        state[field.name] = (rng.choice(values, (rows, *field.shape)) if values is not None else drawn).astype(
            field.dtype
        )
    discrete = task.action.kind == "discrete"
    size = task.action.size
    action = rng.integers(0, size, rows) if discrete else rng.normal(size=(rows, size)).astype(np.float32)
    for design in first(facts(task)):
        there: dict[str, Any] = {}
        exec(compile(design["code"], "reward.py", "exec"), there)
        answer = there["compute_reward"](state, action, {k: v[::-1] for k, v in state.items()})
        answer = {**answer, **({"potential": there["potential"](state)} if "potential" in there else {})}
        for values in answer.values():
            assert values.shape == (rows,) and np.isfinite(values).all()


def test_designs_depend_on_the_facts_and_the_seed_alone() -> None:
    request = facts(catalog.load("doorkey-6x6"), candidate=5)
    before = copy.deepcopy(request)
    assert offline.design(request, 3) == offline.design(request, 3)
    assert request == before
    messy = facts(catalog.load("keycorridor-s3r1"))
    assert [d["code"] for d in first(messy)] == [d["code"] for d in first(messy)]


def door_state(**more: Any) -> dict[str, Any]:
    state = {name: [value] for name, value in {
        "agent_pos": (1, 1), "agent_dir": 0, "carrying_type": 0, "carrying_color": -1, "ahead_type": 1,
        "key_pos": (1, 3), "key_color": 0, "door_pos": (3, 2), "door_color": 0, "door_state": 2, "goal_pos": (4, 4),
    }.items()}  # fmt: skip
    return {**state, **{name: [value] for name, value in more.items()}}


def test_key_and_door_are_milestones_and_the_way_leads_to_the_next_thing() -> None:
    codes = [design["code"] for design in first(facts(catalog.load("doorkey-6x6")))]
    fitting = 0
    for code in codes:
        phi = {
            name: potential(code, state)[0]
            for name, state in {
                "start": door_state(),
                "near key": door_state(agent_pos=(1, 2)),
                "key": door_state(agent_pos=(1, 2), carrying_type=5, key_pos=(-1, -1)),
                "near door": door_state(agent_pos=(2, 2), carrying_type=5, key_pos=(-1, -1)),
                "open": door_state(agent_pos=(2, 2), carrying_type=5, key_pos=(-1, -1), door_state=0),
                "dropped": door_state(agent_pos=(4, 3), key_pos=(3, 3), door_state=0),
            }.items()
        }
        order = ["start", "near key", "key", "near door", "open"]
        fitting += all(phi[a] < phi[b] for a, b in itertools.pairwise(order))
    assert fitting >= 2


def test_another_world_with_other_names_is_understood() -> None:
    request = levers()
    designs = first(request)
    assert len({d["code"] for d in designs}) == K
    assert all(gate.check(d["code"]).ok for d in designs)
    here = {"walker_xy": [(2, 2)], "lever_xy": [(5, 2)], "exit_xy": [(0, 9)], "lever_state": [0]}
    steps = [here, {**here, "walker_xy": [(4, 2)]}, {**here, "walker_xy": [(4, 2)], "lever_state": [1]}]
    steps.append({**steps[-1], "walker_xy": [(0, 8)]})
    phi = [potential(designs[0]["code"], state)[0] for state in steps]
    assert phi == sorted(phi) and len(set(phi)) == 4


def test_observation_without_words_and_without_numbers_still_gives_programs() -> None:
    request = levers()
    number = {"type": "number", "description": "Dimension of the observation.", "x-unit": "1", "x-dtype": "float32"}
    number["x-shape"] = ["B"]
    plain = {f"obs_{i}": number for i in range(4)}
    image = {"obs": {**number, "x-dtype": "uint8", "x-shape": ["B", 84, 84, 3]}}
    for fields in (plain, image):
        for weight in (0.0, 1.0):
            request["state"] = {"type": "object", "properties": fields}
            request["task"] = {**request["task"], "task_weight": weight}
            designs = first(request)
            assert len({d["code"] for d in designs}) == K
            assert all(gate.check(d["code"]).ok for d in designs)


@pytest.mark.parametrize("name", ["doorkey-6x6", "redbluedoors-6x6", "lunarlander", "acrobot"])
@pytest.mark.parametrize("level", ["scale", "structure", "rebuild"])
def test_later_iterations_change_the_best_and_repeat_nothing(name: str, level: str) -> None:
    task = catalog.load(name)
    tried = first(facts(task))
    ranked = [
        {"id": str(i), "source": d["code"], "status": "trained", "fitness": 0.5 - i / 10, "native_fitness": 0.1}
        for i, d in enumerate(tried[:2])
    ]
    more = {"programs": ranked, "tried": [d["idea"] for d in tried], "analysis": {"change": {"level": level}}}
    designs = first(facts(task, iteration=1, **more))
    assert len({d["code"] for d in designs}) == K
    assert not {d["code"] for d in designs} & {d["code"] for d in tried}
    assert not {d["idea"] for d in designs} & {d["idea"] for d in tried}
    assert all(gate.check(d["code"]).ok for d in designs)
    third = [*tried, *designs]
    more["tried"] = [d["idea"] for d in third]
    again = first(facts(task, iteration=2, **more))
    assert not {d["idea"] for d in again} & {d["idea"] for d in third}


def body(code: str) -> str:
    """What runs: plans with other sizes may come to the same factors."""
    return "\n".join(line for line in code.splitlines() if not line.startswith("#"))


def test_a_latent_reward_holds_no_more_factors_than_an_answer_may() -> None:
    """HalfCheetah has 16 terms, which would make 33 with their changes and effort."""
    composer = Composer(facts(catalog.load("halfcheetah-episodic"), form="latent"))
    (plan, *_) = sorted(composer.enumerate(random.Random(0)), key=lambda plan: -len(plan.terms))
    offer = composer.offer(replace(plan, mode="potential"))
    assert len(re.findall(r'^        "\w+": ', offer.source, re.MULTILINE)) == 32
    assert "effort" in offer.source and gate.check(offer.source, form="latent").ok


@pytest.mark.parametrize("name", ["doorkey-6x6-episodic", "halfcheetah-episodic", "reacher-episodic"])
def test_latent_rewards_differ_in_their_factors(name: str) -> None:
    task = catalog.load(name)
    tried = first(facts(task, form="latent"))
    assert len({body(d["code"]) for d in tried}) == len({d["idea"] for d in tried}) == K
    best = {"id": "a", "source": tried[0]["code"], "status": "trained", "fitness": 0.5, "native_fitness": 0.1}
    more = {"programs": [best], "tried": [d["idea"] for d in tried], "analysis": {"level": "scale"}}
    later = first(facts(task, iteration=1, form="latent", **more))
    every = [body(d["code"]) for d in (*tried, *later)]
    assert len(set(every)) == 2 * K


@pytest.mark.parametrize(
    ("name", "asked", "other"),
    [("simple-spread", "landmark_offset", "teammate_offset"), ("simple-tag", "prey_offset", "obstacle_offset")],
)
def test_what_lies_around_is_read_as_ways_and_what_is_asked_for_comes_first(name: str, asked: str, other: str) -> None:
    task = catalog.load(name)
    for form in ("reward", "latent"):
        tried = first(facts(task, form=form))
        assert all(f"near_{asked}" in d["idea"] for d in tried)
        assert other not in tried[0]["idea"]
    schema = task.state_schema()
    offers = terms.offers(schema, task.description, read(schema, task.description))
    assert {f"near_{other}", f"away_{other}"} <= {t.name for t in offers}
    there: dict[str, Any] = {}
    exec(compile(tried[0]["code"], "reward.py", "exec"), there)
    several = np.array([[[3.0, 4.0], [0.0, 2.0]], [[0.0, -1.0], [6.0, 8.0]]], np.float32)
    nearest = there[f"term_near_{asked}"]
    if name == "simple-spread":
        np.testing.assert_allclose(nearest({asked: several}), [-2, -1])
        np.testing.assert_allclose(there[f"term_amid_{asked}"]({asked: several}), [-3.5, -5.5])
    else:
        np.testing.assert_allclose(nearest({asked: several[:, 0]}), [-5, -1])


def around(*shape: int, unit: str = "m", dtype: str = "float32", **more: Any) -> dict[str, Any]:
    return {"x-shape": ["B", *shape], "x-unit": unit, "x-dtype": dtype, "description": "", **more}


AROUND = {
    "nobody asks": ("Do it well.", {"ball_offset": around(2), "velocity": around(2, unit="m/s")}),
    "nobody asks, several": ("Do it well.", {"ball_offset": around(3, 2)}),
    "two words for one": ("Touch the ball.", {"ball_offset": around(2), "relative_ball": around(2), "ball": around()}),
    "a velocity": ("Touch the ball.", {"ball_relative_velocity": around(2, unit="m/s"), "ball_offset": around(2)}),
    "angles": ("Run forward.", {"joint_relative_angles": around(3, unit="rad")}),
    "none of them": ("Cover the landmarks.", {"teammate_offset": around(0, 2), "landmark_offset": around(1, 2)}),
    "flags": ("Raise the flags.", {"relative_flags": around(2, unit="1", dtype="bool"), "mast_offset": around(2)}),
    "shunned": ("Flee: the mover must keep away from the enemy.", {"enemy_offset": around(2)}),
}


@pytest.mark.parametrize("case", AROUND)
def test_every_term_of_what_lies_around_answers_one_number_a_row(case: str) -> None:
    description, fields = AROUND[case]
    schema, rng = {"type": "object", "properties": fields}, np.random.default_rng(0)
    offers = terms.offers(schema, description, read(schema, description))
    assert len({t.name for t in offers}) == len(offers) > 0
    state = {n: rng.normal(size=(4, *spec["x-shape"][1:])).astype(spec["x-dtype"]) for n, spec in fields.items()}
    for term in offers:
        there: dict[str, Any] = {"np": np}
        exec("\n".join(["def term(state):", *terms.body(term)]), there)
        assert there["term"](state).shape == (4,), term.name
    main = {t.name for t in offers if t.role == "main" and t.weight}
    assert case != "a velocity" or main == {"near_ball_offset"}
    assert case != "shunned" or main == {"away_enemy_offset"}
    for form in ("reward", "latent"):
        request = levers() | {"form": form, "state": schema}
        request["task"] = request["task"] | {"description": description}
        for design in first(request):
            assert gate.check(design["code"], form=form).ok
            exec(compile(design["code"], "reward.py", "exec"), there)
            answer = there["compute_latent" if form == "latent" else "compute_reward"](state, np.zeros(4, int), state)
            assert {values.shape for values in answer.values()} == {(4,)}


def test_factors_that_a_decoder_does_not_need_are_left_out() -> None:
    task = catalog.load("halfcheetah-episodic")
    rich = max(first(facts(task, form="latent")), key=lambda d: d["code"].count("def term_"))
    names = re.findall(r'^        "(\w+)":', rich["code"], re.MULTILINE)
    needed = names[:2]
    best = {"id": "a", "source": rich["code"], "status": "trained", "fitness": 0.5, "native_fitness": 0.1}
    best["importance"] = {name: 0.4 if name in needed else 0.001 for name in names}
    more = {"programs": [best], "tried": [rich["idea"]], "analysis": {"level": "scale"}}
    design = offline.design(facts(task, iteration=1, form="latent", **more), 0)
    assert len(names) > 4
    left = {name.removesuffix("_change") for name in re.findall(r'^        "(\w+)":', design["code"], re.MULTILINE)}
    assert left == {name.removesuffix("_change") for name in needed} | {"effort"}


def test_a_task_with_few_factors_repeats_one_where_none_is_left() -> None:
    """The loop knows a program that comes again, and asks for another."""
    task = catalog.load("cartpole")
    known: list[dict[str, Any]] = []
    for iteration in range(12):
        best = [{"id": "a", "source": d["code"], "status": "trained", "fitness": 0.5} for d in known]
        more = {"programs": best, "tried": [d["idea"] for d in known]}
        known += first(facts(task, iteration=iteration, form="latent", **more))
    bodies = [body(d["code"]) for d in known]
    assert all(gate.check(d["code"], form="latent").ok for d in known)
    assert len(set(bodies)) < len(bodies)


def test_scale_and_structure_ask_for_different_changes() -> None:
    task = catalog.load("doorkey-6x6")
    best = offline.design(facts(task), 0)
    ranked = [{"id": "a", "source": best["code"], "status": "trained", "fitness": 0.5, "native_fitness": 0.1}]

    def plan(level: str) -> dict[str, Any]:
        more = {"programs": ranked, "tried": [best["idea"]], "analysis": {"level": level}}
        code = offline.design(facts(task, iteration=1, **more), 0)["code"]
        return dict(json.loads(code.splitlines()[0].removeprefix("# plan: ")))

    old = json.loads(best["code"].splitlines()[0].removeprefix("# plan: "))
    sizes = {"bonus", "near", "idle"}
    assert {k for k, v in plan("scale").items() if v != old[k]} <= sizes
    assert not {k for k, v in plan("structure").items() if v != old[k]} & sizes


@pytest.mark.parametrize("name", ["doorkey-6x6", "halfcheetah"])
def test_repair_answers_a_refusal_with_something_else(name: str) -> None:
    task = catalog.load(name)
    refused = offline.design(facts(task), 0)["code"]
    told = {"source": refused, "violations": [{"rule": "gamed", "line": None, "message": "no"}], "reasons": []}
    seen = {refused}
    for repair in (1, 2, 3):
        request = facts(task, refused=told)
        request["slot"]["round"] = repair
        design = offline.design(request, 0)
        assert design["code"] not in seen and gate.check(design["code"]).ok
        seen.add(design["code"])
        told = {**told, "source": design["code"]}
    foreign = {**told, "source": "def compute_reward(state, action, next_state):\n    return {}\n"}
    assert gate.check(offline.design(facts(task, refused=foreign), 0)["code"]).ok


def test_source_names_no_task_and_no_field_of_ours() -> None:
    text = "".join(path.read_text() for path in sorted((ROOT / "designer" / "offline").glob("*.py")))
    known = {task.removesuffix(".toml") for task in catalog.ids()}
    fields = {field.name for name in catalog.ids() for field in catalog.load(name).state}
    # Words of one piece are the language's own (``x``, ``position``); names of fields have an underscore.
    for name in known | {f for f in fields if "_" in f}:
        assert not re.search(rf"\b{re.escape(name)}\b", text), name
    for word in ("minigrid", "doorkey", "lunar", "cheetah", "MiniGrid", "mujoco"):
        assert word not in text


def critic(**verification: Any) -> dict[str, Any]:
    found = {"ok": True, "violations": [], "warnings": [], "components": {}, **verification}
    return {"role": "critic", "program": {"source": "def compute_reward(): ..."}, "verification": found}


def test_critic_reads_the_measurements() -> None:
    fine = {"a": {"std": 0.1, "share": 0.6}, "b": {"std": 0.2, "share": 0.4}}
    assert offline.critique(critic(components=fine)) == {"approve": True, "reasons": []}
    drowned = {"a": {"std": 0.1, "share": 0.999}, "b": {"std": 0.2, "share": 0.001}}
    assert "'a'" in offline.critique(critic(components=drowned))["reasons"][0]
    assert not offline.critique(critic(components={"a": {"std": 0.0, "share": 1.0}}))["approve"]
    assert not offline.critique(critic(audit={"verdict": "gamed"}))["approve"]
    refused = offline.critique(critic(ok=False, violations=[{"rule": "x", "message": "the reason"}]))
    assert "the reason" in refused["reasons"][0]
    assert parse_critique(json.dumps(refused)).approve is False


def analyzer(success: list[float], components: dict[str, Any], fitness: float) -> dict[str, Any]:
    episodes = [{"id": "e0", "success": True, "length": 9}, {"id": "e1", "success": False, "length": 40}]
    training = {
        "fitness": fitness,
        "native_fitness": 0.4,
        "curves": {"success": success},
        "components": components,
        "episodes": episodes,
    }
    return {"role": "analyzer", "training": training}


def test_analyzer_reads_the_numbers_and_cites_episodes_that_exist() -> None:
    lively = {"course": [0.0, 0.1], "end_mean": 0.1, "end_min": -0.2, "end_max": 0.3}
    flat = {"course": [0.0, 0.0], "end_mean": 0.0, "end_min": 0.0, "end_max": 0.0}
    huge = {"course": [0.0, 90.0], "end_mean": 90.0, "end_min": -99.0, "end_max": 99.0}
    cases = {
        "rebuild": analyzer([0.0, 0.0], {"a": lively}, 0.0),
        "structure": analyzer([0.2, 0.2], {"a": flat}, 0.2),
        "scale": analyzer([0.2, 0.7], {"a": lively, "b": huge}, 0.7),
    }
    for level, request in cases.items():
        answer = offline.analyze(request)
        assert answer["change"]["level"] == level
        told = parse_analysis(json.dumps(answer), {"e0": 9, "e1": 40})
        assert told.evidence[0].episode == "e1" and told.evidence[0].step == 39


def test_analyzer_reads_what_a_decoder_makes_of_the_factors() -> None:
    lively = {"course": [0.0, 0.1], "end_mean": 0.1, "end_min": -0.2, "end_max": 0.3}
    huge = {"course": [0.0, 90.0], "end_mean": 90.0, "end_min": -99.0, "end_max": 99.0}

    def told(importance: dict[str, float], explained: float | None) -> dict[str, Any]:
        request = analyzer([0.2, 0.7], {"a": lively, "b": huge}, 0.7)
        request["training"] |= {"importance": importance, "explained": explained}
        return dict(offline.analyze({**request, "form": "latent"}))

    assert told({"a": 0.001, "b": 0.0}, 0.0)["change"]["level"] == "rebuild"
    assert told({"a": 0.3, "b": 0.2}, 0.2)["change"]["level"] == "structure"
    superfluous = told({"a": 0.9, "b": 0.001}, 0.9)
    assert superfluous["change"]["level"] == "scale" and "'b'" in superfluous["diagnosis"]
    assert "size" not in json.dumps(told({"a": 0.5, "b": 0.6}, 0.9)), "a decoder finds the sizes"


def test_the_size_of_a_factor_is_no_reason_to_send_it_back() -> None:
    drowned = critic(components={"a": {"std": 0.1, "share": 0.999}, "b": {"std": 0.2, "share": 0.001}})
    assert offline.critique({**drowned, "form": "latent"})["approve"]


def test_litellm_reaches_the_provider_and_registers_it_once() -> None:
    for _ in range(2):
        check_models(DesignSettings(task="t", model="offline"))
    import litellm

    names = [entry["provider"] for entry in litellm.custom_provider_map]
    assert names.count("offline") == 1
    request = facts(catalog.load("doorkey-6x6"), candidate=2)
    messages = [
        {"role": "system", "content": "You design rewards."},
        {"role": "user", "content": f"Write one.\n\n## Facts\n```json\n{json.dumps(request)}\n```"},
        {"role": "assistant", "content": "## Facts\n```json\n{}\n```"},
        {"role": "user", "content": "Your last answer cannot be used. Answer again."},
    ]
    response = litellm.completion(model="offline/rewardsmith", messages=messages)
    assert json.loads(response.choices[0].message.content) == offline.design(request, 0)
    assert response.usage.prompt_tokens > 100 and response.usage.completion_tokens > 10


def test_prompt_without_facts_is_an_error() -> None:
    with pytest.raises(ValueError, match="Facts"):
        offline.reply([{"role": "user", "content": "hello"}])
