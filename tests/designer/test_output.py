"""What reaches the terminal: text of models, tasks and runs, as data that commands nothing and is no markup."""

from __future__ import annotations

import ast
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

import designer
from designer.display import Display
from designer.exits import USER
from designer.main import run
from designer.output import PlainConsole, print_json, wide_console
from designer.printable import printable
from designer.review import ask
from designer.store import RunStore
from designer.views import candidate_view, diff_view, print_view, run_view, scorecard_view, verification_view
from envs import catalog
from sandbox import gate
from sandbox.program import RewardProgram
from training.result import Point, Progress

MARKUP = "[/x][red]w[link=file:///x]:smile:"
CONTROLS = "\x1b[2J\x1b]52;c;aGk=\x07\x9b31m\x00\r\x7f\u202e\u200b\u2066\ufeff"
HOSTILE = MARKUP + CONTROLS
COMMANDING = [chr(i) for i in (*range(9), *range(11, 32), *range(0x7F, 0xA0), 0x202E, 0x200B, 0x2066, 0xFEFF)]
SOURCE = f"def compute_reward(state, action, next_state):\n    return {{}}  # {MARKUP}\x1b[2J\u202e\n"
SUMMARY = {"iqm": 0.5, "low": None, "high": None, "seeds": 1}


def harmless(text: str) -> None:
    assert not [character for character in COMMANDING if character in text]


def console(terminal: bool = False) -> PlainConsole:
    """A console whose output can be read back, without colors even where it takes itself for a terminal."""
    made = PlainConsole(width=300)
    made.file = io.StringIO()
    made._force_terminal = terminal
    made._color_system = None
    return made


def said(of: PlainConsole) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain äöü 漢字 🙂\n\tnext", "plain äöü 漢字 🙂\n\tnext"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("\x9b\u202e\r\x00\x7f", "\\x9b\\u202e\\r\\x00\\x7f"),
        ("\ud800 \U000e0041", "\\ud800 \\U000e0041"),
        ("10\u00a0000\u202f€", "10\u00a0000\u202f€"),
    ],
)
def test_what_commands_a_terminal_is_spelt_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


@pytest.mark.parametrize(
    "renderable",
    [
        HOSTILE,
        Text(HOSTILE),
        Rule(HOSTILE),
        Syntax(SOURCE + CONTROLS, "python", line_numbers=True, word_wrap=True),
        Syntax(SOURCE + CONTROLS, "diff"),
    ],
)
def test_a_console_shows_text_as_it_stands(renderable: Any) -> None:
    out = console()
    out.print(renderable)
    harmless(said(out))
    assert "[/x][red]w[link=file:///x]:smile:" in said(out) and "\\x1b[2J" in said(out)


def test_every_part_of_a_table_is_text() -> None:
    table = Table(HOSTILE, title=HOSTILE, caption=HOSTILE)
    table.add_column(HOSTILE, footer=HOSTILE)
    table.add_row(HOSTILE, Text(HOSTILE))
    out = console()
    out.print(table)
    harmless(said(out))
    assert said(out).count("[/x][red]w") == 6


def test_a_cell_is_as_wide_as_what_is_shown_of_it() -> None:
    table = Table("a")
    table.add_row("\x1b" * 8)
    out = console()
    out.print(table)
    lines = [line for line in said(out).splitlines() if line]
    assert said(out).count("\\x1b") == 8 and len({len(line) for line in lines}) == 1


def test_a_terminal_still_gets_its_styles() -> None:
    out = console(terminal=True)
    out._color_system = None
    out.show_cursor(False)
    assert said(out) == "\x1b[?25l"


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """A run in which every text is hostile."""
    made = RunStore.create(tmp_path / "run[/4]", {"task": "cartpole"})
    program = RewardProgram(SOURCE)
    made.add_program(
        program, {"iteration": 0, "slot": 0, "round": 0, "idea": HOSTILE, "revision_of": None, "status": HOSTILE}
    )
    folder = f"candidates/{program.id}"
    evidence = [{"episode": HOSTILE, "step": 1, "what": HOSTILE}]
    change = {"level": HOSTILE, "advice": HOSTILE}
    curve = [{"env_steps": 1, "success": 0.5, "task_return": 0.5, "length": 1.0, "entropy": 1.0,
              "components": {HOSTILE: [0.0, 0.0, 0.0]}}]  # fmt: skip
    training = {"fitness": SUMMARY, "measure": HOSTILE, "seeds": [{"seed": 0, "fitness": 0.5, "curve": curve}]}
    made.write_json(f"{folder}/verification.json", verification())
    made.write_json(f"{folder}/critique.json", {"approve": False, "reasons": [HOSTILE]})
    made.write_json(f"{folder}/training.json", training)
    made.write_json(f"{folder}/analysis.json", {"diagnosis": HOSTILE, "evidence": evidence, "change": change})
    return made


def verification() -> dict[str, Any]:
    violation = {"stage": HOSTILE, "kind": HOSTILE, "rule": HOSTILE, "line": 3, "message": HOSTILE}
    return {
        "ok": False,
        "status": HOSTILE,
        "gate": True,
        "sandbox": {"backend": HOSTILE, "layers": [HOSTILE]},
        "violations": [violation],
        "measured": {"warnings": [HOSTILE]},
        "audit": {"verdict": HOSTILE},
        "components": {HOSTILE: {"min": 0.0, "mean": 0.0, "max": 0.0, "std": 0.0, "share": None}},
    }


