"""The steps of the design loop: controls, proposals, review, training, analysis, selection, confirmation.

``graph`` says in which order they come.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, TypedDict

from designer.agents import Agents
from designer.arms import Arm, confirming, controls
from designer.budget import Budget, CapReached
from designer.candidate import Proposal
from designer.facts import analyzer_facts, ranked
from designer.replies import BadReply
from designer.scorecard import difference, write_scorecard
from designer.settings import DesignSettings
from designer.store import Json, RunStore
from designer.trainings import Trainings
from envs.task import TaskSpec

ANALYSED = 2
"""Trained programs of an iteration that the analyzer looks at: the best ones."""


def _latest(old: str | None, new: str | None) -> str | None:
    """The newest reason to stop; an empty one clears it, for a finished run that goes on after a comment."""
    return old if new is None else new or None


class RunState(TypedDict, total=False):
    """The state of a run's graph: JSON primitives and ids only; everything else lies in the run's folder."""

    iteration: int
    iterations: int
    """How many are wanted; a comment on a finished run adds one."""
    proposals: Annotated[list[Proposal], operator.add]
    rejected: Annotated[list[str], operator.add]
    """Programs that a person rejected."""
    stopped_by: Annotated[str | None, _latest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """The steps of a run, over what the run has at hand."""

    task: TaskSpec
    settings: DesignSettings
    store: RunStore
    budget: Budget
    agents: Agents
    trainings: Trainings

    def controls(self, state: RunState) -> RunState:
        """Train what every candidate is held against."""
        try:
            self.trainings.run(self._controls(), self.settings.selection_seeds(), "selection")
        except CapReached as cap:
            return {"stopped_by": cap.name}
        return {}

    def slots(self, state: RunState) -> list[Json]:
        """The slots of the iteration, to be filled side by side; none where the run is to end."""
        if state.get("stopped_by"):
            return []
        iteration = state.get("iteration", 0)
        last = self.settings.merging_slot(iteration)
        return [{"iteration": iteration, "slot": slot} for slot in range(self.settings.candidates) if slot != last]

    def merging(self, state: RunState) -> list[Json]:
        """The slot that waits for the programs of the others, if there is one."""
        iteration = state.get("iteration", 0)
        slot = self.settings.merging_slot(iteration)
        return [] if slot is None else [{"iteration": iteration, "slot": slot}]

    def review(self, state: RunState, ask: Callable[[Json], Json]) -> RunState:
        """Let a person accept, reject or comment; without ``--review`` nothing happens here."""
        waiting = self._waiting(state)
        if not self.settings.review or not waiting:
            return {}
        answer = ask({"iteration": state.get("iteration", 0), "candidates": waiting})
        return {"rejected": [c for c in answer.get("reject", []) if c in waiting]}

    def train(self, state: RunState) -> RunState:
        """Train the iteration's programs, all seeds at once, beside the controls' own results."""
        caps = [p["status"] for p in self._mine(state) if p["status"].startswith("max_")]
        stopped = caps[0] if caps else None
        for candidate in state.get("rejected", []):
            self.store.set_status(candidate, "rejected_by_person")
        wanted = [c for c in self._waiting(state) if c not in state.get("rejected", [])]
        arms = [Arm(name=c, program=self.store.program(c)) for c in wanted]
        reserve = confirming(self.task, self.settings.form) * self.settings.confirm_seeds
        try:
            self.trainings.run(arms, self.settings.selection_seeds(), "selection", reserve=reserve)
        except CapReached as cap:
            stopped = cap.name
        return {"stopped_by": stopped}

    def analyses(self, state: RunState) -> list[Json]:
        """The programs of the iteration that are to be analysed, side by side."""
        trained = {c for c in self._waiting(state) if self.store.read_json(f"candidates/{c}/training.json")}
        best = [c for c in ranked(self.store) if c in trained][:ANALYSED]
        if state.get("stopped_by"):
            return []
        iteration = state.get("iteration", 0)
        return [{"candidate": c, "iteration": iteration, "slot": i} for i, c in enumerate(best)]

    def analyze(self, job: Json) -> RunState:
        """The trajectory analyzer says what held a trained program back."""
        name = f"candidates/{job['candidate']}/analysis.json"
        if self.store.read_json(name) is not None:
            return {}
        slot = {"iteration": job["iteration"], "candidate": job["slot"], "round": 0}
        facts, episodes = analyzer_facts(self.task, self.store, job["candidate"], slot)
        try:
            analysis = self.agents.analyze(facts, episodes, slot)
        except BadReply as problem:
            self.store.event("analysis_dropped", candidate=job["candidate"], problem=str(problem))
            return {}
        except CapReached as cap:
            return {"stopped_by": cap.name}
        told = {
            "diagnosis": analysis.diagnosis,
            "evidence": [{"episode": e.episode, "step": e.step, "what": e.what} for e in analysis.evidence],
            "change": {"level": analysis.level, "advice": analysis.advice},
        }
        self.store.write_json(name, told)
        self.store.event("analyzed", candidate=job["candidate"], level=analysis.level)
        return {}

    def select(self, state: RunState) -> RunState:
        """Rank what was trained, and decide whether another iteration follows."""
        iteration = state.get("iteration", 0)
        best = ranked(self.store)[:1]
        fitness = self._fitness(best[0]) if best else None
        self.store.event("iteration_done", iteration=iteration, best=best[0] if best else None, fitness=fitness)
        stopped = state.get("stopped_by")
        target = self.settings.target
        if stopped is None and target is not None and fitness is not None and fitness >= target:
            stopped = "target"
        if stopped is None and iteration + 1 >= state.get("iterations", self.settings.iterations):
            stopped = "iterations"
        return {"iteration": iteration + 1, "stopped_by": stopped}

    def confirm(self, state: RunState) -> RunState:
        """Train the top candidate and the controls on seeds that selection never saw."""
        best = ranked(self.store)[:1]
        native = self.store.read_json("controls/native/training.json")
        if not best or native is None:
            return {}
        record = self.store.read_json(f"candidates/{best[0]}/training.json") or {}
        if difference(record, native)["iqm"] <= 0:
            self.store.event("not_confirmed", candidate=best[0], reason="not above the native control in selection")
            return {}
        winner = Arm(name=best[0], program=self.store.program(best[0]))
        try:
            self.trainings.run([winner, *self._controls()], self.settings.confirmation_seeds(), "confirmation")
            if winner.credit is not None:
                self._try_bundle(winner)
        except CapReached as cap:
            return {"stopped_by": cap.name}
        return {}

    def _try_bundle(self, winner: Arm) -> None:
        """Train the same seeds on the decoder that selection froze, which is what a latent reward's bundle holds."""
        record = self.trainings.result(winner, "confirmation")
        if record and record["failure"] is None:
            weights = self.store.read_decoder(winner.name)
            if weights is None:
                self.store.event("bundle_dropped", candidate=winner.name, reason="no episode ended in the selection")
                return
            frozen = replace(winner, decoder=weights)
            self.trainings.run([frozen], self.settings.confirmation_seeds(), "bundle")

    def finish(self, state: RunState) -> RunState:
        """Write the scorecard."""
        write_scorecard(self.task, self.settings, self.store, self.budget, state.get("stopped_by") or "iterations")
        return {}

    def _controls(self) -> tuple[Arm, ...]:
        return controls(self.task, self.settings.form)

    def _mine(self, state: RunState) -> list[Proposal]:
        iteration = state.get("iteration", 0)
        return [p for p in state.get("proposals", []) if p["iteration"] == iteration]

    def _waiting(self, state: RunState) -> list[str]:
        """Programs of this iteration that may be trained, each once, in slot order."""
        ordered = sorted(self._mine(state), key=lambda p: p["slot"])
        return list(dict.fromkeys(p["candidate"] for p in ordered if p["candidate"]))

    def _fitness(self, candidate: str) -> float | None:
        record = self.store.read_json(f"candidates/{candidate}/training.json")
        value: float | None = record["fitness"]["iqm"] if record else None
        return value
