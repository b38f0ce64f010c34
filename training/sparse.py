"""Rows of features that are nearly all zero, as the views of gridworlds are, and their product with a matrix.

A view of DoorKey-8x8 has about 12 numbers other than zero among 400, so a product that reads the rows of the matrix
that count is many times as cheap as a dense one. It needs lists whose length depends on the data: on a CPU they cost
little, on any other device the dense product is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

SMALL = 1 << 14
"""Below so many values a second look costs more than it saves."""


class SparseFeatures:
    """Features of ``B`` rows for each of ``P`` learners, as the columns that are not zero and what they hold.

    Every product sums over a row's columns in ascending order, and over a learner's rows in theirs: no learner's bits
    depend on another one.
    """

    def __init__(self, columns: Tensor, values: Tensor, starts: Tensor, shape: tuple[int, int, int]) -> None:
        self.columns = columns
        """``(n,)`` int32: the learner's number times ``F``, plus the column; row after row."""
        self.values = values
        """``(n,)`` float32."""
        self.starts = starts
        """``(P * B + 1,)`` int32: where each row's columns begin, and where the last one's end."""
        self.shape = shape
        """``(P, B, F)``."""

    @classmethod
    def of(cls, dense: Tensor) -> SparseFeatures:
        """The same rows as ``(P, B, F)`` int8 features, whose ``F`` is a multiple of eight."""
        population, rows, size = dense.shape
        column, values = _not_zero(dense.contiguous().view(-1))
        row = column // size
        column -= size * (row - row // rows)
        lengths = torch.bincount(row, minlength=population * rows)
        return cls(column.to(torch.int32), values.to(torch.float32), _starts(lengths), (population, rows, size))

    @classmethod
    def joined(cls, parts: Sequence[SparseFeatures]) -> SparseFeatures:
        """The rows of all parts, each learner's together: its first part's, then its second's."""
        population, rows, size = parts[0].shape
        offsets = [0, *accumulate(len(part.values) for part in parts)]
        starts = torch.cat([part.starts[:-1] + start for part, start in zip(parts, offsets, strict=False)])
        lengths = torch.cat([part.starts.diff() for part in parts])
        of_part = (len(parts), population, rows)
        first, lengths = (each.view(of_part).transpose(0, 1).reshape(-1) for each in (starts, lengths))
        columns, values = torch.cat([part.columns for part in parts]), torch.cat([part.values for part in parts])
        return _picked(columns, values, first, lengths, (population, len(parts) * rows, size))

    def rows(self, index: Tensor) -> SparseFeatures:
        """The rows ``index`` ``(P, B')`` of each learner."""
        population, size, width = self.shape
        flat = (index + torch.arange(population)[:, None] * size).view(-1)
        first = self.starts.index_select(0, flat)
        lengths = self.starts.index_select(0, flat + 1) - first
        return _picked(self.columns, self.values, first, lengths, (population, index.shape[1], width))

    def select(self, learners: Sequence[int]) -> SparseFeatures:
        """The rows of these learners alone."""
        _, size, width = self.shape
        own = [self.starts[p * size : (p + 1) * size + 1] for p in learners]
        found = [slice(int(each[0]), int(each[-1])) for each in own]
        moved = [self.columns[at] + (new - p) * width for new, (p, at) in enumerate(zip(learners, found, strict=True))]
        lengths = torch.cat([each.diff() for each in own])
        values = torch.cat([self.values[at] for at in found])
        return SparseFeatures(torch.cat(moved), values, _starts(lengths), (len(own), size, width))

    def times(self, matrix: Tensor) -> Tensor:
        """``(P, B, H)``: the product with ``(P, F, H)`` float32, differentiable by the matrix."""
        if not torch.is_grad_enabled():
            return _product(matrix, self)
        product: Tensor = _Product.apply(matrix, self)  # type: ignore[no-untyped-call]
        return product

    @cached_property
    def by_column(self) -> tuple[Tensor, Tensor, Tensor]:
        """The rows that each column appears in, with the values there, and where each column's rows begin."""
        population, size, width = self.shape
        row = torch.repeat_interleave(torch.arange(population * size, dtype=torch.int32), self.starts.diff())
        # Narrow numbers are sorted several times as fast.
        narrow = self.columns.to(torch.int16) if population * width < 1 << 15 else self.columns
        order = torch.argsort(narrow, stable=True)
        lengths = torch.bincount(self.columns, minlength=population * width)
        return row.index_select(0, order), self.values.index_select(0, order), _starts(lengths)


def _not_zero(dense: Tensor) -> tuple[Tensor, Tensor]:
    """Where ``(n,)`` int8 values are not zero, ascending, and what they are."""
    if len(dense) < SMALL:
        place = dense.nonzero().view(-1)
        return place, dense.index_select(0, place)
    # Eight at a time: most words are zero, and looking for the others is what this costs.
    words = dense.view(torch.int64)
    place = words.nonzero().view(-1)
    found = words.index_select(0, place).view(torch.int8)
    entry = found.nonzero().view(-1)
    return place.index_select(0, entry >> 3) * 8 + (entry & 7), found.index_select(0, entry)


def lean(features: Tensor) -> Tensor | SparseFeatures:
    """What a network reads of ``(P, B, F)``: int8 features without their zeros where the device allows it."""
    if features.dtype == torch.int8 and features.device.type == "cpu":
        return SparseFeatures.of(features)
    return features


def _picked(
    columns: Tensor, values: Tensor, first: Tensor, lengths: Tensor, shape: tuple[int, int, int]
) -> SparseFeatures:
    """Rows in a new order: each begins at ``first`` among the columns and is as long as ``lengths`` says."""
    starts = _starts(lengths)
    place = torch.arange(int(starts[-1]), dtype=torch.int32) + torch.repeat_interleave(first - starts[:-1], lengths)
    return SparseFeatures(columns.index_select(0, place), values.index_select(0, place), starts, shape)


def _starts(lengths: Tensor) -> Tensor:
    starts = torch.zeros(len(lengths) + 1, dtype=torch.int32)
    torch.cumsum(lengths, 0, dtype=torch.int32, out=starts[1:])
    return starts


def _product(matrix: Tensor, features: SparseFeatures) -> Tensor:
    population, rows, width = features.shape
    summed = _sums(matrix.reshape(population * width, -1), features.columns, features.values, features.starts)
    return summed.view(population, rows, -1)


class _Product(torch.autograd.Function):
    """Both directions are sums of rows with factors, which ``embedding_bag`` is a kernel for."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, features: SparseFeatures) -> Tensor:
        ctx.features = features
        return _product(matrix, features)

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
