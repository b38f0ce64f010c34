"""What a decoder makes of its factors, where it is known what they are worth."""

import numpy as np
import torch

from training.credit.attribution import ablation, effects, permutation
from training.credit.decoder import Sampled

torch.set_num_threads(1)


def test_a_factor_counts_for_what_the_outcome_depends_on_it():
    rng = np.random.default_rng(0)
    means = rng.normal(size=(200, 3))
    explained, lost = ablation(means, 2.0 * means[:, 0] + 1.0 * means[:, 1])
    assert explained is not None and explained > 0.999
    assert abs(lost[0] - 0.8) < 0.15
    assert abs(lost[1] - 0.2) < 0.15
    assert abs(lost[2]) < 0.01


def test_a_factor_that_another_one_repeats_could_be_left_out():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(100, 1))
    explained, lost = ablation(np.concatenate([one, one, rng.normal(size=(100, 1))], 1), one[:, 0])
    assert explained is not None and explained > 0.999
    assert max(abs(each) for each in lost) < 0.01


def test_nothing_is_said_where_outcomes_do_not_differ():
    assert ablation(np.random.default_rng(0).normal(size=(50, 2)), np.ones(50)) == (None, [0.0, 0.0])
    assert ablation(np.zeros((4, 2)), np.arange(4.0)) == (None, [0.0, 0.0])


def test_nothing_counts_where_outcomes_are_alike():
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn((1, 8, 5, 2), generator=rng)
    batch = Sampled(inputs, torch.ones((1, 8, 5), dtype=torch.bool), torch.full((1, 8), 5.0), torch.full((1, 8), 5.0))
    assert permutation(lambda given: given.sum(2), inputs.flatten(1, 2), batch, rng) == [0.0, 0.0]


def test_permutation_finds_the_factor_that_a_decoder_reads():
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn((1, 64, 10, 3), generator=rng)
    taken = torch.ones((1, 64, 10), dtype=torch.bool)
    taken[:, :, 7:] = False
    worth = torch.tensor([0.0, 1.0, 0.1])
    outcome = ((inputs @ worth) * taken).sum(2)
    batch = Sampled(inputs, taken, torch.full((1, 64), 7.0), outcome)
    found = permutation(lambda given: given @ worth, inputs.flatten(1, 2), batch, rng)
    assert found[0] == 0.0
    # Exchanged values add the variance of two independent sums.
    assert 1.3 < found[1] < 3.0
    assert 0.0 < found[2] < 0.1


def test_the_effect_of_a_linear_decoder_is_weight_times_deviation():
    factors = torch.randn((1, 50, 3), generator=torch.Generator().manual_seed(0))
    worth, deviation = torch.tensor([2.0, -0.5, 0.0]), torch.tensor([0.5, 3.0, 1.0])
    found = effects(lambda given: given @ worth + 7.0, factors, deviation)
    np.testing.assert_allclose(found, [1.0, -1.5, 0.0], atol=1e-5)


def test_an_effect_is_a_mean_over_the_steps_with_the_other_factors_as_they_were():
    factors = torch.tensor([[[1.0, 2.0], [3.0, -4.0]]])
    found = effects(lambda given: given[..., 0] * given[..., 1].square(), factors, torch.tensor([0.5, 1.0]))
    assert found == [0.5 * (4 + 16) / 2, (1 * 5 + 3 * -7) / 2]


def test_a_factor_that_never_varies_has_no_effect():
    factors = torch.ones((1, 4, 2))
    assert effects(lambda given: given.sum(2), factors, torch.zeros(2)) == [0.0, 0.0]
