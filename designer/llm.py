"""The one door to language models: LiteLLM behind a cache, with one owner of retries, time-outs and accounting.

Every request carries its slot (role, iteration, candidate, round), which is part of its hash: K candidates get K
replies, and the same request is never bought twice, also not by a resumed run.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from designer.budget import Budget
from designer.redaction import redacted, without_keys
from designer.replies import Role, response_format
from designer.settings import DesignSettings
from designer.store import Json, RunStore, digest
from envs.errors import UserError
from sandbox.errors import InfraError

__all__ = ["Message", "Models", "Reply", "check_models", "redacted"]

Message = dict[str, str]
T = TypeVar("T")
MAX_TOKENS = 2_048
"""Most tokens of one reply."""
MAX_CHARACTERS = 1 << 17
"""Most characters that are kept of one reply, whatever a server sends."""
MAX_BODY = 1 << 20
"""Most bytes that are read of one answer behind ``--api-base``; a client library makes a hundred times that of it."""
MOST_COUNTED = 10**9
"""Most tokens that a server is believed for one request."""
CHARACTERS_PER_TOKEN = 4
"""For a server that does not count tokens."""
ATTEMPTS = 5
COSTLY_ATTEMPTS = 2
"""A server that hangs or floods is asked twice at most: each try costs a whole time-out, or megabytes."""
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
        failures = costly = 0
        while True:
            self._budget.check_models()
            started = time.monotonic()
            try:
                reply = self._complete(role, request)
            except _Transient as problem:
                failures += 1
                costly += problem.costly
                self._store.event(
                    "model_failed", request=name, slot=request["slot"], attempt=failures, problem=problem.what
                )
                self._budget.check_clock()
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
        """One call over the wire. Raises ``_Transient`` where another try may help, else ``UserError``."""
        litellm = _litellm()
        left = self._budget.seconds_left()
        timeout = self._settings.model_timeout
        seconds = timeout if left is None else max(1.0, min(timeout, left))
        model, base = _route(request["model"], self._settings.api_base)
        formatted = model not in self._plain
        arguments: Json = {
            "model": model,
            "messages": request["messages"],
            "temperature": request["temperature"],
            "max_tokens": request["max_tokens"],
            "timeout": seconds,
            "max_retries": 0,
            "num_retries": 0,
            "drop_params": True,
        }
        if formatted:
            arguments["response_format"] = response_format(role)
        if model == _OFFLINE:
            return _read(_ask_offline(arguments), request["messages"], free=True)
        exchange = None if base is None else _Exchange(base, seconds)
        if exchange is not None:
            arguments |= {"api_base": base, "api_key": _key(), "client": exchange.client}
        try:
            response = _within(seconds, lambda: litellm.completion(**arguments))
        except _Transient:
            raise
        except Exception as error:  # whatever a client library makes of a server's answer
            if exchange is not None and exchange.refused is not None:
                raise exchange.refused from error
            if formatted and _refuses_format(error):
                self._plain.add(model)
                raise _Transient(f"response_format refused: {_short(error)}", wait=0.01) from error
            raise _named(error, model, seconds) from error
        finally:
            if exchange is not None:
                exchange.close()
        return _read(response, request["messages"])


def _ask_offline(arguments: Json) -> Any:
    """The offline designer's completion. Raises ``_Transient``."""
    try:
        return _litellm().completion(**arguments)
    except Exception as error:  # LiteLLM makes one of its own of whatever a provider raises
        raise _Transient(f"{type(error).__name__}: {_short(error)}") from error


def _within(seconds: float, call: Callable[[], T]) -> T:
    """What ``call`` returns or raises; ``_Transient`` where it takes longer, and its thread is left to itself.

    No client library has a deadline over a whole exchange: their time-outs begin anew with each byte.
    """
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, name="model", daemon=True).start()
    if not wait([answer], timeout=seconds).done:
        raise _overdue(seconds)
    return answer.result()


class _Exchange:
    """One request to a server of the user's own, and the bounds on what it may answer: bytes, time, no redirects.

    Such a server may be anyone's. ``refused`` says which bound it broke; the client library hides that.
    """

    def __init__(self, base: str, seconds: float) -> None:
        self._httpx = _httpx()
        self._deadline = time.monotonic() + seconds
        self.refused: _Transient | UserError | None = None
        http = self._httpx.Client(
            event_hooks={"request": [self._ask_for_plain], "response": [self._admit]},
            follow_redirects=False,
            timeout=seconds,
        )
        self.client = _openai().OpenAI(api_key=_key(), base_url=base, http_client=http, max_retries=0, timeout=seconds)

    def close(self) -> None:
        """Close the connection, also below a thread that still reads from it."""
        self.client.close()

    def _ask_for_plain(self, request: Any) -> None:
        request.headers["accept-encoding"] = "identity"

    def _admit(self, response: Any) -> None:
        """Read the whole body within the bounds. Raises what ``refused`` then holds, or httpx's time-out."""
        if 300 <= response.status_code < 400:
            self._refuse(UserError(f"--api-base redirects ({response.status_code}): give the address it leads to."))
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            # A few kilobytes can inflate to gigabytes.
            self._refuse(_Transient("the answer is compressed, against what was asked for", costly=True))
        stream, body = response.stream, bytearray()
        for chunk in stream:
            body += chunk
            if len(body) > MAX_BODY:
                self._refuse(_Transient(f"the answer is too large: more than {MAX_BODY} bytes", costly=True))
            if time.monotonic() > self._deadline:
                raise self._httpx.ReadTimeout("the answer came too slowly", request=response.request)
        stream.close()
        response.stream = self._httpx.ByteStream(bytes(body))

    def _refuse(self, problem: _Transient | UserError) -> None:
        self.refused = problem
        raise problem


