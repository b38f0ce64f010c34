"""From a program's source to a verdict: gate, jail, probes, audit, in that order, before any training."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from designer import factor_checks
from designer.jailed import JailedReward, ProgramFailure, call
from designer.store import Json
from envs import record, scripted
from envs.episode import Episode, Transitions
from envs.task import TaskSpec
from envs.team_record import random_team_episodes
from sandbox import gate, probes
from sandbox.errors import CandidateError, Violation
from sandbox.program import RewardProgram
from sandbox.recheck import Reference
from sandbox.service import Sandbox
from training.audit import AuditReport, audit
from training.credit.relevance import LEAST, Relevance, relevance


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found on one program. ``ok`` is what no critic can overrule."""

    ok: bool
    program: str
    sandbox: Json
    """``backend``, the ``layers`` in force, and those that this kernel is ``missing``."""
    violations: tuple[Violation, ...]
    components: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Component -> min, mean, max, std, share of the mean absolute reward."""
    measured: Json = field(default_factory=dict)
    """Everything else that the probes measured: warnings, sensitivity, time per call."""
    audit: Json | None = None
    reference: Reference | None = None
    """Rows with their answers, to be asked again in training; no part of the JSON."""
    gate: bool = True
    """False where the gate was left out on purpose."""

    @property
    def status(self) -> str:
        """``verified``, ``refused`` (gate), ``failed`` (sandbox or probes) or ``gamed`` (audit)."""
        stages = {v.stage for v in self.violations}
        if not stages:
            return "verified"
        return "refused" if "gate" in stages else "gamed" if stages == {"audit"} else "failed"

    def to_json(self) -> Json:
        """What ``verify --json`` prints and ``verification.json`` holds."""
        return {
            "ok": self.ok,
            "program": self.program,
            "status": self.status,
            "sandbox": self.sandbox,
            "gate": self.gate,
            "violations": [asdict(v) for v in self.violations],
            "components": {k: dict(v) for k, v in self.components.items()},
            "measured": self.measured,
            "audit": self.audit,
        }


LATENT_EPISODES = 32
"""Random episodes whose outcomes a latent reward's factors are held against, and scripted ones besides, at most."""
LATENT_STEPS = 16_000
"""Steps that these random episodes may have together, but for eight of them."""


class Verifier:
    """Checks programs of one task. What the checks need of the task is recorded once, on first use."""

    def __init__(
        self, task: TaskSpec, sandbox: Sandbox, *, learners: int = 1, seed: int = 0, with_gate: bool = True
    ) -> None:
        """``learners`` will share a program in training; ``seed``: of the recorded play."""
        self.task = task
        self._training = (task.ppo.steps, task.ppo.envs * learners)
        self.sandbox = sandbox
        self._seed = seed
        self._with_gate = with_gate
        self._lock = threading.Lock()
        self._recorded: tuple[scripted.ScriptedEpisodes | None, dict[str, Transitions]] | None = None
        self._outcomes: list[Episode] | None = None

    def recorded(self) -> tuple[scripted.ScriptedEpisodes | None, dict[str, Transitions]]:
        """Scripted episodes for the audit, and transitions by origin for the probes."""
        with self._lock:
            if self._recorded is None:
                played = scripted.episodes(self.task, seed=self._seed)
                known = {**played.solutions, **played.exploits} if played else {}
                samples = record.probe_samples(
                    self.task, {name: list(episodes) for name, episodes in known.items()}, seed=self._seed
                )
                self._recorded = (played, samples)
            return self._recorded

    def outcomes(self) -> list[Episode]:
        """Whole episodes of random and scripted play, which end in unlike ways where the task allows it.

        Of a team, which nobody wrote a script for, every agent's: ``task.agents`` consecutive ones are one of the team.
        """
        played, _ = self.recorded()
        with self._lock:
            if self._outcomes is None:
                known = [*played.solutions.values(), *played.exploits.values()] if played else []
                scripted_ones = [episode for episodes in known for episode in episodes]
                every = max(1, len(scripted_ones) // LATENT_EPISODES)
                steps = self.task.episode_steps * self.task.agents
                count = max(LEAST, min(LATENT_EPISODES, LATENT_STEPS // steps))
                play = random_team_episodes if self.task.agents > 1 else record.random_episodes
                random_ones = play(self.task, count, self._seed)
                self._outcomes = [*random_ones, *scripted_ones[::every][:LATENT_EPISODES]]
            return self._outcomes

    def verify(self, program: RewardProgram) -> Verification:
        """Run every check that the ones before it allow. Raises ``InfraError`` where the jail is gone."""
        if self._with_gate:
            report = gate.check(program.source, program.form)
            if not report.ok:
                return self._verdict(program, report.violations)
        played, samples = self.recorded()
        probed: probes.ProbeReport | None = None
        try:
            with JailedReward(self.sandbox, program) as reward:
                probed = probes.probe(reward.service, {k: call(v) for k, v in samples.items()}, training=self._training)
                if not probed.ok:
                    return self._verdict(program, probed.violations, probed)
                if program.form == "latent":
                    reward.restart()
                    outcome = relevance(self.outcomes(), reward, agents=self.task.agents)
                    return self._verdict(program, factor_checks.refused(probed, outcome), probed, outcome=outcome)
                reward.restart()
                audited = audit(played, reward, gamma=self.task.ppo.gamma, task_weight=self.task.task_weight)
        except CandidateError as error:
            return self._verdict(program, (error.violation,))
        except ProgramFailure as error:
            message = f"{error.violation.message} (in recorded episodes)"
            return self._verdict(program, (replace(error.violation, message=message),), probed)
        return self._verdict(program, self._vetoes(program, audited), probed, audited)

    def _vetoes(self, program: RewardProgram, audited: AuditReport) -> tuple[Violation, ...]:
        found = []
        if audited.verdict == "gamed":
            found.append(Violation(stage="audit", kind="invalid", rule="gamed", message=audited.feedback()))
        if self.task.task_weight == 0 and gate.check(program.source, program.form).has_potential:
            found.append(
                Violation(
                    stage="audit",
                    kind="invalid",
                    rule="potential",
                    message="This task pays no reward of its own (task_weight is 0), where a potential only cancels "
                    "out: remove potential(state) and pay for what is wanted in compute_reward.",
                )
            )
        return tuple(found)

    def _verdict(
        self,
        program: RewardProgram,
        violations: tuple[Violation, ...],
        probed: probes.ProbeReport | None = None,
        audited: AuditReport | None = None,
        outcome: Relevance | None = None,
    ) -> Verification:
        measured: dict[str, Any] = probed.to_json() if probed else {}
        measured.pop("violations", None)
        if probed is not None and outcome is not None:
            measured["ok"] = not any(violation.stage == "probe" for violation in violations)
            measured["outcome"] = asdict(outcome)
            measured["warnings"] = [*measured["warnings"], *factor_checks.warnings(probed, outcome)]
        components = measured.pop("components", {})
        return Verification(
            ok=not violations,
            program=program.id,
            sandbox={
                "backend": self.sandbox.name,
                "layers": list(self.sandbox.layers),
                "missing": list(self.sandbox.missing),
            },
            violations=violations,
            components=components,
            measured=measured,
            audit=audited.to_json() if audited else None,
            reference=probed.reference if probed else None,
            gate=self._with_gate,
        )
