"""What each agent is told: machine-readable facts, the same for a language model and for the offline designer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from designer.digest import component_course, curves, episode_text
from designer.skeleton import reading, skeleton
from designer.store import Json, RunStore
from designer.trainings import unpack
from envs.task import TaskSpec
from sandbox.program import Form, RewardProgram

SHOWN_BEST = 2
SHOWN_FAILED = 2
TRIED = 24
"""Ideas that a designer is reminded of, newest last."""
_SOURCE = 5_000
"""Characters of an earlier program that are shown."""


def task_facts(task: TaskSpec) -> Json:
    """The task in words and numbers; never the native reward's code."""
    return {
        "description": task.description,
        "action": task.action.in_words(),
        "task_weight": task.task_weight,
        "gamma": task.ppo.gamma,
        "episode_steps": task.episode_steps,
        "measure": task.fitness.kind,
    }


def _control(store: RunStore) -> float | None:
    record = store.read_json("controls/native/training.json")
    return record["fitness"]["iqm"] if record else None


def ranked(store: RunStore) -> list[str]:
    """Trained programs, best first: by fitness, ties by area under the success curve, then by age."""
    found = []
    for age, candidate in enumerate(store.candidate_ids()):
        record = store.read_json(f"candidates/{candidate}/training.json")
        if record and record["failure"] is None and record["fitness"]["iqm"] is not None:
            found.append((-record["fitness"]["iqm"], -record["area"], age, candidate))
    return [candidate for *_, candidate in sorted(found)]


def _earlier(store: RunStore, before: int) -> list[Json]:
    """The best and the failed programs of the iterations before this one, as the designer is shown them."""
    native = _control(store)
    old = {i for i in store.candidate_ids() if (store.candidate(i) or {})["iteration"] < before}
    best = [i for i in ranked(store) if i in old][:SHOWN_BEST]
    failed = [i for i in store.candidate_ids() if i in old and (store.candidate(i) or {})["status"] in _FAILED][
        -SHOWN_FAILED:
    ]
    shown = []
    for candidate in (*best, *failed):
        facts = store.candidate(candidate) or {}
        training = store.read_json(f"candidates/{candidate}/training.json")
        verification = store.read_json(f"candidates/{candidate}/verification.json") or {}
        shown.append(
            {
                "id": candidate,
                "idea": facts["idea"],
                "status": facts["status"],
                "source": store.program(candidate).source[:_SOURCE],
                "fitness": training["fitness"]["iqm"] if training else None,
                "native_fitness": native,
                "curves": curves(training) if training else None,
                "components": component_course(training) if training else {},
                **_factors(training or {}),
                "violations": [v["message"] for v in verification.get("violations", [])][:2],
            }
        )
    return shown


def _factors(record: Json) -> Json:
    """What a training showed of a latent reward's factors; all None for an explicit one."""
    return {name: record.get(name) for name in ("effect", "importance", "ablation", "explained", "importance_course")}


def _drafts(store: RunStore, slot: Mapping[str, int]) -> list[Json]:
    """The latent rewards that held in the iteration's other slots, oldest first: what a merging slot works on."""
    found = []
    for candidate in store.candidate_ids():
        facts = store.candidate(candidate) or {}
        held = facts["status"] in ("approved", "unapproved") and facts["iteration"] == slot["iteration"]
        program = store.program(candidate)
        if held and program.form == "latent":
            found.append({"id": candidate, "idea": facts["idea"], "source": program.source[:_SOURCE]})
    return found


_OUTCOME = ("episodes", "correlation", "explained")
_LINE = 160
"""Characters of a line at fault that are told."""
_FAILED = ("refused", "failed", "gamed", "failed_in_training")


