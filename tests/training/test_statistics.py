"""Numbers that are known by hand, and the honesty of intervals."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from training.statistics import interval, iqm, paired_interval, probability_of_improvement, summary


def test_the_interquartile_mean_cuts_a_quarter_of_the_runs_off_each_end():
    assert iqm([100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -100.0]) == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert iqm([0.0, 1.0, 5.0]) == pytest.approx(2.0)
    assert iqm([0.5]) == 0.5


def test_fewer_than_five_seeds_have_no_interval():
    assert summary([0.1, 0.2, 0.3, 0.4]) == {"iqm": pytest.approx(0.25), "low": None, "high": None, "seeds": 4}
    assert paired_interval([1.0] * 4, [0.0] * 4) is None


def test_equal_values_have_that_value_as_their_interval():
    assert interval([0.7] * 6) == (0.7, 0.7)
    assert paired_interval([1.0] * 5, [0.0] * 5) == (1.0, 1.0)


def test_the_interval_is_the_percentile_bootstrap_of_the_iqm():
    values = [0.1, 0.4, 0.5, 0.55, 0.6, 0.9, 0.95]
    rng = np.random.default_rng(123)
    slow = sorted(iqm(rng.choice(values, len(values)).tolist()) for _ in range(4000))
    low, high = interval(values)
    assert low == pytest.approx(slow[100], abs=0.03)
    assert high == pytest.approx(slow[3900], abs=0.03)
    assert low < iqm(values) < high


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        low, high = interval(rng.normal(3.0, 1.0, 20).tolist(), seed=trial)
        hits += low <= 3.0 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_pairing_finds_a_small_difference_between_wildly_different_seeds():
    seeds = np.array([0.0, 10.0, 20.0, 30.0, 40.0, 50.0])
    low, high = paired_interval((seeds + 1).tolist(), seeds.tolist())
    assert (low, high) == (1.0, 1.0)
    unpaired = interval((seeds + 1).tolist())
    assert unpaired[0] < 25 < unpaired[1]


def test_results_repeat_for_a_seed_and_move_with_it():
    values = [0.1, 0.4, 0.5, 0.55, 0.6, 0.9, 0.95]
    assert interval(values, seed=3) == interval(values, seed=3)
    assert interval(values, seed=3) != interval(values, seed=4)


def test_probability_of_improvement_is_the_mann_whitney_share():
    ours, theirs = [0.1, 0.5, 0.5, 0.9], [0.2, 0.5, 0.7]
    expected = mannwhitneyu(ours, theirs).statistic / (len(ours) * len(theirs))
    assert probability_of_improvement(ours, theirs) == pytest.approx(float(expected))
    assert probability_of_improvement([1.0], [0.0]) == 1.0


def test_pairs_must_match():
    with pytest.raises(ValueError, match="pairs"):
        paired_interval([1.0], [1.0, 2.0])
