"""Rewards for tasks made of steps: a potential that counts milestones still open and the way to the next one.

The next thing is known by the order of the milestones; the search is over orders, sizes and what to leave out.
Shaping after Ng, Harada and Russell, "Policy invariance under reward transformations" (ICML 1999).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from designer.offline.schema import Landscape, Milestone, Place

WIDE = 20.0
"""Longest way that is measured in proportion; beyond it, growth slows down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsPlan:
    """One program of this family, by names of the landscape."""

    steps: tuple[str, ...]
    """Milestones in order."""
    final: str | None
    """Where to go once all are reached."""
    bonus: float = 0.5
    """What each milestone is worth."""
    near: float = 0.5
    """What the whole way to the next thing is worth."""
    look: float = 0.0
    """What having the next thing in front is worth."""
    idle: float = 0.01
    """Price of a step that changes nothing."""
    lasting: bool = True
    """Whether a milestone counts as reached once a later one is."""
    above: bool = False
    """Whether the potential counts what is done (from 0 up) instead of what is left (up to 0)."""

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {"family": "steps", **asdict(self), "steps": list(self.steps)}


def plan_from_json(told: dict[str, Any], landscape: Landscape) -> StepsPlan | None:
    """The plan that an earlier program was made of, None where it does not fit the landscape."""
    known = {m.name for m in landscape.milestones}
    fits = isinstance(told.get("steps"), list) and all(s in known for s in told["steps"])
    numbers = all(isinstance(told.get(key), int | float) for key in ("bonus", "near", "look", "idle"))
    if told.get("family") != "steps" or not fits or not numbers:
        return None
    final = told.get("final")
    return StepsPlan(
        steps=tuple(told["steps"]),
        final=final if final in {p.field for p in landscape.places} else None,
        bonus=float(told["bonus"]),
        near=float(told["near"]),
        look=float(told["look"]),
        idle=float(told["idle"]),
        lasting=bool(told.get("lasting", True)),
        above=bool(told.get("above", False)),
    )


def enumerate_plans(landscape: Landscape, chance: random.Random) -> Iterator[StepsPlan]:
    """Distinct plans, the most plausible first: the asked order in several sizes, then other orders and fewer steps."""
    main = tuple(m.name for m in landscape.milestones if not m.spare)[:5]
    final = landscape.final[0] if landscape.final else None
    base = StepsPlan(steps=main, final=final)
    orders = [order for order in _orders(main, chance) if order != main]
    seen: set[StepsPlan] = set()
    waves = itertools.zip_longest(_sizes(base, landscape), _shapes(base, landscape, orders))
    for plan in itertools.chain.from_iterable(waves):
        if plan is not None and plan not in seen and (plan.steps or plan.final):
            seen.add(plan)
            yield plan


def _sizes(base: StepsPlan, landscape: Landscape) -> Iterator[StepsPlan]:
    """The same way in other sizes, near the native reward's own size first."""
    yield base
    yield replace(base, bonus=0.25, near=0.125, idle=0.001)
    if landscape.sensed and base.steps:
        yield replace(base, look=0.1)
    yield replace(base, bonus=1.0, near=1.0)
    yield replace(base, near=1.5)
    for scale, idle in itertools.product((0.2, 0.7, 2.0), (0.003, 0.01, 0.03)):
        yield replace(base, bonus=scale, near=scale / 2, idle=idle)


def _shapes(base: StepsPlan, landscape: Landscape, orders: list[tuple[str, ...]]) -> Iterator[StepsPlan]:
    """Other ways: milestones that must go on holding, other orders, more or fewer of them, other ends."""
    if base.steps:
        yield replace(base, lasting=False)
    yield from (replace(base, steps=order) for order in orders[:1])
    spare = [m for m in landscape.milestones if m.spare]
    if spare:
        yield replace(base, steps=(spare[-1].name, *base.steps))
    for cut in range(len(base.steps)):
        yield replace(base, steps=base.steps[:cut] + base.steps[cut + 1 :])
    yield from (replace(base, steps=order) for order in orders[1:2])
    yield replace(base, above=True)
    for place in landscape.places:
        yield replace(base, final=place.field)
    for m in spare:
        yield replace(base, steps=(*base.steps, m.name))
    yield from (replace(base, steps=order) for order in orders[2:])


