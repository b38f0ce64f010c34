"""How fast environments step and trainings run, beside other ways: ratios of one interleaved run.

    pip install -c constraints.txt -e . -r benchmarks/requirements.txt     once, into an environment of its own
    python -m benchmarks.speed            print the table
    python -m benchmarks.speed --write    and put it into docs/performance.md, and the figures into results/

Every way is a process of its own with one thread; in each round all take their turn. Time is processor time of the
process and all its children (jails are children). Compilation and start-up are outside the rounds, and shown.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.machine import commit, machine
from benchmarks.page import put
from benchmarks.ways import WAYS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results" / "speed.json"
PAGE = ROOT / "docs" / "performance.md"
ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}


def processor_seconds() -> float:
    """Of this process and of everything below it, whether it still runs or not."""
    ticks = 0
    parents: dict[int, int] = {}
    spent: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                told = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(folder.name)] = int(told[1])
            spent[int(folder.name)] = sum(int(t) for t in told[11:15])
    for pid in spent:
        at = pid
        while at not in (0, 1, os.getpid()):
            at = parents.get(at, 0)
        ticks += spent[pid] if at == os.getpid() else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def work(name: str) -> None:
    """The process of one way: a line in asks for a round, a line out tells its figures."""
    if "Navix" in name:
        # JAX has no option that keeps its pool of threads to one processor.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if "Navix" not in name and "EnvPool" not in name and "Sync" not in name:
        import torch

        torch.set_num_threads(1)
    began = time.perf_counter()
    one = WAYS[name]()
    print(json.dumps({"start": time.perf_counter() - began}), flush=True)
    for _ in sys.stdin:
        before, began = processor_seconds(), time.perf_counter()
        steps = one()
        figures = {"steps": steps, "wall": time.perf_counter() - began, "cpu": processor_seconds() - before}
        print(json.dumps(figures), flush=True)


@dataclass(slots=True)
class Process:
    """One way, running."""

    name: str
    process: subprocess.Popen[str]

    @classmethod
    def begin(cls, name: str) -> Process:
        command = [sys.executable, "-c", f"from benchmarks.speed import work; work({name!r})"]
        pipe = subprocess.PIPE
        env = {**os.environ, **ONE_THREAD}
        return cls(name, subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=env))

    def read(self) -> dict[str, float]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                found: dict[str, float] = json.loads(line)
                return found
        raise SystemExit(f"{self.name} ended with {self.process.wait()}: what it said stands above")

    def round(self) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.read()


def measure(names: list[str], rounds: int) -> dict[str, Any]:
    """Figures of every way in every round."""
    processes = [Process.begin(name) for name in names]
    found: dict[str, Any] = {p.name: {**p.read(), "rounds": []} for p in processes}
    for number in range(rounds + 1):
        for process in processes:
            figures = process.round()
            if number:  # the first round warms caches
                found[process.name]["rounds"].append(figures)
            print(f"{number}/{rounds} {process.name}: {figures['steps'] / figures['cpu']:,.0f}", file=sys.stderr)
    for process in processes:
        assert process.process.stdin is not None
        process.process.stdin.close()
        process.process.wait()
    return {"machine": machine(), "commit": commit(), "ways": found}


def speeds(found: Mapping[str, Any], name: str) -> list[float]:
    """Steps per processor second in each round."""
    return [each["steps"] / each["cpu"] for each in found["ways"][name]["rounds"]]


def table(found: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        f"{found['machine']}, commit {found['commit']}. `python -m benchmarks.speed --write`",
        "",
        "| way | steps a processor second, median | range | a second of wall | start, s |",
        "|---|---|---|---|---|",
    ]
    for name, way in found["ways"].items():
        each = speeds(found, name)
        wall = statistics.median(r["steps"] / r["wall"] for r in way["rounds"])
        median = statistics.median(each)
        lines.append(
            f"| {name} | {median:,.0f} | {min(each):,.0f} to {max(each):,.0f} | {wall:,.0f} | {way['start']:.0f} |"
        )
    return "\n".join(lines)


def main(rounds: int = 5, only: str = "", write: bool = False) -> None:
    """Measure and print.

    Args:
        rounds: Rounds that count.
        only: Ways whose name holds this text.
        write: Keep the figures and the table.
    """
    found = measure([name for name in WAYS if only in name], rounds)
    print(table(found))
    if write:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        put(PAGE, "benchmarks.speed", table(found))


if __name__ == "__main__":
    tyro.cli(main)
