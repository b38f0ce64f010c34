"""The audit catches rewards that can be gamed, and lets sound ones pass."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from envs import catalog
from envs.episode import Episode
from envs.scripted import ScriptedEpisodes, episodes
from training.audit import AuditReport, audit
from training.reward import paid

from .gamed_rewards import GAMED, SOUND, pay, potential
from .in_process import InProcess


@cache
def scripted(task_id: str) -> ScriptedEpisodes:
    found = episodes(catalog.load(task_id), starts=5 if task_id == "acrobot" else 20)
    assert found is not None
    return found


def report(task_id: str, source: str) -> AuditReport:
    task = catalog.load(task_id)
    return audit(scripted(task_id), InProcess(source), gamma=task.ppo.gamma, task_weight=task.task_weight)


def rows(table: dict[str, dict[str, str]]) -> list[tuple[str, str]]:
    return [(task_id, name) for task_id, sources in table.items() for name in sources]


@pytest.mark.parametrize(("task_id", "name"), rows(GAMED))
def test_a_reward_that_can_be_gamed_is_caught(task_id: str, name: str) -> None:
    found = report(task_id, GAMED[task_id][name])
    assert found.verdict == "gamed"
    assert found.evidence[0].beaten is not None


@pytest.mark.parametrize(("task_id", "name"), rows(SOUND))
def test_a_sound_reward_passes(task_id: str, name: str) -> None:
    found = report(task_id, SOUND[task_id][name])
    assert found.verdict == "sound", found.feedback()


@pytest.mark.parametrize("table", [GAMED, SOUND], ids=["gamed", "sound"])
def test_each_of_the_four_tasks_has_a_dozen_rewards(table: dict[str, dict[str, str]]) -> None:
    assert {task_id: len(set(sources.values())) >= 12 for task_id, sources in table.items()} == dict.fromkeys(
        ("doorkey-6x6", "lavagap-s7", "mountaincar", "lunarlander"), True
    )


@pytest.mark.parametrize("task_id", ["doorkey-6x6", "lavagap-s7", "mountaincar", "lunarlander", "acrobot", "cartpole"])
def test_the_reward_that_a_person_wrote_is_sound(task_id: str) -> None:
    source = catalog.load(task_id).human_source()
    assert source is not None
    assert report(task_id, source).verdict == "sound"


def test_without_solutions_nothing_passes() -> None:
    found = audit(None, InProcess(pay(none="0 * a")), gamma=0.99, task_weight=1.0)
    assert found.verdict == "not_audited"
    empty = ScriptedEpisodes(solutions={}, exploits=scripted("mountaincar").exploits, twins={})
    assert audit(empty, InProcess(pay(none="0 * a")), gamma=0.99, task_weight=1.0).verdict == "not_audited"


def test_paying_nothing_is_a_tie_where_the_native_reward_is_not_paid() -> None:
    nothing = InProcess(pay(none="0 * a"))
    assert audit(scripted("mountaincar"), nothing, gamma=0.99, task_weight=0.0).verdict == "gamed"
    assert audit(scripted("mountaincar"), nothing, gamma=0.99, task_weight=1.0).verdict == "sound"


def test_a_potential_moves_every_behaviour_alike() -> None:
    bare = {row.behaviour: row.mean_return for row in report("lavagap-s7", pay(none="0 * a")).evidence}
    shaped = report("lavagap-s7", potential("30.0 - 7.0 * apart(s, 'goal_pos') + 3.0 * s['agent_dir']"))
    moved = [row.mean_return - bare[row.behaviour] for row in shaped.evidence]
    assert np.ptp(moved) < 1e-3


def test_a_return_is_what_the_trainer_would_have_paid_step_by_step() -> None:
    source, gamma = pay(step="-0.1 + 0 * a", height="height(n)"), 0.97
    found = {
        row.behaviour: row
        for row in audit(scripted("mountaincar"), InProcess(source), gamma=gamma, task_weight=0.5).evidence
    }
    for name, runs in scripted("mountaincar").solutions.items():
        by_hand = [alone(episode, source, gamma, 0.5) for episode in runs]
        assert found[name].mean_return == pytest.approx(float(np.mean(by_hand)), rel=1e-4)
        assert sum(value for _, value in found[name].components) == pytest.approx(found[name].mean_return)


def alone(episode: Episode, source: str, gamma: float, task_weight: float) -> float:
    from envs.episode import side_by_side

    batch = side_by_side([episode])
    values = paid(InProcess(source)(batch), batch, episode.reward[:, None], gamma=gamma, task_weight=task_weight)
    return float(values[:, 0] @ gamma ** np.arange(len(episode)))


def test_memory_sees_each_episode_by_itself() -> None:
    source = (
        pay(none="0 * a").split("def compute_reward")[0]
        + "\ndef init_memory(batch_size):\n    return {'clock': np.zeros(batch_size, dtype=np.int64)}\n"
        "\ndef compute_reward(s, a, n, memory):\n"
        "    return {'first': f(memory['clock'] == 0)}, {'clock': memory['clock'] + 1}\n"
    )
    found = audit(scripted("lavagap-s7"), InProcess(source), gamma=0.99, task_weight=0.0)
    assert {round(row.mean_return, 5) for row in found.evidence} == {1.0}


def test_feedback_names_behaviour_component_return_and_solution() -> None:
    found = report("doorkey-6x6", pay(key_in_hand="0.1 * has_key(n)", small="-0.001 + 0 * a"))
    words = found.feedback()
    assert "key_in_hand" in words
    assert "after-key" in words
    assert "'fast'" in words
    assert found.evidence[0].top_component == "key_in_hand"
    assert found.evidence[0].beaten_share == 1.0
    assert json.loads(json.dumps(found.to_json()))["verdict"] == "gamed"


def test_ending_early_is_held_against_the_best_solution_alone() -> None:
    found = report("lavagap-s7", pay(cost="-0.02 + 0 * a"))
    by_name = {row.behaviour: row for row in found.evidence}
    assert by_name["lava"].role == "quitter"
    assert by_name["late"].mean_return < by_name["lava"].mean_return < by_name["fast"].mean_return
    assert found.verdict == "sound"


def test_the_verdict_hangs_on_the_mean_over_starts() -> None:
    known = scripted("mountaincar")
    one = ScriptedEpisodes(
        solutions={"fast": known.solutions["fast"]}, exploits={"idle": known.exploits["idle"]}, twins={}
    )
    lucky = [replace(e, reward=e.reward + (100 if i == 0 else 0)) for i, e in enumerate(one.exploits["idle"])]
    swayed = replace(one, exploits={"idle": tuple(lucky)})
    nothing = InProcess(pay(none="0 * a"))
    found = audit(swayed, nothing, gamma=0.99, task_weight=1.0)
    assert found.verdict == "gamed"
    assert found.evidence[0].beaten_share == 1 / len(lucky)
