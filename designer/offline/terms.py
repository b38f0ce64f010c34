"""Rewards over continuous fields: sums of simple terms, each about one quantity, in several groupings and sizes.

Which quantities matter, and which way, is read off units, bounds, meanings and the words of the task.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from designer.offline.schema import RELATIVE, Landscape, ask, fields_of, relative, words

Role = Literal["main", "posture", "calm", "guard", "probe"]
Shape = Literal[
    "more", "less", "near", "square", "hold", "up", "speed", "on", "off", "way", "gap", "gaps", "away", "test"
]
Mode = Literal["level", "change", "potential"]

_GO = frozenset(["forward", "run", "walk", "hop", "drive", "fast", "ahead"])
_RISE = frozenset(["up", "top", "climb", "lift", "above", "over"])
_REST = frozenset(["land", "rest", "still", "softly", "stop", "stand", "upright", "balance", "keep", "level"])
_LIMB = frozenset(["joint", "thigh", "shin", "foot", "leg", "knee", "hip", "ankle", "elbow", "shoulder"])
_TOUCH = frozenset(["touch", "touches", "contact", "ground"])
_HARM = re.compile(r"episode ends|crash|fall|fail|die", re.IGNORECASE)
_AIM = re.compile(r"(?:flag|target|goal|stands?|ends?)(?: is)? (?:at|near)(?: about)? (-?\d+(?:\.\d+)?)")
_COSTS = ("near", "square", "way", "gap", "gaps", "less", "off")
"""Shapes that never pay."""
_WAYS: tuple[Shape, Shape] = ("more", "less")
FAR = 2.0
"""Distance from which on it is no gain to be farther away."""
_SHUN = r"\b(?:avoid|flee|escap|evad|away from|clear of)"
_QUIET = re.compile(r"(\d+): (?:no |nothing|none|noop|wait|idle|stay)[^;]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One quantity and how it is paid."""

    name: str
    role: Role
    shape: Shape
    fields: tuple[str, ...]
    """Fields that are added up; for ``way`` the mover's and the other place."""
    weight: float = 1.0
    centre: float = 0.0
    scale: float = 1.0
    size: int = 0
    """Numbers in the field, 0 for a scalar; a vector's terms are averaged. Of ``gap``, ``gaps``, ``away`` the things in
    it, 0 for a single one: the way to the nearest, to all on average, and how far the nearest is off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsPlan:
    """One program of this family."""

    terms: tuple[Term, ...]
    mode: Mode
    """Whether terms pay what is or what changed (guards: what is), or the main ones stand in the potential."""
    effort: float = 0.0
    """Price of a full action."""
    gain: float = 1.0
    """Factor on the main terms and the guards."""

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON."""
        terms = [[t.name, t.weight] for t in self.terms]
        return {"family": "terms", "terms": terms, **{k: v for k, v in asdict(self).items() if k != "terms"}}


MOST = 14
"""Terms of a role in one plan: a body of many joints has more than a program can be read with."""
NAMED = 16
"""Terms that an idea names."""


def plan_from_json(told: Mapping[str, Any], known: tuple[Term, ...], potentials: bool) -> TermsPlan | None:
    """The plan that an earlier program was made of, None where the schema does not offer its terms."""
    by_name = {t.name: t for t in known}
    mode = told.get("mode")
    pairs = told.get("terms")
    if told.get("family") != "terms" or mode not in ("level", "change", "potential") or not isinstance(pairs, list):
        return None
    if (mode == "potential" and not potentials) or not all(len(p) == 2 and p[0] in by_name for p in pairs):
        return None
    terms = tuple(replace(by_name[name], weight=float(weight)) for name, weight in pairs)
    return TermsPlan(terms=terms, mode=mode, effort=float(told.get("effort", 0.0)), gain=float(told.get("gain", 1.0)))


