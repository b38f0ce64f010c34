"""What is refused and what is warned of among a latent reward's factors, once recorded episodes have been looked at."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from designer import factor_checks
from designer.checks import Verification, Verifier
from envs import catalog
from sandbox.embedded import EmbeddedSandbox
from sandbox.factors import Latent
from sandbox.probes import ProbeReport
from sandbox.program import Form, RewardProgram
from training.credit.relevance import Relevance

ANGLE, PUSH = 'np.abs(next_state["pole_angle"])', "(action == 1).astype(np.float32)"


@pytest.fixture(scope="module")
def cartpole() -> Verifier:
    return Verifier(catalog.load("cartpole-episodic"), EmbeddedSandbox())


def verified(verifier: Verifier, **factors: str) -> Verification:
    """The verdict on a program that returns these expressions."""
    returned = ", ".join(f'"{name}": {expression}' for name, expression in factors.items())
    entry = "def compute_latent(state, action, next_state):"
    return verifier.verify(RewardProgram(f"import numpy as np\n\n\n{entry}\n    return {{{returned}}}\n", "latent"))


@pytest.mark.parametrize(
    ("factors", "told"),
    [
        ({"angle": ANGLE, "c": "np.ones(len(action))"}, "Only `angle` varies"),
        (
            {"angle": ANGLE, "c": "np.full(len(action), 0.1)", "d": "np.full(len(action), 0.3)"},
            "`c` (0.1), `d` (0.3)",
        ),
        ({"angle": ANGLE, "b": f"3 * {ANGLE} - 1", "c": "np.ones(len(action))"}, "say one thing: `angle`, `b`"),
    ],
)
def test_constants_beside_one_factor_make_no_second_one(
    cartpole: Verifier, factors: Mapping[str, str], told: str
) -> None:
    found = verified(cartpole, **factors)
    (violation,) = found.violations
    assert (violation.stage, violation.kind, violation.rule) == ("probe", "invalid", "factors")
    assert told in violation.message and "Return two or more factors that vary" in violation.message
    assert (
        not found.ok
        and found.status == "failed"
        and found.measured["outcome"]["constant"].keys() == factors.keys() & {"c", "d"}
    )


def test_two_factors_beside_a_constant_are_sound(cartpole: Verifier) -> None:
    found = verified(cartpole, angle=ANGLE, push=PUSH, c="np.ones(len(action))")
    assert found.ok and any("'c' is 1 in all" in warning for warning in found.measured["warnings"])


def test_a_factor_too_small_for_a_decoder_is_warned_of(cartpole: Verifier) -> None:
    found = verified(cartpole, angle=f"1e-7 * {ANGLE}", push=PUSH)
    (tiny,) = [warning for warning in found.measured["warnings"] if "'angle'" in warning]
    assert found.ok and "Multiply it" in tiny
    found = verified(cartpole, angle=f"1e-3 * {ANGLE}", push=PUSH, c="np.ones(len(action))")
    assert not [warning for warning in found.measured["warnings"] if "Multiply it" in warning]


def sampled(**ends: tuple[float, float]) -> ProbeReport:
    """A report on factors that lay between these ends; those that varied follow each other exactly."""
    seen = [name for name, (low, high) in ends.items() if low < high]
    pairs = tuple((one, two, 1.0) for i, one in enumerate(seen) for two in seen[i + 1 :])
    components = {name: {"min": low, "max": high} for name, (low, high) in ends.items()}
    return ProbeReport(ok=True, violations=(), components=components, latent=Latent(effective_rank=1, collinear=pairs))


def recorded(constant: Mapping[str, float], *others: str, alike: bool) -> Relevance:
    """Of episodes in which ``others`` varied."""
    deviation = {**dict.fromkeys(constant, 0.0), **dict.fromkeys(others, 1.0)}
    return Relevance(
        episodes=9, correlation={}, explained=None, constant=constant, deviation=deviation, likeness=float(alike)
    )


def test_an_event_that_only_an_episode_or_only_a_sample_shows_is_a_factor() -> None:
    event = sampled(near=(0, 1), opens=(0, 0))
    assert not factor_checks.refused(event, recorded({}, "near", "opens", alike=False))
    assert factor_checks.refused(event, recorded({"opens": 0.0}, "near", alike=True))
    assert not factor_checks.refused(event, recorded({"opens": 1.0}, "near", alike=True)), "it was 0 before"
    assert not factor_checks.refused(sampled(near=(0, 1), opens=(0, 1)), recorded({"opens": 0.0}, "near", alike=True))


def test_factors_that_the_samples_tell_apart_are_not_one_thing() -> None:
    both = sampled(one=(0, 1), two=(0, 1), event=(0, 0))
    assert factor_checks.refused(both, recorded({"event": 0.0}, "one", "two", alike=True))
    apart = ProbeReport(
        ok=True, violations=(), components=both.components, latent=Latent(effective_rank=2, collinear=())
    )
    assert not factor_checks.refused(apart, recorded({"event": 0.0}, "one", "two", alike=True))


def test_factors_that_come_and_go_are_refused() -> None:
    (violation,) = factor_checks.refused(
        sampled(one=(0, 1), two=(0, 1)), recorded({}, "one", "two", "new", alike=False)
    )
    assert (violation.kind, violation.rule) == ("not_rowwise", "components") and "'new'" in violation.message


@pytest.mark.parametrize("form", ["latent", "reward"])
def test_a_failure_in_recorded_episodes_keeps_its_kind_its_line_and_what_was_measured(
    cartpole: Verifier, form: Form
) -> None:
    source = f"""import numpy as np


def compute_{form}(state, action, next_state):
    if len(action) > 10_000:
        next_state["pole_angle"][len(action)]
    return {{"angle": {ANGLE}, "push": {PUSH}}}
"""
    found = cartpole.verify(RewardProgram(source, form))
    (violation,) = found.violations
    assert (violation.stage, violation.kind, violation.rule) == ("sandbox", "exception", "IndexError")
    assert violation.line == 6 and violation.message.endswith("(in recorded episodes)")
    assert found.components.keys() == {"angle", "push"} and found.measured["sensitivity"]
    assert found.status == "failed"
