"""What the factors' table says: signs and absolute shares, and plainly where nothing was learned."""

from __future__ import annotations

from designer.factors import factor_notes, factor_rows, factor_verdict

LEARNED = {
    "effect": {"drift": -0.0312, "push": 1234.0, "still": 0.0},
    "importance": {"drift": 0.34, "push": 1.3, "still": -0.002},
    "ablation": {"drift": 0.12, "push": 0.4, "still": -0.05},
    "explained": 0.82,
    "importance_course": [[1, {"drift": 0.0, "push": 0.65, "still": 0.0}], [2, {"drift": 0.3, "push": 1.3}]],
}
NOISE = {
    "effect": {"calm": 1e-6, "drift": -2e-7},
    "importance": {"calm": 4e-5, "drift": 1e-5},
    "ablation": {"calm": 0.0, "drift": 0.0},
    "explained": 0.0,
    "importance_course": [[1, {"calm": 4e-5, "drift": 1e-5}]],
}


def cells(record: dict[str, object]) -> dict[str, tuple[str, ...]]:
    return {row.name: row.cells() for row in factor_rows(record)}


def test_a_factor_is_shown_with_its_sign_and_its_share_of_the_variance() -> None:
    assert cells(LEARNED) == {
        "push": ("+1,234", "130 %", "40 %", "▅█"),
        "drift": ("-0.0312", "34 %", "12 %", "▁▂"),
        "still": ("0", "< 1 %", "< 1 %", "▁"),
    }
    assert list(cells(LEARNED)) == ["push", "drift", "still"], "the most telling first"
    assert factor_verdict(LEARNED) is None
    assert any("tells 82 % of the variance" in note for note in factor_notes(LEARNED))


def test_noise_is_called_so_and_no_share_of_itself() -> None:
    assert cells(NOISE) == {"calm": ("+1e-06", "< 1 %", "< 1 %", "▁"), "drift": ("-2e-07", "< 1 %", "< 1 %", "▁")}
    assert "makes nothing of any factor" in (factor_verdict(NOISE) or "")


def test_a_run_that_lacks_the_pay_or_the_factors_is_shown_as_far_as_it_goes() -> None:
    older = {name: told for name, told in LEARNED.items() if name != "effect"}
    assert {row[0] for row in cells(older).values()} == {"–"} and cells(older)["push"][1] == "130 %"
    for explicit in ({}, {"effect": None, "importance": None, "ablation": None, "importance_course": []}):
        assert cells(explicit) == {} and factor_verdict(explicit) is None
