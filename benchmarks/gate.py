"""Does the gate refuse what would have been fine? Programs that a language model wrote, verified without it.

    python -m benchmarks.gate              verify those that the gate refuses against the other walls alone, and list
                                           every one that passes
    python -m benchmarks.gate --add RUN    keep the programs of a run among them

The programs lie in ``results/model_programs.json``, each with its task, as the model wrote it.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from designer.checks import Verifier
from designer.store import RunStore
from envs import catalog
from sandbox import gate
from sandbox.embedded import EmbeddedSandbox
from sandbox.program import RewardProgram

KEPT = Path(__file__).resolve().parent / "results" / "model_programs.json"


def kept() -> list[dict[str, Any]]:
    """The programs: task, model and source."""
    found: list[dict[str, Any]] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else []
    return found


def add(run: Path) -> None:
    """Keep the programs of ``run`` that are not kept yet."""
    store = RunStore.open(run)
    config = store.read_json("config.json")
    programs = kept()
    known = {(p["task"], p["source"]) for p in programs}
    for folder in sorted((run / "candidates").iterdir()):
        source = store.program(folder.name).source
        if (config["task"], source) not in known:
            programs.append({"task": config["task"], "model": config["model"], "source": source})
    KEPT.write_text(json.dumps(programs, indent=1) + "\n", encoding="utf-8")


def main(runs: Annotated[tuple[Path, ...], tyro.conf.arg(name="add")] = ()) -> None:
    """Verify and list.

    Args:
        runs: Runs whose programs to keep, in place of a verification.
    """
    for run in runs:
        add(run)
    if runs:
        print(f"{len(kept())} programs are kept")
        return
    console = Console()
    sandbox = EmbeddedSandbox()
    verifiers: dict[str, Verifier] = {}
    refused, wrongly = [], []
    rules: Counter[str] = Counter()
    for program in kept():
        report = gate.check(program["source"])
        if report.ok:
            continue
        refused.append(program)
        rules.update({violation.rule for violation in report.violations})
        task = program["task"]
        verifier = verifiers.setdefault(task, Verifier(catalog.load(task), sandbox, learners=3, with_gate=False))
        with console.status(f"{len(refused)}: {task}"):
            found = verifier.verify(RewardProgram(program["source"]))
        if found.ok:
            wrongly.append((program, report.violations))
    total = len(kept())
    print(f"{total} programs; the gate refuses {len(refused)}: {dict(rules.most_common())}")
    print(f"of those, probes and audit would pass {len(wrongly)} ({len(wrongly) / max(1, total):.1%} of all)")
    for program, violations in wrongly:
        print(f"\n{program['task']}: {'; '.join(f'{v.rule} in line {v.line}: {v.message}' for v in violations)}")
        print(program["source"])


if __name__ == "__main__":
    tyro.cli(main)