def offers(schema: Mapping[str, Any], description: str, landscape: Landscape) -> tuple[Term, ...]:
    """Every term that the schema and the task's words suggest, the strongest first."""
    asked = ask(description).request
    found: list[Term] = []
    if landscape.mover is not None:
        for place in landscape.places:
            if not place.count:
                pair = (landscape.mover.field, place.field)
                found.append(Term(name=f"way_{place.noun}", role="main", shape="way", fields=pair, scale=place.span))
    angles: list[str] = []
    for milestone in (m for m in landscape.milestones if not m.spare and landscape.mover):
        name = re.sub(r"\W+", "_", milestone.name)
        found.append(Term(name=f"done_{name}", role="main", shape="test", fields=(milestone.test,)))
    for name, spec in fields_of(schema).items():
        if relative(name, spec):
            found += _around(name, spec, asked, description)
        else:
            found += _terms(name, spec, asked, angles)
    rank = {"main": 0, "posture": 1, "guard": 2, "calm": 3, "probe": 4}
    if not any(t.role == "main" for t in found):
        loose = [t for t in found if t.role != "guard"]
        chief = [t for t in loose if t.role == "posture"] or loose
        # Nothing says which way a quantity should go: each way is tried by itself.
        found = [
            replace(t, role="probe" if t.shape == "away" else "main", weight=t.weight or 1.0) if t in chief else t
            for t in found
        ]
        found += [
            replace(t, name=f"{shape}_{t.name}", role="probe", shape=shape, weight=1.0)
            for t in loose
            if t.shape not in ("gap", "away")
            for shape in _WAYS
        ]
    return tuple(sorted(found, key=lambda t: rank[t.role]))


def _terms(name: str, spec: Mapping[str, Any], asked: frozenset[str], angles: list[str]) -> list[Term]:
    """What one field offers; ``angles`` collects the chain of angles from the hanging one on."""
    shape = [int(n) for n in spec.get("x-shape", ["B"])[1:]]
    meaning, unit = str(spec.get("description", "")), str(spec.get("x-unit", ""))
    said = set(words(name)) | set(words(meaning))
    many = len(shape) == 1 and shape[0] in (2, 3) and bool(set(words(name)) & {"position", "pos", "xy"})
    if spec.get("x-values") or many or len(shape) > 1 or (shape and shape[0] > 32):
        return []
    if spec.get("x-dtype") == "bool":
        return _flag(name, meaning, said, asked)
    leaf = spec.get("items", spec)
    bounds = [abs(float(leaf[k])) for k in ("minimum", "maximum") if leaf.get(k) is not None]
    size = shape[0] if shape else 0
    limb = bool(set(words(name)) & _LIMB) or "joint" in said
    if size or limb:
        calm = "/s" in unit or not unit.startswith("rad")
        scale = 10.0 if "/s" in unit else max([1.0, *bounds])
        return [Term(name=f"calm_{name}", role="calm", shape="square", fields=(name,), scale=scale, size=size,
                     weight=0.1 if calm else 0.02)]  # fmt: skip
    if "/" in unit or "velocity" in said:
        return _motion(name, unit, meaning, said, asked, bounds)
    if unit == "rad" or "angle" in said:
        return _angle(name, meaning, said, asked, angles, bounds)
    return _position(name, meaning, said, asked, bounds)


def _around(name: str, spec: Mapping[str, Any], asked: frozenset[str], description: str) -> list[Term]:
    """Near what lies around, or away from it; where the task does not speak of it, a later iteration tries both."""
    shape = spec["x-shape"][1:]
    near = Term(name=f"near_{name}", role="main", shape="gap", fields=(name,), size=shape[0] if len(shape) == 2 else 0)
    away = replace(near, name=f"away_{name}", shape="away")
    nouns = [word for word in words(name) if word not in RELATIVE]
    if not set(nouns) & asked:
        return [replace(t, role="calm", weight=0.0) for t in (near, away)]
    if re.search(rf"{_SHUN}[^.;,]*\b({'|'.join(nouns)})", description, re.IGNORECASE):
        return [away]
    return [near, replace(near, name=f"amid_{name}", role="posture", shape="gaps", weight=0.5)] if near.size else [near]


def _flag(name: str, meaning: str, said: set[str], asked: frozenset[str]) -> list[Term]:
    if _HARM.search(meaning):
        return [Term(name=f"no_{name}", role="guard", shape="off", fields=(name,), weight=10.0)]
    if said & asked & (_TOUCH | _LIMB) and asked & _REST and not asked & _GO:
        return [Term(name=name, role="posture", shape="on", fields=(name,), weight=0.2)]
    return []


