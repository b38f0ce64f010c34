"""What a trained latent reward's factors are paid and count for, as ``show`` and ``report`` print it."""

from __future__ import annotations

from dataclasses import dataclass

from designer.display import sparkline
from designer.store import Json

SUPERFLUOUS = 0.01
"""Importance, as a share of the outcomes' variance, below which a decoder makes nothing of a factor."""
FACTOR_COLUMNS = ("pay", "importance", "lost without", "importance in training")
"""What is shown of each factor beside its name; ``factor_notes`` says what it means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorRow:
    """What a decoder makes of one factor."""

    name: str
    effect: float | None
    """By how much a step is paid more with the factor one standard deviation higher; None in runs that lack it."""
    importance: float
    """By how much the decoder's error grows with the factor's values shuffled, as a share of the outcomes' variance."""
    lost: float | None
    """How much less of the outcomes' variance is told without it."""
    course: str
    """Its importance during the training, as a sparkline on one scale for all factors."""

    def cells(self) -> tuple[str, ...]:
        """The text under ``FACTOR_COLUMNS``."""
        return _signed(self.effect), _share(self.importance), _share(self.lost), self.course


def factor_rows(record: Json) -> list[FactorRow]:
    """The factors of a training, the most telling first; none for an explicit reward."""
    effect, importance, lost = (record.get(name) or {} for name in ("effect", "importance", "ablation"))
    course = [told for _, told in record.get("importance_course") or []]
    # From nothing to all of the variance, or more: on a scale of its own, noise would look like learning.
    most = max([1.0, *(float(value) for told in course for value in told.values())])
    return [
        FactorRow(
            name=name,
            effect=effect.get(name),
            importance=float(value or 0.0),
            lost=lost.get(name) if record.get("explained") is not None else None,
            course=sparkline([then[name] for then in course if name in then], high=most),
        )
        for name, value in sorted(importance.items(), key=lambda one: -float(one[1] or 0.0))
    ]


def factor_verdict(record: Json) -> str | None:
    """A sentence where the decoder learned nothing of any factor, so that nobody reads noise as a ranking."""
    rows = factor_rows(record)
    if not rows or any(row.importance >= SUPERFLUOUS for row in rows):
        return None
    return "The decoder makes nothing of any factor: shuffling none of them costs it 1 % of the outcomes' variance."


def factor_notes(record: Json) -> list[str]:
    """What the columns of the factors' table say, a sentence each."""
    notes = [
        "pay: by how much the frozen decoder pays a step more with the factor one standard deviation higher and the "
        "others as they are, in units of the outcome; below 0 the factor is punished",
        "importance: by how much the decoder's error grows with the factor's values shuffled among the steps, as a "
        "share of the outcomes' variance, which it may exceed; where it is tiny, the sign of the pay is chance",
    ]
    if record.get("explained") is not None:
        notes.append(
            f"lost without: a linear decoder of all factors tells {_share(record['explained'])} of the variance of "
            "outcomes by length that it was not fitted to, and this much less without the factor"
        )
    return notes


def _share(share: float | None) -> str:
    """``34 %``; ``< 1 %`` for what is less or negative, a dash for what is unknown."""
    return "–" if share is None else "< 1 %" if share < SUPERFLUOUS else f"{100 * share:.0f} %"


def _signed(value: float | None) -> str:
    """Three significant digits with their sign; a dash for what is unknown."""
    if value is None:
        return "–"
    return f"{value:+,.0f}" if abs(value) >= 1000 else f"{value:+.3g}" if value else "0"
