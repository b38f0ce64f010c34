"""Latent rewards of the offline designer: what its plans would pay for, as factors that a decoder weighs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

from designer.factors import SUPERFLUOUS
from designer.offline import steps, terms
from designer.offline.schema import Landscape
from sandbox.wire import MAX_COMPONENTS


def idea(plan: terms.TermsPlan) -> str:
    """The plan's factors in one sentence; a decoder finds their sizes."""
    changing = _changing(plan)
    named = [f"{t.name} and its change" if t in changing else t.name for t in _shown(plan)]
    more = f" and {len(named) - terms.NAMED} more" if len(named) > terms.NAMED else ""
    return f"Factors: {', '.join([*named[: terms.NAMED], 'effort'])}{more}."


def mutate(
    plan: terms.TermsPlan,
    importance: Mapping[str, float],
    known: tuple[terms.Term, ...],
    level: str,
    chance: random.Random,
) -> Iterator[terms.TermsPlan]:
    """Neighbours of a plan whose factors had this ``importance``; with ``scale``, less of what a decoder does not need.

    Some differ in nothing that a decoder would see, as it finds all sizes by itself.
    """

    def needed(term: terms.Term) -> bool:
        return max(importance.get(name, 0.0) for name in (term.name, _change(term))) >= SUPERFLUOUS

    kept = tuple(term for term in plan.terms if needed(term))
    if level == "scale" and kept:
        yield replace(plan, terms=kept)
    yield from terms.mutate(plan, known, potentials=True, level="structure", chance=chance)


def _shown(plan: terms.TermsPlan) -> tuple[terms.Term, ...]:
    """The terms that are factors: all, as far as an answer may hold them beside effort."""
    return plan.terms[: MAX_COMPONENTS - 1]


def _changing(plan: terms.TermsPlan) -> tuple[terms.Term, ...]:
    """Those whose change is a factor too: the main ones, or with a potential all, as far as there is room."""
    potential, change = plan.mode == "potential", plan.mode == "change"
    asked = [term for term in _shown(plan) if potential or (change and term.role == "main")]
    return tuple(asked[: MAX_COMPONENTS - 1 - len(_shown(plan))])


def _change(term: terms.Term) -> str:
    return f"{term.name}_change"


def of_terms(plan: terms.TermsPlan, action: str) -> str:
    """Each of the plan's terms as a factor: as it is after the step, and where the plan says so, how it changed."""
    lines, changing = ["import numpy as np"], _changing(plan)
    for term in _shown(plan):
        lines += ["", "", f"def {terms.function(term)}(state):", *terms.body(term)]
    lines += ["", "", "def compute_latent(state, action, next_state):", "    return {"]
    for term in _shown(plan):
        name = terms.function(term)
        lines.append(f'        "{term.name}": {name}(next_state),')
        if term in changing:
            lines.append(f'        "{_change(term)}": {name}(next_state) - {name}(state),')
    lines += [f'        "effort": {terms.effort(action)},', "    }"]
    return "\n".join(lines) + "\n"


def of_steps(plan: steps.StepsPlan, landscape: Landscape) -> str:
    """How far the milestones are reached, the progress of this step, and what an idle one costs."""
    explicit = steps.render(plan, landscape)
    helpers = explicit.replace("def potential(", "def standing(").replace("def compute_reward(", "def costs(")
    return f"""{helpers}

def compute_latent(state, action, next_state):
    before, after = standing(state), standing(next_state)
    factors = costs(state, action, next_state)
    factors["progress"] = after - before
    factors["standing"] = after
    return factors
"""
