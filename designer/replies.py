"""From a model's text to a typed reply, or to a sentence that says what was wrong with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

import prompts

Role = Literal["designer", "critic", "analyzer"]
_FENCE = re.compile(r"```[ \t]*([A-Za-z0-9_+-]*)[ \t]*\r?\n(.*?)```", re.DOTALL)
_USES_NP = re.compile(r"\bnp\.")
_HAS_NP = re.compile(r"^\s*(?:import|from)\s+numpy\b|\bnp\s*=", re.MULTILINE)
MAX_REPLY = 200_000
"""Characters of a reply that are looked at; more is refused."""


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
    except (ValueError, RecursionError):
        return None
    return _as_utf8(found) if isinstance(found, dict) else None


def _as_utf8(found: dict[str, Any]) -> dict[str, Any]:
    """The same with a question mark for what JSON can escape and UTF-8 cannot hold: half a surrogate pair."""
    text = json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")
    whole: dict[str, Any] = json.loads(text)
    return whole


def _candidates(text: str) -> list[dict[str, Any]]:
    """Every reading of the reply as a JSON object: whole, fenced, or from its first brace to its last."""
    first, last = text.find("{"), text.rfind("}")
    readings = [text, *(body for _, body in _FENCE.findall(text))]
    if 0 <= first < last:
        readings.append(text[first : last + 1])
    return [found for reading in readings if (found := _object(reading.strip())) is not None]


def _unfence(code: str) -> str:
    """Code without the fence that a model may put around it inside a JSON string."""
    blocks = _FENCE.findall(code)
    return blocks[0][1] if len(blocks) == 1 and code.strip().startswith("```") else code


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
    error = best_match(validator.iter_errors(readings[0]))
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
        return Design(idea=" ".join(found["idea"].split()), code=_importing(_unfence(found["code"])))
    except BadReply as problem:
        blocks = [body for _, body in _FENCE.findall(text) if "def compute_" in body]
        if len(blocks) == 1 and _object(blocks[0].strip()) is None:
            prose = " ".join(_FENCE.sub(" ", text).split())
            return Design(idea=prose[:200] or "(no idea was stated)", code=_importing(blocks[0]))
        if len(blocks) > 1:
            raise BadReply(f"It holds {len(blocks)} blocks of code; send one program.") from problem
        raise


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
