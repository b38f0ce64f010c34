"""A run as one self-contained HTML page: what was found, why it can be trusted, what it cost, how to repeat it."""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import DiffLexer, PythonLexer

from designer.arms import CONTROLS
from designer.digest import episode_text
from designer.display import clock
from designer.factors import FACTOR_COLUMNS, factor_notes, factor_rows, factor_verdict
from designer.facts import ranked
from designer.plots import Trained, course, curve_of, final_fitness, has_curve, learning_curves
from designer.scorecard import delivered, difference
from designer.settings import DesignSettings
from designer.store import Json, RunStore
from designer.trainings import unpack
from designer.views import cost_lines, fitness_text, outcome_lines
from envs.task import TaskSpec

_TEMPLATES = Path(__file__).parent / "templates"
_FORMATTER = HtmlFormatter(nowrap=True, style="friendly")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_COURSES = (
    ("paid", "paid per step, all together"),
    ("length", "episode length, steps"),
    ("entropy", "policy entropy, nats"),
)


def write_report(store: RunStore, task: TaskSpec, card: Json, *, beside: tuple[RunStore, Json] | None = None) -> Path:
    """Write ``report.html`` into the run's folder and return its path; works for unfinished runs too.

    ``card``: the scorecard, as ``scorecard.json`` holds it. ``beside``: another run and its scorecard, shown next
    to this one. Raises ``UserError`` where a file of the run is broken or a program was changed.
    """
    store.write_text("report.html", _render(store, task, card, beside))
    return store.path("report.html")


def _render(store: RunStore, task: TaskSpec, card: Json, beside: tuple[RunStore, Json] | None) -> str:
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(_TEMPLATES),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(clock=clock, fitness=fitness_text, number=_number, gain=_gain, words=_words)
    featured, confirmed = _featured(store, card)
    arms = _arms(store, featured, confirmed)
    config = store.read_json("config.json") or {}
    return environment.get_template("report.html.j2").render(
        task=task,
        card=card,
        run=store.root.resolve().name,
        started=_started(store),
        verdict=_verdict(store, card, featured, confirmed),
        confirmed=confirmed,
        factor_columns=FACTOR_COLUMNS,
        legend=arms,
        figures=_figures(arms, card["measure"]),
        gains=_gains(store, confirmed),
        winner=_candidate(store, task, featured) if featured else None,
        courses=next((_courses(arm.record) for arm in reversed(arms) if arm.look in ("designed", "learning")), {}),
        iterations=_iterations(store, task),
        search=_search(store),
        spending=_spending(store),
        config=_CREDENTIALS.sub("", json.dumps(config, indent=2, ensure_ascii=False)),
        command=_CREDENTIALS.sub("", _command(config)),
        feedback=[c["text"] for c in store.read_json("feedback.json") or []],
        beside=[_side(store, card), _side(*beside)] if beside else [],
        code_style=Markup(_FORMATTER.get_style_defs(".code")),
    )


def _number(value: float | None) -> str:
    """Three significant digits, a dash for what is unknown."""
    return "–" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _words(text: str) -> str:
    return text.replace("_", " ")


def _gain(gain: Json) -> str:
    """``+0.41 [0.33, 0.49] on 8 seeds``; without an interval where the seeds are too few for one."""
    interval = "" if gain.get("low") is None else f" [{gain['low']:.3g}, {gain['high']:.3g}]"
    return f"{gain['iqm']:+.3g}{interval} on {gain['seeds']} seeds"


def _started(store: RunStore) -> str | None:
    first = next((e["time"] for e in store.events() if "time" in e), None)
    return None if first is None else f"{datetime.fromtimestamp(first, UTC):%d %B %Y, %H:%M} UTC"


def _record(store: RunStore, arm: str, name: str) -> Json | None:
    folder = "controls" if arm in CONTROLS else "candidates"
    found: Json | None = store.read_json(f"{folder}/{arm}/{name}.json")
    return found


def _featured(store: RunStore, card: Json) -> tuple[str | None, bool]:
    """The candidate that the page is about, and whether its numbers come from seeds that selection never saw."""
    tried = [c for c in store.candidate_ids() if _record(store, c, "confirmation")]
    candidate = card["best"]["id"] if card["best"] else next(iter([*tried, *ranked(store)]), None)
    fresh = candidate in tried and _record(store, "native", "confirmation") is not None
    return candidate, fresh


