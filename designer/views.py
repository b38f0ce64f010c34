"""What the terminal shows of a run: the scorecard, the candidates, one candidate whole, two side by side."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from designer.digest import component_course, curves, episode_text
from designer.display import clock, own_scale, sparkline
from designer.factors import FACTOR_COLUMNS, factor_notes, factor_rows, factor_verdict
from designer.store import Json, RunStore
from designer.trainings import unpack
from envs.task import TaskSpec
from sandbox.measures import TIMED_ROWS


def fitness_text(fitness: Json | None) -> str:
    """``0.91 [0.84, 0.97] (8 seeds)``; the interval only where there are seeds enough for one."""
    if not fitness or fitness["iqm"] is None:
        return "-"
    seeds = "(1 seed)" if fitness["seeds"] == 1 else f"({fitness['seeds']} seeds)"
    if fitness["low"] is None:
        return f"{fitness['iqm']:.3g} {seeds}"
    return f"{fitness['iqm']:.3g} [{fitness['low']:.3g}, {fitness['high']:.3g}] {seeds}"


def scorecard_view(card: Json) -> RenderableType:
    """The scorecard as a table, the control arms beside the best candidate, and what the search cost."""
    table = Table(title=f"{card['task']} · model {card['model']}", title_justify="left")
    table.add_column("arm", no_wrap=True)
    for column in (f"{card['measure'].replace('_', ' ')} (IQM, 95 % interval)", "status"):
        table.add_column(column)
    best = card["best"]
    if best:
        gain = best["gain_over_native"]
        told = f"better than native by {gain['iqm']:.3g} [{gain['low']:.3g}, {gain['high']:.3g}]"
        table.add_row(f"best: {best['id']}", fitness_text(best["fitness"]), told, style="bold")
    for name, control in card["controls"].items():
        table.add_row(f"control: {name}", fitness_text(control["fitness"]), "")
    for row in card["candidates"]:
        if not best or row["id"] != best["id"]:
            table.add_row(row["id"], fitness_text(row["fitness"]), f"iteration {row['iteration']}, {row['status']}")
    for row in card["candidates"]:
        if row.get("bundle_fitness"):
            both = (
                (row["fitness"], "decoder that learns"),
                (row["bundle_fitness"], "frozen decoder, as in the bundle"),
            )
            for fitness, how in both:
                table.add_row(f"  {row['id']}", fitness_text(fitness), how)
    cost = card["cost"]
    usd = "unknown" if cost["usd"] is None else f"${cost['usd']:.4f}"
    lines = [
        f"cost: {cost['env_steps']:,} env steps, {cost['tokens']:,} tokens, money {usd}, {clock(cost['seconds'])} min",
        f"stopped by: {card['stopped_by']}",
    ]
    if best is None:
        lines.append("best: none. No candidate was confirmed as better than the native control.")
    return Group(table, Text("\n".join(lines)))


def replies_view(store: RunStore) -> RenderableType:
    """How many replies were parsed, refused, repaired; how many programs were verified, audited, trained."""
    events = list(store.events())
    count = Counter(e["event"] for e in events)
    repaired = sum(bool(e.get("repaired")) for e in events if e["event"] == "good_reply")
    records = [store.read_json(f"candidates/{c}/verification.json") or {} for c in store.candidate_ids()]
    statuses = Counter(r.get("status") for r in records)
    verdicts = Counter((r.get("audit") or {}).get("verdict") for r in records)
    trained = sum((store.root / f"candidates/{c}/training.json").is_file() for c in store.candidate_ids())
    table = Table(show_header=False, box=None, pad_edge=False)
    rows: Iterable[tuple[str, str]] = (
        ("replies bought", f"{count['reply']}"),
        ("replies parsed", f"{count['good_reply']} ({repaired} after a repair)"),
        ("replies refused", f"{count['bad_reply']}"),
        ("calls that failed", f"{count['model_failed']}"),
        ("programs", f"{len(records)}"),
        ("  refused by the gate", f"{statuses['refused']}"),
        ("  failed in sandbox or probes", f"{statuses['failed']}"),
        ("  gamed (audit)", f"{statuses['gamed']}"),
        ("  verified", f"{statuses['verified']}"),
        ("  audited", f"{verdicts['sound'] + verdicts['gamed']} ({verdicts['sound']} sound)"),
        ("  trained", f"{trained}"),
    )
    for row in rows:
        table.add_row(*row)
    return table


def run_view(store: RunStore, card: Json) -> RenderableType:
    """A run as ``show RUN`` prints it."""
    table = Table(title="candidates", title_justify="left")
    for column in ("id", "it", "status", "fitness", "curve", "idea"):
        table.add_column(column, overflow="fold", no_wrap=column in ("id", "curve"))
    for candidate in store.candidate_ids():
        facts = store.candidate(candidate) or {}
        record = store.read_json(f"candidates/{candidate}/training.json")
        spark = course(record) if record else ""
        table.add_row(
            candidate,
            str(facts["iteration"]),
            facts["status"],
            fitness_text(record["fitness"]) if record else "-",
            spark,
            facts["idea"],
        )
    return Group(scorecard_view(card), Text(""), table, Text(""), replies_view(store))


def course(record: Json) -> str:
    """A training's success curve (or return curve) as a sparkline, its mean over seeds."""
    found = curves(record)
    if record["measure"] == "success_rate":
        return sparkline(found["success"])
    return own_scale(found["task_return"])


