"""The commands on reward files: verify and train. Parameters are options."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from designer.exits import DONE, REFUSED
from designer.output import AsJson, one_thread, print_json, print_line, wide_console
from designer.regular_files import LARGEST_PROGRAM, read_regular
from designer.settings import DesignSettings
from envs import catalog
from envs.errors import UserError
from envs.task import TaskSpec
from sandbox.errors import CandidateError
from sandbox.program import ENTRY_POINT, Form, RewardProgram
from training.credit.settings import DEFAULT_METHOD, Method


def _program_file(file: Path, form: Literal["reward", "latent"]) -> RewardProgram:
    try:
        # Not as text, which would change line breaks, and the program's name with them.
        return RewardProgram(read_regular(file, most=LARGEST_PROGRAM).decode("utf-8"), form)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text; a reward program is Python source.") from error


def _advised(program: RewardProgram, rule: str, message: str) -> str:
    """A violation's message, and which option to change where a file has the other form's entry point alone."""
    other: Form = "latent" if program.form == "reward" else "reward"
    defined = set(re.findall(r"^def (\w+)\(", program.source, re.MULTILINE))
    if rule != "entry_point" or program.entry_point in defined or ENTRY_POINT[other] not in defined:
        return message
    option = "add --form latent" if other == "latent" else "leave --form latent out"
    return f"{message.removesuffix('.')}. To take the file as it is, {option}."


def _task(task: str, env: str | None, state: str | None) -> TaskSpec:
    return catalog.load(task) if env is None else catalog.from_sentence(task, env, state=state, fitness=None)


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
        print_line("rewardsmith: --no-gate: the static gate is OFF; only the jail holds this program.", stderr=True)
    found = Verifier(spec, choose(sandbox), seed=seed, with_gate=gate).verify(program).to_json()
    for violation in found["violations"]:
        violation["message"] = _advised(program, violation["rule"], violation["message"])
    if as_json:
        print_json(found)
    else:
        print_view(wide_console(), verification_view(found))
    return DONE if found["ok"] else REFUSED


def train(
    file: Annotated[Path, tyro.conf.Positional],
    task: str,
    env: str | None = None,
    state: str | None = None,
    fitness: str | None = None,
    seeds: int = 5,
    seed: int = 0,
    env_steps: int | None = None,
    form: Literal["reward", "latent"] = "reward",
    decoder: Method = DEFAULT_METHOD,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    sandbox: Literal["auto", "docker", "embedded"] = "auto",
    as_json: AsJson = False,
) -> int:
    """Train PPO with any reward file, its controls beside it, and print fitness with intervals.

    Args:
        file: A reward program.
        task: The task's id, or a sentence together with --env.
        env: Gymnasium id of an environment that no task names.
        state: module:function that reads the state there.
        fitness: module:function that scores an episode there.
        seeds: Paired seeds; fewer than 5 give no interval.
        seed: The first seed.
        env_steps: Training steps of one learner; the task's own budget when left out.
        form: Explicit reward, or latent: factors, which a decoder makes a reward of from the outcomes of episodes.
        decoder: How a latent reward is decoded.
        device: Where to train.
        sandbox: Which jail.
        as_json: Print JSON.
    """
    from designer.single import train_file

    one_thread()
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
    console = wide_console(stderr=as_json)
    program = _program_file(file, form)
    try:
        told = train_file(program, settings, sandbox, console, decoder)
    except CandidateError as error:
        message = _advised(program, error.violation.rule, error.violation.message)
        raise CandidateError(replace(error.violation, message=message)) from error
    if as_json:
        print_json(told)
    return DONE
