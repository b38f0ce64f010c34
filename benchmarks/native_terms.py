"""The terms of the native rewards in the table of latent rewards, to show that no program there holds one of them.

A factor holds a term where it follows it on recorded steps: one is the other but for scale and shift. Factors make a
term up where a linear decoder could: where it follows their best weighted sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from designer.checks import Verifier
from designer.jailed import JailedReward
from envs.episode import Array, Fields, flat
from sandbox.program import RewardProgram

FOLLOWS = 0.97
"""Correlation from which a factor, or a weighted sum of them, counts as the term itself."""
STEPS = 4_096


def native_terms(task_id: str, state: Fields, action: Array, next_state: Fields) -> dict[str, Array]:
    """What the environment's own reward is the sum of, for ``(B, ...)`` transitions: name -> ``(B,)``.

    After the sources of Gymnasium 1.3, MiniGrid 3.1 and mpe2 1.0. The formula's parts are given alone and, where
    several make up the reward, together.
    """
    if task_id.startswith("halfcheetah"):
        moved = (next_state["torso_x"] - state["torso_x"]) / 0.05
        effort = np.square(action).sum(-1)
        velocity = next_state["torso_velocity_x"]
        return {"forward": moved, "velocity": velocity, "effort": effort, "reward": moved - 0.1 * effort}
    if task_id.startswith("reacher"):
        gap = np.linalg.norm(next_state["fingertip_position"] - next_state["target_position"], axis=-1)
        effort = np.square(action).sum(-1)
        return {"distance": gap, "effort": effort, "reward": -gap - 0.1 * effort}
    if task_id.startswith("simple-spread"):
        own = next_state["landmark_offset"]
        theirs = own[:, :, None] - next_state["teammate_offset"][:, None]
        every = np.concatenate([own[:, :, None], theirs], 2)
        nearest = np.linalg.norm(every, axis=-1).min(-1)
        alone = np.linalg.norm(own, axis=-1).min(-1)
        return {
            **{f"landmark {i}": nearest[:, i] for i in range(nearest.shape[1])},
            "sum over landmarks": nearest.sum(-1),
            "own nearest landmark": alone,
        }
    if task_id.startswith(("doorkey", "lavagap")):
        return {"at the goal": (next_state["agent_pos"] == state["goal_pos"]).all(-1)}
    raise KeyError(task_id)


def held(factors: Mapping[str, Array], terms: Mapping[str, Array]) -> dict[str, str]:
    """Factor -> the term that it follows, for those that follow one."""
    found = {}
    for name, values in factors.items():
        for term, wanted in terms.items():
            varied = np.std(values) > 0 and np.std(wanted) > 0
            if varied and abs(np.corrcoef(values, wanted)[0, 1]) > FOLLOWS:
                found[name] = term
    return found


def made_up(factors: Mapping[str, Array], terms: Mapping[str, Array]) -> set[str]:
    """The terms that the best weighted sum of the factors follows, as a linear decoder might find it."""
    design = np.stack([np.ones_like(next(iter(terms.values())), float), *factors.values()], axis=-1)
    sums = {
        term: design @ np.linalg.lstsq(design, wanted.astype(float), rcond=None)[0] for term, wanted in terms.items()
    }
    return {term for term, found in sums.items() if held({term: found}, {term: terms[term]})}


def measured(verifier: Verifier, program: RewardProgram) -> tuple[dict[str, Array], dict[str, Array]]:
    """Factors and native terms on ``STEPS`` of the episodes that verification looks at."""
    seen = flat(verifier.outcomes())
    rows = np.random.default_rng(0).permutation(seen.action.shape[1])[:STEPS]
    some = replace(
        seen,
        state={name: values[:, rows] for name, values in seen.state.items()},
        action=seen.action[:, rows],
        next_state={name: values[:, rows] for name, values in seen.next_state.items()},
        terminated=seen.terminated[:, rows],
        truncated=seen.truncated[:, rows],
    )
    with JailedReward(verifier.sandbox, program) as reward:
        factors = {name: values[0] for name, values in reward(some).components.items()}
    state, after = ({name: values[0] for name, values in part.items()} for part in (some.state, some.next_state))
    return factors, native_terms(verifier.task.id, state, some.action[0], after)