def _motion(
    name: str, unit: str, meaning: str, said: set[str], asked: frozenset[str], bounds: list[float]
) -> list[Term]:
    scale = max(bounds) if len(bounds) == 2 else 1.0
    slow = Term(name=f"calm_{name}", role="calm", shape="square", fields=(name,), scale=max(scale, 2.0), weight=0.1)
    if unit.startswith("rad"):
        return [slow]
    aimed = re.search(r"forward|towards?|ahead", meaning) is not None
    if aimed and asked & _GO:
        return [Term(name=f"go_{name}", role="main", shape="more", fields=(name,), scale=scale)]
    if asked & _RISE and not asked & _REST:
        return [Term(name=f"swing_{name}", role="main", shape="speed", fields=(name,), scale=scale)]
    if asked & _REST:
        soft = replace(slow, name=f"soft_{name}", role="posture", shape="near", scale=max(scale, 2.0), weight=1.0)
        return [soft]
    return [slow]


def _angle(
    name: str,
    meaning: str,
    said: set[str],
    asked: frozenset[str],
    angles: list[str],
    bounds: list[float],
) -> list[Term]:
    if angles and "relative" in said:
        angles.append(name)
        fields = tuple(angles)
        return [Term(name=f"up_{name}", role="main", shape="up", fields=fields, centre=3.1416)]
    hangs = re.search(r"(?:from|is) hanging", meaning) is not None
    if hangs and asked & _RISE:
        angles.append(name)
        return [Term(name=f"up_{name}", role="main", shape="up", fields=(name,), centre=3.1416)]
    if bounds and max(bounds) > 3:
        return [Term(name=f"up_{name}", role="main", shape="up", fields=(name,))]
    scale = max([0.2, *bounds]) if bounds else 0.5
    if asked & {"keep", "balance"} and asked & {"upright", "balance", "level"}:
        return [Term(name=f"hold_{name}", role="main", shape="hold", fields=(name,), scale=scale)]
    return [Term(name=f"straight_{name}", role="posture", shape="near", fields=(name,), weight=0.5)]


def _position(name: str, meaning: str, said: set[str], asked: frozenset[str], bounds: list[float]) -> list[Term]:
    aim = _AIM.search(meaning)
    scale = max([1.0, *bounds])
    lies = bool(said & {"height", "vertical"})
    if asked & _GO and "forward" in said and not lies:
        return [Term(name=f"gain_{name}", role="calm", shape="more", fields=(name,), weight=0.0)]
    if aim is not None:
        centre = float(aim[1])
        if asked & _GO and lies:
            return [Term(name=f"tall_{name}", role="posture", shape="hold", fields=(name,), centre=centre)]
        return [Term(name=f"to_{name}", role="main", shape="near", fields=(name,), centre=centre,
                     scale=max(scale, abs(centre) / 5))]  # fmt: skip
    if asked & _GO:
        return []
    if asked & _RISE and lies and not asked & _REST:
        return [Term(name=f"high_{name}", role="main", shape="more", fields=(name,), scale=scale)]
    role: Role = "main" if re.search(r"\b0 (?:is|when)|middle|pad\b", meaning) else "posture"
    kind: Shape = "hold" if asked & {"keep", "balance"} else "near"
    wide = max(bounds) / 2 if kind == "hold" and bounds else (max(bounds) if bounds else 5.0)
    return [Term(name=f"near_{name}", role=role, shape=kind, fields=(name,), scale=wide)]