def candidate_view(store: RunStore, task: TaskSpec, candidate: str) -> RenderableType:
    """One candidate whole: code, checks, critique, curves, analysis, episodes."""
    program = store.program(candidate)
    facts = store.candidate(candidate) or {}
    parts: list[RenderableType] = [
        Rule(f"{candidate} · {facts['status']}", align="left"),
        Text(f"idea: {facts['idea']}"),
        Syntax(program.source, "python", line_numbers=True, word_wrap=True),
    ]
    verification = store.read_json(f"candidates/{candidate}/verification.json")
    if verification:
        parts += [Rule("checks", align="left"), verification_view(verification)]
    critique = store.read_json(f"candidates/{candidate}/critique.json")
    if critique:
        verdict = "approves" if critique["approve"] else "sends it back"
        parts += [Rule("critic", align="left"), Text("\n".join([verdict, *critique["reasons"]]))]
    record = store.read_json(f"candidates/{candidate}/training.json")
    if record:
        decoded = decoded_lines(store.read_json(f"candidates/{candidate}/decoded.json"))
        parts += [Rule("training", align="left"), _training(record), Text("\n".join(decoded))]
    analysis = store.read_json(f"candidates/{candidate}/analysis.json")
    if analysis:
        cited = [f"  {e['episode']} step {e['step']}: {e['what']}" for e in analysis["evidence"]]
        change = analysis["change"]
        lines = [analysis["diagnosis"], *cited, f"change ({change['level']}): {change['advice']}"]
        parts += [Rule("analysis", align="left"), Text("\n".join(lines))]
    for i, episode in enumerate(unpack(store.read_arrays(f"candidates/{candidate}/trajectories.npz"))[:2]):
        parts += [Rule(f"episode e{i}", align="left"), Text("\n".join(episode_text(task, episode)))]
    return Group(*parts)


def verification_view(found: Json) -> RenderableType:
    """What gate, sandbox, probes and audit found on a program."""
    sandbox = found["sandbox"]
    lines = [
        f"{'ok' if found['ok'] else found['status']} · sandbox {sandbox['backend']}: {', '.join(sandbox['layers'])}"
    ]
    if not found["gate"]:
        lines.append("THE GATE WAS LEFT OUT: only the jail stood between this program and the machine.")
    for violation in found["violations"]:
        where = f" line {violation['line']}" if violation["line"] else ""
        head = f"{violation['stage']} · {violation['kind']} · {violation['rule']}{where}"
        lines.append(f"{head}: {violation['message']}")
    lines += [f"warning: {w}" for w in found["measured"].get("warnings", [])]
    if found["audit"]:
        lines.append(f"audit: {found['audit']['verdict']}")
    lines += [*outcome_lines(found["measured"]), *cost_lines(found["measured"])]
    parts: list[RenderableType] = [Text("\n".join(lines))]
    if found["components"]:
        keys = ("min", "mean", "max", "std", "share")
        table = Table("component", *keys, box=None, pad_edge=False)
        for name, values in found["components"].items():
            table.add_row(name, *(f"{values[k]:.3g}" if values.get(k) is not None else "-" for k in keys))
        parts.append(table)
    return Group(*parts)


