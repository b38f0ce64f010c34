"""Rows of features that are nearly all zero, as the views of gridworlds are, and their product with a matrix.

A view of DoorKey-8x8 has about 12 numbers other than zero among 400, so a product that reads the rows of the matrix
that count is many times as cheap as a dense one. It needs lists whose length depends on the data: on a CPU they cost
little, on any other device the dense product is used.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor


class SparseFeatures:
    """Features of ``B`` rows for each of ``P`` learners, as the columns that are not zero and what they hold.

    Every product sums over a row's columns in ascending order, and over a learner's rows in theirs: no learner's bits
    depend on another one.
    """

    def __init__(self, columns: Tensor, values: Tensor, starts: Tensor, shape: tuple[int, int, int]) -> None:
        self.columns = columns
        """``(n,)`` int64: the learner's number times ``F``, plus the column; row after row."""
        self.values = values
        """``(n,)`` float32."""
        self.starts = starts
        """``(P * B + 1,)`` int64: where each row's columns begin, and where the last one's end."""
        self.shape = shape
        """``(P, B, F)``."""

    @classmethod
    def of(cls, dense: Tensor) -> SparseFeatures:
        """The same rows as ``(P, B, F)`` int8 features, whose ``F`` is a multiple of eight."""
        population, rows, size = dense.shape
        # Eight columns at a time: most words are zero, and looking for the others is what this costs.
        words = dense.contiguous().view(torch.int64).view(population * rows, -1)
        row, word = words.nonzero().unbind(1)
        found = words[row, word].view(torch.int8).view(-1, 8)
        which, column = found.nonzero().unbind(1)
        row = row.index_select(0, which)
        columns = word.index_select(0, which) * 8 + column + row // rows * size
        lengths = torch.bincount(row, minlength=population * rows)
        return cls(columns, found[which, column].to(torch.float32), _starts(lengths), (population, rows, size))

    def rows(self, index: Tensor) -> SparseFeatures:
        """The rows ``index`` ``(P, B')`` of each learner."""
        population, size, width = self.shape
        flat = (index + torch.arange(population)[:, None] * size).view(-1)
        first = self.starts.index_select(0, flat)
        lengths = self.starts.index_select(0, flat + 1) - first
        starts = _starts(lengths)
        place = torch.arange(int(starts[-1])) + torch.repeat_interleave(first - starts[:-1], lengths)
        columns, values = self.columns.index_select(0, place), self.values.index_select(0, place)
        return SparseFeatures(columns, values, starts, (population, index.shape[1], width))

    def times(self, matrix: Tensor) -> Tensor:
        """``(P, B, H)``: the product with ``(P, F, H)`` float32, differentiable by the matrix."""
        product: Tensor = _Product.apply(matrix, self)  # type: ignore[no-untyped-call]
        return product

    @cached_property
    def by_column(self) -> tuple[Tensor, Tensor, Tensor]:
        """The rows that each column appears in, with the values there, and where each column's rows begin."""
        population, size, width = self.shape
        row = torch.repeat_interleave(torch.arange(population * size), self.starts[1:] - self.starts[:-1])
        ordered, order = torch.sort(self.columns, stable=True)
        lengths = torch.bincount(ordered, minlength=population * width)
        return row.index_select(0, order), self.values.index_select(0, order), _starts(lengths)


def _starts(lengths: Tensor) -> Tensor:
    return torch.nn.functional.pad(lengths.cumsum(0), (1, 0))


class _Product(torch.autograd.Function):
    """Both directions are sums of rows with factors, which ``embedding_bag`` is a kernel for."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, features: SparseFeatures) -> Tensor:
        population, rows, width = features.shape
        ctx.features = features
        summed = _sums(matrix.reshape(population * width, -1), features.columns, features.values, features.starts)
        return summed.view(population, rows, -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        population, rows, width = ctx.features.shape
        row, values, starts = ctx.features.by_column
        summed = _sums(gradients[0].reshape(population * rows, -1), row, values, starts)
        return summed.view(population, width, -1), None


def _sums(table: Tensor, which: Tensor, factors: Tensor, starts: Tensor) -> Tensor:
    return torch.nn.functional.embedding_bag(
        which, table, starts, mode="sum", per_sample_weights=factors, include_last_offset=True
    )
