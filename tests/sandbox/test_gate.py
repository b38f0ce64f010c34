"""The gate accepts what honest designers write, and refuses the rest with a line and a way out."""

from __future__ import annotations

import ast
import gc
import itertools
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import allowed
from sandbox.errors import KINDS
from sandbox.gate import GateReport, check, parsed
from tests.attacks.attack import STAND_IN
from tests.attacks.corpus import ATTACKS, Attack
from tests.sandbox.honest_rewards import HONEST
from tests.sandbox.hostile_programs import HOSTILE

GOOD = 'def compute_reward(state, action, next_state):\n    return {"a": state["x"]}\n'
REWARD = "def compute_reward(state, action, next_state):"
MEMORY = "def compute_reward(state, action, next_state, memory):"


def rules(source: str, form: str = "reward") -> set[str]:
    return {v.rule for v in check(source, form).violations}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", HONEST)
def test_honest_rewards_pass(name: str) -> None:
    report = check(HONEST[name].source, HONEST[name].form)
    assert report.ok, [f"{v.line}: {v.message}" for v in report.violations]
    assert report.violations == ()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_are_refused_with_rule_and_line(name: str) -> None:
    source, rule, line = HOSTILE[name]
    report = check(source)
    assert not report.ok
    assert (rule, line) in {(v.rule, v.line) for v in report.violations}, report.violations


@pytest.mark.parametrize("name", HOSTILE)
def test_the_frame_of_a_hostile_program_is_itself_accepted(name: str) -> None:
    """Otherwise a refusal would say nothing about the attack: only lines of the attack may be named."""
    source, rule, line = HOSTILE[name]
    others = {v.line for v in check(source).violations if v.line is not None}
    assert min(others) >= line or rule in ("recursion", "class")


def test_there_are_enough_examples_on_both_sides() -> None:
    assert len(HONEST) >= 40
    assert len(HOSTILE) >= 40


def test_every_refusal_tells_what_to_do() -> None:
    verbs: tuple[str, ...] = (
        "Write",
        "Use",
        "Remove",
        "Compute",
        "Read",
        "read ",
        "use ",
        "Make",
        "Move",
        "Nest",
        "Leave",
        "Call",
    )
    verbs += ("Give", "Choose", "Define", "Import", "Did you mean", "needs a name", "must be called", "takes one")
    verbs += ("Pass", "Name at least", "Return", "Bind", "Split", "Keep")
    for source, _, _ in HOSTILE.values():
        for violation in check(source).violations:
            assert violation.stage == "gate"
            assert violation.kind in KINDS
            assert any(verb in violation.message for verb in verbs), violation.message


@pytest.mark.parametrize(
    ("source", "exact"),
    [
        ("def compute_reward(self, obs):\n    return {'a': obs}", REWARD),
        ("def compute_reward(state, next_state, action):\n    return {'a': action}", REWARD),
        ("def compute_reward(state, action, next_state, *rest):\n    return {'a': action}", REWARD),
        ("def compute_reward(state, action, *, next_state):\n    return {'a': action}", REWARD),
        ("def compute_reward(state, action, next_state, /):\n    return {'a': action}", REWARD),
        ("def compute_reward(state, action, next_state=3):\n    return {'a': action}", REWARD),
        ("def compute_reward(state, action, next_state, memory):\n    return {'a': action}, memory", "init_memory"),
        ("def init_memory(batch_size):\n    return {}\n" + GOOD, MEMORY),
        (
            "def init_memory():\n    return {}\n" + MEMORY + "\n    return {'a': action}, memory",
            "def init_memory(batch_size):",
        ),
        ("def potential(s, a):\n    return s\n" + GOOD, "def potential(state):"),
        ("def reward(state, action, next_state):\n    return {'a': action}", REWARD),
        ("", REWARD),
    ],
)
def test_a_wrong_signature_is_answered_with_the_exact_one(source: str, exact: str) -> None:
    report = check(source)
    assert any(exact in v.message for v in report.violations), report.violations


