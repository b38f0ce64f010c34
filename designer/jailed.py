"""The bridge between the trainer's reward protocol and a program held in a jail."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import numpy as np

from envs.episode import Fields, Transitions
from sandbox.errors import CandidateError, Violation
from sandbox.program import RewardProgram
from sandbox.recheck import Reference, recheck
from sandbox.rowwise import drawn_salt
from sandbox.service import Answer, Call, RewardService, Sandbox
from training.reward import RewardAnswer, RewardFailure


def call(transitions: Transitions, memory: Fields | None = None) -> Call:
    """Transitions as the sandbox takes them."""
    return Call(
        state=transitions.state,
        action=transitions.action,
        next_state=transitions.next_state,
        ended=np.asarray(transitions.terminated | transitions.truncated),
        memory=memory,
    )


RECHECKS = 16
"""One call in so many, chosen by chance, is checked by asking for some of its rows again."""


class ProgramFailure(RewardFailure):
    """What a program did wrong outside the probes, with the violation that tells kind, rule and line."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(f"{violation.kind}: {violation.message}")
        self.violation = violation


class JailedReward:
    """A ``training.reward.RewardFunction`` whose numbers come out of a jail. Close it, or use ``with``.

    The first answer and others at random are checked again: a program that kept the rules while it was probed and
    breaks them in training is found out.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        program: RewardProgram,
        *,
        deadline: float = 10.0,
        reference: Reference | None = None,
    ) -> None:
        """``reference``: what the program answered while it was probed, where that is known."""
        self.program = program
        self._reference = reference
        self._checked = False
        # Seeded by the system: nothing that a program knows tells when it is checked.
        self._chance = np.random.default_rng()
        self.service: RewardService = sandbox.serve(program)
        self._deadline = deadline
        self._memory: Fields | None = None
        self._names: frozenset[str] | None = None

    def __call__(self, transitions: Transitions) -> RewardAnswer:
        """Components and potentials; a program that fails raises ``ProgramFailure``."""
        asked = call(transitions, self._memory)
        try:
            answer = self.service.evaluate(asked, salt=drawn_salt(), deadline=self._deadline)
            self._check_again(asked, answer)
        except CandidateError as error:
            raise ProgramFailure(error.violation) from error
        names = frozenset(answer.components)
        if self._names not in (None, names):
            message = "the names of the components differ from call to call"
            raise ProgramFailure(Violation(stage="sandbox", kind="invalid", rule="components", message=message))
        self._names, self._memory = names, answer.memory
        return RewardAnswer(
            components=answer.components, potential=answer.potential, next_potential=answer.next_potential
        )

    def _check_again(self, asked: Call, answer: Answer) -> None:
        """Raises ``CandidateError`` where the same rows are paid otherwise in another batch."""
        if self._checked and self._chance.integers(RECHECKS):
            return
        self._checked = True
        found = recheck(self.service, asked, answer, self._chance, deadline=self._deadline, reference=self._reference)
        if found is not None:
            raise CandidateError(found)

    def restart(self) -> None:
        """Forget all memory; the names of the components stay those of the program."""
        self._memory = None

    def close(self) -> None:
        """End the jail."""
        self.service.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