def designer_facts(
    task: TaskSpec,
    store: RunStore,
    slot: Mapping[str, int],
    *,
    form: Form,
    merging: bool,
    refused: Json | None,
    comments: Sequence[str],
) -> Json:
    """Facts for the designer: task, schema, what earlier iterations showed, and what was wrong (a repair)."""
    before = slot["iteration"]
    tried = [
        facts["idea"]
        for candidate in store.candidate_ids()
        if (facts := store.candidate(candidate)) and facts["iteration"] < before
    ]
    earlier = _earlier(store, before)
    best = earlier[0]["id"] if earlier and earlier[0]["fitness"] is not None else None
    # What all slots share comes first: model servers reuse what they computed for a common beginning.
    return {
        "role": "designer",
        "form": form,
        "task": task_facts(task),
        "state": task.state_schema(),
        "reading": reading(task),
        "skeleton": skeleton(task, form),
        "programs": earlier,
        "drafts": _drafts(store, slot) if merging else [],
        "tried": tried[-TRIED:],
        "analysis": store.read_json(f"candidates/{best}/analysis.json") if best else None,
        "comments": list(comments),
        "refused": refused and {"source": refused["source"], "problems": _problems(refused)},
        "slot": dict(slot),
    }


def _problems(refused: Json) -> list[str]:
    """What was wrong with a program, as sentences.

    They hold words of the program, of what ran it and of the critic: facts, which never stand outside their block.
    """
    lines = refused["source"].split("\n")
    told = []
    for violation in refused["violations"]:
        line = violation.get("line")
        # Models count lines badly, so the line itself stands beside its number.
        text = f": `{lines[line - 1].strip()[:_LINE]}`" if line and line <= len(lines) else ""
        where = f" (line {line}{text})" if line else ""
        told.append(f"{violation['rule']}{where}: {violation['message']}")
    told += [f"the critic: {reason}" for reason in refused.get("reasons", [])]
    return told or ["it could not be used"]


def critic_facts(task: TaskSpec, program: RewardProgram, verification: Json, slot: Mapping[str, int]) -> Json:
    """Facts for the critic: the program and what was measured on it."""
    measured = verification["measured"]
    audit, outcome = verification["audit"] or {"verdict": "not_audited"}, measured.get("outcome")
    return {
        "role": "critic",
        "task": task_facts(task),
        "fields": {f.name: f.meaning for f in task.state},
        "form": program.form,
        "program": {"source": program.source},
        "verification": {
            "ok": verification["ok"],
            "violations": verification["violations"],
            # What a call costs stands here where it is too much, and nowhere else: it differs from run to run, and
            # equal programs are asked about in equal words.
            "warnings": measured.get("warnings", []),
            "components": verification["components"],
            "sensitivity": measured.get("sensitivity", {}),
            "latent": measured.get("latent"),
            "outcome": outcome and {name: outcome[name] for name in _OUTCOME},
            "audit": {"verdict": audit["verdict"]},
        },
        "slot": dict(slot),
    }


def analyzer_facts(
    task: TaskSpec, store: RunStore, candidate: str, slot: Mapping[str, int]
) -> tuple[Json, dict[str, int]]:
    """Facts for the analyzer of a trained program, and the episodes it may cite with their lengths."""
    record = store.read_json(f"candidates/{candidate}/training.json") or {}
    episodes = unpack(store.read_arrays(f"candidates/{candidate}/trajectories.npz"))
    told: list[dict[str, Any]] = [
        {"id": f"e{i}", "success": e.success, "length": len(e), "steps": episode_text(task, e)}
        for i, e in enumerate(episodes)
    ]
    facts = {
        "role": "analyzer",
        "task": task_facts(task),
        "form": store.program(candidate).form,
        "program": {"id": candidate, "source": store.program(candidate).source},
        "training": {
            "fitness": record["fitness"]["iqm"],
            "native_fitness": _control(store),
            "curves": curves(record),
            "components": component_course(record),
            **_factors(record),
            "decoded": store.read_json(f"candidates/{candidate}/decoded.json"),
            "episodes": told,
        },
        "slot": dict(slot),
    }
    return facts, {f"e{i}": len(e) for i, e in enumerate(episodes)}