def test_the_missing_entry_point_names_what_there_is() -> None:
    (violation,) = check("def reward(state, action, next_state):\n    return {'a': action}").violations
    assert violation.rule == "entry_point"
    assert "`reward`" in violation.message
    assert "compute_latent" in check(GOOD, "latent").violations[0].message


def test_a_latent_reward_has_no_potential() -> None:
    latent = GOOD.replace("compute_reward", "compute_latent")
    assert check(latent, "latent").ok
    (violation,) = check(f"def potential(state):\n    return state['x']\n\n{latent}", "latent").violations
    assert (violation.rule, violation.line) == ("potential", 1)
    assert "Return what it measures as a factor" in violation.message


@pytest.mark.parametrize(
    "body",
    [
        "return 1.0",
        "return state['x'] + 1",
        "return {'a': action}, {}",
        "x = 1",
        "return",
        "return [action]",
        "return {}",
    ],
)
def test_an_entry_point_that_cannot_return_components_is_refused(body: str) -> None:
    assert "return" in rules(f"{REWARD}\n    {body}")


def test_a_program_with_memory_returns_a_pair() -> None:
    init = "def init_memory(batch_size):\n    return {'n': None}\n"
    assert rules(f"{init}{MEMORY}\n    return {{'a': action}}") == {"return"}
    assert rules(f"{init}{MEMORY}\n    return {{'a': action}}, memory") == set()


def test_a_report_tells_what_the_program_defines() -> None:
    report = check(HONEST["swing_counter"].source)
    assert (report.has_memory, report.has_potential) == (True, True)
    assert report.components == ("held", "early", "effort")
    assert check(HONEST["reacher"].source).components == ("dist", "near", "ctrl")
    assert check(HONEST["crafter_items"].source).components == ()
    assert not check(HONEST["reacher"].source).has_memory


def test_a_program_defined_twice_or_by_a_lambda_is_refused() -> None:
    assert "entry_point" in rules(GOOD + GOOD)
    assert "entry_point" in rules("compute_reward = lambda state, action, next_state: {'a': action}")


