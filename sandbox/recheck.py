"""Rows asked again at moments that a program cannot foresee, beside rows that it answered while it was probed.

A program may keep the rules while it is tried and break them in training: by the size of a batch, by a clock, by how
often it was called. What it answered then is kept, and a few of those rows stand among others later, in a batch that
is like any other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from sandbox.batches import flat, join, outputs, take
from sandbox.errors import Violation
from sandbox.rowwise import ROWWISE, difference, drawn_salt, violation
from sandbox.service import Answer, Array, Call, RewardService

KEPT = 24
"""Rows whose first answers are kept."""
RECHECKED = 8
"""In small batches, at most one row in so many of the call is asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Rows with the answers that a program gave before its training."""

    call: Call
    answers: Mapping[str, Array]
    """As ``batches.outputs``."""

    @classmethod
    def of(cls, service: RewardService, call: Call, rng: np.random.Generator, *, deadline: float) -> Self:
        """Some of the call's rows, asked now. Raises CandidateError or InfraError."""
        rows = rng.permutation(call.ended.shape[1])[:KEPT]
        some = take(call, rows)
        answer = service.evaluate(some, salt=drawn_salt(), deadline=deadline)
        if answer.memory is not None:
            return cls(call=some, answers=outputs(answer))
        # Without memory steps are rows, which can stand among any others.
        return cls(call=flat(some), answers={name: values.reshape(1, -1) for name, values in outputs(answer).items()})

    def to_arrays(self) -> dict[str, Array]:
        """All of it as named arrays."""
        named = {"action": self.call.action, "ended": self.call.ended}
        for prefix, arrays in (("state", self.call.state), ("next_state", self.call.next_state)):
            named |= {f"{prefix}/{name}": array for name, array in arrays.items()}
        return named | {f"answer/{name}": array for name, array in self.answers.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """What ``to_arrays`` gave. Raises KeyError."""

        def named(prefix: str) -> dict[str, Array]:
            return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

        call = Call(
            state=named("state/"), action=arrays["action"], next_state=named("next_state/"), ended=arrays["ended"]
        )
        return cls(call=call, answers=named("answer/"))


def recheck(
    service: RewardService,
    call: Call,
    answer: Answer,
    rng: np.random.Generator,
    *,
    deadline: float,
    reference: Reference | None = None,
) -> Violation | None:
    """Ask again for rows of a call that was answered, in another order, batch and salt, and compare.

    Where the program has no memory the rows of ``reference`` stand among them, and the batch is now a small one, now as
    large as the call's own. Raises CandidateError or InfraError.
    """
    if answer.memory is not None:
        return _recheck_steps(service, call, answer, rng, deadline, reference)
    now, count = flat(call), call.ended.size
    kept = reference.call.ended.shape[1] if reference else 0
    large = max(1, count - kept)
    rows = rng.permutation(count)[: large if rng.integers(2) else rng.integers(1, max(2, count // RECHECKED))]
    asked = take(now, rows) if reference is None else join([take(now, rows), reference.call])
    order = rng.permutation(len(rows) + kept)
    found = outputs(service.evaluate(take(asked, order), salt=drawn_salt(), deadline=deadline))
    back = np.argsort(order)
    again = {name: values[:, back] for name, values in found.items()}
    before = {name: values.reshape(1, -1)[:, rows] for name, values in outputs(answer).items()}
    return _told(
        difference(before, {name: values[:, : len(rows)] for name, values in again.items()}),
        f"when {len(rows)} of the {count} rows of a rollout were asked for again by themselves",
    ) or _since(reference, {name: values[:, len(rows) :] for name, values in again.items()})


def _recheck_steps(
    service: RewardService,
    call: Call,
    answer: Answer,
    rng: np.random.Generator,
    deadline: float,
    reference: Reference | None,
) -> Violation | None:
    """The same where steps follow one another: rows as they are, and the reference by itself."""
    count = call.ended.shape[1]
    rows = rng.permutation(count)[: rng.integers(1, max(2, count // RECHECKED))]
    memory = None if call.memory is None else {name: array[rows] for name, array in call.memory.items()}
    some = dataclasses.replace(take(call, rows), memory=memory)
    again = outputs(service.evaluate(some, salt=drawn_salt(), deadline=deadline))
    found = _told(
        difference({name: values[:, rows] for name, values in outputs(answer).items()}, again),
        f"when {len(rows)} of the {count} rows of a rollout were asked for again by themselves",
    )
    if found is not None or reference is None:
        return found
    return _since(reference, outputs(service.evaluate(reference.call, salt=drawn_salt(), deadline=deadline)))


def _told(text: str, where: str) -> Violation | None:
    return violation("not_rowwise", "recheck", f"{text} {where}. {ROWWISE} Use no randomness.") if text else None


def _since(reference: Reference | None, answers: Mapping[str, Array]) -> Violation | None:
    text = "" if reference is None else difference(reference.answers, answers)
    if not text:
        return None
    advice = "A reward depends on its arguments alone: no clock, no counter, no hash, no hidden state."
    return violation("nondeterministic", "since_probed", f"{text} since the program was probed. {advice}")