def _refuses_format(error: Exception) -> bool:
    litellm = _litellm()
    return isinstance(error, litellm.BadRequestError) and not isinstance(error, litellm.ContextWindowExceededError)


def _named(error: Exception, model: str, seconds: float) -> UserError | _Transient:
    """What a failed call comes to: ``_Transient`` where another try may help, else ``UserError``."""
    litellm, why = _litellm(), _short(error)
    if isinstance(error, litellm.Timeout):
        return _overdue(seconds)
    if isinstance(error, litellm.AuthenticationError):
        return UserError(f"{model} refuses the key: {why}. `rewardsmith doctor` lists keys.")
    if isinstance(error, litellm.NotFoundError):
        return UserError(f"{model} cannot be used: {why}. Check --model and --api-base.")
    if isinstance(error, litellm.ContextWindowExceededError):
        return UserError(f"The prompt is longer than {model} can read: {why}. Choose a model with more context.")
    if isinstance(error, litellm.BadRequestError):
        return UserError(f"{model} refuses the request: {why}. Check --model.")
    if isinstance(error, litellm.RateLimitError):
        return _Transient(f"429: {why}", wait=_retry_after(error))
    if not isinstance(error, _openai().OpenAIError):
        return _Transient(f"malformed answer: {type(error).__name__}: {why}")
    if getattr(error, "status_code", None) == 403:
        return UserError(f"{model} may not be used with this key: {why}.")
    return _Transient(f"{type(error).__name__}: {why}")


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

    def __init__(self, what: str, *, costly: bool = False, wait: float | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.costly = costly
        self.wait = wait


def _overdue(seconds: float) -> _Transient:
    return _Transient(f"no reply within {seconds:g} s", costly=True)


def _litellm() -> Any:
    """LiteLLM, imported on first use (seconds) and kept from the network and from the terminal."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
    # They quote what a server sent.
    warnings.filterwarnings("ignore", "Pydantic serializer warnings", UserWarning)
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


def _httpx() -> Any:
    """The HTTP library below the OpenAI client."""
    import httpx

    return httpx


def _key() -> str | None:
    """A placeholder for local servers, which want some key; None where the client finds the user's own."""
    return None if os.environ.get("OPENAI_API_KEY") else "none"


def _short(error: BaseException) -> str:
    """An error in one line, without the traceback that LiteLLM appends to what it does not know."""
    said, _, traceback = str(error).partition("Traceback (most recent call last)")
    return redacted(" ".join((said or traceback).split()))[:300]


def _retry_after(error: Any) -> float | None:
    """Seconds that the server asked for, where it did."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None


def _read(response: Any, messages: Sequence[Message], *, free: bool = False) -> Json:
    """Text, finish reason, tokens and price of a completion. Raises ``_Transient`` for one without a choice."""
    try:
        choice = response.choices[0]
        text, finish = str(choice.message.content or ""), choice.finish_reason
    except (AttributeError, IndexError, TypeError) as error:
        raise _Transient("the answer holds no choice") from error
    clean = without_keys()
    usage = getattr(response, "usage", None)
    asked, asked_estimated = _tokens(getattr(usage, "prompt_tokens", None), sum(len(m["content"]) for m in messages))
    said, said_estimated = _tokens(getattr(usage, "completion_tokens", None), len(text))
    text = clean(text)
    if len(text) > MAX_CHARACTERS:
        text, finish = text[:MAX_CHARACTERS], "length"
    return {
        "text": text,
        "finish": clean(str(finish))[:40] if finish else None,
        "prompt_tokens": asked,
        "completion_tokens": said,
        "tokens_estimated": asked_estimated or said_estimated,
        "usd": 0.0 if free else _price((getattr(response, "_hidden_params", None) or {}).get("response_cost")),
    }


def _tokens(told: Any, characters: int) -> tuple[int, bool]:
    """How many tokens a text was, and whether that is our estimate: no text is paid for with nothing."""
    count = min(max(told, 0), MOST_COUNTED) if type(told) is int else 0
    return (count, False) if count or not characters else (-(-characters // CHARACTERS_PER_TOKEN), True)


def _price(told: Any) -> float | None:
    """US dollars; None where they are not known. A price of nothing means that LiteLLM knows none."""
    try:
        usd = float(told)
    except (TypeError, ValueError, OverflowError):
        return None
    return usd if math.isfinite(usd) and usd > 0 else None