def _arms(store: RunStore, featured: str | None, confirmed: bool) -> list[Trained]:
    """The featured candidate and the controls, all on the same seeds; controls alone without a candidate."""
    name = "confirmation" if confirmed else "training"
    found = [(control, _record(store, control, name)) for control in CONTROLS]
    if featured:
        own = _record(store, featured, name)
        shown = delivered(store, featured) if confirmed else own
        found = [("designed", shown), *([("learning", own)] if shown != own else []), *found]
    return [Trained(label=look, look=look, record=record) for look, record in found if record]


def _gains(store: RunStore, confirmed: bool) -> dict[str, Json]:
    """Arm -> paired difference to the native control, for every arm on the seeds that the page shows."""
    name = "confirmation" if confirmed else "training"
    native = _record(store, "native", name)
    gains = {}
    for arm in (*CONTROLS[1:], *store.candidate_ids()):
        own = _record(store, arm, name)
        shown = delivered(store, arm) if confirmed and arm not in CONTROLS else own
        for label, record in ((arm, shown), ("learning", own if shown != own else None)):
            if record and native and record["failure"] is None and _shared(record, native):
                gains[label] = difference(record, native)
    return gains


def _shared(arm: Json, control: Json) -> bool:
    """Whether both have a fitness on one seed at least, and none is missing."""
    rows = [*arm["seeds"], *control["seeds"]]
    seeds = {s["seed"] for s in arm["seeds"]} & {s["seed"] for s in control["seeds"]}
    return bool(seeds) and all(s["fitness"] is not None for s in rows)


def _verdict(store: RunStore, card: Json, featured: str | None, confirmed: bool) -> str:
    """The run's outcome in one sentence."""
    measure = _words(card["measure"])
    if card["best"]:
        gain = _gain(card["best"]["gain_over_native"])
        return f"A designed reward trains better than the native one: {measure} {gain} that selection never saw."
    if card["stopped_by"] == "not finished":
        trained = len(ranked(store))
        return f"This run has not finished: {trained} of its {len(store.candidate_ids())} programs are trained so far."
    if featured is None:
        return "No reward was found that trains better than the native one: no program came through training."
    gains = _gains(store, confirmed)
    if featured not in gains:
        return "No reward was found that trains better than the native one: the comparison was not completed."
    where = "that selection never saw" if confirmed else "of the selection; it was not confirmed"
    return (
        "No reward was found that trains better than the native one: the best candidate differs by "
        f"{_gain(gains[featured])} {where}."
    )


def _figures(arms: Sequence[Trained], measure: str) -> dict[str, Markup]:
    shown = {}
    if any(has_curve(arm.record, lambda point: point[curve_of(measure)]) for arm in arms):
        shown["curves"] = learning_curves(arms, measure)
    if any(s["fitness"] is not None for arm in arms for s in arm.record["seeds"]):
        shown["fitness"] = final_fitness(arms, measure)
    return shown


def _courses(record: Json) -> dict[str, list[tuple[str, Markup]]]:
    """Small figures: each component's mean per step, then what else tells how the training went."""
    points = [p for seed in record["seeds"] for p in seed["curve"]]
    names = list(dict.fromkeys(name for p in points for name in p["components"]))

    def of_component(name: str) -> Any:
        return lambda point: point["components"][name][0] if name in point["components"] else None

    def of_point(key: str) -> Any:
        return lambda point: point.get(key)

    parts = {
        "components": [(name, of_component(name)) for name in names],
        "training": [(label, of_point(key)) for key, label in _COURSES],
    }
    shown = {part: [row for row in rows if has_curve(record, row[1])] for part, rows in parts.items()}
    return {
        part: [(label, course(record, read, salt=f"{part}{i}")) for i, (label, read) in enumerate(rows)]
        for part, rows in shown.items()
        if rows
    }


def _candidate(store: RunStore, task: TaskSpec, candidate: str) -> Json:
    """Everything on one candidate that the page shows."""
    facts = store.candidate(candidate) or {}
    source = store.program(candidate).source
    parent = facts.get("revision_of")
    analysis = _record(store, candidate, "analysis")
    training = _record(store, candidate, "training") or {}
    measured = (_record(store, candidate, "verification") or {}).get("measured", {})
    return {
        **facts,
        "code": Markup(highlight(source, PythonLexer(), _FORMATTER)),
        "diff": _diff(store, parent, candidate) if parent and store.candidate(parent) else None,
        "training": _record(store, candidate, "training"),
        "verification": _record(store, candidate, "verification"),
        "critique": _record(store, candidate, "critique"),
        "analysis": analysis,
        "factors": factor_rows(training),
        "factor_verdict": factor_verdict(training),
        "factor_notes": factor_notes(training),
        "decoded": store.read_json(f"candidates/{candidate}/decoded.json"),
        "outcome": outcome_lines(measured),
        "cost": cost_lines(measured),
        "episodes": _episodes(store, task, candidate, analysis),
    }