def scorecard(candidate: str) -> dict[str, Any]:
    gain = {"iqm": 0.1, "low": 0.05, "high": 0.2, "seeds": 5}
    return {
        "task": HOSTILE,
        "model": HOSTILE,
        "measure": HOSTILE,
        "best": {"id": HOSTILE, "fitness": SUMMARY, "gain_over_native": gain},
        "controls": {HOSTILE: {"fitness": SUMMARY}},
        "candidates": [{"id": candidate, "fitness": SUMMARY, "iteration": HOSTILE, "status": HOSTILE}],
        "cost": {"env_steps": 1, "tokens": 1, "usd": None, "seconds": 1.0},
        "stopped_by": HOSTILE,
    }


def test_every_view_of_a_run_shows_its_texts_as_data(store: RunStore) -> None:
    (candidate,) = store.candidate_ids()
    task = catalog.load("cartpole")
    views = {
        "scorecard": (scorecard_view(scorecard(candidate)), 7),
        "run": (run_view(store, scorecard(candidate)), 9),
        "candidate": (candidate_view(store, task, candidate), 18),
        "verification": (verification_view(verification()), 9),
        "diff": (diff_view(store, candidate, candidate), 0),
    }
    for name, (view, least) in views.items():
        out = console()
        print_view(out, view)
        harmless(said(out))
        assert "".join(said(out).split()).count("[/x][red]w[link=file:///x]:smile:") >= least, name


def test_what_a_program_costs_is_told_where_it_was_measured() -> None:
    for measured, told in (({"milliseconds": 12.34}, True), ({"milliseconds": 0.0}, False), ({}, False)):
        out = console()
        print_view(out, verification_view({**verification(), "measured": measured}))
        assert ("a call with 2,048 transitions takes 12.3 ms" in said(out)) == told


def test_a_review_shows_an_idea_as_data(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    out = console()
    monkeypatch.setattr(sys, "stdin", io.StringIO("r\n"))
    candidates = list(store.candidate_ids())
    assert ask(out, Display(out), store, {"candidates": candidates}) == {"reject": candidates}
    harmless(said(out))
    assert said(out).count("[/x][red]w") == 2 and "[a]ccept, [r]eject" in said(out)


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_shows_events_as_data(terminal: bool) -> None:
    out = console()
    display = Display(out)
    slot = {"candidate": 1, "role": "designer"}
    display.event({"event": "written", "elapsed": 1.0, "slot": slot, "candidate": HOSTILE, "idea": HOSTILE})
    display.event({"event": "model_failed", "elapsed": 1.0, "attempt": 1, "problem": HOSTILE})
    out.print(display._panel())
    harmless(said(out))
    assert said(out).count("[/x][red]w") == 4


def test_an_evaluation_stands_beside_the_curves_of_its_training() -> None:
    out = console()
    display = Display(out)
    for step, success in enumerate((0.0, 0.5, 1.0)):
        point = Point(
            env_steps=step,
            episodes=1,
            success=success,
            task_return=None,
            length=None,
            paid=0.0,
            components={},
            entropy=0.0,
        )
        training = Progress(env_steps=step, of_env_steps=3, steps_per_second=1.0, latest={"native": point})
        display.progress("selection", training)
    for steps in (100, 200):
        evaluation = Progress(env_steps=steps, of_env_steps=300, steps_per_second=1.0, latest={}, at_most=True)
        display.progress("selection, evaluation", evaluation)
    out.print(display._panel())
    assert "▁▅█" in said(out) and "evaluation: 200 of at most 300 env steps" in said(out)
    display.progress("confirmation", training)
    out.print(display._panel())
    assert said(out).count("▁▅█") == 1


def test_json_holds_the_texts_and_commands_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"idea": HOSTILE + "\ud800é"})
    out = capsys.readouterr().out
    harmless(out)
    assert out.isascii() and json.loads(out) == {"idea": HOSTILE + "\ud800é"}


def test_the_last_words_of_a_command_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    given = HOSTILE.replace("\0", "")
    assert run(["show", given]) == USER
    assert run(["verify", given, "--task", "cartpole"]) == USER
    assert run(["design", "walk [/end]", "--env", given]) == USER
    said = capsys.readouterr().err
    harmless(said)
    assert said.count("[/x][red]w") >= 3


def test_all_output_goes_one_way() -> None:
    """Only the module of the console makes consoles, and prints; the command's last words are its own."""
    allowed = {("output.py", "Console"), ("output.py", "print"), ("main.py", "print")}
    found = set()
    for path in Path(designer.__file__).parent.glob("*.py"):
        for node in ast.walk(gate.parsed(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "Console"):
                found.add((path.name, node.func.id))
            markup = isinstance(node, ast.Attribute) and node.attr in ("from_markup", "from_ansi", "stderr", "stdout")
            if markup and path.name not in ("output.py", "main.py", "exits.py"):
                found.add((path.name, ast.unparse(node)))
    assert found <= allowed
    assert isinstance(wide_console(), PlainConsole) and isinstance(wide_console(stderr=True), PlainConsole)