def enumerate_plans(known: tuple[Term, ...], potentials: bool, chance: random.Random) -> Iterator[TermsPlan]:
    """Distinct plans, the most plausible first. ``potentials``: whether a potential may be paid at all."""
    roles = ("main", "posture", "calm", "guard")
    by_role = {r: tuple(t for t in known if t.role == r and t.weight)[:MOST] for r in roles}
    main, posture, calm, guard = (by_role[r] for r in ("main", "posture", "calm", "guard"))
    # Where every step only costs, an agent that can end its episode by failing learns to fail soon.
    costly = bool(guard) and all(t.shape in _COSTS for t in main)
    first: Mode = "potential" if potentials else "change" if costly else "level"
    safe = (*main, *guard)
    steady: Mode = "change" if costly else "level"
    everything = (*safe, *posture, *calm)
    plans = [
        TermsPlan(terms=(*safe, *posture), mode=first, effort=0.05, gain=5.0 if costly else 1.0),
        TermsPlan(terms=everything, mode=steady, effort=0.1, gain=2.0 if costly else 1.0),
        TermsPlan(terms=(*safe, *posture), mode="change", effort=0.05, gain=10.0),
        TermsPlan(terms=safe, mode=first, effort=0.15, gain=3.0),
        TermsPlan(terms=main, mode=steady, effort=0.05),
        TermsPlan(terms=everything, mode="change", effort=0.03, gain=5.0),
        TermsPlan(terms=everything, mode=first, effort=0.02, gain=3.0),
        TermsPlan(terms=(*safe, *posture), mode=steady, effort=0.3, gain=20.0 if costly else 1.0),
        TermsPlan(terms=(*safe, *calm), mode=steady, effort=0.1, gain=2.0),
    ]
    singles = [*main, *(t for t in known if t.role == "probe")]
    chance.shuffle(singles)
    plans += [TermsPlan(terms=(t, *guard), mode=first, effort=0.01, gain=2.0) for t in singles]
    modes: tuple[Mode, ...] = (first, "level", "change")
    for mode, gain, effort in itertools.product(modes, (0.5, 1.0, 5.0, 20.0), (0.005, 0.1)):
        plans.append(TermsPlan(terms=(*safe, *posture), mode=mode, effort=effort, gain=gain))
    if costly:
        plans = [replace(plan, effort=plan.effort / 10) for plan in plans]
    if not known:
        plans = [TermsPlan(terms=(), mode="level", effort=0.001 * 2.0**i) for i in range(10)]
    yield from (plan for plan in dict.fromkeys(plans) if plan.terms or not known)


def merge(plans: Sequence[TermsPlan]) -> TermsPlan:
    """Every term that one of the plans has, once; the change of terms where one of them pays it."""
    terms = {term.name: term for plan in reversed(plans) for term in plan.terms}
    changing = [plan.mode for plan in plans if plan.mode != "level"]
    return replace(plans[0], terms=tuple(terms.values()), mode=changing[0] if changing else "level")


def mutate(
    plan: TermsPlan, known: tuple[Term, ...], potentials: bool, level: str, chance: random.Random
) -> Iterator[TermsPlan]:
    """Neighbours of a plan: what the analysis asks for first (``scale`` or ``structure``), the rest after it."""
    scale = [
        replace(plan, gain=plan.gain * 2),
        replace(plan, effort=plan.effort / 3),
        replace(plan, gain=plan.gain / 2),
        replace(plan, effort=plan.effort * 3 or 0.05),
    ]
    for i in chance.sample(range(len(plan.terms)), len(plan.terms)):
        for factor in (2.0, 0.5):
            terms = list(plan.terms)
            terms[i] = replace(terms[i], weight=terms[i].weight * factor)
            scale.append(replace(plan, terms=tuple(terms)))
    modes: list[Mode] = ["level", "change", *(["potential"] if potentials else [])]  # type: ignore[list-item]
    structure = [replace(plan, mode=mode) for mode in modes if mode != plan.mode]
    present = {t.name for t in plan.terms}
    unused = [replace(t, weight=t.weight or 1.0) for t in known if t.name not in present]
    structure += [replace(plan, terms=(*plan.terms, t)) for t in chance.sample(unused, len(unused))]
    structure += [replace(plan, terms=plan.terms[:i] + plan.terms[i + 1 :]) for i in range(len(plan.terms))]
    first, second = (scale, structure) if level == "scale" else (structure, scale)
    yield from (p for p in (*first[:4], *second, *first[4:]) if p.terms or not known)


