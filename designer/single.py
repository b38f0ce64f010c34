"""One reward file trained beside the native control, without a loop around it."""

from __future__ import annotations

from typing import Literal

from rich.console import Console

from designer.arms import Arm, decoded_controls
from designer.checks import Verifier
from designer.display import own_scale
from designer.jailed import JailedReward
from designer.run import task_of
from designer.settings import DesignSettings
from designer.store import Json
from designer.trainings import device_of
from designer.views import fitness_text
from envs.make_vector import described
from sandbox.choose import choose
from sandbox.errors import CandidateError, Violation
from sandbox.program import RewardProgram
from training.credit.settings import DEFAULT_METHOD, Method
from training.result import Progress, TrainingResult
from training.statistics import summary
from training.train import train


def train_file(
    program: RewardProgram,
    settings: DesignSettings,
    sandbox_name: Literal["auto", "docker", "embedded"],
    console: Console,
    decoder: Method = DEFAULT_METHOD,
) -> Json:
    """Verify, train and print; returns what was measured. Raises ``CandidateError`` for a refused program.

    A latent reward is decoded by ``decoder``, beside the controls that need no program: the same decoder on state and
    action as they are, and the outcome shared evenly.
    """
    task = task_of(settings)
    device = device_of(settings.device)
    sandbox = choose(sandbox_name)
    console.print(f"steps   {described(task)}")
    console.print(f"sandbox {sandbox.describe()}")
    found = Verifier(task, sandbox, learners=settings.seeds, seed=settings.seed).verify(program)
    fatal = [v for v in found.violations if v.stage != "audit"]
    if fatal:
        raise CandidateError(fatal[0])
    for violation in found.violations:
        console.print(f"warning: {violation.message}")
    seeds = settings.selection_seeds()
    with JailedReward(sandbox, program, reference=found.reference) as reward:
        against = decoded_controls(decoder) if program.form == "latent" else ()
        compared = (Arm(name="program", program=program, method=decoder), *against, Arm(name="native", program=None))
        learners = [each for arm in compared for each in arm.learners(task, seeds, reward if arm.program else None)]
        with console.status("training"):
            results = train(
                task,
                learners,
                device=device,
                on_rollout=_Watch(console, "training"),
                on_evaluation=_Watch(console, "evaluation"),
            )
    arms: dict[str, list[TrainingResult]] = {}
    for result in results:
        arms.setdefault(result.arm, []).append(result)
    failure = next((r.failure for r in arms["program"] if r.failure), None)
    if failure:
        raise CandidateError(Violation(stage="sandbox", kind="exception", rule="training", message=failure))
    told: Json = {
        "task": task.id,
        "program": program.id,
        "measure": task.fitness.kind,
        "fitness": summary([r.fitness for r in arms["program"]]),
        "controls": {
            name: {"fitness": summary([r.fitness for r in rows])} for name, rows in arms.items() if name != "program"
        },
        "difference": summary([a.fitness - b.fitness for a, b in zip(arms["program"], arms["native"], strict=True)]),
        "seeds": list(seeds),
        "env_steps": sum(r.env_steps + r.evaluation_steps for r in results),
    }
    for name, rows in arms.items():
        console.print(f"{name:>8}  {fitness_text(summary([r.fitness for r in rows]))}  {_course(rows)}")
    gain = told["difference"]
    interval = "" if gain["low"] is None else f" [{gain['low']:.3g}, {gain['high']:.3g}]"
    console.print(f"paired difference {gain['iqm']:.3g}{interval} ({task.fitness.kind})")
    return told


def _course(rows: list[TrainingResult]) -> str:
    points = rows[0].curve
    return own_scale([p.success if p.success is not None else p.task_return for p in points][-40:])


class _Watch:
    """Tells every tenth of a stage, where no spinner shows that something moves."""

    def __init__(self, console: Console, stage: str) -> None:
        self._console = console
        self._stage = stage
        self._told = 0

    def __call__(self, progress: Progress) -> bool:
        share = 10 * progress.env_steps // max(1, progress.of_env_steps)
        if share > self._told and not self._console.is_terminal:
            self._told = share
            self._console.print(f"{self._stage}: {progress.in_words()}")
        return True
