"""The scorecard: what was found, held against the controls, with intervals, and what the search cost."""

from __future__ import annotations

from designer.budget import Budget
from designer.settings import DesignSettings
from designer.store import Json, RunStore
from envs.task import TaskSpec
from training.statistics import summary

_NONE: Json = {"iqm": None, "low": None, "high": None, "seeds": 0}


def difference(arm: Json, control: Json) -> Json:
    """Paired difference in fitness, arm minus control, over the seeds that both have: iqm, low, high, seeds.

    ``low`` and ``high`` bound the 95 % interval; with fewer than 5 seeds they are None.
    """
    of_control = {s["seed"]: s["fitness"] for s in control["seeds"]}
    return summary([s["fitness"] - of_control[s["seed"]] for s in arm["seeds"] if s["seed"] in of_control])


def delivered(store: RunStore, candidate: str) -> Json | None:
    """On confirmation's seeds, the record of what a candidate's bundle teaches, or None.

    A latent reward's is with its decoder frozen.
    """
    frozen: Json | None = store.read_json(f"candidates/{candidate}/bundle.json")
    if frozen is not None and frozen["failure"] is None:
        return frozen
    found: Json | None = store.read_json(f"candidates/{candidate}/confirmation.json")
    return found


def confirmed(store: RunStore) -> Json | None:
    """The candidate that was confirmed as better than the native control, or None.

    Better: the 95 % interval of the paired difference on fresh seeds, of what is delivered, lies above 0.
    """
    native = store.read_json("controls/native/confirmation.json")
    for candidate in store.candidate_ids():
        record = delivered(store, candidate)
        if record and native and record["failure"] is None:
            gain = difference(record, native)
            if gain["low"] is not None and gain["low"] > 0:
                return {"id": candidate, "fitness": record["fitness"], "gain_over_native": gain}
    return None


def _shown(store: RunStore, folder: str) -> Json:
    """An arm's fitness: on confirmation's seeds where it has them, else on selection's."""
    for name in ("confirmation", "training"):
        record = store.read_json(f"{folder}/{name}.json")
        if record:
            return {**record["fitness"], "on": record["purpose"]}
    return dict(_NONE)


def scorecard(task: TaskSpec, settings: DesignSettings, store: RunStore, budget: Budget, stopped_by: str) -> Json:
    """The run's result as ``scorecard.json`` holds it."""
    arms = [p.name for p in sorted((store.root / "controls").glob("*")) if p.is_dir()]
    candidates = []
    for candidate in store.candidate_ids():
        facts = store.candidate(candidate) or {}
        fitness = _shown(store, f"candidates/{candidate}")
        bundle = store.read_json(f"candidates/{candidate}/bundle.json")
        candidates.append(
            {
                "id": candidate,
                "iteration": facts["iteration"],
                "status": facts["status"],
                "fitness": fitness if fitness["seeds"] else None,
                # A latent reward's with its decoder frozen, beside one whose decoder learns.
                "bundle_fitness": bundle["fitness"] if bundle and bundle["failure"] is None else None,
            }
        )
    spent = budget.spent
    return {
        "task": task.id,
        "model": settings.model,
        "measure": task.fitness.kind,
        "best": confirmed(store),
        "controls": {name: {"fitness": _shown(store, f"controls/{name}")} for name in sorted(arms)},
        "candidates": candidates,
        "cost": {
            "tokens": spent.tokens,
            "usd": None if spent.usd is None else round(spent.usd, 6),
            "env_steps": spent.env_steps,
            "seconds": round(store.elapsed, 1),
        },
        "stopped_by": stopped_by,
    }


def write_scorecard(task: TaskSpec, settings: DesignSettings, store: RunStore, budget: Budget, stopped_by: str) -> None:
    """Write ``scorecard.json`` and say so."""
    card = scorecard(task, settings, store, budget, stopped_by)
    store.write_json("scorecard.json", card)
    store.event("finished", best=card["best"]["id"] if card["best"] else None, stopped_by=stopped_by)
