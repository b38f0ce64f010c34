"""The commands, each a function whose parameters are its options."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from designer.exits import DONE, INTERRUPTED, REFUSED, interrupted
from designer.settings import DesignSettings
from designer.store import Json, RunStore, finite
from envs import catalog
from envs.errors import UserError
from envs.task import TaskSpec

AsJson = Annotated[bool, tyro.conf.arg(name="json")]
FILE_WIDTH = 140

RunPath = Annotated[str, tyro.conf.Positional]
app = tyro.extras.SubcommandApp()


def run(arguments: Sequence[str]) -> int:
    """Parse and run; the command's exit code. Unusable arguments end with exit code 2."""
    if list(arguments) == ["--version"]:
        print(f"rewardsmith {version('rewardsmith')}")
        return DONE
    result = app.cli(
        prog="rewardsmith",
        description="Designs reward functions, shows why they can be trusted, and exports them.",
        args=list(arguments) or ["--help"],
    )
    return int(result)


def _print_json(data: object) -> None:
    print(json.dumps(finite(data), indent=1, ensure_ascii=False))


def _opened(name: str) -> tuple[RunStore, DesignSettings]:
    """A run's folder and the settings that it was started with."""
    store = RunStore.open(_run_root(name))
    return store, DesignSettings.from_json(store.read_json("config.json") or {})


def _run_root(name: str) -> Path:
    """A run's folder by path, or by its name under ``runs/``."""
    for path in (Path(name), Path("runs") / name):
        if (path / "config.json").is_file():
            return path
    raise UserError(f"There is no run {name!r}: neither that folder nor runs/{name} holds a config.json.")


