"""From a model's text to a typed reply, or to a sentence that says what was wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

import prompts
from designer.redaction import without_keys

Role = Literal["designer", "critic", "analyzer"]
# No pattern here may look at a character more than a few times: a reply is hostile, and matching holds the GIL.
_FENCE = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
_LINE_BREAK = re.compile(r"\r\n?")
_USES_NP = re.compile(r"\bnp\.")
_HAS_NP = re.compile(r"^[ \t]*(?:import|from)[ \t]+numpy\b|\bnp[ \t]*=", re.MULTILINE)
MAX_REPLY = 1 << 16
"""Characters of a reply that are looked at, 32 for each token that it may have; more is refused."""
_ERRORS = 64
"""Errors among which the one to tell is looked for."""
_READINGS = 16
"""Fenced blocks that are tried as JSON."""


class BadReply(Exception):
    """The reply cannot be used; the message is an answer to the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The designer's reply."""

    idea: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Critique:
    """The critic's reply."""

    approve: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One thing that the analyzer saw: a step of a recorded episode."""

    episode: str
    step: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """The trajectory analyzer's reply."""

    diagnosis: str
    evidence: tuple[Evidence, ...]
    level: Literal["scale", "structure", "rebuild"]
    advice: str


@cache
def schema(role: Role) -> dict[str, Any]:
    """JSON Schema of a role's reply."""
    found: dict[str, Any] = json.loads(prompts.text(f"{role}.reply.json"))
    Draft202012Validator.check_schema(found)
    return found


def response_format(role: Role) -> dict[str, Any]:
    """The reply's schema as ``response_format`` asks for it; never relied on, as many servers ignore it."""
    plain = {k: v for k, v in schema(role).items() if k not in ("$schema", "title")}
    return {"type": "json_schema", "json_schema": {"name": f"{role}_reply", "schema": plain}}


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object that the text is, or None. Raw line breaks inside strings are let pass."""
    try:
        found = json.loads(text, parse_constant=_refuse_constant, strict=False)
        return _cleaned(found, without_keys()) if isinstance(found, dict) else None
    except (ValueError, RecursionError):
        return None


def _cleaned(found: Any, clean: Callable[[str], str]) -> Any:
    """The same, cleaned of what a text can hide behind JSON's escapes: keys, and half a surrogate pair."""
    if isinstance(found, str):
        return clean(found)
    if isinstance(found, dict):
        return {clean(name): _cleaned(value, clean) for name, value in found.items()}
    return [_cleaned(value, clean) for value in found] if isinstance(found, list) else found


def _candidates(text: str) -> list[dict[str, Any]]:
    """The readings of the reply as a JSON object: whole, fenced, or from its first brace to its last."""
    first, last = text.find("{"), text.rfind("}")
    readings = [text, *(block[1] for block in islice(_FENCE.finditer(text), _READINGS))]
    if 0 <= first < last:
        readings.append(text[first : last + 1])
    return [found for reading in readings if (found := _object(reading.strip())) is not None]


def _unfence(code: str) -> str:
    """Code without the fence that a model may put around it inside a JSON string."""
    blocks = _FENCE.findall(code)
    return blocks[0] if len(blocks) == 1 and code.strip().startswith("```") else code


def _with_line_feeds(text: str) -> str:
    """Text whose lines all end alike: Python, a diff and a person must see the same lines of a program."""
    return _LINE_BREAK.sub("\n", text)


def _importing(code: str) -> str:
    """Code that speaks of ``np`` without importing it, with the import: the slip that models make most."""
    return f"import numpy as np\n\n\n{code}" if _USES_NP.search(code) and not _HAS_NP.search(code) else code


def _valid(role: Role, text: str) -> dict[str, Any]:
    validator = Draft202012Validator(schema(role))
    readings = _candidates(text)
    for reading in readings:
        if validator.is_valid(reading):
            return reading
    if not readings:
        raise BadReply("It holds no JSON object.")
    error = best_match(islice(validator.iter_errors(readings[0]), _ERRORS))
    raise BadReply(f"Its JSON does not fit the schema: at {error.json_path}: {error.message[:300]}.")


def _check_size(text: str, finish: str | None) -> None:
    if not text.strip():
        raise BadReply("It is empty.")
    if len(text) > MAX_REPLY:
        raise BadReply(f"It is {len(text)} characters long; at most {MAX_REPLY} are read.")
    if finish == "length" and not _candidates(text) and len(_FENCE.findall(text)) != 1:
        raise BadReply("It was cut off at the length limit: answer more briefly.")


def parse_design(text: str, finish: str | None = None) -> Design:
    """The designer's reply: the schema's JSON or, failing that, code in one fenced block. Raises ``BadReply``."""
    _check_size(text, finish)
    try:
        found = _valid("designer", text)
        code = _unfence(_with_line_feeds(found["code"]))
        return Design(idea=" ".join(found["idea"].split()), code=_importing(code))
    except BadReply as problem:
        text = _with_line_feeds(text)
        blocks = [body for body in _FENCE.findall(text) if "def compute_" in body]
        if len(blocks) == 1 and _object(blocks[0].strip()) is None:
            prose = " ".join(_FENCE.sub(" ", text).split())
            _check_length(blocks[0])
            return Design(idea=prose[:200] or "(no idea was stated)", code=_importing(blocks[0]))
        if len(blocks) > 1:
            raise BadReply(f"It holds {len(blocks)} blocks of code; send one program.") from problem
        raise


def _check_length(code: str) -> None:
    """The schema's limit, for code that no schema was asked about."""
    most = schema("designer")["properties"]["code"]["maxLength"]
    if len(code) > most:
        raise BadReply(f"Its code is {len(code)} characters long; at most {most} are read.")


def parse_critique(text: str, finish: str | None = None) -> Critique:
    """The critic's reply. Raises ``BadReply``."""
    _check_size(text, finish)
    found = _valid("critic", text)
    if not found["approve"] and not found["reasons"]:
        raise BadReply("It sends the program back without a reason; give at least one.")
    return Critique(approve=found["approve"], reasons=tuple(found["reasons"]))


def parse_analysis(text: str, episodes: dict[str, int], finish: str | None = None) -> Analysis:
    """The analyzer's reply; ``episodes`` maps the ids it may cite to their lengths. Raises ``BadReply``."""
    _check_size(text, finish)
    found = _valid("analyzer", text)
    evidence = tuple(Evidence(**row) for row in found["evidence"])
    for row in evidence:
        if row.episode not in episodes:
            known = ", ".join(episodes) or "none"
            raise BadReply(f"It cites episode {row.episode!r}, which does not exist; there are: {known}.")
        if row.step >= episodes[row.episode]:
            raise BadReply(
                f"It cites step {row.step} of episode {row.episode}, which has {episodes[row.episode]} steps "
                "(the first is 0)."
            )
    change = found["change"]
    return Analysis(diagnosis=found["diagnosis"], evidence=evidence, level=change["level"], advice=change["advice"])
