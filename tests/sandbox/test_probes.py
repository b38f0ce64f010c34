"""The probes pass honest programs, catch each kind of dishonest one, and measure what they say they measure."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

import numpy as np
import pytest

from sandbox import probes
from sandbox.choose import choose
from sandbox.errors import CandidateError, Violation
from sandbox.measures import collinear, effective_rank
from sandbox.probes import ProbeReport, probe
from sandbox.program import Form, RewardProgram
from sandbox.recheck import recheck
from sandbox.service import Answer, Call, Sandbox
from tests.sandbox.honest_rewards import HONEST, Honest
from tests.sandbox.samples import random_call

FIELDS = Honest(source="", fields={"x": (), "v": (3,), "code": "code"}, action=2)
SAMPLES = {"random": random_call(FIELDS, 12, 20, seed=1), "goal": random_call(FIELDS, 12, 8, seed=2)}
ENTRY = "def compute_reward(state, action, next_state):"
MEMORY = "def compute_reward(state, action, next_state, memory):"
INIT = "def init_memory(batch_size):\n    return {'n': np.zeros(batch_size, np.float32)}\n"


@pytest.fixture(scope="module")
def embedded() -> Sandbox:
    return choose("embedded")


def probed(
    sandbox: Sandbox,
    body: str,
    *,
    form: Form = "reward",
    samples: Mapping[str, Call] = SAMPLES,
    deadline: float = 10.0,
) -> ProbeReport:
    """The report on a program of numpy and ``body``."""
    with sandbox.serve(RewardProgram(f"import numpy as np\n{body}\n", form)) as service:
        return probe(service, samples, deadline=deadline)


def only(report: ProbeReport) -> Violation:
    assert not report.ok
    (violation,) = report.violations
    return violation


QUICK = ("doorkey_memory", "lare_factors", "swing_counter", "isaac_shadowhand")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in HONEST])
def test_honest_rewards_pass(name: str, embedded: Sandbox) -> None:
    honest = HONEST[name]
    samples = {"random": random_call(honest, 12, 20, seed=1), "goal": random_call(honest, 12, 8, seed=2)}
    with embedded.serve(RewardProgram(honest.source, honest.form)) as service:
        report = probe(service, samples)
    assert report.ok, report.violations
    assert 0 < report.milliseconds < 1000
    assert sum(c["share"] for c in report.components.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("body", "kind", "rule"),
    [
        (f"{ENTRY}\n    return {{'r': np.random.rand(len(action))}}", "nondeterministic", "determinism"),
        (f"{ENTRY}\n    return {{'r': next_state['x'] + hash('a') % 997}}", "nondeterministic", "determinism"),
        (f"{ENTRY}\n    return {{'r': np.arange(len(action)) * 1.0}}", "not_rowwise", "permutation"),
        (f"{ENTRY}\n    return {{'r': np.cumsum(state['x'])}}", "not_rowwise", "permutation"),
        (f"{ENTRY}\n    return {{'r': state['x'] - state['x'].mean()}}", "not_rowwise", "batch_size"),
        (f"{ENTRY}\n    return {{'r': state['x'] / np.abs(state['x']).max()}}", "not_rowwise", "batch_size"),
        (f"{ENTRY}\n    return {{'r': state['x'] * (1 + (len(action) > 500))}}", "not_rowwise", "batch_size"),
        (f"{ENTRY}\n    state['v'][:, 0] = 0\n    return {{'r': state['x']}}", "invalid", "mutation"),
        (f"{ENTRY}\n    return {{'a': 0 * state['x'], 'b': 0 * state['x']}}", "invalid", "constant"),
        (f"{ENTRY}\n    return {{'a': state['x'], 'potential': state['x']}}", "invalid", "component"),
        (f"{ENTRY}\n    return {{'r': state['y']}}", "exception", "KeyError"),
        (f"{ENTRY}\n    return {{'r': state['v']}}", "invalid", "shape"),
        (f"{ENTRY}\n    return {{'r': np.full(len(action), np.nan)}}", "invalid", "finite"),
    ],
)
def test_a_bad_reward_gets_its_violation(body: str, kind: str, rule: str, embedded: Sandbox) -> None:
    violation = only(probed(embedded, body))
    assert (violation.kind, violation.rule) == (kind, rule)
    assert violation.stage == ("sandbox" if rule in ("KeyError", "shape", "finite") else "probe")


def test_a_violation_carries_measured_numbers(embedded: Sandbox) -> None:
    body = f"{ENTRY}\n    return {{'r': state['x'] + (len(action) == 7)}}"
    message = only(probed(embedded, body)).message
    assert "a batch of 7 rows instead of 336" in message
    assert "largest difference 1, in 7 of 7 values" in message
    assert "axis=1" in message


def test_a_program_that_fails_on_one_row_is_told_so(embedded: Sandbox) -> None:
    violation = only(probed(embedded, f"{ENTRY}\n    return {{'r': np.squeeze(state['x'][:, None]) + 0}}"))
    assert violation.rule == "shape"
    assert "in a batch of 1 row instead of 336" in violation.message


def test_components_that_come_and_go_are_refused(embedded: Sandbox) -> None:
    body = f"{ENTRY}\n    a = {{'a': state['x']}}\n    if len(action) > 100:\n        a['b'] = state['x']\n    return a"
    violation = only(probed(embedded, body))
    assert (violation.kind, violation.rule) == ("not_rowwise", "components")
    assert "'b'" in violation.message


def test_a_failure_names_the_sample_in_which_it_happens(embedded: Sandbox) -> None:
    zero = {"x": np.zeros((1, 4), np.float32)}
    goal = Call(state=zero, action=np.zeros((1, 4), int), next_state=zero, ended=np.zeros((1, 4), bool))
    one = {"x": np.ones((1, 4), np.float32)}
    start = Call(state=one, action=np.zeros((1, 4), int), next_state=one, ended=np.zeros((1, 4), bool))
    body = f"{ENTRY}\n    return {{'r': 1 / state['x']}}"
    violation = only(probed(embedded, body, samples={"random": start, "goal": goal}))
    assert violation.rule == "finite"
    assert "in the sample 'goal'" in violation.message


class Turncoat:
    """A fake service whose program has memory, and answers otherwise in one of its calls."""

    program = RewardProgram("fake")

    def __init__(self, odd: int, fails: bool) -> None:
        self.odd, self.fails, self.calls = odd, fails, 0

    def evaluate(self, call: Call, *, salt: int = 0, deadline: float = 10.0) -> Answer:
        self.calls += 1
        if self.calls == self.odd and self.fails:
            raise CandidateError(Violation(stage="sandbox", kind="exception", rule="ValueError", message="now"))
        name = "other" if self.calls == self.odd else "r"
        return Answer(components={name: call.next_state["x"]}, potential=None, next_potential=None, memory={})

    def close(self) -> None:
        return

    def __enter__(self) -> Turncoat:
        return self

    def __exit__(self, *reason: object) -> None:
        return


@pytest.mark.parametrize("odd", range(1, 30))
@pytest.mark.parametrize("fails", [False, True])
def test_one_odd_call_among_many_never_breaks_the_probes(odd: int, fails: bool) -> None:
    report = probe(Turncoat(odd, fails), {"random": SAMPLES["random"]})
    assert report.ok == (not report.violations)


@pytest.mark.parametrize(
    ("body", "rule", "advice"),
    [
        ("return {'r': state['wall_pos']}", "KeyError", "The fields are: x, v, code."),
        ("return {'r': state['x'] if action == 1 else 0.0}", "ValueError", "np.where(condition, a, b)"),
        ("return {'r': (state['x'] > 0) & (action == 1).astype(np.float32)}", "TypeError", "((a == 1) & (b == 2))"),
        ("return {'r': ~state['x']}", "TypeError", "((a == 1) & (b == 2)).astype(float)"),
        ("return {'r': (state['x'] > 0) - (action == 1)}", "TypeError", "(a == 1).astype(float) -"),
    ],
)
def test_the_usual_mistakes_come_back_with_their_mend(body: str, rule: str, advice: str, embedded: Sandbox) -> None:
    violation = only(probed(embedded, f"{ENTRY}\n    {body}"))
    assert (violation.kind, violation.rule) == ("exception", rule)
    assert advice in violation.message


def test_an_endless_program_ends_the_probing(embedded: Sandbox) -> None:
    report = probed(embedded, f"{ENTRY}\n    while True:\n        pass", deadline=0.3)
    assert (only(report).stage, only(report).kind) == ("sandbox", "timeout")
    assert report.components == {}


GOOD_MEMORY = f"""{INIT}
{MEMORY}
    n = memory['n'] + 1
    return {{'r': n * next_state['x']}}, {{'n': n}}
