"""Multilayer perceptrons of a whole population: the learner is a dimension of every matrix."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.episode import Array
from envs.errors import UserError
from training.sparse import SparseFeatures

WIDTH = 16
"""Feature, hidden and output widths are multiples of this.

Then every learner's slice of every matrix starts on a 64-byte boundary, and the matrix product of a learner
is bit-equal alone and among companions.
"""

Features = Tensor | SparseFeatures
"""``(P, B, inputs)`` of any number type, or the same with the zeros left out."""


def padded(width: int) -> int:
    """The smallest multiple of ``WIDTH`` that holds ``width`` columns."""
    return -(-width // WIDTH) * WIDTH


class Part(NamedTuple):
    """One named parameter of a learner."""

    name: str
    rows: int
    columns: int
    gain: float
    """Scale of the orthogonal initial matrix; 0 for biases and the log deviation, which start at zero."""
    keep: int
    """Columns that mean something; the others pad the width and stay zero."""


def perceptron(name: str, inputs: int, hidden: tuple[int, ...], outputs: int, gain: float) -> list[Part]:
    """Weight and bias of each layer; ``gain`` is the last one's.

    Raises ``UserError`` for widths that are no multiple of 16.
    """
    if any(width % WIDTH for width in (inputs, *hidden)):
        raise UserError(f"hidden = {list(hidden)}: each width must be a multiple of {WIDTH}")
    parts = []
    for layer, (rows, columns) in enumerate(itertools.pairwise([inputs, *hidden, padded(outputs)])):
        keep, scale = (outputs, gain) if layer == len(hidden) else (columns, math.sqrt(2))
        parts.append(Part(f"{name}.{layer}.weight", rows, columns, scale, keep))
        parts.append(Part(f"{name}.{layer}.bias", 1, columns, 0.0, keep))
    return parts


def initial(parts: Sequence[Part], generators: Sequence[torch.Generator], device: str) -> list[Tensor]:
    """Orthogonal matrices and zero biases, each learner's from its own generator (Saxe et al. 2014)."""

    def first(part: Part, generator: torch.Generator) -> Tensor:
        matrix = torch.zeros(part.rows, part.columns)
        if part.gain:
            square = torch.empty(part.rows, part.keep)
            matrix[:, : part.keep] = torch.nn.init.orthogonal_(square, part.gain, generator=generator)
        return matrix

    learners = [[first(part, generator) for part in parts] for generator in generators]
    return [torch.stack(matrices).to(device) for matrices in zip(*learners, strict=True)]


def loaded(parts: Sequence[Part], weights: Sequence[Mapping[str, Array]], device: str) -> list[Tensor]:
    """The matrices of learners whose ``unpadded`` ones were kept."""

    def one(part: Part) -> Tensor:
        matrices = torch.zeros(len(weights), part.rows, part.columns)
        for matrix, named in zip(matrices, weights, strict=True):
            known = torch.from_numpy(np.asarray(named[part.name], dtype=np.float32))
            # Rows that only pad the width may have been left out.
            matrix[: known.shape[0] if part.gain else 1, : part.keep] = known
        return matrices.to(device)

    return [one(part) for part in parts]


def unpadded(parts: Sequence[Part], matrices: Sequence[Tensor], learner: int) -> dict[str, Array]:
    """A learner's parameters by name: ``*.weight`` ``(in, out)``, ``*.bias`` ``(out,)``."""
    out: dict[str, Array] = {}
    for part, matrix in zip(parts, matrices, strict=True):
        values = matrix[learner, :, : part.keep].detach().cpu().numpy().copy()
        out[part.name] = values if part.gain else values[0]
    return out


def mlp(layers: Sequence[Tensor], features: Features) -> Tensor:
    """``(P, B, out)``: weights and biases by turns, with ReLU between."""
    hidden = _first(layers[0], layers[1], features)
    for index in range(2, len(layers), 2):
        hidden = torch.baddbmm(layers[index + 1], torch.relu_(hidden), layers[index])
    return hidden


def _first(matrix: Tensor, bias: Tensor, features: Features) -> Tensor:
    if isinstance(features, SparseFeatures):
        return features.times(matrix) + bias
    return torch.baddbmm(bias, features.to(torch.float32), matrix)
