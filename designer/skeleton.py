"""A program to start from: it runs on the task, and its answers are 0, so that it gives no idea of a reward away.

An example from another task would serve a reader who never copies a name; small models copy them, and then read fields
that are not there.
"""

from __future__ import annotations

from envs.task import Action, Field, TaskSpec
from sandbox.program import Form

EXAMPLES = 3
"""Fields that are shown, of unlike shapes and types, beside the action."""


def skeleton(task: TaskSpec, form: Form) -> str:
    """Source that the gate accepts, with an example of how a field of each shape becomes ``(B,)``."""
    part = "factor" if form == "latent" else "component"
    first = {(len(field.shape), field.dtype == "float32"): field for field in reversed(task.state)}
    shown = [field for field in task.state if field in first.values()][:EXAMPLES]
    values = [*map(_example, shown), _acted(task.action)]
    return "\n".join(
        [
            "import numpy as np",
            "",
            "",
            f"def compute_{form}(state, action, next_state):",
            f"    # Every {part} is a float array of shape (B,). These show the form and are 0: write your own.",
            "    return {",
            *(f'        "example_{i + 1}": 0.0 * {value},' for i, value in enumerate(values)),
            "    }",
            "",
        ]
    )


def reading(task: TaskSpec) -> list[str]:
    """How a program reads each field, in code, with its shape."""
    return [
        f'next_state["{field.name}"]  # ({", ".join(["B", *map(str, field.shape)])}{"" if field.shape else ","})'
        for field in task.state
    ]


def _example(field: Field) -> str:
    """An expression of shape ``(B,)``."""
    before, after = f'state["{field.name}"]', f'next_state["{field.name}"]'
    axes = "-1" if len(field.shape) == 1 else str(tuple(range(1, len(field.shape) + 1)))
    if field.dtype == "float32":
        return f"np.abs({after})" + (f".mean(axis={axes})" if field.shape else "")
    changed = f"({before} != {after})" + (f".any(axis={axes})" if field.shape else "")
    return f"{changed}.astype(np.float32)"


def _acted(action: Action) -> str:
    return "(action == 0).astype(np.float32)" if action.kind == "discrete" else "action[:, 0]"