def outcome_lines(measured: Json) -> list[str]:
    """What a latent reward's factors say of the outcomes of recorded episodes; nothing for an explicit reward."""
    found, lying = measured.get("outcome"), measured.get("latent")
    if not found or not lying:
        return []
    lines = [f"effective rank {lying['effective_rank']:.3g} of {len(found['correlation'])} factors"]
    if found["explained"] is None:
        alike = f"the outcomes by length of {found['episodes']} recorded episodes are alike"
        return [*lines, f"{alike}, which says nothing of the factors"]
    told = ", ".join(f"{name} {value:+.2f}" for name, value in found["correlation"].items() if value is not None)
    probe = f"a linear probe tells {found['explained']:.0%} of the variance in the outcomes by length of"
    return [*lines, f"{probe} {found['episodes']} recorded episodes; correlations: {told or 'none'}"]


def cost_lines(measured: Json) -> list[str]:
    """How long a program takes; nothing where that was not measured."""
    taken = measured.get("milliseconds")
    return [f"a call with {TIMED_ROWS:,} transitions takes {taken:.3g} ms"] if taken else []


def _training(record: Json) -> RenderableType:
    lines = [f"fitness {fitness_text(record['fitness'])}, measured by the task's own {record['measure']}"]
    for seed in record["seeds"]:
        lines.append(f"  seed {seed['seed']}: {seed['fitness']:.3g}")
    found = curves(record)
    for name in ("success", "task_return", "length"):
        values = found[name]
        if any(v is not None for v in values):
            lines.append(f"{name:>12}  {own_scale(values)}  {values[0]} -> {values[-1]}")
    for name, told in component_course(record).items():
        lines.append(f"{name:>12}  {own_scale(told['course'])}  mean {told['end_mean']} at the end")
    return Group(Text("\n".join(lines)), *_factors(record))


def _factors(record: Json) -> list[RenderableType]:
    """What each factor of a latent reward is paid and counts for; nothing for an explicit reward."""
    rows = factor_rows(record)
    if not rows:
        return []
    verdict = factor_verdict(record)
    table = Table("factor", box=None, pad_edge=False)
    for column in FACTOR_COLUMNS:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(row.name, *row.cells())
    notes = [f"  {note}" for note in factor_notes(record)]
    return [*([Text(verdict)] if verdict else []), table, Text("\n".join(notes))]


def decoded_lines(decoded: list[Json] | None) -> list[str]:
    """What a frozen decoder pays in the recorded episodes, beside their outcomes."""
    told = []
    for one in decoded or []:
        most, least = (", ".join(map(_paid_step, one[part])) for part in ("highest", "lowest"))
        sums = f"outcome {one['outcome']:.3g}, decoded {one['decoded']:.3g}"
        told.append(f"  {one['episode']}: {sums}; most {most}; least {least}")
    return ["outcome and what the decoder makes of it, by recorded episode", *told] if told else []


def _paid_step(told: list[float]) -> str:
    step, value, *agent = told
    return f"{value:.3g} at step {step}" + "".join(f" of agent {number}" for number in agent)


def diff_view(store: RunStore, first: str, second: str) -> RenderableType:
    """What changed between two candidates' code, as a unified diff."""
    a, b = store.program(first).source, store.program(second).source
    lines = difflib.unified_diff(a.splitlines(), b.splitlines(), first, second, lineterm="")
    return Syntax("\n".join(lines) or "(the two are equal)", "diff", word_wrap=True)


def print_view(console: Console, view: RenderableType) -> None:
    """Print, without cutting lines where the output is no terminal."""
    console.print(view, soft_wrap=not console.is_terminal)
