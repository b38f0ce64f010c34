"""The three agents: each turns facts into messages, and a model's reply into a typed value.

A reply that cannot be used is answered with what was wrong with it, ``MENDS`` times at most; then ``BadReply``
goes up, and whoever asked drops what it asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from jinja2 import Environment, StrictUndefined

import prompts
from designer.asking import Models, Reply
from designer.llm import Message
from designer.replies import (
    Analysis,
    BadReply,
    Critique,
    Design,
    Role,
    parse_analysis,
    parse_critique,
    parse_design,
)
from designer.store import Json, RunStore, finite
from sandbox.program import Form

MENDS = 2
"""How often a bad reply is sent back."""
_ECHO = 6_000
"""Characters of a bad reply that are shown to its writer again."""
_ECHO_CUT = 600
"""As many of one that ran into the length limit: a model that went in circles would go on where it reads them."""
_TEMPLATES = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
T = TypeVar("T")


def facts_block(facts: Json) -> str:
    """Facts as JSON that cannot end the fence around it, whatever text they hold."""
    return json.dumps(finite(facts), ensure_ascii=True, allow_nan=False).replace("`", "\\u0060")


def render(name: str, **values: Any) -> str:
    """A prompt of ``prompts/`` filled in. Values are data: they are never read as templates."""
    return _TEMPLATES.from_string(prompts.text(name)).render(**values).strip()


class Agents:
    """Designer, critic and trajectory analyzer, over one run's models."""

    def __init__(self, models: Models, store: RunStore) -> None:
        self._models = models
        self._store = store

    def design(self, facts: Json, candidates: int, slot: Mapping[str, int]) -> Design:
        """A new program, or a mended one where ``facts["refused"]`` says what was wrong. Raises ``BadReply``."""
        if facts["refused"] is None:
            words = render(
                "designer.user.md",
                slot=slot,
                candidates=candidates,
                programs=facts["programs"],
                drafts=facts["drafts"],
                analysis=facts["analysis"],
                comments=facts["comments"],
                facts=facts_block(facts),
            )
        else:
            words = render("designer.repair.md", facts=facts_block(facts))
        return self._ask("designer", facts["form"], words, slot, lambda reply: parse_design(reply.text, reply.finish))

    def criticize(self, facts: Json, slot: Mapping[str, int]) -> Critique:
        """A critic's view of a verified program. Raises ``BadReply``."""
        words = render("critic.user.md", facts=facts_block(facts))
        return self._ask("critic", facts["form"], words, slot, lambda reply: parse_critique(reply.text, reply.finish))

    def analyze(self, facts: Json, episodes: dict[str, int], slot: Mapping[str, int]) -> Analysis:
        """Why a training failed, citing episodes that exist. Raises ``BadReply``."""
        words = render("analyzer.user.md", facts=facts_block(facts))
        return self._ask(
            "analyzer", facts["form"], words, slot, lambda reply: parse_analysis(reply.text, episodes, reply.finish)
        )

    def _ask(self, role: Role, form: Form, words: str, slot: Mapping[str, int], parse: Callable[[Reply], T]) -> T:
        start: Sequence[Message] = [
            {"role": "system", "content": render(f"{role}.{form}.md")},
            {"role": "user", "content": words},
        ]
        messages = list(start)
        for mend in range(MENDS + 1):
            reply = self._models.ask(role, messages, {**slot, "mend": mend})
            try:
                found = parse(reply)
            except BadReply as problem:
                self._store.event(
                    "bad_reply",
                    request=reply.request,
                    slot={"role": role, **slot, "mend": mend},
                    problem=str(problem),
                )
                if mend == MENDS:
                    raise
                messages = [
                    *start,
                    {"role": "assistant", "content": _echo(reply)},
                    {"role": "user", "content": render("repair.md", problem=_unfenced(str(problem)))},
                ]
            else:
                self._store.event(
                    "good_reply",
                    request=reply.request,
                    slot={"role": role, **slot, "mend": mend},
                    repaired=mend > 0,
                )
                return found
        raise AssertionError("the loop above returns or raises")


def _echo(reply: Reply) -> str:
    return reply.text[: _ECHO_CUT if reply.finish == "length" else _ECHO] or "(empty)"


def _unfenced(problem: str) -> str:
    """One line that opens no block: what was wrong with a reply may quote it."""
    return " ".join(problem.replace("`", "'").split())