def simpler(plan: TermsPlan) -> Iterator[TermsPlan]:
    """Ever plainer versions of a plan that was refused."""
    mode: Mode = "change" if plan.mode == "level" else "level"
    yield replace(plan, mode=mode)
    yield replace(plan, mode=mode, terms=tuple(t for t in plan.terms if t.role in ("main", "guard")) or plan.terms)
    for i in reversed(range(1, len(plan.terms))):
        yield replace(plan, terms=plan.terms[:i], mode=mode)
    yield replace(plan, terms=plan.terms[:1], mode=mode, effort=0.01)


def idea(plan: TermsPlan) -> str:
    """The plan in one sentence."""
    how = {"level": "for what is", "change": "for what changes", "potential": "by a potential"}[plan.mode]
    named = ", ".join(f"{t.weight:g} {t.name}" for t in plan.terms[:NAMED])
    named += f" and {len(plan.terms) - NAMED} more" if len(plan.terms) > NAMED else ""
    return f"Pays {how} ({plan.gain:g} times the main terms): {named}; a full action costs {plan.effort:g}."


def render(plan: TermsPlan, action: str) -> str:
    """The program's source, without its heading. ``action``: the action space in words."""
    lines = ["import numpy as np"]
    for term in plan.terms:
        lines += ["", "", f"def {function(term)}(state):", *body(term)]
    inside = [t for t in plan.terms if plan.mode == "potential" and t.role == "main"]
    if inside:
        total = " + ".join(f"{plan.gain * t.weight:g} * {function(t)}(state)" for t in inside)
        lines += ["", "", "def potential(state):", f"    return {total}"]
    lines += ["", "", "def compute_reward(state, action, next_state):", "    return {"]
    for term in (t for t in plan.terms if t not in inside):
        name, weight = function(term), term.weight * (plan.gain if term.role in ("main", "guard") else 1.0)
        value = f"{name}(next_state)"
        if plan.mode == "change" and term.role != "guard":
            value = f"({name}(next_state) - {name}(state))"
        lines.append(f'        "{term.name}": {weight:g} * {value},')
    lines += [f'        "effort": -{plan.effort or 0.001:g} * {effort(action)},', "    }"]
    return "\n".join(lines) + "\n"


def function(term: Term) -> str:
    """Name of the function that computes a term."""
    return re.sub(r"\W+", "_", f"term_{term.name}")


def body(term: Term) -> list[str]:
    """Statements that return the term of a state, ``(B,)``, about -1 to 1."""
    if term.shape == "way":
        here, there = term.fields
        gap = f'    gap = state["{there}"].astype(np.float32) - state["{here}"]'
        return [gap, f"    return -np.sqrt((gap * gap).sum(axis=-1)) / {term.scale:g}"]
    if term.shape in ("gap", "gaps", "away"):
        each = f".{'mean' if term.shape == 'gaps' else 'min'}(axis=1)" if term.size else ""
        gap = f'    gap = state["{term.fields[0]}"].astype(np.float32)'
        way = f"    way = np.sqrt((gap * gap).sum(axis=-1)){each}"
        return [gap, way, f"    return np.minimum(way, {FAR:g})" if term.shape == "away" else "    return -way"]
    if term.shape == "test":
        return [f"    return ({term.fields[0]}).astype(np.float32)"]
    x = " + ".join(f'state["{name}"].astype(np.float32)' for name in term.fields)
    mean = ".mean(axis=1)" if term.size else ""
    away = f"(x - {term.centre:g}) / {term.scale:g}" if term.centre else f"x / {term.scale:g}"
    value = {
        "more": away,
        "less": f"-{away}",
        "near": f"-np.minimum(np.abs({away}), 10.0)",
        "square": f"-np.minimum(({away}) * ({away}), 10.0)",
        "hold": f"np.maximum(1.0 - np.abs({away}), 0.0)",
        "up": f"np.cos(x - {term.centre:g})",
        "speed": f"np.abs({away})",
        "on": "x",
        "off": "-x",
    }[term.shape]
    return [f"    x = {x}", f"    return ({value}){mean}"]


def effort(action: str) -> str:
    """Cost of an action, ``(B,)``: its mean square, or whether it is another than the quiet one."""
    if "float32" in action:
        return "(action * action).mean(axis=1)"
    quiet = _QUIET.search(action)
    return f"(action != {quiet[1]}).astype(np.float32)" if quiet else "(action > 0).astype(np.float32)"