@pytest.mark.parametrize(
    "source",
    [
        "def compute_reward(:",
        "```python\n" + GOOD + "```",
        "\x00" + GOOD,
        "x = '\ud800'\n" + GOOD,
        "return 1",
        "def f(a, a):\n    return a\n" + GOOD,
        f"{REWARD}\n    break\n    return {{'a': action}}",
    ],
)
def test_what_is_not_python_is_a_setup_violation(source: str) -> None:
    report = check(source)
    assert not report.ok
    assert report.violations[0].kind in ("setup", "rejected")
    assert report.violations[0].message.endswith(".")


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("#" * (allowed.SOURCE_BYTES + 1), "size"),
        ("#" + "é" * (allowed.SOURCE_BYTES // 2), "size"),
        ("x = 1\n" * 5000, "size"),
        ("x=1;" * 3500, "size"),
        ("x = " + "(" * 5000 + ")" * 5000, "depth"),
        ("x = " + "[" * 90 + "]" * 90, "depth"),
        ("x = " + "-" * 16000 + "1", "depth"),
        ("x = " + "not " * 3900 + "1", "depth"),
        ("x = " + "lambda:" * 2000 + "1", "depth"),
        ("x = " + "+".join(["1"] * 200), "depth"),
        ("x = 1" + " if 1 else 1" * 1000, "depth"),
        ("x" + ".a" * 4000, "depth"),
        ("x = 9" + "9" * 6000, "syntax"),
    ],
)
def test_size_and_depth_are_bounded_and_cheap(source: str, rule: str) -> None:
    began = time.process_time()
    assert rules(source + "\n" + GOOD) & {rule, "size"}
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "body",
    [
        "x" + ".T" * 70 + " = 1",
        "state" + ".T" * 70 + " += 1",
        "state" + "[0]" * 70 + " = 1",
        "x: " + "list[" * 70 + "y" + "]" * 70 + " = 1",
        "x = " + "(".join(["abs"] * 70) + "(1" + ")" * 69,
        "x = " + "[" * 70 + "]" * 70,
        "x = " + "-" * 70 + "1",
    ],
)
def test_the_deepest_source_fits_in_half_of_the_stack(body: str) -> None:
    def down(levels: int) -> GateReport:
        return check(f"{REWARD}\n    {body}\n    return {{'a': action}}") if levels == 0 else down(levels - 1)

    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1  # type: ignore[assignment]
    sound(down(sys.getrecursionlimit() // 2 - depth))


def test_an_ordinary_source_takes_a_moment() -> None:
    """A bound against blow-ups; what it really takes (2 ms at most) is for ``benchmarks/walls.py``."""
    sources = [(h.source, h.form) for h in HONEST.values()]
    times = []
    for _ in range(7):
        began = time.process_time()
        for source, form in sources:
            check(source, form)
        times.append((time.process_time() - began) / len(sources))
    assert min(times) < 20e-3


def test_a_thousand_unknown_names_take_a_moment() -> None:
    """A guess at what was meant costs a comparison with every name there is."""
    names = ["".join(letters) for letters in itertools.islice(itertools.permutations("abcdefghij"), 1500)]
    bound = "".join(f"    {name} = 1\n" for name in names[:450])
    began = time.process_time()
    report = check(f"{REWARD}\n{bound}    return [{', '.join(names[1000:])}]\n")
    assert {violation.rule for violation in report.violations} >= {"name"}
    assert time.process_time() - began < 1.0


def test_warnings_are_no_fault_of_the_program() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check(f'{REWARD}\n    "a \\d"\n    return {{"a": action}}').ok


def test_what_a_function_made_itself_may_be_written_into() -> None:
    body = """
    x = state["x"].copy()
    x += 1.0
    x[x > 0] = 0.0
    y = np.zeros_like(action)
    y[0], y[1:] = 1.0, 2.0
    names = []
    names.append("a")
    pos = state["x"]
    pos = pos - 1
    pos *= 2
    picked = action[state["x"] > 0]
    turned = np.flip(state["x"]).copy()
    turned[0] = 1.0
    shaped = np.reshape(np.zeros(len(action)), state["x"].shape)
    shaped[0] = 1.0
    return {"a": x + y + pos}
"""
    assert check(f"import numpy as np\n{REWARD}{body}").ok


def test_a_large_number_that_is_no_size_is_accepted() -> None:
    body = """
    most = np.full(len(action), 1e7)
    grid = np.linspace(0.0, 5e6, 10)
    return {"a": np.minimum(most, grid[0]) + np.interp(state["x"], grid, grid)}
"""
    assert check(f"import numpy as np\n{REWARD}{body}").ok


def test_a_local_name_like_its_function_is_no_recursion() -> None:
    source = "def speed(v):\n    speed = abs(v)\n    return speed\n"
    assert check(source + f"{REWARD}\n    return {{'a': speed(action)}}").ok


def test_the_allow_list_names_only_what_numpy_and_math_have() -> None:
    import math

    for path in allowed.NUMPY:
        value = np
        for part in path.split("."):
            value = getattr(value, part)
    for name in allowed.MATH:
        assert hasattr(math, name)


def test_the_allow_list_holds_no_function_that_reads_writes_or_draws() -> None:
    for word in (
        "load",
        "save",
        "file",
        "memmap",
        "random",
        "lib",
        "ctypes",
        "empty",
        "test",
        "f2py",
        "seterr",
        "print",
    ):
        assert not [path for path in allowed.NUMPY if word in path]


NO_LINE = ("size", "depth", "syntax", "entry_point")
"""Rules on what is not there, or cannot be read."""


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.id)
def test_an_attack_is_refused_unless_its_form_is_honest(attack: Attack) -> None:
    report = check(attack.for_gate(), attack.form)
    assert report.ok == (not attack.gate), report.violations
    for violation in report.violations:
        assert violation.stage == "gate"
        assert violation.kind in ("rejected", "setup")
        assert violation.rule
        assert len(violation.message) > 20
        assert (violation.line or 0) > len(STAND_IN.splitlines()) or violation.rule in NO_LINE


def test_four_of_five_attacks_are_refused_statically() -> None:
    assert sum(attack.gate for attack in ATTACKS) >= 0.8 * len(ATTACKS)


def sound(report: GateReport) -> None:
    assert report.ok == (not report.violations)
    for violation in report.violations:
        assert violation.message
        assert violation.kind in ("rejected", "setup")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=400))
