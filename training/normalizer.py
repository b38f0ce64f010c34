"""Fair arms: every learner's reward is scaled by the running deviation of its own discounted return."""

from __future__ import annotations

import torch
from torch import Tensor

from training.observation import RunningMoments


class RewardNormalizer:
    """Scales what a learner is paid, the same way in every arm.

    A reward is divided by the running standard deviation of the learner's discounted return, never shifted,
    and clipped (the scaling of Gymnasium's ``NormalizeReward`` and of OpenAI Baselines' ``VecNormalize``,
    with the moments taken in once a rollout). So an arm gains nothing by paying the same preferences in
    larger numbers.
    """

    def __init__(self, population: int, envs: int, *, gamma: float, clip: float, device: str) -> None:
        self.gamma = gamma
        self.clip = clip
        self._carry = torch.zeros(population, envs, dtype=torch.float64, device=device)
        self._running = RunningMoments(population, 1, device)

    def __call__(self, reward: Tensor, ended: Tensor) -> Tensor:
        """Normalised ``(P, T, N)`` float32 rewards in ``[-clip, clip]``.

        ``G_t = gamma * G_{t-1} + r_t`` runs in time order, over rollouts too, and starts anew after a step
        that ``ended`` (``(P, T, N)`` bool) an episode.
        """
        values = reward.to(torch.float64)
        goes_on = (~ended).to(torch.float64) * self.gamma
        returns = torch.empty_like(values)
        carry = self._carry
        for t in range(values.shape[1]):
            torch.add(carry, values[:, t], out=returns[:, t])
            carry = returns[:, t] * goes_on[:, t]
        self._carry = carry
        self._running.update(returns.flatten(1)[..., None])
        _, deviation = self._running.moments()
        return (reward / deviation[..., None]).clamp_(-self.clip, self.clip)

    def select(self, learners: Tensor) -> None:
        """Keep only these learners, ``(P',)`` int64."""
        self._carry = self._carry[learners]
        self._running = self._running.select(learners)
