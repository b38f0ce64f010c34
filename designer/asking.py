"""Asks models, each request once: the one owner of retries, time-outs and accounting.

Every request carries its slot (role, iteration, candidate, round), which is part of its hash: K candidates get K
replies, and the same request is never bought twice, also not by a resumed run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from designer.budget import Budget
from designer.exchange import Transient
from designer.llm import FormatRefused, Message, complete
from designer.replies import Role, response_format
from designer.settings import DesignSettings
from designer.store import Json, RunStore, digest
from sandbox.errors import InfraError

MAX_TOKENS = 2_048
"""Most tokens of one reply."""
ATTEMPTS = 5
COSTLY_ATTEMPTS = 2
"""A server that hangs or floods is asked twice at most: each try costs a whole time-out, or megabytes."""
FIRST_PAUSE = 1.0
"""Seconds before the second attempt; doubled each time."""
LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model said, as text that nobody trusts yet."""

    text: str
    finish: str | None
    """``stop``, ``length`` ...; None when the server did not say."""
    request: str
    """Hash of the request: ``llm/<hash>.json``."""
    cached: bool


class Models:
    """Asks models, each request once. Thread-safe."""

    def __init__(self, settings: DesignSettings, store: RunStore, budget: Budget) -> None:
        self._settings = settings
        self._store = store
        self._budget = budget
        self._slots = threading.BoundedSemaphore(settings.concurrency)
        self._plain: set[str] = set()
        """Models whose server refused ``response_format``."""

    def ask(self, role: Role, messages: Sequence[Message], slot: Mapping[str, int]) -> Reply:
        """One reply. Raises ``InfraError``, ``UserError``, ``CapReached`` or ``Interrupted``."""
        model = self._settings.model_of(role)
        request: Json = {
            "model": model,
            "messages": list(messages),
            "temperature": self._settings.temperature if role == "designer" else 0.2,
            "max_tokens": MAX_TOKENS,
            "schema": f"{role}.reply",
            "slot": {"role": role, **slot},
        }
        name = digest(request)
        kept = self._store.read_json(f"llm/{name}.json")
        if kept is not None:
            return Reply(text=kept["reply"]["text"], finish=kept["reply"]["finish"], request=name, cached=True)
        with self._slots:
            reply = self._buy(role, request, name)
        return Reply(text=reply["text"], finish=reply["finish"], request=name, cached=False)

    def _buy(self, role: Role, request: Json, name: str) -> Json:
        failures = costly = 0
        while True:
            self._budget.check_models()
            started = time.monotonic()
            try:
                reply = self._complete(role, request)
            except Transient as problem:
                failures += 1
                costly += problem.costly
                self._store.event(
                    "model_failed", request=name, slot=request["slot"], attempt=failures, problem=problem.what
                )
                self._budget.check_models()
                if failures >= ATTEMPTS or costly >= COSTLY_ATTEMPTS:
                    raise InfraError(
                        f"The model {request['model']} gave no reply after {failures} attempts; the last: "
                        f"{problem.what}. Nothing is lost: mend it and run `rewardsmith resume {self._store.root}`."
                    ) from problem
                self._budget.pause(
                    min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1) if problem.wait is None else problem.wait)
                )
                continue
            self._store.write_json(f"llm/{name}.json", {"request": request, "reply": reply})
            self._budget.add_reply(reply["prompt_tokens"], reply["completion_tokens"], reply["usd"])
            self._store.event(
                "reply",
                request=name,
                slot=request["slot"],
                model=request["model"],
                seconds=round(time.monotonic() - started, 2),
                finish=reply["finish"],
                **{k: reply[k] for k in ("prompt_tokens", "completion_tokens", "tokens_estimated", "usd")},
            )
            return reply

    def _complete(self, role: Role, request: Json) -> Json:
        """One call, with the role's format where the server takes one. Raises ``Transient`` or ``UserError``."""
        left, timeout = self._budget.model_seconds_left(), self._settings.model_timeout
        model = request["model"]
        try:
            return complete(
                {key: request[key] for key in ("model", "messages", "temperature", "max_tokens")},
                response_format=None if model in self._plain else response_format(role),
                base=self._settings.api_base,
                seconds=timeout if left is None else max(1.0, min(timeout, left)),
            )
        except FormatRefused:
            self._plain.add(model)
            raise
