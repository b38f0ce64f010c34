"""The offline designer's critic and analyzer: verdicts from the numbers that were measured, by plain rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from designer.factors import SUPERFLUOUS

DROWNS = 0.99
"""A component with more than this share of the mean absolute reward drowns the others."""
SOLVED = 0.95
TOLD = 0.5
"""Share of the outcomes' variance below which something is missing among the factors."""
_MOST = 8
_EPISODES = 3


def critique(request: Mapping[str, Any]) -> dict[str, Any]:
    """``{"approve", "reasons"}``: approval unless the measurements speak against the program."""
    found = request["verification"]
    reasons = [f"It was refused: {v.get('message', v)}" for v in found.get("violations") or []]
    components: Mapping[str, Mapping[str, float]] = found.get("components") or {}
    shares = {name: float(told.get("share") or 0.0) for name, told in components.items()}
    potential = "def potential" in str((request.get("program") or {}).get("source", ""))
    weighed = potential or request.get("form") == "latent"
    for name, share in shares.items():
        if share > DROWNS and len(components) > 1 and not weighed:
            reasons.append(f"The component {name!r} drowns the others: it is {share:.1%} of what is paid.")
    flat = [name for name, told in components.items() if float(told.get("std") or 0.0) == 0.0]
    if components and len(flat) == len(components) and not potential:
        reasons.append("Every component is constant on the recorded transitions, so nothing can be learned.")
    if (found.get("audit") or {}).get("verdict") == "gamed":
        reasons.append("An agent that never finishes the task collects as much as one that solves it.")
    if not found.get("ok", True) and not reasons:
        reasons.append("The checks did not pass.")
    return {"approve": not reasons, "reasons": [reason[:600] for reason in reasons[:_MOST]]}


def analyze(request: Mapping[str, Any]) -> dict[str, Any]:
    """``{"diagnosis", "evidence", "change": {"level", "advice"}}`` from curves, components and episodes."""
    training = request["training"]
    episodes: Sequence[Mapping[str, Any]] = training.get("episodes") or []
    level, why, advice = _factors(training) if request.get("form") == "latent" else _components(training)
    return {
        "diagnosis": why,
        "evidence": [_cite(e) for e in _worst(episodes)[:_EPISODES] if int(e.get("length", 0)) > 0],
        "change": {"level": level, "advice": advice},
    }


def _components(training: Mapping[str, Any]) -> tuple[str, str, str]:
    """Level, diagnosis and advice for an explicit reward."""
    components: Mapping[str, Mapping[str, Any]] = training.get("components") or {}
    success = _last((training.get("curves") or {}).get("success"))
    flat = sorted(name for name, told in components.items() if _spread(told) < 1e-9)
    sizes = {name: _size(told) for name, told in components.items()}
    largest = max(sizes, key=lambda name: sizes[name], default=None)
    drowning = largest if largest and len(sizes) > 1 and sizes[largest] > DROWNS * sum(sizes.values()) else None
    if components and len(flat) == len(components):
        why = "No component varies over the training, so the reward tells states not apart."
        return "structure", why, "Pay for a quantity that the policy changes."
    if success is not None and success <= 0.0 and not _better(training):
        advice = "Order the sub-goals otherwise, or reward the way to the first one that is never reached."
        return "rebuild", "No episode succeeded by the end of the training.", advice
    if drowning is not None:
        why = f"The component {drowning!r} is far larger than all others together."
        return "scale", why, f"Make {drowning!r} smaller, or the others larger."
    if success is not None and success >= SOLVED:
        why = f"The policy succeeds in {success:.0%} of its episodes; what is left is speed."
        return "scale", why, "Keep the structure and try other sizes."
    if not _better(training):
        advice = "Add what is missing: another milestone, or the way to it."
        return "structure", "The reward teaches no more than the native one.", advice
    why = "The policy learns, but not to the end of the task within the budget."
    return "scale", why, "Try larger and smaller sizes of the same structure."


def _factors(training: Mapping[str, Any]) -> tuple[str, str, str]:
    """Level, diagnosis and advice for a latent reward, whose sizes a decoder finds."""
    importance: Mapping[str, float] = training.get("importance") or {}
    explained = training.get("explained")
    success = _last((training.get("curves") or {}).get("success"))
    superfluous = sorted(name for name, share in importance.items() if float(share) < SUPERFLUOUS)
    if importance and len(superfluous) == len(importance):
        return "rebuild", "The decoder makes nothing of any factor.", "Show other quantities than these."
    if success is not None and success <= 0.0 and not _better(training):
        advice = "Show the way to the first sub-goal that is never reached."
        return "rebuild", "No episode succeeded by the end of the training.", advice
    if explained is not None and float(explained) < TOLD:
        why = f"The factors explain {float(explained):.0%} of what the outcomes differ by."
        return "structure", why, "Add a factor for what the outcome depends on besides."
    if superfluous:
        named = ", ".join(repr(name) for name in superfluous[:_MOST])
        more = f" and {len(superfluous) - _MOST} more" if len(superfluous) > _MOST else ""
        return "scale", f"The decoder makes nothing of {named}{more}.", "Leave them out."
    return "structure", "The decoder needs every factor, and the policy can do better.", "Add one more factor."


def _better(training: Mapping[str, Any]) -> bool:
    """Whether the fitness is above the native control's."""
    ours, native = training.get("fitness"), training.get("native_fitness")
    return ours is not None and native is not None and float(ours) > float(native)


def _last(curve: Any) -> float | None:
    known = [value for value in curve or [] if value is not None]
    return float(known[-1]) if known else None


def _spread(told: Mapping[str, Any]) -> float:
    """How much a component varies within and over the training."""
    course = [float(v) for v in told.get("course") or [] if v is not None]
    ends = [float(told[key]) for key in ("end_min", "end_max") if told.get(key) is not None]
    values = course + ends
    return max(values) - min(values) if values else 0.0


def _size(told: Mapping[str, Any]) -> float:
    return max((abs(float(told.get(key) or 0.0)) for key in ("end_mean", "end_min", "end_max")), default=0.0)


def _worst(episodes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Failed episodes before successful ones, long before short."""
    return sorted(episodes, key=lambda e: (bool(e.get("success")), -int(e.get("length", 0))))


def _cite(episode: Mapping[str, Any]) -> dict[str, Any]:
    """The last step of an episode, in words."""
    last = int(episode["length"]) - 1
    what = "ends with a success" if episode.get("success") else "ends without a success"
    return {"episode": str(episode["id"]), "step": last, "what": f"The episode {what} after {last + 1} steps."}
