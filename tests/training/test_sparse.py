"""The product that leaves zeros out equals the dense one, and no learner feels another one in it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from training.sparse import SparseFeatures

torch.set_num_threads(1)


def drawn(population: int, rows: int, size: int, share: float, seed: int = 0) -> Tensor:
    """``(P, B, F)`` int8 features, ``share`` of which are not zero."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-1, 7, (population, rows, size), generator=generator)
    return (values * (torch.rand(values.shape, generator=generator) < share)).to(torch.int8)


@given(
    st.integers(1, 4), st.integers(1, 9), st.integers(1, 5), st.sampled_from([0.0, 0.03, 0.5, 1.0]), st.integers(0, 99)
)
@settings(deadline=None, max_examples=60)
def test_product_and_gradient_equal_the_dense_ones(
    population: int, rows: int, words: int, share: float, seed: int
) -> None:
    dense = drawn(population, rows, 8 * words, share, seed)
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(population, 8 * words, 16, generator=generator).double().float().requires_grad_()
    index = torch.randint(0, rows, (population, 6), generator=generator)
    chosen = torch.stack([dense[p, index[p]] for p in range(population)]).float()
    weight = torch.randn(population, 6, 16, generator=generator)
    product = SparseFeatures.of(dense).rows(index).times(matrix)
    expected = chosen @ matrix
    torch.testing.assert_close(product, expected, rtol=1e-5, atol=1e-5)
    (gradient,) = torch.autograd.grad((product * weight).sum(), matrix)
    (wanted,) = torch.autograd.grad((expected * weight).sum(), matrix)
    torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-5)


def test_what_is_kept_is_what_is_not_zero() -> None:
    dense = drawn(3, 40, 400, 0.03)
    features = SparseFeatures.of(dense)
    again = torch.zeros(3 * 40, 3 * 400)
    row = torch.repeat_interleave(torch.arange(120), features.starts.diff())
    again[row, features.columns] = features.values
    for p in range(3):
        assert torch.equal(again[p * 40 : (p + 1) * 40, p * 400 : (p + 1) * 400], dense[p].float())
    assert len(features.values) == int((dense != 0).sum())


@pytest.mark.parametrize("learner", [0, 2])
def test_a_learners_bits_are_the_same_alone(learner: int) -> None:
    dense, matrix = drawn(4, 512, 400, 0.05), torch.randn(4, 400, 64, generator=torch.Generator().manual_seed(1))
    index = torch.stack([torch.randperm(512, generator=torch.Generator().manual_seed(p))[:128] for p in range(4)])
    weight = torch.randn(4, 128, 64, generator=torch.Generator().manual_seed(2))

    def both(some: slice) -> tuple[Tensor, Tensor]:
        own = matrix[some].clone().requires_grad_()
        product = SparseFeatures.of(dense[some]).rows(index[some]).times(own)
        return product, torch.autograd.grad((product * weight[some]).sum(), own)[0]

    for together, alone in zip(both(slice(None)), both(slice(learner, learner + 1)), strict=True):
        assert torch.equal(together[learner], alone[0])


def test_parts_joined_and_learners_selected_are_the_dense_rows() -> None:
    steps = [drawn(3, 5, 400, 0.04, seed=t) for t in range(4)]
    whole = torch.stack(steps, 1).flatten(1, 2)
    joined, expected = SparseFeatures.joined([SparseFeatures.of(step) for step in steps]), SparseFeatures.of(whole)
    some, wanted = joined.select([0, 2]), SparseFeatures.of(whole[[0, 2]])
    for found, true in ((joined, expected), (some, wanted)):
        assert found.shape == true.shape
        assert torch.equal(found.columns, true.columns)
        assert torch.equal(found.values, true.values)
        assert torch.equal(found.starts, true.starts)
