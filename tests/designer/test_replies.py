from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("[" * 100_000, None, "no JSON object"),
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