def _orders(steps: tuple[str, ...], chance: random.Random) -> list[tuple[str, ...]]:
    """All orders, those with the fewest swaps first; ties are drawn."""

    def inversions(order: tuple[str, ...]) -> int:
        places = [steps.index(s) for s in order]
        return sum(a > b for a, b in itertools.combinations(places, 2))

    found = [(inversions(order), chance.random(), order) for order in itertools.permutations(steps)]
    return [order for *_, order in sorted(found)]


def mutate(plan: StepsPlan, landscape: Landscape, level: str, chance: random.Random) -> Iterator[StepsPlan]:
    """Neighbours of a plan: what the analysis asks for first (``scale`` or ``structure``), the rest after it."""
    scale = [
        replace(plan, bonus=plan.bonus * 2, near=plan.near * 2),
        replace(plan, near=plan.near * 2),
        replace(plan, bonus=plan.bonus / 2, near=plan.near / 2),
        replace(plan, bonus=plan.bonus * 2),
        replace(plan, near=plan.near / 2),
        replace(plan, idle=plan.idle * 3),
        replace(plan, idle=plan.idle / 3),
    ]
    structure = [replace(plan, above=not plan.above), replace(plan, lasting=not plan.lasting)]
    if landscape.sensed:
        structure.insert(0, replace(plan, look=0.0 if plan.look else 0.2 * plan.bonus))
    for i in range(len(plan.steps) - 1):
        steps = list(plan.steps)
        steps[i], steps[i + 1] = steps[i + 1], steps[i]
        structure.append(replace(plan, steps=tuple(steps)))
    for name in (m.name for m in landscape.milestones if m.name not in plan.steps):
        at = chance.randint(0, len(plan.steps))
        structure.append(replace(plan, steps=(*plan.steps[:at], name, *plan.steps[at:])))
    structure += [replace(plan, steps=plan.steps[:i] + plan.steps[i + 1 :]) for i in range(len(plan.steps))]
    structure += [replace(plan, final=p.field) for p in landscape.places if p.field != plan.final]
    first, second = (scale, structure) if level == "scale" else (structure, scale)
    yield from (p for p in (*first[:4], *second, *first[4:]) if p.steps or p.final)


def combine(one: StepsPlan, other: StepsPlan) -> StepsPlan:
    """The steps of one plan in the sizes of another."""
    return replace(one, bonus=other.bonus, near=other.near, look=other.look, idle=other.idle)


def simpler(plan: StepsPlan) -> Iterator[StepsPlan]:
    """Ever plainer versions of a plan that was refused."""
    plain = replace(plan, look=0.0, above=False)
    yield plain
    yield replace(plain, bonus=plain.bonus / 2, near=plain.near / 2)
    yield replace(plain, near=0.0)
    for i in reversed(range(len(plan.steps))):
        yield replace(plain, steps=plan.steps[:i])


def idea(plan: StepsPlan) -> str:
    """The plan in one sentence."""
    way = ", then ".join((*plan.steps, *([f"to {plan.final}"] if plan.final else [])))
    counted = "what is done" if plan.above else "what is left"
    extra = f", {plan.look:g} for having it in front" if plan.look else ""
    loose = "" if plan.lasting else ", each milestone only while it holds"
    each = f"{plan.bonus:g} for each milestone, " if plan.steps else ""
    return (
        f"A potential over {counted}: {way}; {each}{plan.near:g} for the way to the next{extra}{loose}; "
        f"an idle step costs {plan.idle:.3g}."
    )


def render(plan: StepsPlan, landscape: Landscape) -> str:
    """The program's source, without its heading."""
    named = {m.name: m for m in landscape.milestones}
    stages = [named[name] for name in plan.steps]
    targets = [_target(m, landscape) for m in stages]
    ends: list[tuple[Place | None, str | None, str]] = [
        *targets,
        (next((p for p in landscape.places if p.field == plan.final), None), None, ""),
    ]
    used = [p for p, _, _ in ends if p is not None] if landscape.mover and plan.near else []
    lines = ["import numpy as np", ""]
    lines += _ways(landscape.mover, used)
    lines += ["", "def potential(state):"]
    lines += [f"    done_{i} = {m.test}" for i, m in enumerate(stages)]
    lines += _reached(len(stages), plan.lasting)
    lines += _value(plan, landscape, ends, bool(used))
    lines += ["", "", *_components(plan, landscape)]
    return "\n".join(lines) + "\n"


