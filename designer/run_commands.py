"""The commands on runs: design, resume, show, diff, report, export. Parameters are options."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import tyro

from designer.exits import DONE, INTERRUPTED, REFUSED, interrupted
from designer.output import AsJson, one_thread, print_json, print_line, wide_console
from designer.reading import reading
from designer.settings import DesignSettings
from designer.store import Json, RunStore
from envs.errors import UserError

RunPath = Annotated[str, tyro.conf.Positional]


def _opened(name: str) -> tuple[RunStore, DesignSettings]:
    """A run's folder and the settings that it was started with."""
    store = RunStore.open(_run_root(name))
    with reading(store):
        return store, DesignSettings.from_json(store.read_json("config.json") or {})


def _run_root(name: str) -> Path:
    """A run's folder by path, or by its name under ``runs/``."""
    for path in (Path(name), Path("runs") / name):
        # A name too long for a file, or a folder that may not be entered, is no run either.
        with suppress(OSError, ValueError):
            if (path / "config.json").is_file():
                return path
    raise UserError(f"There is no run {name!r}: neither that folder nor runs/{name} holds a config.json.")


def design(
    settings: Annotated[DesignSettings, tyro.conf.arg(name="")],
    run_dir: Path | None = None,
    as_json: AsJson = False,
) -> int:
    """Run the design loop for a task.

    Args:
        settings: What to design.
        run_dir: The run's folder; runs/<task>-<time> when left out.
        as_json: Print the scorecard as JSON, and progress to standard error.
    """
    from designer.llm import check_models
    from designer.run import alone, task_of
    from designer.trainings import device_of

    task = task_of(settings)
    device_of(settings.device)
    check_models(settings)
    root = run_dir or Path("runs") / f"{task.id}-{time.strftime('%Y%m%d-%H%M%S')}"
    store = RunStore.create(root, settings.to_json())
    with alone(store):
        return _go(store, settings, as_json)


def resume(run: RunPath, feedback: str | None = None, as_json: AsJson = False) -> int:
    """Go on where a run stopped, whatever stopped it; nothing is bought or trained twice.

    Args:
        run: The run's folder, or its name under runs/.
        feedback: A comment that reaches the next design; a finished run goes on for one more iteration.
        as_json: Print the scorecard as JSON, and progress to standard error.
    """
    from designer.run import alone

    store, settings = _opened(run)
    with alone(store):
        _read_through(store, settings)
        if feedback is not None:
            store.add_feedback(feedback)
        return _go(store, settings, as_json)


def _read_through(store: RunStore, settings: DesignSettings) -> None:
    """Read what a resumed run goes on from, before anything is paid for. Raises ``UserError`` where it does not fit."""
    from designer.budget import Budget
    from designer.facts import ranked
    from designer.scorecard import confirmed, delivered

    with reading(store):
        Budget(settings.caps, store)
        ranked(store)
        confirmed(store)
        for candidate in store.candidate_ids():
            delivered(store, candidate)
            if store.program(candidate).form == "latent":
                store.read_decoder(candidate)
        store.comments()
        # What a finished run writes at its end must not lead out of it, or stand in for something else.
        store.path("report.html")
        store.path("best")
        store.read_json("best/manifest.json")


def _go(store: RunStore, settings: DesignSettings, as_json: bool) -> int:
    from designer.display import Display, cost_line
    from designer.graph import Paused
    from designer.review import ask
    from designer.run import Run
    from designer.views import print_view, scorecard_view
    from envs.make_vector import described

    one_thread()
    console = wide_console(stderr=as_json)
    with Display(console) as display:
        run = Run.open(store, settings, display.progress)
        store.listen(display.event)
        display.budget = run.budget
        console.print(f"run     {store.root}", soft_wrap=True)
        console.print(f"task    {run.task.id}: {run.task.description}")
        console.print(f"steps   {described(run.task)}")
        console.print(f"sandbox {run.sandbox.describe()}")
        if settings.model == "offline":
            console.print("model   offline: a baseline that composes programs without a language model")
        if settings.env is not None and settings.fitness is None:
            console.print(
                "fitness the environment's own return; how far it is what your sentence asks for is not measured "
                "(--fitness module:function would)",
            )
        try:
            card = run.go(lambda waiting: ask(console, display, store, waiting), lambda: interrupted(str(store.root)))
        except Paused as paused:
            told = f"{paused}: `rewardsmith show {store.root}`, then `rewardsmith resume {store.root}`."
            console.print(told, soft_wrap=True)
            return INTERRUPTED
    console.print(cost_line(run.budget))
    # A latent reward's bundle holds the decoder that its training froze.
    bundled = card["best"] is not None and store.bundled(card["best"]["id"])
    if bundled:
        from designer.export import export_run

        export_run(store, run.task, card["best"]["id"], store.path("best"))
    from designer.report import write_report

    write_report(store, run.task, card)
    if as_json:
        print_json(card)
    else:
        print_view(console, scorecard_view(card))
        console.print(f"\nrewardsmith show {store.root}    the candidates and what was measured", soft_wrap=True)
        if bundled:
            console.print(f"{store.root / 'best'}    the reward as a bundle for your own training")
    return DONE if card["best"] else REFUSED


