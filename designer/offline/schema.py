"""What a state schema offers a reward, read by generic rules: who moves, what lies where, what can be achieved.

Nothing here knows a task. Fields are told apart by shape, unit, bounds and the words of their names, meanings and
codes; the task's description decides which of them matter, and in which order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LENGTH = _set("cell cells tile tiles square squares px pixel pixels m cm mm km")
_WHERE = _set("pos position xy xyz cell location place coordinate where at")
_MOVER = _set("agent walker robot player self own me body mover vehicle car lander torso hull cart ship drone "
              "fingertip hand gripper tip effector ant rover")  # fmt: skip
_UNDONE = _set("nothing none no not locked closed shut off absent without inactive idle unpressed missing")
_SENSED = _set("ahead front facing seen sight view visible nearest adjacent neighbour neighbor")
_COMPASS = _set("up down left right north south east west")
_TRAIT = _set("color colour hue size")
_WANTED = _set("target wanted desired instructed mission required")
_HOLD = _set("carry carrying carried hold holding held inventory has have grasp grasped gripped")
_FILLER = _set("state status code type kind flag value is id the of a an whether each")
_CALL = re.compile(r"\b(must|should|needs? to|has to|make|bring|reach|keep|swing)\b", re.IGNORECASE)
_TELLING = re.compile(
    r"(an?|the|it|its|this|there|one|two|three|four|some\w*|when|if|in|behind|at|on|every|\w+ing)\b", re.IGNORECASE
)
"""How a sentence begins that tells about the world; an imperative begins otherwise."""
_PICK = _set("pick take grab grasp collect fetch carry bring hold lift")
_HARM = re.compile(r"episode ends|crash|fall|fail|die", re.IGNORECASE)
_SEEN = "x-seen-in-random-play"
MANY = 8
"""Most places or codes in one field that are looked at one by one."""
RELATIVE = _set("offset displacement relative")
"""In the name of a field that says where something lies from the mover."""


def words(text: str) -> list[str]:
    """Lower-case words of a text or an identifier, plural endings and the British ``colour`` evened out."""
    found = re.findall(r"[a-z]+|\d+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())
    return [w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A task's description as words."""

    all: tuple[str, ...]
    clause: tuple[str, ...]
    """What comes after the first ``must`` or the like in its sentence: the request itself."""
    request: frozenset[str]
    """Words of every sentence that asks for something (all words where none does)."""

    def mention(self, word: str) -> tuple[int, int]:
        """Where the word stands: in the request, else anywhere, else nowhere."""
        for rank, said in enumerate((self.clause, self.all)):
            if word in said:
                return rank, said.index(word)
        return 2, 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A field that says where something is: ``(B, D)``, or ``(B, n, D)`` for ``n`` things."""

    field: str
    count: int
    """0 for a single place."""
    whole: bool
    """Cells of a grid, where distances are counted in steps."""
    absent: bool
    """Whether negative coordinates say that the thing is nowhere."""
    span: float
    """A distance that is far."""
    noun: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestone:
    """Something that holds or does not: a door is open, a thing is carried."""

    name: str
    """Stable name, made of field and codes."""
    test: str
    """Python expression over ``state``, ``(B,)`` bool."""
    word: str
    """The word of the description that it answers to."""
    noun: str
    """What it is done to."""
    holds: bool
    """Whether it is about carrying something."""
    chosen: str | None = None
    """Expression ``(B, n)``: which of several places it is about."""
    spare: bool = False
    """Another reading of a field that has a better one: used by variations only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """The schema's offers for one task."""

    mover: Place | None
    places: tuple[Place, ...]
    milestones: tuple[Milestone, ...]
    """In the order in which the description asks for them."""
    final: tuple[str, ...]
    """Places that no milestone is about, the likeliest end of the way first."""
    sensed: Mapping[str, str]
    """Noun -> expression ``(B,)``: the mover has such a thing before it."""
    small: tuple[tuple[str, int], ...]
    """The mover's place and all codes as (field, dimensions without ``B``): what an idle step leaves alone."""

    def place_of(self, noun: str) -> Place | None:
        """The place of that name."""
        return next((p for p in self.places if p.noun == noun), None)


