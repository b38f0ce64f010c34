"""A program to start from: it runs on the task, reads every field under a name of its own, and says nothing useful."""

from __future__ import annotations

from envs.task import Action, Field, TaskSpec
from sandbox.program import Form

MOST_FIELDS = 40
"""Fields that are read; more would hide the form."""


def skeleton(task: TaskSpec, form: Form) -> str:
    """Source that the gate accepts and the task's transitions pass through, an example of each shape in its answer.

    A foreign example would do as well for a reader that never copies a name; small models copy them.
    """
    entry, note = ("compute_latent", "factor") if form == "latent" else ("compute_reward", "component")
    fields = task.state[:MOST_FIELDS]
    reads = [
        f'    {f.name}_before, {f.name}_after = state["{f.name}"], next_state["{f.name}"]  # each {_shape(f)}'
        for f in fields
    ]
    shown = {(len(f.shape), f.dtype == "float32"): f for f in reversed(fields)}
    values = [_example(f) for f in fields if f in shown.values()][:3]
    return "\n".join(
        [
            "import numpy as np",
            "",
            "",
            f"def {entry}(state, action, next_state):",
            *reads,
            f"    # Every {note} is a float array of shape (B,). These only show the form: write your own.",
            "    return {",
            *(f'        "{note}_{i + 1}": {value},' for i, value in enumerate([*values, _acted(task.action)])),
            "    }",
            "",
        ]
    )


def _shape(field: Field) -> str:
    return f"({', '.join(['B', *map(str, field.shape)])}{'' if field.shape else ','}) {field.dtype}"


def _example(field: Field) -> str:
    """An expression of shape ``(B,)``."""
    before, after = f"{field.name}_before", f"{field.name}_after"
    axes = "-1" if len(field.shape) == 1 else str(tuple(range(1, len(field.shape) + 1)))
    if field.dtype == "float32":
        return f"np.abs({after})" + (f".mean(axis={axes})" if field.shape else "")
    changed = f"({before} != {after})" + (f".any(axis={axes})" if field.shape else "")
    return f"{changed}.astype(np.float32)"


def _acted(action: Action) -> str:
    return "(action == 0).astype(np.float32)" if action.kind == "discrete" else "action[:, 0]"
