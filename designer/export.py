"""From a run to a bundle: what the run knows of a candidate goes into its manifest."""

from __future__ import annotations

from pathlib import Path

from designer.bundle import export_bundle
from designer.scorecard import delivered
from designer.store import RunStore
from envs.task import TaskSpec


def export_run(store: RunStore, task: TaskSpec, candidate: str, directory: Path) -> None:
    """Write a candidate's bundle. Raises ``UserError`` for an unknown candidate or a foreign folder."""
    program = store.program(candidate)
    if program.form == "latent":
        store.read_decoder(candidate)
    facts = store.candidate(candidate) or {}
    native = store.read_json("controls/native/confirmation.json")
    shown = delivered(store, candidate) or store.read_json(f"candidates/{candidate}/training.json")
    verification = store.read_json(f"candidates/{candidate}/verification.json") or {}
    config = store.read_json("config.json") or {}
    export_bundle(
        directory,
        task=task,
        program=program,
        decoder=store.decoder(candidate) if program.form == "latent" else None,
        manifest_extra={
            "fitness": shown["fitness"] if shown else None,
            "fitness_on": shown["purpose"] if shown else None,
            "native_fitness": native["fitness"] if native else None,
            "provenance": {
                "idea": facts["idea"],
                "iteration": facts["iteration"],
                "model": config.get("model"),
                "seed": config.get("seed"),
                "sandbox": verification.get("sandbox"),
                "audit": (verification.get("audit") or {}).get("verdict"),
            },
        },
    )