def fields_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The fields whose names can stand in a program."""
    return {n: s for n, s in dict(schema.get("properties", {})).items() if re.fullmatch(r"[\w .:/-]+", n)}


def read(schema: Mapping[str, Any], description: str) -> Landscape:
    """Read the state's JSON Schema for a task in words."""
    fields = fields_of(schema)
    asked = ask(description)
    found = [p for p in (_place(name, spec) for name, spec in fields.items()) if p is not None]
    mover = _mover(found, fields)
    places = tuple(p for p in found if mover is None or p.field != mover.field)
    coded = {n: s for n, s in fields.items() if _coded(s) and not set(words(n)) & _TRAIT}
    sensors = {n: s for n, s in coded.items() if _senses(n, s)}
    wanted = {n: s for n, s in coded.items() if set(words(n)) & _WANTED}
    milestones: list[Milestone] = []
    for name, spec in coded.items():
        if name not in sensors and name not in wanted:
            milestones += _milestones(name, spec, fields, asked, places)
    if wanted:
        milestones += _matches(wanted, coded, sensors)
    told = {m.name for m in milestones if m.word in asked.all or (not m.word and not m.spare)}
    milestones = [replace(m, spare=m.spare or (bool(told) and m.name not in told)) for m in milestones]
    milestones.sort(key=lambda m: _turn(m, asked))
    taken = {m.noun for m in milestones if not m.spare and m.word in asked.all}
    last = sorted((p for p in places if p.noun not in taken), key=lambda p: asked.mention(p.noun))
    named = [p.field for p in last if p.noun in asked.all] or ([] if taken else [p.field for p in last])
    moving = {*coded, *([mover.field] if mover else ())} - set(wanted)
    small = [(name, len(_shape(spec))) for name, spec in fields.items() if name in moving]
    return Landscape(
        mover=mover,
        places=places,
        milestones=tuple(milestones),
        final=tuple(named),
        sensed=_sensed(sensors),
        small=tuple(small[:12]),
    )


def _shape(spec: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(n) for n in list(spec.get("x-shape", ["B"]))[1:])


