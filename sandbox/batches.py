"""Calls cut, joined, tiled and shuffled: the same transitions in other batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from sandbox.service import Answer, Array, Call


def each(call: Call, change: Callable[[Array], Array]) -> Call:
    """The call with ``change`` applied to every ``(T, R, ...)`` array; memory is dropped."""
    return Call(
        state={name: change(array) for name, array in call.state.items()},
        action=change(call.action),
        next_state={name: change(array) for name, array in call.next_state.items()},
        ended=change(call.ended),
    )


def take(call: Call, rows: Array) -> Call:
    """The call with these rows, in this order; a row may come often."""
    return each(call, lambda array: array[:, rows])


def steps(call: Call, first: int, last: int) -> Call:
    """Steps ``first`` to ``last`` (excluded) of every row."""
    return each(call, lambda array: array[first:last])


def flat(call: Call) -> Call:
    """All ``T * R`` transitions as rows of one step."""
    return each(call, lambda array: array.reshape(1, -1, *array.shape[2:]))


def folded(call: Call, length: int) -> Call:
    """The call's transitions as rows of ``length`` steps, left-over transitions dropped."""
    rows = call.ended.size // length

    def fold(array: Array) -> Array:
        return array.reshape(-1, *array.shape[2:])[: rows * length].reshape(length, rows, *array.shape[2:])

    return each(call, fold)


def join(calls: Sequence[Call]) -> Call:
    """Calls of equal ``T`` side by side."""

    def along(arrays: Iterable[Array]) -> Array:
        return np.concatenate(list(arrays), axis=1)

    return Call(
        state={name: along(c.state[name] for c in calls) for name in calls[0].state},
        action=along(c.action for c in calls),
        next_state={name: along(c.next_state[name] for c in calls) for name in calls[0].next_state},
        ended=along(c.ended for c in calls),
    )


def inputs(call: Call) -> dict[str, Array]:
    """Every array that a program may read, by the name under which it reads it (``state.x``, ``action``)."""
    named = {f"state.{name}": array for name, array in call.state.items()}
    named |= {f"next_state.{name}": array for name, array in call.next_state.items()}
    return {**named, "action": call.action}


def replaced(call: Call, name: str, array: Array) -> Call:
    """The call with one of its ``inputs`` exchanged."""
    group, _, key = name.partition(".")
    return Call(
        state={**call.state, key: array} if group == "state" else call.state,
        action=array if group == "action" else call.action,
        next_state={**call.next_state, key: array} if group == "next_state" else call.next_state,
        ended=call.ended,
    )


def outputs(answer: Answer) -> dict[str, Array]:
    """All that a program answered for each transition, ``(T, R)`` each, the potentials among it."""
    named = dict(answer.components)
    if answer.potential is not None and answer.next_potential is not None:
        named["potential(state)"] = answer.potential
        named["potential(next_state)"] = answer.next_potential
    return named


def terms(answer: Answer) -> dict[str, Array]:
    """What is paid for each transition, ``(T, R)`` each: the components, and the potential's difference."""
    named = dict(answer.components)
    if answer.potential is not None and answer.next_potential is not None:
        named["potential"] = answer.next_potential - answer.potential
    return named


def total(answer: Answer) -> Array:
    """The sum of ``terms``, ``(T, R)`` float64."""
    summed: Array = np.sum([values.astype(np.float64) for values in terms(answer).values()], axis=0)
    return summed
