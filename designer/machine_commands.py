"""The commands on this machine: sandbox, tasks, doctor. Parameters are options."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import tyro

from designer.exits import DONE, INFRA
from designer.output import AsJson, print_json, print_line, wide_console
from designer.store import Json
from envs import catalog
from envs.task import TaskSpec


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
        print_line(f"making the image from {source}", stderr=True)
        print_line(build_image(taken))
    else:
        print_line(f"{sweep(connect())} leftovers removed")
    return DONE


def tasks(as_json: AsJson = False) -> int:
    """List what can be designed for.

    Args:
        as_json: Print every task with its state schema.
    """
    from rich.table import Table

    specs = [catalog.load(name) for name in catalog.ids()]
    if as_json:
        print_json([_task_json(spec) for spec in specs])
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

    print_view(wide_console(), table)
    print_line('Any other Gymnasium environment: rewardsmith design "what is wanted" --env ENV_ID')
    print_line("Any of these with its reward withheld until an episode ends: -episodic behind its id")
    return DONE


def _task_json(spec: TaskSpec) -> Json:
    told = asdict(spec)
    told["state"] = spec.state_schema()
    return told


def doctor(as_json: AsJson = False) -> int:
    """Say what this machine has (sandbox, GPU, keys, extras), and what is missing with the command that mends it.

    Args:
        as_json: Print JSON.
    """
    from designer.doctor import examine

    found = examine()
    if as_json:
        print_json({"possible": found.possible, "rows": [asdict(row) for row in found.rows]})
    else:
        from rich.table import Table

        from designer.views import print_view

        table = Table("", "what", "found", "to mend it")
        for row in found.rows:
            table.add_row("ok" if row.ok else "--", row.what, row.found, row.remedy)
        print_view(wide_console(), table)
        print_line(
            "A run is possible." if found.possible else "No run is possible: no sandbox can hold generated code here."
        )
    return DONE if found.possible else INFRA
