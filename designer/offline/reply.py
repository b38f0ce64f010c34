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
from typing import Any

from designer.offline import steps, terms
from designer.offline.composer import Composer, Offer, Plan, without_plan
from designer.offline.critic import analyze, critique

_FACTS = re.compile(r"## Facts\n```json\n([^`]*)```")


def design(request: Mapping[str, Any], seed: int) -> dict[str, str]:
    """A program for the facts: ``{"idea", "code"}``. The slot's candidate picks from one list of distinct programs.

    In a round of repair it is a plainer version of what was refused.
    """
    composer, slot = Composer(request), request["slot"]
    refused = request.get("refused")
    earlier, drafts = request.get("programs") or [], request.get("drafts") or []
    known = {_own_lines(shown) for shown in (*earlier, *drafts, *([refused] if refused else []))} | {""}
    tried = {_words(idea) for idea in request.get("tried") or []}
    chance = random.Random(f"{seed}/{slot['iteration']}")
    if refused:
        source, place = str(refused.get("source")), 0
        plans = _repairs(composer, source, int(slot["candidate"]), int(slot["round"]), chance)
    else:
        place = 0 if drafts else int(slot["candidate"])
        found = [(composer.parse(str(e.get("source"))), e.get("importance") or {}) for e in _best(earlier)]
        best = [(plan, importance) for plan, importance in found if plan is not None]
        plans = composer.improve(best, _level(request), chance) if best else composer.enumerate(chance)
        merged = [plan for plan in (composer.parse(str(d.get("source"))) for d in drafts) if plan is not None]
        if len(merged) > 1:
            plans = itertools.chain([composer.merge(merged)], plans)
    chosen = _chosen(map(composer.offer, plans), known, tried, place)
    return {"idea": chosen.idea, "code": chosen.source}


def _chosen(offers: Iterator[Offer], known: set[str], tried: set[str], place: int) -> Offer:
    """The program at this place among those that are new, or else among those whose idea alone was tried."""
    fresh: list[Offer] = []
    every: list[Offer] = []
    first: Offer | None = None
    seen = set(known)
    for offer in offers:
        first, lines = first or offer, without_plan(offer.source)
        if lines not in seen:
            seen.add(lines)
            every.append(offer)
            if _words(offer.idea) not in tried:
                fresh.append(offer)
        if len(fresh) > place:
            return fresh[place]
    if not every and first is not None:
        return first  # a decoder's factors can run out; the loop knows a program that comes again
    return every[place % len(every)]


def _own_lines(shown: Mapping[str, Any]) -> str:
    return without_plan(str(shown.get("source") or ""))


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