def _diff(store: RunStore, parent: str, candidate: str) -> Markup:
    old, new = (store.program(c).source.splitlines() for c in (parent, candidate))
    lines = difflib.unified_diff(old, new, parent, candidate, lineterm="")
    return Markup(highlight("\n".join(lines) or "(no difference)", DiffLexer(), _FORMATTER))


def _episodes(store: RunStore, task: TaskSpec, candidate: str, analysis: Json | None) -> list[Json]:
    """Recorded episodes step by step; lines that the analysis cites are marked."""
    episodes = unpack(store.read_arrays(f"candidates/{candidate}/trajectories.npz"))
    cited = {(e["episode"], e["step"]) for e in (analysis or {}).get("evidence", [])}
    return [
        {
            "id": f"e{i}",
            "success": episode.success,
            "length": len(episode),
            "lines": [
                {"text": line, "cited": any(line.startswith(f"{s}: ") for e, s in cited if e == f"e{i}")}
                for line in episode_text(task, episode)
            ],
        }
        for i, episode in enumerate(episodes)
    ]


def _iterations(store: RunStore, task: TaskSpec) -> dict[int, list[Json]]:
    """Iteration -> its candidates, oldest first."""
    out: dict[int, list[Json]] = {}
    for candidate in store.candidate_ids():
        shown = _candidate(store, task, candidate)
        out.setdefault(shown["iteration"], []).append(shown)
    return out


def _search(store: RunStore) -> list[tuple[str, str]]:
    """How many replies and programs came through each step of the search."""
    events = list(store.events())
    count = Counter(e["event"] for e in events)
    repaired = sum(bool(e.get("repaired")) for e in events if e["event"] == "good_reply")
    ids = store.candidate_ids()
    statuses = Counter((_record(store, c, "verification") or {}).get("status") for c in ids)
    trained = sum(_record(store, c, "training") is not None for c in ids)
    return [
        ("model replies bought", f"{count['reply']}"),
        ("of these used", f"{count['good_reply']} ({repaired} after a repair)"),
        ("of these refused", f"{count['bad_reply']}"),
        ("programs written", f"{len(ids)}"),
        ("refused by the gate", f"{statuses['refused']}"),
        ("failed in sandbox or probes", f"{statuses['failed']}"),
        ("gamed, by the audit", f"{statuses['gamed']}"),
        ("verified", f"{statuses['verified']}"),
        ("trained", f"{trained}"),
    ]


def _spending(store: RunStore) -> dict[str, int]:
    """What environment steps were spent on."""
    spent: Counter[str] = Counter()
    for event in store.events():
        if event["event"] == "env_steps":
            spent[str(event["what"])] += int(event["steps"])
    return dict(spent)


def _command(config: Json) -> str:
    """The command that repeats the run: every option that differs from its default."""
    defaults = DesignSettings(task="").to_json()
    words = ["rewardsmith", "design", str(config.get("task", ""))]
    for name, value in config.items():
        if name != "task" and value is not None and value != defaults.get(name):
            option = f"--{name.replace('_', '-')}"
            words += [option] if value is True else [option, str(value)]
    return _joined(words)


def _joined(words: Iterable[str]) -> str:
    return " ".join(shlex.quote(word) for word in words)


def _side(store: RunStore, card: Json) -> Json:
    """A run as one column of the comparison."""
    featured, confirmed = _featured(store, card)
    config = store.read_json("config.json") or {}
    gains = _gains(store, confirmed)
    return {
        "run": store.root.resolve().name,
        "card": card,
        "size": f"{config.get('iterations', '–')} × {config.get('candidates', '–')}",
        "programs": len(store.candidate_ids()),
        "trained": len(ranked(store)),
        "featured": featured,
        "confirmed": confirmed,
        "fitness": next((a.record["fitness"] for a in _arms(store, featured, confirmed) if a.look == "designed"), None),
        "gain": gains.get(featured) if featured else None,
    }
