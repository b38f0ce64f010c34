"""What we know of LiteLLM: a completion by any provider, what its failures mean, and which models can be asked."""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Sequence
from typing import Any, get_args

from designer.exchange import Exchange, Transient, key, overdue, within
from designer.redaction import redacted, without_keys
from designer.replies import Role
from designer.settings import DesignSettings
from designer.store import Json
from envs.errors import UserError

Message = dict[str, str]
MAX_CHARACTERS = 1 << 17
"""Most characters that are kept of one reply, whatever a server sends."""
MOST_COUNTED = 10**9
"""Most tokens that a server is believed for one request."""
CHARACTERS_PER_TOKEN = 4
"""For a server that does not count tokens."""
_OFFLINE = "offline/rewardsmith"


class FormatRefused(Transient):
    """The server takes no ``response_format``: the same without one may go well."""


def complete(arguments: Json, *, response_format: Json | None, base: str | None, seconds: float) -> Json:
    """One completion: text, finish reason, tokens and price.

    ``arguments``: model, messages, temperature and max_tokens. Raises ``Transient`` where another try may help, else
    ``UserError``.
    """
    model, base = _route(arguments["model"], base)
    asked: Json = {
        **arguments,
        "model": model,
        "timeout": seconds,
        "max_retries": 0,
        "num_retries": 0,
        "drop_params": True,
    }
    if response_format is not None:
        asked["response_format"] = response_format
    if model == _OFFLINE:
        return _read(_ask_offline(asked), asked["messages"], free=True)
    exchange = None if base is None else Exchange(base, seconds)
    if exchange is not None:
        asked |= {"api_base": base, "api_key": key(), "client": exchange.client}
    try:
        response = within(seconds, lambda: _litellm().completion(**asked))
    except Transient:
        raise
    except Exception as error:  # whatever a client library makes of a server's answer
        if exchange is not None and exchange.refused is not None:
            raise exchange.refused from error
        if response_format is not None and _refuses_format(error):
            raise FormatRefused(f"response_format refused: {_short(error)}", wait=0.01) from error
        raise _named(error, model, seconds) from error
    finally:
        if exchange is not None:
            exchange.close()
    return _read(response, asked["messages"])


def _ask_offline(arguments: Json) -> Any:
    """The offline designer's completion. Raises ``Transient``."""
    try:
        return _litellm().completion(**arguments)
    except Exception as error:  # LiteLLM makes one of its own of whatever a provider raises
        raise Transient(f"{type(error).__name__}: {_short(error)}") from error


def _refuses_format(error: Exception) -> bool:
    litellm = _litellm()
    return isinstance(error, litellm.BadRequestError) and not isinstance(error, litellm.ContextWindowExceededError)


def _named(error: Exception, model: str, seconds: float) -> UserError | Transient:
    """What a failed call comes to: ``Transient`` where another try may help, else ``UserError``."""
    litellm, why = _litellm(), _short(error)
    if isinstance(error, litellm.Timeout):
        return overdue(seconds)
    if isinstance(error, litellm.AuthenticationError):
        return UserError(f"{model} refuses the key: {why}. `rewardsmith doctor` lists keys.")
    if isinstance(error, litellm.NotFoundError):
        return UserError(f"{model} cannot be used: {why}. Check --model and --api-base.")
    if isinstance(error, litellm.ContextWindowExceededError):
        return UserError(f"The prompt is longer than {model} can read: {why}. Choose a model with more context.")
    if isinstance(error, litellm.BadRequestError):
        return UserError(f"{model} refuses the request: {why}. Check --model.")
    if isinstance(error, litellm.RateLimitError):
        return Transient(f"429: {why}", wait=_retry_after(error))
    if not isinstance(error, _openai().OpenAIError):
        return Transient(f"malformed answer: {type(error).__name__}: {why}")
    if getattr(error, "status_code", None) == 403:
        return UserError(f"{model} may not be used with this key: {why}.")
    return Transient(f"{type(error).__name__}: {why}")


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

    from designer.offline.reply import reply

    class Offline(CustomLLM):
        """Answers without a network; four characters count as a token."""

        def completion(self, *args: Any, **kwargs: Any) -> Any:
            """One reply to ``messages``."""
            messages = kwargs["messages"] if "messages" in kwargs else args[1]
            text = reply(messages)
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
    """Text, finish reason, tokens and price of a completion. Raises ``Transient`` for one without a choice."""
    try:
        choice = response.choices[0]
        text, finish = str(choice.message.content or ""), choice.finish_reason
    except (AttributeError, IndexError, TypeError) as error:
        raise Transient("the answer holds no choice") from error
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
