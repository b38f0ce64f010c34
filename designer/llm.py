"""The one door to language models: LiteLLM behind a cache, with one owner of retries, time-outs and accounting.

Every request carries its slot (role, iteration, candidate, round), which is part of its hash: K candidates get K
replies, and the same request is never bought twice, also not by a resumed run.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from designer.budget import Budget
from designer.replies import Role, response_format
from designer.settings import DesignSettings
from designer.store import Json, RunStore, digest
from envs.errors import UserError
from sandbox.errors import InfraError

Message = dict[str, str]
MAX_TOKENS = 2_048
"""Most tokens of one reply."""
MAX_CHARACTERS = 1 << 18
"""Most characters that are kept of one reply, whatever a server sends."""
ATTEMPTS = 5
TIMEOUT_ATTEMPTS = 2
"""A server that hangs is asked twice at most: each try costs a whole time-out."""
FIRST_PAUSE = 1.0
"""Seconds before the second attempt; doubled each time."""
LONGEST_PAUSE = 30.0
_OFFLINE = "offline/rewardsmith"


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
        failures = timeouts = 0
        while True:
            self._budget.check_models()
            started = time.monotonic()
            try:
                reply = self._complete(role, request)
            except _Transient as problem:
                failures += 1
                timeouts += problem.timeout
                self._store.event(
                    "model_failed", request=name, slot=request["slot"], attempt=failures, problem=problem.what
                )
                if failures >= ATTEMPTS or timeouts >= TIMEOUT_ATTEMPTS:
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
                **{k: reply[k] for k in ("prompt_tokens", "completion_tokens", "usd")},
            )
            return reply

    def _complete(self, role: Role, request: Json) -> Json:
        """One call over the wire. Raises ``_Transient`` where another try may help, else ``UserError``."""
        litellm = _litellm()
        timeout = self._settings.model_timeout
        left = self._budget.seconds_left()
        model, base = _route(request["model"], self._settings.api_base)
        extra = {} if model in self._plain else {"response_format": response_format(role)}
        try:
            response = litellm.completion(
                model=model,
                messages=request["messages"],
                temperature=request["temperature"],
                max_tokens=request["max_tokens"],
                timeout=timeout if left is None else max(1.0, min(timeout, left)),
                api_base=base,
                api_key=_key(base),
                max_retries=0,
                num_retries=0,
                drop_params=True,
                **extra,
            )
        except litellm.Timeout as error:
            raise _Transient(f"no reply within {timeout:g} s", timeout=True) from error
        except litellm.AuthenticationError as error:
            raise UserError(f"{model} refuses the key: {_short(error)}. `rewardsmith doctor` lists keys.") from error
        except litellm.NotFoundError as error:
            raise UserError(f"{model} cannot be used: {_short(error)}. Check --model and --api-base.") from error
        except litellm.ContextWindowExceededError as error:
            raise UserError(
                f"The prompt is longer than {model} can read: {_short(error)}. Choose a model with more context."
            ) from error
        except litellm.BadRequestError as error:
            if extra:
                self._plain.add(model)
                raise _Transient(f"response_format refused: {_short(error)}", wait=0.01) from error
            raise UserError(f"{model} refuses the request: {_short(error)}. Check --model.") from error
        except litellm.RateLimitError as error:
            raise _Transient(f"429: {_short(error)}", wait=_retry_after(error)) from error
        except _openai().OpenAIError as error:
            if getattr(error, "status_code", None) == 403:
                raise UserError(f"{model} may not be used with this key: {_short(error)}.") from error
            raise _Transient(f"{type(error).__name__}: {_short(error)}") from error
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            # The client library met a body that is no chat completion.
            raise _Transient(f"malformed answer: {type(error).__name__}: {_short(error)}") from error
        return _read(response, offline_model=model.startswith("offline/"))


def check_models(settings: DesignSettings) -> None:
    """Raise ``UserError`` where a role's model cannot be asked, before anything is paid for or trained.

    That is: its provider is not known, its key is not set, or ``--max-usd`` could not be kept.
    """
    for model, base in {_route(settings.model_of(role), settings.api_base) for role in get_args(Role)}:
        if model.startswith("offline/"):
            continue
        if base is None:
            _require_provider(model)
        if settings.caps.usd is not None:
            _require_price(model)


def _require_provider(model: str) -> None:
    litellm = _litellm()
    try:
        litellm.get_llm_provider(model)
    except litellm.BadRequestError as error:
        raise UserError(
            f"--model {model!r}: no such model is known. Write provider/model (anthropic/claude-..., ollama/...), "
            "give --api-base for a server of your own, or use --model offline."
        ) from error
    missing = litellm.validate_environment(model)["missing_keys"]
    # Other variables than keys have defaults, or other ways to be given.
    if missing and all(name.endswith("_API_KEY") for name in missing):
        raise UserError(
            f"--model {model} needs a key: export {' or '.join(missing)}, give --api-base for a server of your own, "
            "or use --model offline."
        )


def _require_price(model: str) -> None:
    try:
        info = _litellm().get_model_info(model)
    except Exception as error:  # LiteLLM raises a bare Exception for a model it has no price of
        raise UserError(
            f"The price of {model} is not known, so --max-usd could not be kept. Use --max-tokens instead."
        ) from error
    if not info.get("input_cost_per_token"):
        raise UserError(f"The price of {model} is not known: use --max-tokens instead of --max-usd.")


def _route(model: str, base: str | None) -> tuple[str, str | None]:
    """LiteLLM's model name and the endpoint; a bare name behind ``--api-base`` is an OpenAI-compatible one."""
    if model == "offline" or model.startswith("offline/"):
        _offer_offline()
        return _OFFLINE, None
    if base is None or model.startswith("openai/"):
        return model, base
    return f"openai/{model}", base


