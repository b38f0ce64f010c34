"""One slot of an iteration: a program is written, checked and criticised, and sent back while that helps."""

from __future__ import annotations

import operator
from dataclasses import asdict, dataclass
from typing import Annotated, TypedDict

from designer.agents import Agents
from designer.budget import CapReached
from designer.checks import Verifier
from designer.facts import critic_facts, designer_facts
from designer.replies import BadReply
from designer.settings import DesignSettings
from designer.skeleton import says_nothing
from designer.store import Json, RunStore
from envs.task import TaskSpec
from sandbox.errors import Violation
from sandbox.program import RewardProgram

CRITIC_ROUNDS = 3
"""How often a critic is asked about a slot; its last refusal sends nothing back."""
REFUSALS = 3
"""How often a program that gate, jail, probes or audit refused is sent back."""


class Proposal(TypedDict):
    """What came of a slot."""

    iteration: int
    slot: int
    candidate: str | None
    """The program that may be trained, or None when the slot came to nothing."""
    status: str
    """``accepted``, ``unapproved`` (verified, but the critic never agreed), ``dropped`` or the cap's name."""


class SlotState(TypedDict, total=False):
    """What a slot has come to so far: JSON primitives only."""

    iteration: int
    slot: int
    round: int
    refusals: int
    critiques: int
    refused: Json | None
    candidate: str | None
    verified: str | None
    outcome: str
    proposals: Annotated[list[Proposal], operator.add]


