"""A decoder that learns no more: factors in, rewards out, as an exported bundle pays them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from envs.episode import Array, Transitions
from training.credit.decoder import load_decoder
from training.credit.pool import normal
from training.reward import RewardAnswer, RewardFailure, RewardFunction


def layers(weights: Mapping[str, Array]) -> tuple[int, ...]:
    """Widths of a frozen decoder from its factors to its one number. Raises ``ValueError`` where it is none."""
    count = sum(name.startswith("decoder.") for name in weights) // 2
    names = {f"decoder.{i}.{part}" for i in range(count) for part in ("weight", "bias")}
    if not count or set(weights) != names | {"factors.mean", "factors.deviation", "scale"}:
        raise ValueError(f"it holds {', '.join(sorted(weights)) or 'nothing'}")
    if any(array.dtype != np.float32 or not np.isfinite(array).all() for array in weights.values()):
        raise ValueError("not all of its numbers are finite float32")
    widths = [weights["factors.mean"].size]
    for i in range(count):
        weight = weights[f"decoder.{i}.weight"]
        if weight.ndim != 2 or weight.shape[0] != widths[-1] or weights[f"decoder.{i}.bias"].shape != weight.shape[1:]:
            raise ValueError(f"its layer {i} does not fit")
        widths.append(weight.shape[1])
    shapes = {weights[name].shape for name in ("factors.mean", "factors.deviation")}
    if widths[-1] != 1 or shapes != {(widths[0],)} or weights["scale"].shape != (1,):
        raise ValueError("its shapes do not fit")
    return tuple(widths)


class FrozenReward:
    """A latent reward with a frozen decoder behind it; its one component is what is paid."""

    def __init__(self, reward: RewardFunction, weights: Mapping[str, Array]) -> None:
        """``weights``: as ``training.credit.pool.Frozen`` holds them. Raises ``ValueError`` for any others."""
        widths = layers(weights)
        self._reward = reward
        self._mean, self._deviation = (
            torch.from_numpy(weights[name])[None] for name in ("factors.mean", "factors.deviation")
        )
        self._scale = np.float32(weights["scale"][0])
        self._decoder = load_decoder(widths[0], widths[1:-1], [weights], "cpu")

    @torch.no_grad()
    def __call__(self, transitions: Transitions) -> RewardAnswer:
        """What the decoder makes of the factors, as ``decoded``. Raises ``RewardFailure``."""
        named = self._reward(transitions).components
        factors = np.stack([named[name] for name in sorted(named)], -1)
        if factors.shape[-1] != self._mean.shape[-1]:
            raise RewardFailure(f"the decoder reads {self._mean.shape[-1]} factors, there are {factors.shape[-1]}")
        given = torch.from_numpy(np.ascontiguousarray(factors.reshape(1, -1, factors.shape[-1]), dtype=np.float32))
        rewards = self._decoder(normal(given, self._mean, self._deviation, self._decoder))
        paid = rewards.numpy().reshape(factors.shape[:-1]) * self._scale
        return RewardAnswer(components={"decoded": paid}, whole=True)

    def restart(self) -> None:
        """Forget the program's memory."""
        self._reward.restart()
