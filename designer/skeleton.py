"""A program to start from: it runs on the task, and its examples are numbers of the state as they are.

They give away no more than the control on raw inputs is given. An example from another task would serve a reader who
never copies a name; small models copy them, and then read fields that are not there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from envs.task import Action, Field, TaskSpec
from sandbox.gate import parsed
from sandbox.program import Form, RewardProgram

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
            f"    # Every {part} is a float array of shape (B,). These show the form alone: write your own.",
            "    return {",
            *(f'        "example_{i + 1}": {value},' for i, value in enumerate(values)),
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


def says_nothing(program: RewardProgram, task: TaskSpec) -> bool:
    """Whether a program that the gate accepted answers with the skeleton's examples alone, under whatever names."""
    nodes = list(ast.walk(parsed(program.source)))
    alone = sum(isinstance(node, ast.FunctionDef) for node in nodes) == 1
    answered = _answered(nodes)
    return alone and bool(answered) and answered <= _answered(ast.walk(parsed(skeleton(task, program.form))))


def _answered(nodes: Iterable[ast.AST]) -> set[str]:
    """The values of the dicts that are returned."""
    returned = [node.value for node in nodes if isinstance(node, ast.Return)]
    return {ast.dump(value) for answer in returned if isinstance(answer, ast.Dict) for value in answer.values}


def _example(field: Field) -> str:
    """One of the field's numbers, ``(B,)``."""
    number = f'next_state["{field.name}"]' + (f"[:, {', '.join(['0'] * len(field.shape))}]" if field.shape else "")
    return number if field.dtype == "float32" else f"{number}.astype(np.float32)"


def _acted(action: Action) -> str:
    return "(action == 0).astype(np.float32)" if action.kind == "discrete" else "action[:, 0]"
