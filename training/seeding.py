"""Every random stream of a training, named: none of them knows the arm or the companions of a learner."""

from __future__ import annotations

import zlib
from typing import Literal

import numpy as np
import torch

Stream = Literal[
    "initial weights",
    "actions",
    "minibatches",
    "training rows",
    "held-out rows",
    "held-out actions",
    "decoder weights",
    "decoder batches",
    "attribution",
]


def derive(seed: int, stream: Stream, index: int = 0) -> int:
    """A seed in ``[0, 2**31)`` for element ``index`` of a learner's ``stream``, from the learner's ``seed``
    alone.
    """
    words = np.random.SeedSequence((seed, zlib.crc32(stream.encode()), index)).generate_state(1)
    return int(words[0] >> 1)


def generator(seed: int, stream: Stream) -> torch.Generator:
    """A CPU generator for one stream of one learner; draws move to the device later, so devices agree."""
    return torch.Generator().manual_seed(derive(seed, stream))
