"""Latent rewards of the offline designer: what its plans would pay for, as factors that a decoder weighs."""

from __future__ import annotations

from designer import offline_steps as steps
from designer import offline_terms as terms
from designer.offline_schema import Landscape


def of_terms(plan: terms.TermsPlan, action: str) -> str:
    """Each of the plan's terms as a factor: as it is after the step, and where the plan pays changes, its change."""
    lines = ["import numpy as np"]
    for term in plan.terms:
        lines += ["", "", f"def {terms.function(term)}(state):", *terms.body(term)]
    lines += ["", "", "def compute_latent(state, action, next_state):", "    return {"]
    for term in plan.terms:
        name = terms.function(term)
        lines.append(f'        "{term.name}": {name}(next_state),')
        if plan.mode != "level" and term.role == "main":
            lines.append(f'        "{term.name}_change": {name}(next_state) - {name}(state),')
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