def _console(*, stderr: bool = False) -> Console:
    """A console of the terminal's width; wide where the output goes into a file, so that tables stay whole."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=FILE_WIDTH)


def _threads() -> None:
    """One thread a process: a second one loses more than it gains next to a busy neighbour."""
    import torch

    torch.set_num_threads(1)


@app.command
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


@app.command
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
        if feedback is not None:
            store.add_feedback(feedback)
        return _go(store, settings, as_json)


def _go(store: RunStore, settings: DesignSettings, as_json: bool) -> int:
    from designer.display import Display, cost_line
    from designer.graph import Paused
    from designer.review import ask
    from designer.run import Run
    from designer.views import print_view, scorecard_view

    _threads()
    console = _console(stderr=as_json)
    with Display(console) as display:
        run = Run.open(store, settings, display.progress)
        store.listen(display.event)
        display.budget = run.budget
        console.print(f"run     {store.root}", highlight=False, soft_wrap=True)
        console.print(f"task    {run.task.id}: {run.task.description}", highlight=False)
        console.print(f"sandbox {run.sandbox.describe()}", highlight=False)
        if settings.model == "offline":
            console.print(
                "model   offline: a baseline that composes programs without a language model", highlight=False
            )
        if settings.env is not None and settings.fitness is None:
            console.print(
                "fitness the environment's own return; how far it is what your sentence asks for is not measured "
                "(--fitness module:function would)",
                highlight=False,
            )
        try:
            card = run.go(lambda waiting: ask(console, display, store, waiting), lambda: interrupted(str(store.root)))
        except Paused as paused:
            told = f"{paused}: `rewardsmith show {store.root}`, then `rewardsmith resume {store.root}`."
            console.print(told, soft_wrap=True, highlight=False)
            return INTERRUPTED
    console.print(cost_line(run.budget), highlight=False)
    if card["best"]:
        from designer.export import export_run

        export_run(store, run.task, card["best"]["id"], store.root / "best")
    from designer.report import write_report

    write_report(store, run.task, card)
    if as_json:
        _print_json(card)
    else:
        print_view(console, scorecard_view(card))
        console.print(
            f"\nrewardsmith show {store.root}    the candidates and what was measured", highlight=False, soft_wrap=True
        )
        if card["best"]:
            console.print(f"{store.root / 'best'}    the reward as a bundle for your own training", highlight=False)
    return DONE if card["best"] else REFUSED


@app.command
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
    console = _console()
    if candidate is not None:
        program = store.program(candidate)
        if as_json:
            parts = ("candidate", "verification", "critique", "training", "confirmation", "analysis")
            told = {part: store.read_json(f"candidates/{candidate}/{part}.json") for part in parts}
            _print_json({"source": program.source, **told})
        else:
            print_view(console, candidate_view(store, recorded_task(store, settings), candidate))
        return DONE
    card = _card(store, settings)
    if as_json:
        _print_json(card)
    else:
        print_view(console, run_view(store, card))
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


@app.command
def diff(run: RunPath, first: RunPath, second: RunPath) -> int:
    """Show what changed between two candidates' code.

    Args:
        run: The run's folder, or its name under runs/.
        first: A candidate's id.
        second: Another candidate's id.
    """
    from designer.views import diff_view, print_view

    print_view(_console(), diff_view(_opened(run)[0], first, second))
    return DONE


@app.command
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
        other = (found, _card(found, its_settings))
    print(write_report(store, recorded_task(store, settings), _card(store, settings), beside=other))
    return DONE


@app.command
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
    if candidate is None:
        best = (store.read_json("scorecard.json") or {}).get("best")
        if not best:
            raise UserError(
                f"{run} has no confirmed best reward; name one with --candidate (`rewardsmith show {run}`)."
            )
        candidate = str(best["id"])
    export_run(store, recorded_task(store, settings), candidate, output)
    print(
        f"{output}: reward, state extractor, wrapper, manifest. Loading it runs its code unsandboxed; see its README."
    )
    return DONE


def _program_file(file: Path, form: Literal["reward", "latent"]) -> Any:
    from sandbox.program import RewardProgram

    try:
        return RewardProgram(file.read_text(encoding="utf-8"), form)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text; a reward program is Python source.") from error


def _task(task: str, env: str | None, state: str | None) -> TaskSpec:
    return catalog.load(task) if env is None else catalog.from_sentence(task, env, state=state, fitness=None)


@app.command
def verify(
    file: Annotated[Path, tyro.conf.Positional],
    task: str,
    env: str | None = None,
    state: str | None = None,
    gate: bool = True,
    form: Literal["reward", "latent"] = "reward",
    sandbox: Literal["auto", "docker", "embedded"] = "auto",
    seed: int = 0,
    as_json: AsJson = False,
) -> int:
    """Check any reward file: gate, sandbox, probes, and the audit for rewards that can be gamed.

    Args:
        file: A reward program, written by hand or by a model.
        task: The task's id, or a sentence together with --env.
        env: Gymnasium id of an environment that no task names.
        state: module:function that reads the state there.
        gate: --no-gate runs the file against the other walls alone.
        form: Explicit reward or latent.
        sandbox: Which jail.
        seed: Seed of the recorded play that the probes use.
        as_json: Print JSON.
    """
    from designer.checks import Verifier
    from designer.views import print_view, verification_view
    from sandbox.choose import choose

    spec = _task(task, env, state)
    program = _program_file(file, form)
    if not gate:
        print(
            "rewardsmith: --no-gate: the static gate is OFF; only the jail holds this program.",
            file=sys.stderr,
        )
    found = Verifier(spec, choose(sandbox), seed=seed, with_gate=gate).verify(program).to_json()
    if as_json:
        _print_json(found)
    else:
        print_view(_console(), verification_view(found))
    return DONE if found["ok"] else REFUSED


@app.command
def train(
    file: Annotated[Path, tyro.conf.Positional],
    task: str,
    env: str | None = None,
    state: str | None = None,
    fitness: str | None = None,
    seeds: int = 5,
    seed: int = 0,
    env_steps: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    sandbox: Literal["auto", "docker", "embedded"] = "auto",
    as_json: AsJson = False,
) -> int:
    """Train PPO with any reward file, the native control beside it, and print fitness with intervals.

    Args:
        file: A reward program.
        task: The task's id, or a sentence together with --env.
        env: Gymnasium id of an environment that no task names.
        state: module:function that reads the state there.
        fitness: module:function that scores an episode there.
        seeds: Paired seeds; fewer than 5 give no interval.
        seed: The first seed.
        env_steps: Training steps of one learner; the task's own budget when left out.
        device: Where to train.
        sandbox: Which jail.
        as_json: Print JSON.
    """
    from designer.single import train_file

    _threads()
    settings = DesignSettings(
        task=task,
        env=env,
        state=state,
        fitness=fitness,
        seeds=seeds,
        seed=seed,
        env_steps=env_steps,
        device=device,
    )
    console = _console(stderr=as_json)
    told = train_file(_program_file(file, "reward"), settings, sandbox, console)
    if as_json:
        _print_json(told)
    return DONE


@app.command
def sandbox(
    action: Annotated[Literal["build", "sweep"], tyro.conf.Positional],
    way: Literal["auto", "dockerfile", "host"] = "auto",
) -> int:
    """Make the Docker image that holds generated code, or sweep what killed runs left behind.

    Args:
        action: build or sweep.
        way: Make it from the Dockerfile, or from this machine's own interpreter, which needs no registry (Linux);
            auto takes the Dockerfile where a registry answers.
    """
    from sandbox.container import build_image, connect, sweep, way_to_build

    if action == "build":
        taken = way_to_build() if way == "auto" else way
        source = "the Dockerfile" if taken == "dockerfile" else "this machine's own interpreter and numpy"
        print(f"making the image from {source}", file=sys.stderr)
        print(build_image(taken))
    else:
        print(f"{sweep(connect())} leftovers removed")
    return DONE


@app.command
def tasks(as_json: AsJson = False) -> int:
    """List what can be designed for.

    Args:
        as_json: Print every task with its state schema.
    """
    from rich.table import Table

    specs = [catalog.load(name) for name in catalog.ids()]
    if as_json:
        _print_json([_task_json(spec) for spec in specs])
        return DONE
    table = Table("task", "environment", "fitness", "env steps", "budget", "extra", "audited")
    from envs import scripted

    for spec in specs:
        audited = "yes" if scripted.supports(spec) else "no"
        table.add_row(
            spec.id,
            spec.env_id,
            spec.fitness.kind,
            f"{spec.env_steps:,}",
            spec.budget,
            spec.extra or "",
            audited,
        )
    from designer.views import print_view

    print_view(_console(), table)
    print('Any other Gymnasium environment: rewardsmith design "what is wanted" --env ENV_ID')
    return DONE


def _task_json(spec: TaskSpec) -> Json:
    told = asdict(spec)
    told["state"] = spec.state_schema()
    return told


@app.command
def doctor(as_json: AsJson = False) -> int:
    """Say what this machine has (sandbox, GPU, keys, extras), and what is missing with the command that mends it.

    Args:
        as_json: Print JSON.
    """
    from designer.doctor import examine

    found = examine()
    if as_json:
        _print_json({"possible": found.possible, "rows": [asdict(row) for row in found.rows]})
    else:
        from rich.table import Table

        from designer.views import print_view

        table = Table("", "what", "found", "to mend it")
        for row in found.rows:
            table.add_row("ok" if row.ok else "--", row.what, row.found, row.remedy)
        print_view(_console(), table)
        print(
            "A run is possible." if found.possible else "No run is possible: no sandbox can hold generated code here."
        )
    return DONE if found.possible else 3