def show(run: RunPath, candidate: Annotated[str | None, tyro.conf.Positional] = None, as_json: AsJson = False) -> int:
    """Show a run's candidates as a table, or one candidate: code, checks, critique, curves, analysis.

    Args:
        run: The run's folder, or its name under runs/.
        candidate: A candidate's id.
        as_json: Print JSON.
    """
    from designer.run import recorded_task
    from designer.views import candidate_view, print_view, run_view

    store, settings = _opened(run)
    console = wide_console()
    with reading(store):
        if candidate is not None:
            program = store.program(candidate)
            if as_json:
                parts = ("candidate", "verification", "critique", "training", "confirmation", "analysis")
                told = {part: store.read_json(f"candidates/{candidate}/{part}.json") for part in parts}
                print_json({"source": program.source, **told})
            else:
                print_view(console, candidate_view(store, recorded_task(store, settings), candidate))
        elif as_json:
            print_json(_card(store, settings))
        else:
            print_view(console, run_view(store, _card(store, settings)))
    return DONE


def _card(store: RunStore, settings: DesignSettings) -> Json:
    """The scorecard, or what it would be if the run stopped now."""
    from designer.budget import Budget
    from designer.run import recorded_task
    from designer.scorecard import scorecard

    found: Json | None = store.read_json("scorecard.json")
    return found or scorecard(
        recorded_task(store, settings), settings, store, Budget(settings.caps, store), "not finished"
    )


def diff(run: RunPath, first: RunPath, second: RunPath) -> int:
    """Show what changed between two candidates' code.

    Args:
        run: The run's folder, or its name under runs/.
        first: A candidate's id.
        second: Another candidate's id.
    """
    from designer.views import diff_view, print_view

    store, _ = _opened(run)
    with reading(store):
        print_view(wide_console(), diff_view(store, first, second))
    return DONE


def report(run: RunPath, beside: str | None = None) -> int:
    """Write a run's report: one self-contained HTML file.

    Args:
        run: The run's folder, or its name under runs/.
        beside: Another run to lay beside it, such as a best-of-N control.
    """
    from designer.report import write_report
    from designer.run import recorded_task

    store, settings = _opened(run)
    other = None
    if beside is not None:
        found, its_settings = _opened(beside)
        with reading(found):
            other = (found, _card(found, its_settings))
    with reading(store):
        path = write_report(store, recorded_task(store, settings), _card(store, settings), beside=other)
    print_line(str(path))
    return DONE


def export(run: RunPath, output: Annotated[Path, tyro.conf.arg(aliases=["-o"])], candidate: str | None = None) -> int:
    """Export a reward as a bundle that plugs into any trainer.

    Args:
        run: The run's folder, or its name under runs/.
        output: The bundle's folder.
        candidate: A candidate's id; the run's best when left out.
    """
    from designer.export import export_run
    from designer.run import recorded_task

    store, settings = _opened(run)
    with reading(store):
        if candidate is None:
            best = (store.read_json("scorecard.json") or {}).get("best")
            if not best:
                raise UserError(
                    f"{run} has no confirmed best reward; name one with --candidate (`rewardsmith show {run}`)."
                )
            candidate = str(best["id"])
        export_run(store, recorded_task(store, settings), candidate, output)
        decoder = ", decoder" if store.program(candidate).form == "latent" else ""
    print_line(
        f"{output}: reward{decoder}, state extractor, wrapper, manifest. "
        "Loading it runs its code unsandboxed; see its README."
    )
    return DONE