def test_any_text_gets_a_report(text: str) -> None:
    sound(check(text))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="()[]{}:,.=+-*/@%&|<>'\"\\\n \tabcdefilnorstuwxy01_#f", max_size=300))
def test_any_python_like_text_gets_a_report(text: str) -> None:
    sound(check(f"{REWARD}\n    {text}"))


SOURCES = sorted([h.source for h in HONEST.values()] + [source for source, _, _ in HOSTILE.values()])


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """A real program with slices cut out, doubled, or replaced by slices of another."""
    text = draw(st.sampled_from(SOURCES))
    for _ in range(draw(st.integers(1, 4))):
        a, b = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        other = draw(st.sampled_from(SOURCES))
        c, d = sorted((draw(st.integers(0, len(other))), draw(st.integers(0, len(other)))))
        text = (
            text[:a] + draw(st.sampled_from([other[c:d], text[a:b] * 2, "", "\x00", "\ud800", "__class__"])) + text[b:]
        )
    return text


def statement_mutants(left: str, right: str, at: int) -> str:
    """The first program with one statement of the second put into its entry point."""
    tree, other = ast.parse(left), ast.parse(right)
    statements = [s for s in ast.walk(other) if isinstance(s, ast.stmt)]
    functions = [f for f in tree.body if isinstance(f, ast.FunctionDef)]
    functions[-1].body.insert(0, statements[at % len(statements)])
    return ast.unparse(ast.fix_missing_locations(tree))


def survives(source: str) -> None:
    """Whatever is accepted compiles, and holds no name or attribute with two leading underscores."""
    report = check(source)
    sound(report)
    if report.ok:
        tree = ast.parse(source)
        compile(tree, "<program>", "exec")
        for node in ast.walk(tree):
            assert not (isinstance(node, ast.Attribute) and node.attr.startswith("_"))
            assert not (isinstance(node, ast.Name) and node.id.startswith("__"))
            assert not isinstance(node, ast.ClassDef | ast.Try | ast.While | ast.Global | ast.Delete)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutants())
def test_mutated_programs_never_break_the_gate(source: str) -> None:
    survives(source)


VALID = [h.source for h in HONEST.values()]
GRAFTS = [source for name, (source, _, _) in HOSTILE.items() if name != "except-star"]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(VALID), st.sampled_from(GRAFTS), st.integers(0, 60))
def test_grafted_statements_never_break_the_gate(left: str, right: str, at: int) -> None:
    survives(statement_mutants(left, right, at))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=50_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutants())
def test_fifty_thousand_mutated_programs_never_break_the_gate(source: str) -> None:
    survives(source)


def test_many_threads_may_ask_at_once() -> None:
    """CPython 3.11 takes the trees of two threads for one that is too deep, where one pauses for the other."""
    deep = f"{REWARD}\n    return {{'a': {'(' * 40}action{')' * 40}{' + action' * 60}}}\n"

    class Pause:
        """Collected in the middle of a reading, it lets another thread read."""

        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            sum(range(50))

    def ask(source: str) -> GateReport:
        Pause()
        return check(source)

    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(5, 1, 1)
    try:
        with ThreadPoolExecutor(8) as threads:
            reports = list(threads.map(ask, [deep] * 300))
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)
    assert all(report.ok for report in reports)


def test_another_threads_tree_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython 3.11 counts the depth of all the trees that threads read together, and then raises ``SystemError``."""
    whole, calls = ast.parse, iter([SystemError("recursion depth mismatch")])

    def parse(source: str) -> ast.Module:
        for error in calls:
            raise error
        return whole(source)

    monkeypatch.setattr(ast, "parse", parse)
    assert isinstance(parsed("x = 1").body[0], ast.Assign)


def test_a_source_is_parsed_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(parsed('"""\\d."""\nx = 1\n').body) == 2
