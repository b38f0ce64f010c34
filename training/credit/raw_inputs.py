"""The control that needs no latent reward: the state and the action themselves as factors."""

from __future__ import annotations

import numpy as np

from envs.episode import Transitions
from envs.task import Action
from training.reward import RewardAnswer


class RawInputs:
    """State and action themselves as factors: what a decoder reads where nobody wrote a latent reward."""

    def __init__(self, action: Action) -> None:
        self._action = action

    def __call__(self, transitions: Transitions) -> RewardAnswer:
        """A component for each number of the state, and of the action (one-hot where it is discrete)."""
        lead = transitions.action.shape[:2]
        columns = [np.asarray(v, dtype=np.float32).reshape(*lead, -1) for v in transitions.state.values()]
        if self._action.kind == "discrete":
            columns.append(np.eye(self._action.size, dtype=np.float32)[transitions.action])
        else:
            columns.append(transitions.action.astype(np.float32))
        every = np.concatenate(columns, -1)
        return RewardAnswer(components={f"input_{i}": every[..., i] for i in range(every.shape[-1])})

    def restart(self) -> None:
        """Nothing is remembered."""