class _Transient(Exception):
    """Another try may help."""

    def __init__(self, what: str, *, timeout: bool = False, wait: float | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.timeout = timeout
        self.wait = wait


def _litellm() -> Any:
    """LiteLLM, imported on first use (seconds) and kept from the network and from the terminal."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
    return litellm


def _offer_offline() -> None:
    """Make ``litellm.completion(model="offline/...")`` answer by our rules; once is enough, again does no harm."""
    litellm = _litellm()
    provider = _OFFLINE.partition("/")[0]
    if any(entry["provider"] == provider for entry in litellm.custom_provider_map):
        return
    from litellm.llms.custom_llm import CustomLLM
    from litellm.types.utils import Choices, Message, ModelResponse, Usage

    from designer import offline

    class Offline(CustomLLM):
        """Answers without a network; four characters count as a token."""

        def completion(self, *args: Any, **kwargs: Any) -> Any:
            """One reply to ``messages``."""
            messages = kwargs["messages"] if "messages" in kwargs else args[1]
            text = offline.reply(messages)
            asked = sum(len(str(message.get("content") or "")) for message in messages)
            prompt, said = asked // 4, len(text) // 4
            usage = Usage(prompt_tokens=prompt, completion_tokens=said, total_tokens=prompt + said)
            choice = Choices(index=0, finish_reason="stop", message=Message(content=text, role="assistant"))
            return ModelResponse(model=_OFFLINE, choices=[choice], usage=usage)

    litellm.custom_provider_map.append({"provider": provider, "custom_handler": Offline()})


def _openai() -> Any:
    """The OpenAI client, whose ``OpenAIError`` is the root of what LiteLLM raises."""
    import openai

    return openai


def _key(base: str | None) -> str | None:
    """A placeholder for local servers, which want some key; elsewhere LiteLLM reads the provider's own variable."""
    return None if base is None or os.environ.get("OPENAI_API_KEY") else "none"


def _short(error: BaseException) -> str:
    """An error in one line."""
    return _without_keys(" ".join(str(error).split()))[:300]


def _without_keys(text: str) -> str:
    """``text`` without what a server may have echoed of a key, and without what UTF-8 cannot hold."""
    for name, value in os.environ.items():
        if len(value) >= 8 and any(word in name.upper() for word in ("KEY", "TOKEN", "SECRET", "PASSWORD")):
            text = text.replace(value, f"<{name}>")
    return text.encode("utf-8", "replace").decode("utf-8")


def _retry_after(error: Any) -> float | None:
    """Seconds that the server asked for, where it did."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None


def _read(response: Any, *, offline_model: bool) -> Json:
    """Text, finish reason, tokens and price of a completion. Raises ``_Transient`` for one without a choice."""
    try:
        choice = response.choices[0]
        text, finish = choice.message.content or "", choice.finish_reason
    except (AttributeError, IndexError, TypeError) as error:
        raise _Transient("the answer holds no choice") from error
    if len(text) > MAX_CHARACTERS:
        text, finish = text[:MAX_CHARACTERS], "length"
    usage = getattr(response, "usage", None)
    usd = (getattr(response, "_hidden_params", None) or {}).get("response_cost")
    return {
        "text": _without_keys(str(text)),
        "finish": str(finish) if finish else None,
        "prompt_tokens": int(getattr(usage, "prompt_tokens", 0) or 0),
        "completion_tokens": int(getattr(usage, "completion_tokens", 0) or 0),
        # A price of nothing means that LiteLLM knows none, unless no model was asked.
        "usd": 0.0 if offline_model else (float(usd) if usd else None),
    }
