"""The designer that needs no language model: replies that come from rules (``llm`` offers them as a LiteLLM provider).

It answers the very prompts that a model would get, by the facts in their first fenced JSON block, in the same JSON.
It is a baseline: it knows no task, composes programs from the state schema and changes the best of them. Replies
depend on the facts alone.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from designer import offline_latents as latents
from designer import offline_steps as steps
from designer import offline_terms as terms
from designer.offline_critic import analyze, critique
from designer.offline_schema import Landscape, read

_FACTS = re.compile(r"## Facts\n```json\n([^`]*)```")
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
            yield from terms.mutate(plans[0], self._terms, True, "structure", chance)

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


def design(request: Mapping[str, Any], seed: int) -> dict[str, str]:
    """A program for the facts: ``{"idea", "code"}``. The slot's candidate picks from one list of distinct programs.

    In a round of repair it is a plainer version of what was refused.
    """
    composer = Composer(request)
    slot = request["slot"]
    earlier = request.get("programs") or []
    known = {_body(program.get("source")) for program in earlier} | {""}
    tried = {_words(idea) for idea in request.get("tried") or []}
    refused = request.get("refused")
    chance = random.Random(f"{seed}/{slot['iteration']}")
    if refused:
        known.add(_body(refused.get("source")))
        plans = _repairs(composer, str(refused.get("source")), int(slot["candidate"]), int(slot["round"]), chance)
        place = 0
    else:
        found = [(composer.parse(str(e.get("source"))), e.get("importance") or {}) for e in _best(earlier)]
        best = [(plan, importance) for plan, importance in found if plan is not None]
        drafts = [
            p for p in (composer.parse(str(d.get("source"))) for d in request.get("drafts") or []) if p is not None
        ]
        known |= {_body(draft.get("source")) for draft in request.get("drafts") or []}
        plans = composer.improve(best, _level(request), chance) if best else composer.enumerate(chance)
        if len(drafts) > 1:
            plans = itertools.chain([composer.merge(drafts)], plans)
        place = 0 if drafts else int(slot["candidate"])
    fresh: list[Offer] = []
    every: list[Offer] = []
    again: Offer | None = None
    for plan in plans:
        offer = composer.offer(plan)
        again = again or offer
        if _body(offer.source) not in known:
            known.add(_body(offer.source))
            every.append(offer)
            if _words(offer.idea) not in tried:
                fresh.append(offer)
        if len(fresh) > place:
            break
    # A decoder's factors can run out; the loop knows a program that comes again.
    every = every or [offer for offer in [again] if offer is not None]
    chosen = fresh[place] if len(fresh) > place else every[place % len(every)]
    return {"idea": chosen.idea, "code": chosen.source}


def _repairs(composer: Composer, source: str, candidate: int, rounds: int, chance: random.Random) -> Iterator[Plan]:
    """Plainer versions of a refused program, then programs from far down the list."""
    plan = composer.parse(source)
    if isinstance(plan, steps.StepsPlan):
        plain: list[Plan] = list(steps.simpler(plan))
        yield from plain[(rounds - 1) % max(1, len(plain)) :]
    elif isinstance(plan, terms.TermsPlan):
        plain = list(terms.simpler(plan))
        yield from plain[(rounds - 1) % max(1, len(plain)) :]
    rest = list(composer.enumerate(chance))
    start = (7 + 3 * candidate + rounds) % len(rest)
    yield from (*rest[start:], *rest[:start])


def _best(earlier: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Earlier programs that were trained, best first as they came."""
    return [program for program in earlier if program.get("fitness") is not None]


def _level(request: Mapping[str, Any]) -> str:
    """What kind of change the analysis asks for; ``rebuild`` only while nothing beats the native reward."""
    analysis = request.get("analysis") or {}
    level = analysis.get("level") or (analysis.get("change") or {}).get("level") or "scale"
    best = _best(request.get("programs") or [])
    native = best[0].get("native_fitness") if best else None
    if level == "rebuild" and best and native is not None and best[0]["fitness"] > native:
        return "structure"
    return str(level)


def _body(source: Any) -> str:
    """A program without its plan: plans that differ may come to the same program."""
    return _PLAN.sub("", str(source or "")).strip()


def _words(text: Any) -> str:
    return " ".join(str(text).split())


def reply(messages: Sequence[Mapping[str, Any]]) -> str:
    """The reply to chat messages as JSON text. Raises ValueError where they hold no facts of ours."""
    for message in messages:
        # The first block is ours; whatever follows it may quote somebody.
        block = _FACTS.search(str(message.get("content") or ""))
        if message.get("role") != "assistant" and block:
            return json.dumps(_answer(json.loads(block[1])))
    raise ValueError("the prompt holds no fenced JSON under '## Facts'")


def _answer(facts: Mapping[str, Any]) -> dict[str, Any]:
    if facts["role"] == "designer":
        return dict(design(facts, int(facts["slot"].get("seed", 0))))
    return critique(facts) if facts["role"] == "critic" else analyze(facts)
