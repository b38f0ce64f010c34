from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from designer import replies
from designer.replies import (
    MAX_REPLY,
    Analysis,
    BadReply,
    Critique,
    Design,
    parse_analysis,
    parse_critique,
    parse_design,
    response_format,
)

CODE = "def compute_reward(state, action, next_state):\n    return {'a': 0}\n"
ANALYSIS = {
    "diagnosis": "it never opens the door",
    "evidence": [{"episode": "e0", "step": 3, "what": "it turns"}],
    "change": {"level": "scale", "advice": "more"},
}


def test_the_schemas_json_is_read() -> None:
    assert parse_design(json.dumps({"idea": "pay for\n keys", "code": CODE})) == Design(idea="pay for keys", code=CODE)


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "Here it is:\n```\n{}\n```\nGood luck", "text {} more text"])
def test_json_is_found_inside_fences_and_prose(fence: str) -> None:
    assert parse_design(fence.replace("{}", json.dumps({"idea": "i", "code": CODE}))).code == CODE


def test_raw_line_breaks_inside_json_strings_are_let_pass() -> None:
    assert parse_design('{"idea": "i", "code": "' + CODE.replace('"', "'") + '"}').code == CODE


def test_one_fenced_block_of_code_serves_where_the_json_is_missing() -> None:
    found = parse_design(f"I pay for progress.\n```python\n{CODE}```")
    assert found == Design(idea="I pay for progress.", code=CODE)


@pytest.mark.parametrize("head", ["", "import math\n\n", '"""np."""\n'])
def test_a_forgotten_import_of_numpy_is_added(head: str) -> None:
    code = f"{head}def compute_reward(s, a, n):\n    return {{'r': np.abs(s['x'])}}\n"
    assert parse_design(json.dumps({"idea": "i", "code": code})).code == f"import numpy as np\n\n\n{code}"
    assert parse_design(f"```python\n{code}```").code.startswith("import numpy as np\n")
    for present in ("import numpy as np", "from numpy import abs", "import numpy"):
        kept = f"{present}\n{code}"
        assert parse_design(json.dumps({"idea": "i", "code": kept})).code == kept


def test_a_fence_inside_the_json_string_is_taken_off() -> None:
    assert parse_design(json.dumps({"idea": "i", "code": f"```python\n{CODE}```"})).code == CODE


@pytest.mark.parametrize(
    ("text", "finish", "says"),
    [
        ("", None, "empty"),
        ("   \n", None, "empty"),
        ("I cannot do that.", None, "no JSON object"),
        ('{"idea": "i"}', None, "code"),
        ('{"idea": 1, "code": "x"}', None, "idea"),
        ('{"idea": "i", "code": "x", "extra": NaN}', None, "no JSON object"),
        ('{"idea": "i", "code": "def compute_rew', "length", "cut off"),
        (f"```python\n{CODE}```\n```python\n{CODE}```", None, "2 blocks"),
        ("x" * (MAX_REPLY + 1), None, "characters long"),
        ("[" * 60_000, None, "no JSON object"),
        (f"```python\n{CODE}{'#' * 20_000}\n```", None, "code is 20068 characters long"),
    ],
)
def test_a_bad_design_says_what_was_wrong(text: str, finish: str | None, says: str) -> None:
    with pytest.raises(BadReply, match=says):
        parse_design(text, finish)


@given(st.text())
def test_any_text_is_a_design_or_a_bad_reply(text: str) -> None:
    try:
        assert isinstance(parse_design(text), Design)
    except BadReply as error:
        assert str(error)


def test_a_critique_is_read_and_a_refusal_needs_reasons() -> None:
    assert parse_critique('{"approve": true, "reasons": []}') == Critique(approve=True, reasons=())
    with pytest.raises(BadReply, match="without a reason"):
        parse_critique('{"approve": false, "reasons": []}')


def test_an_analysis_cites_only_what_exists() -> None:
    assert isinstance(parse_analysis(json.dumps(ANALYSIS), {"e0": 4}), Analysis)
    with pytest.raises(BadReply, match="step 3 of episode e0, which has 3 steps"):
        parse_analysis(json.dumps(ANALYSIS), {"e0": 3})
    with pytest.raises(BadReply, match="'e0', which does not exist; there are: e1"):
        parse_analysis(json.dumps(ANALYSIS), {"e1": 9})


def test_response_formats_carry_the_schema() -> None:
    asked = response_format("critic")
    assert asked["json_schema"]["schema"]["required"] == ["approve", "reasons"]


LONG = 200_000
PATHOLOGICAL = {
    "a fence and spaces": "```" + " " * LONG,
    "a fence and tabs": "```" + "\t\r" * (LONG // 2) + "\n",
    "fences without an end of line": ("```" + "a" * 50) * (LONG // 53),
    "fences": "```\n" * (LONG // 4),
    "fences of a letter": "```\nx" * (LONG // 5),
    "backticks": "`" * LONG + "\n",
    "empty lines": "```\ndef compute_\nnp." + "\n" * LONG + "```",
    "empty lines in JSON": '{"idea": "i", "code": "np.' + "\\n" * 19_000 + '"}',
    "np and spaces": "```\ndef compute_ np.np" + " " * LONG + "```",
    "imports": "```\ndef compute_ np." + "\nimport " * (LONG // 8) + "```",
    "brackets": "[" * LONG,
    "braces": '{"a":' * (LONG // 5),
    "objects": "```\n{}```" * (LONG // 9),
    "half designs": '```\n{"idea":1}```' * (LONG // 17),
    "programs": "```\ndef compute_```" * (LONG // 19),
    "evidence": '{"diagnosis": "d", "evidence": [' + "{}," * (LONG // 3) + '1], "change": {}}',
    "strings": '{"a": [' + '"b",' * (LONG // 4) + "1]}",
    "digits": '{"a":' + "1" * LONG + "}",
    "returns": "\r" * LONG,
    "blanks": " " * LONG + "x",
}


@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_no_reply_holds_the_processor(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also past the cap on a reply's length, which alone would hide a pattern that takes quadratic time."""
    monkeypatch.setattr(replies, "MAX_REPLY", 2 * LONG)
    monkeypatch.setattr(replies, "_check_length", lambda code: None)
    for parse in (parse_design, parse_critique, lambda text: parse_analysis(text, {"e0": 3})):
        begun = time.process_time()
        with suppress(BadReply):
            parse(PATHOLOGICAL[name])
        assert time.process_time() - begun < 1


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_every_line_of_a_program_ends_with_a_line_feed(end: str) -> None:
    """Else a person, a diff and Python would each see other lines."""
    code = CODE.replace("\n", end)
    assert parse_design(json.dumps({"idea": "i", "code": code})).code == CODE
    assert parse_design(json.dumps({"idea": "i", "code": f"```python{end}{code}```"})).code == CODE
    assert parse_design(f"```python{end}{code}```").code == CODE


def test_a_key_behind_escapes_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary0123456789")
    hidden = "\\u0073k-canary0123456789"
    told = f'{{"idea": "{hidden}", "code": "# {hidden}"}}'
    assert "canary" not in told.replace(hidden, "") and "<OPENAI_API_KEY>" in parse_design(told).code
    assert "canary" not in str(parse_design(told))
    assert "canary" not in str(parse_critique(f'{{"approve": false, "reasons": ["{hidden}"]}}'))
    with pytest.raises(BadReply) as refused:
        parse_design(f'{{"idea": "i", "code": "x", "{hidden}": 1}}')
    assert "canary" not in str(refused.value)
