"""From a run to a bundle: what the run knows of a candidate goes into its manifest."""

from __future__ import annotations

from pathlib import Path

from designer.bundle import export_bundle
from designer.store import RunStore
from envs.task import TaskSpec

_RECORDS = ("bundle", "confirmation", "training")
"""What tells a reward's fitness, the nearest to what the bundle pays first: its frozen decoder, where it has one."""


def export_run(store: RunStore, task: TaskSpec, candidate: str, directory: Path) -> None:
    """Write a candidate's bundle. Raises ``UserError`` for an unknown candidate or a foreign folder."""
    program = store.program(candidate)
    facts = store.candidate(candidate) or {}
    records = {name: store.read_json(f"candidates/{candidate}/{name}.json") for name in _RECORDS}
    native = store.read_json("controls/native/confirmation.json")
    shown = next((record for record in records.values() if record), None)
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
