"""Programs made of plans: everything that the offline designer can compose for one task."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from designer.offline import latents, steps, terms
from designer.offline.schema import Landscape, read

_PLAN = re.compile(r"^# plan: (\{.*\})$", re.MULTILINE)

Plan = steps.StepsPlan | terms.TermsPlan


class Offer(NamedTuple):
    """A program and what it is about."""

    plan: Plan
    idea: str
    source: str


class Composer:
    """Everything that can be composed for one task; a pure function of its facts."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        task = facts["task"]
        description = str(task["description"])
        self._action = str(task.get("action", ""))
        self._latent = facts.get("form") == "latent"
        self._potentials = float(task["task_weight"]) > 0
        self._landscape: Landscape = read(facts["state"], description)
        self._terms = terms.offers(facts["state"], description, self._landscape)
        main = any(not m.spare for m in self._landscape.milestones)
        places = bool(self._landscape.mover and self._landscape.final)
        # Factors are weighed by a decoder, so nothing is wrong with a potential where the task pays nothing.
        coded = bool(self._landscape.small) and (self._landscape.mover is not None or not self._terms)
        self.by_steps = (self._potentials or self._latent) and coded and (main or places)

    def offer(self, plan: Plan) -> Offer:
        """The plan as a program. Its first line holds the plan, so that it can be changed later."""
        if isinstance(plan, steps.StepsPlan):
            idea = steps.idea(plan)
            body = latents.of_steps(plan, self._landscape) if self._latent else steps.render(plan, self._landscape)
        else:
            idea = latents.idea(plan) if self._latent else terms.idea(plan)
            body = latents.of_terms(plan, self._action) if self._latent else terms.render(plan, self._action)
        return Offer(plan, idea, f"# plan: {json.dumps(plan.to_json())}\n{body}")

    def enumerate(self, chance: random.Random) -> Iterator[Plan]:
        """Plans from nothing, the most plausible first."""
        if self.by_steps:
            yield from steps.enumerate_plans(self._landscape, chance)
        plans = list(terms.enumerate_plans(self._terms, self._potentials, chance))
        yield from plans
        if self._latent and plans:  # many of these differ in sizes alone
            yield from terms.mutate(plans[0], self._terms, potentials=True, level="structure", chance=chance)

    def parse(self, source: str) -> Plan | None:
        """The plan of an earlier program, None where it was written by someone else."""
        found = _PLAN.search(source)
        if found is None:
            return None
        try:
            told = json.loads(found[1])
        except ValueError:
            return None
        return steps.plan_from_json(told, self._landscape) or terms.plan_from_json(
            told, self._terms, self._potentials or self._latent
        )

    def mutate(self, plan: Plan, importance: Mapping[str, float], level: str, chance: random.Random) -> Iterator[Plan]:
        """Neighbours of a plan; ``importance``: of its factors, where it was a latent reward."""
        if isinstance(plan, steps.StepsPlan):
            # What a decoder weighs is not changed by other sizes of it.
            yield from steps.mutate(plan, self._landscape, "structure" if self._latent else level, chance)
        elif self._latent:
            yield from latents.mutate(plan, importance, self._terms, level, chance)
        else:
            yield from terms.mutate(plan, self._terms, self._potentials, level, chance)

    def merge(self, drafts: Sequence[Plan]) -> Plan:
        """One plan of several."""
        if isinstance(drafts[0], steps.StepsPlan):
            alike = [plan for plan in drafts if isinstance(plan, steps.StepsPlan)]
            return steps.combine(alike[0], alike[-1])
        return terms.merge([plan for plan in drafts if isinstance(plan, terms.TermsPlan)])

    def improve(
        self, best: Sequence[tuple[Plan, Mapping[str, float]]], level: str, chance: random.Random
    ) -> Iterator[Plan]:
        """What to try after the best programs so far: their neighbours in turn, and their crossings."""
        if level == "rebuild":
            yield from self.enumerate(chance)
        streams = [self.mutate(plan, importance, level, chance) for plan, importance in best[:2]]
        both = [plan for plan, _ in best[:2] if isinstance(plan, steps.StepsPlan)]
        if len(both) > 1:
            yield steps.combine(both[0], both[1])
            yield steps.combine(both[1], both[0])
        while streams:
            for stream in list(streams):
                plan = next(stream, None)
                if plan is None:
                    streams.remove(stream)
                else:
                    yield plan
        yield from self.enumerate(chance)


def without_plan(source: str) -> str:
    """A program's own lines: plans that differ may come to the same program."""
    return _PLAN.sub("", source).strip()
