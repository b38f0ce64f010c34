"""A decoder that learns no more: factors in, rewards out, as an exported bundle pays them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from envs.episode import Array, Transitions
from training.credit import FACTOR_CLIP
from training.decoder import load_decoder
from training.reward import RewardAnswer, RewardFunction


class FrozenReward:
    """A latent reward with a frozen decoder behind it; its one component is what is paid."""

    def __init__(self, reward: RewardFunction, weights: Mapping[str, Array]) -> None:
        """``weights``: as ``training.credit.Frozen`` holds them."""
        self._reward = reward
        self._mean, self._deviation = weights["factors.mean"], weights["factors.deviation"]
        self._scale = np.float32(weights["scale"][0])
        layers = sum(name.startswith("decoder.") and name.endswith(".weight") for name in weights)
        hidden = tuple(weights[f"decoder.{i}.weight"].shape[1] for i in range(layers - 1))
        self._decoder = load_decoder(len(self._mean), hidden, [weights], "cpu")

    @torch.no_grad()
    def __call__(self, transitions: Transitions) -> RewardAnswer:
        """What the decoder makes of the factors, as ``decoded``. Raises ``RewardFailure``."""
        named = self._reward(transitions).components
        factors = np.stack([named[name] for name in sorted(named)], -1)
        normal = ((factors - self._mean) / self._deviation).clip(-FACTOR_CLIP, FACTOR_CLIP).astype(np.float32)
        rewards = self._decoder(torch.from_numpy(normal.reshape(1, -1, normal.shape[-1])))
        paid = rewards.numpy().reshape(factors.shape[:-1]) * self._scale
        return RewardAnswer(components={"decoded": paid}, whole=True)

    def restart(self) -> None:
        """Forget the program's memory."""
        self._reward.restart()