"""


def test_a_program_with_memory_passes(embedded: Sandbox) -> None:
    assert probed(embedded, GOOD_MEMORY).ok


def test_memory_is_probed_also_where_samples_have_one_step(embedded: Sandbox) -> None:
    samples = {"random": random_call(FIELDS, 1, 40, seed=3)}
    assert probed(embedded, GOOD_MEMORY, samples=samples).ok
    late = GOOD_MEMORY.replace("n * next_state['x']", "np.where(n > 1, next_state['x'], 0.0)")
    assert probed(embedded, late, samples=samples).ok, "it pays from the second step on"
    hidden = GOOD_MEMORY.replace("    n = memory", "    SEEN.append(1)\n    n = len(SEEN) + memory")
    assert only(probed(embedded, "SEEN = []\n" + hidden, samples=samples)).rule == "memory_reset"


@pytest.mark.parametrize(
    ("body", "kind", "rule"),
    [
        (
            f"SEEN = []\n{INIT}{MEMORY}\n    SEEN.append(1)\n    return {{'r': state['x'] * len(SEEN)}}, memory",
            "not_rowwise",
            "memory_reset",
        ),
        (
            "def init_memory(batch_size):\n    return {'n': np.arange(batch_size) * 1.0}\n"
            f"{MEMORY}\n    return {{'r': state['x'] + memory['n']}}, memory",
            "not_rowwise",
            "permutation",
        ),
        (
            f"{INIT}{MEMORY}\n    m = memory['n'] + state['x'].max()\n    return {{'r': state['x'] + m}}, {{'n': m}}",
            "not_rowwise",
            "batch_size",
        ),
    ],
)
def test_bad_memory_gets_its_violation(body: str, kind: str, rule: str, embedded: Sandbox) -> None:
    violation = only(probed(embedded, body))
    assert (violation.kind, violation.rule) == (kind, rule)


def test_a_potential_alone_is_something_to_learn_from(embedded: Sandbox) -> None:
    body = f"def potential(state):\n    return state['x']\n{ENTRY}\n    return {{'none': 0 * state['x']}}"
    report = probed(embedded, body)
    assert report.ok
    assert report.components["potential"]["share"] == 1
    assert report.sensitivity["state.x"] > 0.5
    assert report.sensitivity["next_state.x"] > 0.5


def test_warnings_name_constant_components_and_absurd_sizes(embedded: Sandbox) -> None:
    report = probed(embedded, f"{ENTRY}\n    return {{'big': 1e5 * state['x'], 'alive': np.ones(len(action))}}")
    assert report.ok
    constant, large = report.warnings
    assert "'alive' is 1 in all 336" in constant
    assert "reaches" in large


def test_a_program_that_costs_more_than_a_training_is_warned_of(
    embedded: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "milliseconds", lambda *_: 355.0)
    (slow,) = probed(embedded, f"{ENTRY}\n    return {{'r': state['x']}}").warnings
    assert "takes 355 ms, 173 seconds for a million steps" in slow
    monkeypatch.setattr(probes, "milliseconds", lambda *_: probes.SLOW)
    assert probed(embedded, f"{ENTRY}\n    return {{'r': state['x']}}").warnings == ()


def test_statistics_are_those_of_the_answers(embedded: Sandbox) -> None:
    report = probed(embedded, f"{ENTRY}\n    return {{'a': state['x'], 'b': -3 * state['x'] ** 2}}")
    x = np.concatenate([s.state["x"].ravel() for s in SAMPLES.values()]).astype(np.float64)
    b = -3 * x**2
    expected = {"min": b.min(), "mean": b.mean(), "max": b.max(), "std": b.std()}
    expected["share"] = np.abs(b).mean() / (np.abs(b).mean() + np.abs(x).mean())
    assert report.components["b"] == pytest.approx(expected, rel=1e-4)
    goal = SAMPLES["goal"].state["x"].astype(np.float64)
    assert report.by_origin["goal"]["a"]["mean"] == pytest.approx(goal.mean(), rel=1e-4)
    assert report.reward["std"] == pytest.approx((x + b).std(), rel=1e-4)


def test_sensitivity_finds_the_fields_that_matter(embedded: Sandbox) -> None:
    body = f"{ENTRY}\n    return {{'r': 5 * next_state['x'] + 0.5 * state['v'][:, 0] + 0.1 * action[:, 1]}}"
    found = probed(embedded, body).sensitivity
    assert [n for n, v in found.items() if v == 0] == ["state.x", "state.code", "next_state.v", "next_state.code"]
    assert found["next_state.x"] > found["state.v"] > found["action"] > 0
    # Two independent draws of one normal variable differ by 2 / sqrt(pi) standard deviations on average.
    assert found["next_state.x"] == pytest.approx(2 / np.sqrt(np.pi), rel=0.15)


def test_latent_factors_are_measured(embedded: Sandbox) -> None:
    body = "def compute_latent(state, action, next_state):\n"
    body += "    return {'a': state['x'], 'b': 2 * state['x'], 'c': next_state['x']}"
    report = probed(embedded, body, form="latent")
    assert report.ok
    assert report.latent is not None
    ((one, two, correlation),) = report.latent.collinear
    assert ({one, two}, round(correlation, 3)) == ({"a", "b"}, 1.0)
    assert report.latent.effective_rank < 2.1
    (same,) = report.warnings
    assert "`a` and `b` (+1.000). Keep one of each pair." in same


def test_many_factors_that_are_nearly_one_are_warned_of(embedded: Sandbox) -> None:
    """None of them follows another one at 0.99."""
    body = "def compute_latent(state, action, next_state):\n    x, y = next_state['x'], 0.16 * state['x']\n"
    body += "    return {'a': x, 'b': x + y, 'c': x - y, 'd': np.tanh(2 * x), 'e': x * np.sqrt(abs(x))}"
    report = probed(embedded, body, form="latent")
    assert report.ok and report.latent is not None and report.latent.collinear == ()
    *_, rank = report.warnings
    assert f"effective rank is {report.latent.effective_rank:.2f}: the 5 factors that vary" in rank


def test_a_factor_that_is_the_sum_of_others_is_warned_of(embedded: Sandbox) -> None:
    body = "def compute_latent(state, action, next_state):\n    a, b = state['x'], next_state['x']\n"
    body += "    return {'a': a, 'b': b, 'one': np.ones(len(action)), 'change': 2 * a - b, 'push': action[:, 0]}"
    report = probed(embedded, body, form="latent")
    assert report.ok and report.latent is not None
    assert report.latent.dependent == ("a", "b", "change") and report.latent.collinear == ()
    constant, sums = report.warnings
    assert "'one'" in constant and "weighted sums of each other in the sampled transitions: `a`, `b`, `change`" in sums


def test_factors_that_differ_are_not_warned_of(embedded: Sandbox) -> None:
    body = "def compute_latent(state, action, next_state):\n"
    body += "    return {'a': state['x'], 'b': next_state['x'], 'size': np.abs(state['x']), 'push': action[:, 0]}"
    assert probed(embedded, body, form="latent").warnings == ()
    large = body.replace("state['x'],", "1e5 * state['x'],")
    assert probed(embedded, large, form="latent").warnings == (), "a decoder finds every such scale"


@pytest.mark.parametrize(
    ("factors", "rules"),
    [
        ("'a': state['x']", {"factors"}),
        ("'a': state['x'], 'b': 2 * state['x'], 'c': 3 - state['x']", {"factors"}),
        ("'a': 0 * state['x'] + 1, 'b': 0 * state['x']", {"constant"}),
        ("'a': np.ones(len(action))", {"factors", "constant"}),
    ],
)
def test_factors_without_information_are_refused(factors: str, rules: set[str], embedded: Sandbox) -> None:
    body = f"def compute_latent(state, action, next_state):\n    return {{{factors}}}"
    report = probed(embedded, body, form="latent")
    assert {v.rule for v in report.violations} == rules
    assert {v.kind for v in report.violations} == {"invalid"}


def test_a_latent_reward_has_no_potential_even_where_no_gate_looked(embedded: Sandbox) -> None:
    body = "def potential(state):\n    return state['x']\ndef compute_latent(state, action, next_state):\n"
    violation = only(probed(embedded, body + "    return {'a': state['x'], 'b': next_state['x']}", form="latent"))
    assert (violation.kind, violation.rule) == ("invalid", "potential")


def test_effective_rank_counts_independent_factors() -> None:
    x = np.random.default_rng(0).normal(size=(5000, 3))
    assert effective_rank(x) == pytest.approx(3, rel=0.01)
    assert effective_rank(np.stack([x[:, 0], -2 * x[:, 0], np.ones(5000)], axis=1)) == pytest.approx(1, rel=0.01)
    assert effective_rank(np.ones((10, 2))) == 0
    tenth = np.full(641, 0.1)
    assert tenth.std() > 0, "rounding leaves a constant a deviation"
    assert effective_rank(np.stack([x[:641, 0], tenth, 3 * tenth], axis=1)) == 1
    assert collinear({"a": tenth, "b": 3 * tenth}) == ()
    ((one, two, correlation),) = collinear({"a": x[:, 0], "b": x[:, 1], "c": -x[:, 0]})
    assert (one, two) == ("a", "c")
    assert correlation == pytest.approx(-1)


def test_a_report_is_json_and_repeats_itself(embedded: Sandbox) -> None:
    body = f"{ENTRY}\n    return {{'r': state['x'] - 0.1 * action[:, 0] ** 2, 'one': np.ones(len(action))}}"
    one, two = (probed(embedded, body).to_json() for _ in range(2))
    for report in (one, two):
        assert report.pop("milliseconds") > 0
        assert json.loads(json.dumps(report, allow_nan=False)) == json.loads(json.dumps(report))
    assert one == two


KNOWS_ITS_PROBES = f"{ENTRY}\n    odd = 1.0 if len(action) == 96 else 0.0\n    return {{'r': state['x'] + odd}}\n"


def test_the_batch_of_the_training_is_tried_too(embedded: Sandbox) -> None:
    with embedded.serve(RewardProgram(KNOWS_ITS_PROBES)) as service:
        assert probe(service, SAMPLES).ok, "no other batch has this size"
        assert only(probe(service, SAMPLES, training=(8, 12))).rule == "batch_size"


def test_rows_with_memory_are_tried_in_the_number_that_training_has(embedded: Sandbox) -> None:
    source = (
        f"{INIT}\n{MEMORY}\n    odd = 1.0 if len(action) == 96 else 0.0\n    return {{'r': state['x'] + odd}}, memory\n"
    )
    with embedded.serve(RewardProgram("import numpy as np\n" + source)) as service:
        assert probe(service, SAMPLES, training=(12, 8)).ok
        assert only(probe(service, SAMPLES, training=(12, 96))).rule == "batch_size"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (f"{ENTRY}\n    return {{'r': state['x'] - state['x'].mean()}}", "not_rowwise"),
        (f"{ENTRY}\n    return {{'r': np.arange(len(action)) / 7.0}}", "not_rowwise"),
        (f"{ENTRY}\n    return {{'r': np.random.rand(len(action))}}", "not_rowwise"),
        (f"{ENTRY}\n    return {{'r': state['x'] if len(action) > 99 else np.zeros(3)}}", "invalid"),
    ],
)
def test_a_call_of_the_training_is_asked_for_again(embedded: Sandbox, body: str, kind: str) -> None:
    call = random_call(FIELDS, 8, 40, seed=3)
    with embedded.serve(RewardProgram(f"import numpy as np\n{body}\n")) as service:
        answer = service.evaluate(call)
        try:
            found = recheck(service, call, answer, np.random.default_rng(0), deadline=5.0)
        except CandidateError as error:
            found = error.violation
    assert found is not None and found.kind == kind


@pytest.mark.parametrize("name", QUICK)
def test_an_honest_reward_stands_up_to_it_with_and_without_memory(name: str, embedded: Sandbox) -> None:
    honest = HONEST[name]
    call = random_call(honest, 12, 20, seed=4)
    with embedded.serve(RewardProgram(honest.source, honest.form)) as service:
        first = service.evaluate(call)
        for seed in range(3):
            later = dataclasses.replace(call, memory=first.memory)
            answer = service.evaluate(later)
            assert recheck(service, later, answer, np.random.default_rng(seed), deadline=5.0) is None