def _leaf(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    while "items" in spec:
        spec = spec["items"]
    return spec


def _coded(spec: Mapping[str, Any]) -> bool:
    """Codes or flags, one of them or a handful."""
    kind = spec.get("x-dtype") == "bool" or bool(spec.get("x-values")) or _counts(spec)
    return kind and (not _shape(spec) or (len(_shape(spec)) == 1 and _shape(spec)[0] <= MANY))


def _counts(spec: Mapping[str, Any]) -> bool:
    """One whole number of a few values, without words for them, that always starts the same."""
    seen = spec.get(_SEEN) or {}
    whole = str(spec.get("x-dtype", "")).startswith(("int", "uint"))
    return whole and not _shape(spec) and seen.get("start") is not None and seen["high"] - seen["low"] < MANY


def _senses(name: str, spec: Mapping[str, Any]) -> bool:
    said = set(words(name)) | set(words(str(spec.get("description", ""))))
    return not _shape(spec) and bool(said & _SENSED)


def relative(name: str, spec: Mapping[str, Any]) -> bool:
    """Whether the field says where something lies from the mover, ``(B, D)``, or several things, ``(B, n, D)``."""
    shape, kind = _shape(spec), str(spec.get("x-dtype", ""))
    length = str(spec.get("x-unit", "")) in (*_LENGTH, "", "1") and kind.startswith(("float", "int", "uint"))
    fits = len(shape) in (1, 2) and shape[0] > 0 and shape[-1] in (2, 3)
    return length and fits and not spec.get("x-values") and bool(set(words(name)) & RELATIVE)


def _place(name: str, spec: Mapping[str, Any]) -> Place | None:
    shape, unit = _shape(spec), str(spec.get("x-unit", ""))
    if spec.get("x-values") or relative(name, spec):
        return None
    whole = str(spec.get("x-dtype", "")).startswith(("int", "uint"))
    fits = (len(shape) == 1 or (len(shape) == 2 and shape[0] <= MANY)) and shape[-1] in (2, 3)
    if not fits or not (unit in _LENGTH or (unit in ("", "1") and (whole or set(words(name)) & _WHERE))):
        return None
    low, high = _range(spec)
    width = 0.0
    if low is not None and high is not None:
        width = float(high) - (max(float(low), 0.0) if whole else float(low))
    nouns = [w for w in words(name) if w not in _WHERE and w not in _FILLER] or words(name)
    said = str(spec.get("description", ""))
    return Place(
        field=name,
        count=shape[0] if len(shape) == 2 else 0,
        whole=whole,
        absent=whole and (low is None or float(low) < 0 or "-1" in said),
        span=width * (2 if whole else 1) or 1.0,
        noun=nouns[0],
    )


def _range(spec: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Bounds of a field's numbers: those that are stated, else what random play showed; None where neither is."""
    leaf, seen = _leaf(spec), spec.get(_SEEN) or {}
    return leaf.get("minimum", seen.get("low")), leaf.get("maximum", seen.get("high"))


def _changes(spec: Mapping[str, Any]) -> float:
    """Share of random steps that changed the field; 0 where nobody looked."""
    return float((spec.get(_SEEN) or {}).get("changes") or 0.0)


def _mover(places: Sequence[Place], fields: Mapping[str, Any]) -> Place | None:
    """The place of what acts: what random play moved most, named like one, else the first that is never absent."""

    def score(place: Place) -> tuple[float, bool, bool, bool]:
        named = bool(set(words(place.field)) & _MOVER)
        told = bool(set(words(str(fields[place.field].get("description", "")))) & _MOVER)
        return _changes(fields[place.field]), named, told, not place.absent

    single = [p for p in places if p.count == 0]
    best = max(single, key=score, default=None)
    return best if best is not None and (any(score(best)[:3]) or len(places) > 1) else None


def _milestones(
    name: str, spec: Mapping[str, Any], fields: Mapping[str, Any], asked: Asked, places: Sequence[Place]
) -> list[Milestone]:
    """What can be achieved in one field of codes or flags."""
    said = words(name)
    noun = next((w for w in said if w not in _FILLER and w not in _HOLD), said[0])
    holds = bool(set(said) & _HOLD)
    if spec.get("x-dtype") == "bool" and not spec.get("x-values"):
        harmful = bool(_HARM.search(str(spec.get("description", ""))))
        if harmful or _shape(spec):
            return []
        return [Milestone(name=name, test=f'state["{name}"]', word=noun, noun=noun, holds=holds)]
    if not spec.get("x-values"):
        start = int(spec[_SEEN]["start"])
        return [
            Milestone(
                name=f"{name} not {start}", test=f'(state["{name}"] != {start})', word=noun, noun=noun, holds=holds
            )
        ]
    codes = {int(code): words(meaning) for code, meaning in dict(spec["x-values"]).items()}
    if len(codes) > 2 and all(set(meaning) <= _COMPASS for meaning in codes.values()):
        return []
    done = {code: meaning for code, meaning in codes.items() if not set(meaning) & _UNDONE}
    if len(codes) == 2 and len(done) != 1:
        told = [code for code, meaning in codes.items() if set(meaning) & set(asked.all)]
        done = {code: codes[code] for code in ([*told, *codes][-1:] if len(told) != 1 else told)}
    if not done or len(done) == len(codes):
        return []
    if holds:
        return _carried(name, done, asked, places)
    if _shape(spec):
        return _among(name, noun, codes, done, fields, asked)
    return [Milestone(name=_label(name, done), test=_is(name, list(done)), word=noun, noun=noun, holds=False)]


def _label(name: str, codes: Mapping[int, list[str]]) -> str:
    """A field and what it should hold, in words."""
    return f"{name} {' or '.join(' '.join(meaning) for meaning in codes.values())}"


def _is(name: str, codes: Sequence[int]) -> str:
    """Expression: the field holds one of the codes."""
    tests = [f'(state["{name}"] == {code})' for code in codes]
    return " | ".join(tests) if len(tests) <= 4 else f'np.isin(state["{name}"], {list(codes)})'


def _carried(name: str, done: Mapping[int, list[str]], asked: Asked, places: Sequence[Place]) -> list[Milestone]:
    """One milestone for each kind of thing that the task names, else for what has a place, else for anything."""
    nouns = {code: meaning[-1] for code, meaning in done.items()}
    told = [c for c, noun in nouns.items() if noun in asked.all]
    there = [c for c, noun in nouns.items() if any(p.noun == noun for p in places)]
    chosen = [c for c in told if c in there] or told or there
    if not chosen:
        if not set(asked.all) & _PICK:
            return []
        return [Milestone(name=_label(name, done), test=_is(name, list(done)), word="", noun="", holds=True)]
    return [
        Milestone(name=f"{name} {nouns[c]}", test=_is(name, [c]), word=nouns[c], noun=nouns[c], holds=True)
        for c in chosen
    ]


def _among(
    name: str,
    noun: str,
    codes: Mapping[int, list[str]],
    done: Mapping[int, list[str]],
    fields: Mapping[str, Any],
    asked: Asked,
) -> list[Milestone]:
    """Milestones of several alike things: the ones that the task tells apart by a trait, else some or all."""
    reached = _is(name, list(done))
    out = []
    for other, spec in fields.items():
        trait = other != name and _coded(spec) and set(words(other)) & _TRAIT
        if trait and words(other)[0] == words(name)[0] and _shape(spec) == _shape(fields[name]):
            for code, meaning in dict(spec.get("x-values", {})).items():
                if set(words(meaning)) & set(asked.all) and not set(words(meaning)) & _UNDONE:
                    mask = f'(state["{other}"] == {code})'
                    test = f"(({reached}) & {mask}).any(axis=1)"
                    label = f"{other} {' '.join(words(meaning))} with {_label(name, done)}"
                    word = words(meaning)[-1]
                    out.append(Milestone(name=label, test=test, word=word, noun=noun, holds=False, chosen=mask))
    told = [c for c, meaning in codes.items() if c not in done and c >= 0 and set(meaning) & set(asked.all)]
    # The codes farthest from what is wanted come first: a locked door before a closed one.
    for code in sorted(told, key=lambda c: -min(abs(c - d) for d in done)):
        worst = [code]
        test, mask = f"(~({_is(name, worst)})).all(axis=1)", _is(name, worst)
        label = f"no {_label(name, {code: codes[code]})}"
        out.append(Milestone(name=label, test=test, word=noun, noun=noun, holds=False, chosen=mask, spare=bool(out)))
    out.append(
        Milestone(
            name=f"some {_label(name, done)}",
            test=f"({reached}).any(axis=1)",
            word=noun,
            noun=noun,
            holds=False,
            chosen=f"~({reached})",
            spare=bool(out),
        )
    )
    return out


def _matches(wanted: Mapping[str, Any], coded: Mapping[str, Any], sensors: Mapping[str, Any]) -> list[Milestone]:
    """Milestones that compare a field with what the mission names: carrying the wanted kind of thing."""
    out = []
    for goal in wanted:
        for name in coded:
            same = words(name)[-1] == words(goal)[-1] and name not in wanted
            if same and not (name in sensors and set(words(name)) & _HOLD):
                test = f'state["{name}"] == state["{goal}"]'
                hold = bool(set(words(name)) & _HOLD)
                out.append(Milestone(name=f"{name} as {goal}", test=test, word="", noun="", holds=hold, spare=not hold))
    return out


def ask(description: str) -> Asked:
    """The description as words, and the request in it."""
    call = _CALL.search(description)
    clause = re.split(r"[.;!?]\s", description[call.end() :])[0] if call else ""
    sentences = re.split(r"[.;!?]\s", description)
    asking = [s for s in sentences if _CALL.search(s) or not _TELLING.match(s.strip())]
    return Asked(
        all=tuple(words(description)),
        clause=tuple(words(clause)),
        request=frozenset(words(" ".join(asking))) or frozenset(words(description)),
    )


def _turn(milestone: Milestone, asked: Asked) -> tuple[bool, bool, bool, int]:
    """When a milestone's turn comes: what is spoken of but not asked for comes before; carrying before using."""
    rank, where = asked.mention(milestone.word)
    return milestone.spare, rank == 0, rank != 0 and not milestone.holds, where


def _sensed(sensors: Mapping[str, Any]) -> dict[str, str]:
    """Noun -> expression that it is before the mover."""
    out: dict[str, str] = {}
    for name, spec in sensors.items():
        for code, meaning in dict(spec.get("x-values", {})).items():
            for word in words(meaning):
                out.setdefault(word, f'state["{name}"] == {code}')
    return out
