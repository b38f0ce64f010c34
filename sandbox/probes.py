"""Does a program keep the rules that no reading of its source can prove? It is asked, and its answers are compared.

Deterministic; row by row; the same in every batch size; inputs untouched; memory that starts anew with each episode;
something to learn from. Beside the verdict stand measurements for the critic and the report.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sandbox import factors
from sandbox.batches import flat, folded, join, outputs
from sandbox.entry import NO_POTENTIAL
from sandbox.errors import CandidateError, Violation
from sandbox.factors import Latent
from sandbox.measures import TIMED_ROWS, Stats, constant, describe, gather, milliseconds, sensitivity, statistics
from sandbox.program import Form
from sandbox.recheck import Reference
from sandbox.rowwise import BATCH_SIZES, Reasking, drawn_salt, violation
from sandbox.service import Answer, Array, Call, RewardService

LARGE = 1e4
"""Reward of one step above which a warning is given; factors are summed by nobody, and a decoder finds their scale."""
SLOW = 90.0
"""Milliseconds of a call with 2,048 transitions above which a warning is given: all else that a training of one learner
alone does takes as long for as many steps, and in a population a quarter of it (95,441 and 22,756 steps a second with
the native reward, docs/performance.md)."""
_RESERVED = "potential"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """What the probes say of one program; the measurements are empty where it does not answer at all."""

    ok: bool
    violations: tuple[Violation, ...]
    warnings: tuple[str, ...] = ()
    components: Mapping[str, Stats] = field(default_factory=dict)
    """Name -> min, mean, max, std over all samples, and share of the mean absolute reward. ``potential`` among
    them, undiscounted, where the program has one."""
    by_origin: Mapping[str, Mapping[str, Stats]] = field(default_factory=dict)
    """Origin of the samples -> name -> min, mean, max, std."""
    reward: Stats = field(default_factory=dict)
    """The same of the sum."""
    sensitivity: Mapping[str, float] = field(default_factory=dict)
    """``state.x``, ``next_state.x`` and ``action`` -> mean change of the reward, in its standard deviations, when
    that input alone is shuffled over the samples."""
    latent: Latent | None = None
    milliseconds: float = 0.0
    """Time of one call with 2048 transitions."""

    reference: Reference | None = None
    """Rows with their answers, to be asked again in training."""

    def to_json(self) -> dict[str, Any]:
        """The report as JSON-able data, without the reference."""
        data = dataclasses.asdict(dataclasses.replace(self, reference=None))
        del data["reference"]
        return data


def probe(
    service: RewardService,
    samples: Mapping[str, Call],
    *,
    training: tuple[int, int] | None = None,
    seed: int = 0,
    deadline: float = 10.0,
) -> ProbeReport:
    """Ask a program about ``samples`` (origin -> transitions) in every way that must not matter.

    All samples have the same fields. ``training``: steps and rows of a call in training, tried beside the other
    batch sizes; ``seed`` chooses rows and permutations; ``deadline`` is in seconds a call.
    Raises ``InfraError``; what is wrong with the program is in the report. Some 20 calls.
    """
    answers, violations = _first_answers(service, samples, deadline)
    if not violations:
        violations = _same_names(answers)
    if violations:
        return ProbeReport(ok=False, violations=tuple(violations))
    has_memory = any(answer.memory is not None for answer in answers.values())
    rng = np.random.default_rng(seed)
    call = _longest(samples) if has_memory else join([flat(sample) for sample in samples.values()])
    sizes: tuple[int, ...] = BATCH_SIZES
    if training is not None:
        sizes += (training[1] if has_memory else training[0] * training[1],)
    again = Reasking(service=service, call=call, deadline=deadline, rng=rng, sizes=sizes)
    violations = [*_mutated(answers), *again.check(has_memory)]
    if has_memory and not violations:
        # A reward with memory may pay from the second step on only.
        try:
            answers["steps in a row"] = service.evaluate(call, salt=drawn_salt(), deadline=deadline)
        except CandidateError as error:
            return ProbeReport(ok=False, violations=(error.violation,))
        violations = _same_names(answers)
        if violations:
            return ProbeReport(ok=False, violations=tuple(violations))
    violations += _worthless(service, answers)
    if any(v.kind in ("exception", "timeout", "memory", "killed") for v in violations):
        return _report(service, answers, violations)
    try:
        fields = sensitivity(service, call, has_memory, rng, deadline)
        cost = milliseconds(service, call, deadline)
        reference = Reference.of(service, call, rng, deadline=deadline)
    except CandidateError as error:
        violations.append(error.violation)
        return _report(service, answers, violations)
    return dataclasses.replace(_report(service, answers, violations, fields, cost), reference=reference)


def _first_answers(
    service: RewardService, samples: Mapping[str, Call], deadline: float
) -> tuple[dict[str, Answer], list[Violation]]:
    answers: dict[str, Answer] = {}
    violations: dict[tuple[str, str], Violation] = {}
    for origin, call in samples.items():
        try:
            answers[origin] = service.evaluate(call, salt=drawn_salt(), deadline=deadline)
        except CandidateError as error:
            found = error.violation
            message = f"{found.message} (in the sample {origin!r}){_advice(found, call)}"
            told = dataclasses.replace(found, message=message)
            violations.setdefault((found.kind, found.rule), told)
            if found.kind not in ("exception", "invalid"):
                break
    return answers, list(violations.values())


def _advice(found: Violation, call: Call) -> str:
    """What to write in place of the mistakes that models make most."""
    if found.rule == "KeyError":
        return f". The fields are: {', '.join(call.state)}."
    if found.rule == "ValueError" and "truth value" in found.message:
        return ". Every value holds one entry a row: write np.where(condition, a, b), and & | ~ for and, or, not."
    if found.rule == "TypeError" and ("ufunc 'bitwise_" in found.message or "ufunc 'invert'" in found.message):
        return ". &, | and ~ take conditions, and .astype comes before them: write ((a == 1) & (b == 2)).astype(float)."
    if found.rule == "TypeError" and "numpy boolean" in found.message:
        return ". A condition is no number: write (a == 1).astype(float) - (b == 2).astype(float)."
    return ""


def _same_names(answers: Mapping[str, Answer]) -> list[Violation]:
    names = {tuple(sorted(outputs(answer))) for answer in answers.values()}
    if len(names) == 1:
        return []
    odd = sorted({name for group in names for name in group if any(name not in other for other in names)})
    message = f"The components {odd} are returned for some samples and not for others. Return every component always."
    return [violation("not_rowwise", "components", f"{message} Use np.where to make it zero in rows without it.")]


def _mutated(answers: Mapping[str, Answer]) -> list[Violation]:
    names = sorted({name for answer in answers.values() for name in answer.mutated})
    if not names:
        return []
    message = f"The program writes into its inputs: {', '.join(names)}. Work on a copy (x = x + 1, or x.copy())."
    return [violation("invalid", "mutation", message)]


def _longest(samples: Mapping[str, Call]) -> Call:
    """The sample with the most steps; one-step samples are laid end to end, since memory shows only over time."""
    longest = max(samples.values(), key=lambda call: (len(call.ended) > 1, call.ended.size))
    if len(longest.ended) > 1:
        return longest
    everything = join([flat(call) for call in samples.values()])
    return folded(everything, min(8, everything.ended.size))


def _worthless(service: RewardService, answers: Mapping[str, Answer]) -> list[Violation]:
    pooled = _pooled(answers)
    found = []
    count = len(next(iter(pooled.values())))
    latent = service.program.form == "latent"
    components = {n for answer in answers.values() for n in answer.components}
    if _RESERVED in components:
        message = "`potential` is the name of the component that the system adds. Call this component otherwise."
        found.append(violation("invalid", "component", message))
    if latent and any(answer.potential is not None for answer in answers.values()):
        found.append(violation("invalid", "potential", NO_POTENTIAL))
    if latent:
        found += factors.refused({name: values for name, values in pooled.items() if name in components})
    if all(constant(v) and (latent or not v.any()) for v in pooled.values()):
        what = "constant" if latent else "zero"
        advice = "Check names, codes and thresholds against the state schema."
        message = f"Every component is {what} in all {count} sampled transitions ({', '.join(answers)}). {advice}"
        found.append(violation("invalid", "constant", message))
    return found


def _pooled(answers: Mapping[str, Answer]) -> dict[str, Array]:
    groups = list(gather(answers).values())
    return {name: np.concatenate([group[name] for group in groups]) for name in groups[0]}


def _warnings(pooled: Mapping[str, Array], reward: Stats, cost: float, form: Form) -> tuple[str, ...]:
    told = [
        f"Component {name!r} is {values[0]:.4g} in all {len(values)} sampled transitions."
        for name, values in pooled.items()
        if constant(values)
    ]
    largest = max(abs(reward["min"]), abs(reward["max"]))
    if largest > LARGE and form == "reward":
        told.append(f"The reward of one step reaches {largest:.4g}; a few units are usual. Scale the components down.")
    if cost > SLOW:
        seconds = cost / 1000 * 1e6 / TIMED_ROWS
        told.append(
            f"A call with {TIMED_ROWS:,} transitions takes {cost:.0f} ms, {seconds:.0f} seconds for a million steps. "
            "That is more than all the rest of a training on a quick task. Use fewer and smaller array operations."
        )
    return tuple(told)


def _report(
    service: RewardService,
    answers: Mapping[str, Answer],
    violations: list[Violation],
    fields: Mapping[str, float] | None = None,
    cost: float = 0.0,
) -> ProbeReport:
    pooled = _pooled(answers)
    reward = describe(np.sum(list(pooled.values()), axis=0))
    latent = None
    if service.program.form == "latent":
        latent = Latent.of(pooled)
    return ProbeReport(
        ok=not violations,
        violations=tuple(violations),
        warnings=(
            *_warnings(pooled, reward, cost, service.program.form),
            *(factors.warnings(pooled, latent) if latent else ()),
        ),
        components=statistics(pooled),
        by_origin={o: {n: describe(v) for n, v in group.items()} for o, group in gather(answers).items()},
        reward=reward,
        sensitivity=fields or {},
        latent=latent,
        milliseconds=cost,
    )
