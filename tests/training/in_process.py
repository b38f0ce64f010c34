"""A reward function that runs a program's source in the test's own process, in the order that the jail promises."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.episode import Array, Fields, Transitions
from training.reward import RewardAnswer


class InProcess:
    """Evaluates ``compute_reward`` (with or without memory) and ``potential`` of a trusted source."""

    def __init__(self, source: str) -> None:
        self.program: dict[str, Any] = {}
        exec(source, self.program)

    def restart(self) -> None:
        """Memory starts anew in every call of these tests."""

    def __call__(self, transitions: Transitions) -> RewardAnswer:
        potential = self.program.get("potential")
        return RewardAnswer(
            components=self._remembering(transitions) if "init_memory" in self.program else self._flat(transitions),
            potential=None if potential is None else _shaped(potential(_rows(transitions.state)), transitions),
            next_potential=None
            if potential is None
            else _shaped(potential(_rows(transitions.next_state)), transitions),
        )

    def _flat(self, t: Transitions) -> dict[str, Array]:
        action = t.action.reshape(-1, *t.action.shape[2:])
        paid = self.program["compute_reward"](_rows(t.state), action, _rows(t.next_state))
        return {name: _shaped(values, t) for name, values in paid.items()}

    def _remembering(self, t: Transitions) -> dict[str, Array]:
        rows = t.terminated.shape[1]
        memory, fresh = self.program["init_memory"](rows), self.program["init_memory"](rows)
        steps = []
        for i, ended in enumerate(t.terminated | t.truncated):
            at, after = ({k: v[i] for k, v in fields.items()} for fields in (t.state, t.next_state))
            paid, memory = self.program["compute_reward"](at, t.action[i], after, memory)
            steps.append(paid)
            for name in memory:
                memory[name][ended] = fresh[name][ended]
        return {name: np.stack([paid[name] for paid in steps]).astype(np.float32) for name in steps[0]}


def _rows(fields: Fields) -> dict[str, Array]:
    return {name: values.reshape(-1, *values.shape[2:]) for name, values in fields.items()}


def _shaped(values: Array, t: Transitions) -> Array:
    return np.asarray(values, dtype=np.float32).reshape(t.terminated.shape)
