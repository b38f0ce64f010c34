"""What recorded episodes prove and hint of a latent reward's factors, beside what the probes' samples showed."""

from __future__ import annotations

from dataclasses import replace

from sandbox.errors import Violation
from sandbox.measures import EXACT
from sandbox.probes import ProbeReport
from training.credit.relevance import Relevance
from training.observation import LEAST_DEVIATION

SEEN = 0.1
"""Normalised deviation below which a decoder hardly sees a factor."""
TELLING = 0.05
"""Share of the outcomes' variance below which factors count as saying nothing about them."""


def refused(probed: ProbeReport, outcome: Relevance) -> tuple[Violation, ...]:
    """Fewer than two factors that vary, or such as say one thing, in all samples and recorded episodes together.

    An event that random play never meets is a sound factor: it counts as soon as one scripted episode shows it. Where
    nothing shows it, it cannot be told from a constant, and the others must be two without it.
    """
    odd = sorted(set(outcome.deviation) ^ set(probed.components))
    if odd:
        message = f"The factors {odd} are returned for some transitions and not for others. Return every one always."
        return (replace(_violation(message), kind="not_rowwise", rule="components"),)
    constant = {name: number for name, number in outcome.constant.items() if _is_always(probed, name, number)}
    varying = [name for name in probed.components if name not in constant]
    still = ", ".join(f"`{name}` ({number:.4g})" for name, number in constant.items())
    without = f"; constant there: {still}" if constant else ""
    if len(varying) < 2:
        named = f"Only `{varying[0]}` varies" if varying else "No factor varies"
        return (_violation(f"{named} in the sampled and recorded transitions{without}. {_ADVICE}"),)
    if outcome.likeness > EXACT and _one_thing(probed, outcome, varying):
        named = ", ".join(f"`{name}`" for name in varying)
        told = f"These factors say one thing: {named}. In the recorded transitions each follows the others exactly"
        return (_violation(f"{told}{without}. {_ADVICE}"),)
    return ()


_ADVICE = (
    "Return two or more factors that vary and say different things; beside an event that recorded play never meets, "
    "show the way to it."
)


def _violation(message: str) -> Violation:
    return Violation(stage="probe", kind="invalid", rule="factors", message=message)


def _is_always(probed: ProbeReport, name: str, number: float) -> bool:
    sampled = probed.components[name]
    return sampled["min"] == sampled["max"] == number


def _one_thing(probed: ProbeReport, outcome: Relevance, varying: list[str]) -> bool:
    """Whether the samples do not tell factors apart that no recorded episode told apart."""
    if any(name in outcome.constant for name in varying):
        return False
    same = {(one, two) for one, two, value in (probed.latent.collinear if probed.latent else ()) if abs(value) > EXACT}
    seen = [name for name in varying if probed.components[name]["min"] < probed.components[name]["max"]]
    return all((one, two) in same for i, one in enumerate(seen) for two in seen[i + 1 :])


def warnings(probed: ProbeReport, outcome: Relevance) -> list[str]:
    """What is worth mending, and no reason to refuse."""
    return [*_tiny(probed, outcome), *_says_little(outcome)]


def _tiny(probed: ProbeReport, outcome: Relevance) -> list[str]:
    """Factors that a decoder hardly sees.

    A floor relative to the factor would let it see them, and the rounding of what should be constant as well.
    """
    spread = {name: max(told["std"], outcome.deviation.get(name, 0.0)) for name, told in probed.components.items()}
    return [
        f"Component {name!r} varies by {size:.2g} (its standard deviation), too little for a decoder, which takes "
        f"less than {LEAST_DEVIATION:g} for next to constant. Multiply it, so that it varies by about 1, or "
        "leave it out if that is rounding."
        for name, size in spread.items()
        if 0 < size < SEEN * LEAST_DEVIATION
    ]


def _says_little(outcome: Relevance) -> list[str]:
    if outcome.explained is None or outcome.explained >= TELLING:
        return []
    return [
        f"A linear probe on the factors tells {outcome.explained:.0%} of how the outcomes by length of "
        f"{outcome.episodes} recorded episodes differ. Add a factor that an episode which goes well shows more, or "
        "less, of."
    ]