def _target(milestone: Milestone, landscape: Landscape) -> tuple[Place | None, str | None, str]:
    """Where a milestone is reached, which of several places is meant, and what one must have in front there."""
    place = landscape.place_of(milestone.noun)
    chosen = milestone.chosen if place is not None and place.count else None
    return place, chosen, landscape.sensed.get(milestone.noun, "")


def _ways(mover: Place | None, used: list[Place]) -> list[str]:
    """Functions for the way to a single place and to the nearest of several, 0 to 1."""
    if mover is None or not used:
        return []
    axis = ".sum(axis=-1)" if mover.whole else None
    raw = f"np.abs(gap){axis}" if axis else "np.sqrt((gap * gap).sum(axis=-1))"
    span = max(p.span for p in used)
    share = f"np.minimum({raw} / {span:.1f}, 1.0)" if span <= WIDE else f"{raw} / ({raw} + {WIDE / 2})"
    absent = any(p.absent for p in used)
    lines = ["", "def way(here, there):", "    gap = (there - here).astype(np.float32)", f"    far = {share}"]
    lines += [f"    return {'np.where((there < 0).any(axis=-1), 1.0, far)' if absent else 'far'}", ""]
    if any(p.count for p in used):
        lines += ["", "def nearest(here, there, chosen):"]
        lines += ["    return np.where(chosen, way(here[:, None, :], there), 1.0).min(axis=1)", ""]
    return lines


def _reached(count: int, lasting: bool) -> list[str]:
    """``reached_i`` from ``done_i``, last to first; with ``lasting`` a later one implies all earlier ones."""
    lines = []
    for i in reversed(range(count)):
        later = f" | reached_{i + 1}" if lasting and i + 1 < count else ""
        lines.append(f"    reached_{i} = done_{i}{later}")
    return lines


def _value(
    plan: StepsPlan,
    landscape: Landscape,
    ends: list[tuple[Place | None, str | None, str]],
    ways: bool,
) -> list[str]:
    """The potential itself."""
    count = len(ends) - 1
    batch = f'state["{landscape.small[0][0]}"].shape[0]'
    lines = [f"    zero = np.zeros({batch}, dtype=np.float32)"]
    lines.append(
        f"    done = zero + {' + '.join(f'reached_{i}' for i in range(count))}" if count else "    done = zero"
    )
    far, seen = "zero", "zero"
    for i, (place, chosen, sight) in reversed(list(enumerate(ends))):
        if ways and place is not None and landscape.mover is not None:
            here, there = f'state["{landscape.mover.field}"]', f'state["{place.field}"]'
            mask = chosen or f"np.ones({there}.shape[:2], dtype=bool)"
            lines.append(
                f"    way_{i} = nearest({here}, {there}, {mask})"
                if place.count
                else f"    way_{i} = way({here}, {there})"
            )
        own = f"way_{i}" if ways and place is not None else "zero"
        far = own if i == count else f"np.where(reached_{i}, {far}, {own})"
        own = f"zero + ({sight})" if sight else "zero"
        seen = own if i == count else f"np.where(reached_{i}, {seen}, {own})"
    look = f" + {plan.look:g} * {seen}" if plan.look and seen != "zero" else ""
    if plan.above:
        total = f"{plan.bonus:g} * done + {plan.near:g} * (1.0 - {far})"
    else:
        total = f"-{plan.bonus:g} * ({count:.1f} - done) - {plan.near:g} * {far}"
    return [*lines, f"    return {total}{look}"]


def _components(plan: StepsPlan, landscape: Landscape) -> list[str]:
    """``compute_reward``: the price of a step that changes nothing."""
    same = []
    for name, dims in landscape.small:
        equal = f'(next_state["{name}"] == state["{name}"])'
        axes = "" if dims == 0 else ".all(axis=1)" if dims == 1 else ".all(axis=(1, 2))"
        same.append(f"{equal}{axes}")
    lines = ["def compute_reward(state, action, next_state):", f"    same = {same[0]}"]
    lines += [f"    same = same & {test}" for test in same[1:]]
    return [*lines, f'    return {{"idle": -{plan.idle:.3g} * same.astype(np.float32)}}']