class SlotResult(TypedDict):
    """What a slot hands to the run."""

    proposals: Annotated[list[Proposal], operator.add]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """The steps of a slot, over what a run has at hand."""

    task: TaskSpec
    settings: DesignSettings
    store: RunStore
    agents: Agents
    verifier: Verifier

    def write(self, state: SlotState) -> SlotState:
        """The designer writes a program, or mends the one that came back."""
        slot = self._slot(state)
        form = self.settings.form_of(slot["iteration"], slot["candidate"])
        facts = designer_facts(
            self.task,
            self.store,
            {**slot, "seed": self.settings.seed},
            form=form,
            merging=slot["candidate"] == self.settings.merging_slot(slot["iteration"]),
            refused=state.get("refused"),
            comments=self.store.comments(),
        )
        try:
            design = self.agents.design(facts, self.settings.candidates, slot)
        except BadReply as problem:
            self.store.event("slot_dropped", slot=slot, reason=f"no usable reply: {problem}")
            return {"outcome": "unapproved" if state.get("verified") else "dropped"}
        except CapReached as cap:
            return {"outcome": cap.name}
        program = RewardProgram(design.code, form)
        earlier = self.store.candidate(program.id)
        facts_kept = {
            **{k: slot[k] for k in ("iteration", "round")},
            "slot": slot["candidate"],
            "idea": design.idea,
        }
        self.store.add_program(program, {**facts_kept, "revision_of": state.get("candidate")})
        twice = earlier is not None and earlier["iteration"] < state["iteration"]
        self.store.event("written", slot=slot, candidate=program.id, idea=design.idea, known=twice)
        return {"candidate": program.id, "outcome": "known" if twice else "written"}

    def check(self, state: SlotState) -> SlotState:
        """Gate, jail, probes and audit; what they refuse no critic can approve."""
        candidate = state.get("candidate") or ""
        program = self.store.program(candidate)
        found = self._verified(candidate, program)
        violations = [_EXAMPLES_ALONE] if found["ok"] and says_nothing(program, self.task) else found["violations"]
        if state.get("outcome") == "known":
            return self._back(state, [*violations, *self._failed_in_training(candidate), _ALREADY_TRIED], [])
        status = "refused" if found["ok"] and violations else found["status"]
        if (self.store.candidate(candidate) or {})["status"] in ("written", "verified"):
            self.store.set_status(candidate, status)
        rules = [f"{v['stage']}:{v['rule']}" for v in violations]
        kinds = sorted({v["kind"] for v in violations})
        self.store.event(
            "checked", slot=self._slot(state), candidate=candidate, status=status, rules=rules, kinds=kinds
        )
        if violations:
            return self._back(state, violations, [])
        return {"verified": candidate, "outcome": "verified", "refusals": 0}

    def _verified(self, candidate: str, program: RewardProgram) -> Json:
        """What the checks say of a program, which are run once."""
        found = self.store.read_json(f"candidates/{candidate}/verification.json")
        if found is None:
            verification = self.verifier.verify(program)
            if verification.reference is not None:
                self.store.write_arrays(f"candidates/{candidate}/reference.npz", verification.reference.to_arrays())
            found = verification.to_json()
            self.store.write_json(f"candidates/{candidate}/verification.json", found)
        return dict(found)

    def _failed_in_training(self, candidate: str) -> list[Json]:
        failure = (self.store.read_json(f"candidates/{candidate}/training.json") or {}).get("failure")
        return [asdict(Violation(stage="sandbox", kind="invalid", rule="training", message=failure))] if failure else []

    def criticize(self, state: SlotState) -> SlotState:
        """The critic approves or sends back; one that cannot answer does not hold a sound program up."""
        candidate = state.get("verified") or ""
        slot = self._slot(state)
        program = self.store.program(candidate)
        verification = self.store.read_json(f"candidates/{candidate}/verification.json") or {}
        try:
            critique = self.agents.criticize(critic_facts(self.task, program, verification, slot), slot)
        except BadReply as problem:
            self.store.event("critic_silent", slot=slot, candidate=candidate, problem=str(problem))
            return {"outcome": "unapproved"}
        except CapReached:
            return {"outcome": "unapproved"}
        told = {
            "approve": critique.approve,
            "reasons": list(critique.reasons),
            "round": state.get("round", 0),
        }
        self.store.write_json(f"candidates/{candidate}/critique.json", told)
        self.store.event("criticized", slot=slot, candidate=candidate, approve=critique.approve)
        if critique.approve:
            return {"outcome": "accepted"}
        critiques = state.get("critiques", 0) + 1
        if critiques >= CRITIC_ROUNDS:
            return {"outcome": "unapproved", "critiques": critiques}
        self.store.set_status(candidate, "sent_back")
        return {**self._back(state, [], list(critique.reasons)), "critiques": critiques, "refusals": 0}

    def settle(self, state: SlotState) -> SlotState:
        """What came of the slot: the last program that held, if any did."""
        outcome = state.get("outcome", "dropped")
        verified = state.get("verified")
        if verified is not None and outcome not in ("accepted", "unapproved"):
            outcome = "unapproved"
        if verified is not None and (self.store.candidate(verified) or {})["status"] in (
            "verified",
            "sent_back",
        ):
            self.store.set_status(verified, "approved" if outcome == "accepted" else "unapproved")
        proposal = Proposal(iteration=state["iteration"], slot=state["slot"], candidate=verified, status=outcome)
        self.store.event("slot_settled", **proposal)
        return {"proposals": [proposal]}

    def _slot(self, state: SlotState) -> dict[str, int]:
        return {"iteration": state["iteration"], "candidate": state["slot"], "round": state.get("round", 0)}

    def _back(self, state: SlotState, violations: list[Json], reasons: list[str]) -> SlotState:
        refusals = state.get("refusals", 0) + 1
        if refusals > REFUSALS:
            return {"outcome": "unapproved" if state.get("verified") else "dropped"}
        source = self.store.program(state.get("candidate") or "").source
        refused = {"source": source, "violations": violations, "reasons": reasons}
        return {
            "outcome": "back",
            "refused": refused,
            "refusals": refusals,
            "round": state.get("round", 0) + 1,
        }


_EXAMPLES_ALONE: Json = {
    "stage": "gate",
    "kind": "rejected",
    "rule": "skeleton",
    "line": None,
    "message": "It answers with the examples of the skeleton, which say nothing about the task. Write your own.",
}
_ALREADY_TRIED: Json = {
    "stage": "gate",
    "kind": "rejected",
    "rule": "duplicate",
    "line": None,
    "message": "This very program was tried in an earlier iteration. Write one that works differently.",
}
