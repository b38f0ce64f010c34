"""The same rows asked for again: with another salt, in another order, in other batches, with other episode ends."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from sandbox.batches import outputs, steps, take
from sandbox.errors import CandidateError, Kind, Violation
from sandbox.pool import HASH_SEEDS
from sandbox.service import Answer, Array, Call, RewardService

BATCH_SIZES = (1, 7, 64, 1000)
SINGLES = 6
"""How many rows are asked one by one."""
RELATIVE, ABSOLUTE = 1e-5, 1e-6
"""Tolerance between two batches of the same rows: kernels for other lengths may round otherwise."""
ROWWISE = (
    "Row i of the answer must depend on row i of the inputs alone: never reduce, sort, count or index over the batch "
    "(use axis=-1 or axis=1, not axis=0 and not .mean() or .max() of a whole column)."
)


def violation(kind: Kind, rule: str, message: str) -> Violation:
    """A violation that a probe found."""
    return Violation(stage="probe", kind=kind, rule=rule, message=message)


def drawn_salt(hash_seed: int = 0) -> int:
    """A salt from the system's own randomness: probes and trainings ask with the same ones, as likely as not."""
    return HASH_SEEDS * secrets.randbelow(1 << 30) + hash_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasking:
    """Asks for the same rows in other batches and compares."""

    service: RewardService
    call: Call
    deadline: float
    rng: np.random.Generator
    sizes: tuple[int, ...] = BATCH_SIZES

    def check(self, has_memory: bool) -> list[Violation]:
        """The first violation: what fails one check proves nothing in the next. Raises InfraError."""
        checks: list[Callable[[Answer], Violation | None]] = [self._salts, self._permutation, self._sizes]
        if has_memory:
            checks += [self._reset, self._carry]
        try:
            base = self._ask(self.call)
            found = (check(base) for check in checks)
            return [next(violation for violation in found if violation)]
        except StopIteration:
            return []
        except CandidateError as error:
            return [error.violation]

    def _ask(self, call: Call, hash_seed: int = 0) -> Answer:
        return self.service.evaluate(call, salt=drawn_salt(hash_seed), deadline=self.deadline)

    def _salts(self, base: Answer) -> Violation | None:
        again = self._ask(self.call, hash_seed=1)
        one, two = outputs(base), outputs(again)
        memory = base.memory or {}
        one |= {f"memory {name}": array for name, array in memory.items()}
        two |= {f"memory {name}": array for name, array in (again.memory or {}).items()}
        odd = [name for name in one if name not in two or one[name].tobytes() != two[name].tobytes()]
        if not odd and set(one) == set(two):
            return None
        name = odd[0] if odd else sorted(set(two) - set(one))[0]
        gap = _gap(one[name], two[name]) if name in one and name in two else "it is missing once"
        message = f"Two calls with the same inputs gave two answers: {name} differs ({gap})."
        return violation("nondeterministic", "determinism", f"{message} Use no randomness, hash, id or hidden state.")

    def _permutation(self, base: Answer) -> Violation | None:
        rows = self.rng.permutation(self.call.ended.shape[1])
        return self._same(base, self._ask(take(self.call, rows)), rows, "permutation", "when the rows were shuffled")

    def _sizes(self, base: Answer) -> Violation | None:
        available = self.call.ended.shape[1]
        for size in self.sizes:
            for _ in range(SINGLES if size == 1 else 1):
                rows = self.rng.permutation(max(size, available))[:size] % available
                where = f"in a batch of {size} row{'s' if size > 1 else ''} instead of {available}"
                try:
                    answer = self._ask(take(self.call, rows))
                except CandidateError as error:
                    return dataclasses.replace(error.violation, message=f"{error.violation.message} ({where})")
                changed = self._same(base, answer, rows, "batch_size", where)
                if changed:
                    return changed
        return None

    def _same(self, base: Answer, other: Answer, rows: Array, rule: str, where: str) -> Violation | None:
        one = {name: values[:, rows] for name, values in outputs(base).items()}
        text = difference(one, outputs(other))
        return violation("not_rowwise", rule, f"{text} {where}. {ROWWISE}") if text else None

    def _reset(self, base: Answer) -> Violation | None:
        """End the episodes of every other row in the middle: those rows must go on as fresh rows do."""
        middle = len(self.call.ended) // 2
        if middle < 1:
            return None
        ended = self.call.ended.copy()
        ended[middle - 1, ::2] = True
        cut = outputs(self._ask(dataclasses.replace(self.call, ended=ended)))
        fresh = outputs(self._ask(steps(self.call, middle, len(ended))))
        text = difference({n: v[:, ::2] for n, v in fresh.items()}, {n: v[middle:, ::2] for n, v in cut.items()})
        if text:
            advice = "Keep all that is remembered in `memory`, with the same start value in every row of init_memory."
            return violation(
                "not_rowwise", "memory_reset", f"{text} after an episode's end, against a fresh row. {advice}"
            )
        text = difference({n: v[:, 1::2] for n, v in outputs(base).items()}, {n: v[:, 1::2] for n, v in cut.items()})
        message = f"{text} when the episodes of other rows ended. {ROWWISE}"
        return violation("not_rowwise", "memory_reset", message) if text else None

    def _carry(self, base: Answer) -> Violation | None:
        """Ask in two halves, handing the memory over: the answer must be the same."""
        length = len(self.call.ended)
        if length < 2:
            return None
        head = self._ask(steps(self.call, 0, length // 2))
        tail = self._ask(dataclasses.replace(steps(self.call, length // 2, length), memory=head.memory))
        # The first half alone must not depend on what came after it, either.
        text = difference({n: v[: length // 2] for n, v in outputs(base).items()}, outputs(head))
        text = text or difference({n: v[length // 2 :] for n, v in outputs(base).items()}, outputs(tail))
        advice = "Keep all that is remembered in the dict that init_memory makes, and return it."
        message = f"{text} when a rollout was asked for in two halves, the memory handed over. {advice}"
        return violation("invalid", "memory_carry", message) if text else None


def _gap(one: Array, two: Array) -> str:
    if one.shape != two.shape:
        return f"shapes {one.shape} and {two.shape}"
    with np.errstate(invalid="ignore"):  # infinite memory may differ too
        gap = np.abs(one.astype(np.float64) - two.astype(np.float64))
    return f"largest difference {gap.max():.3g}, in {int((gap > 0).sum())} of {gap.size} values"


def difference(one: Mapping[str, Array], two: Mapping[str, Array]) -> str:
    """The first component that differs beyond rounding, in words; empty where none does."""
    if set(one) != set(two):
        return f"The set of components changed ({', '.join(sorted(set(one) ^ set(two)))})"
    for name, before in one.items():
        after = two[name]
        slack = ABSOLUTE * max(1.0, float(np.abs(before).max(initial=0.0))) + RELATIVE * np.abs(before)
        wrong = np.abs(after.astype(np.float64) - before) > slack
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0])
            numbers = f"from {before[at]:.6g} to {after[at]:.6g} in one row, {_gap(before, after)}"
            return f"{name} of the same rows changed ({numbers})"
    return ""
