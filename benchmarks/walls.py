"""What the walls cost: one call, one rollout, one training, beside other ways of running such code.

    python -m benchmarks.walls            print the table
    python -m benchmarks.walls --write    and put it into docs/performance.md, and the figures into results/

Every way takes its turn in every round, so that a busy machine slows all of them alike. Docker's rows need a daemon
(``eval "$(.ci/dockerd.sh start)"``); without one they are left out, and the table says so.
"""

from __future__ import annotations

import inspect
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from benchmarks.machine import commit, machine
from benchmarks.page import put
from designer.jailed import JailedReward
from designer.settings import DesignSettings
from envs import catalog
from sandbox import gate
from sandbox.choose import docker_status
from sandbox.container import DockerSandbox, build_image, connect
from sandbox.embedded import EmbeddedSandbox
from sandbox.image import PACKAGES, PYTHON_PATH
from sandbox.program import RewardProgram
from sandbox.service import Call, RewardService, Sandbox
from tests.training.in_process import InProcess
from training.population import Population
from training.result import Learner

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results" / "walls.json"
PAGE = ROOT / "docs" / "performance.md"
CONTAINER_PROGRAM = f"""
import sys; sys.path.append({PACKAGES!r})
import numpy as np
x = np.zeros((2048, 10), np.float32); np.linalg.norm(x - x, axis=1)
"""
TASK = "doorkey-8x8"
CANDIDATES = 4


def call(rows: int, width: int, steps: int = 1) -> Call:
    """Transitions of one float32 field."""
    draw = np.random.default_rng(0)
    return Call(
        state={"x": draw.normal(size=(steps, rows, width)).astype(np.float32)},
        action=draw.integers(0, 4, (steps, rows)),
        next_state={"x": draw.normal(size=(steps, rows, width)).astype(np.float32)},
        ended=np.zeros((steps, rows), bool),
    )


SMALL, ROLLOUT = call(2048, 10), call(32_768, 26)


def compute_reward(state, action, next_state):  # type: ignore[no-untyped-def]
    """What is computed behind every wall."""
    moved = np.linalg.norm(next_state["x"] - state["x"], axis=1)
    return {"moved": moved, "near": -np.abs(next_state["x"]).mean(axis=1), "effort": -0.01 * (action != 0)}


PROGRAM = f"import numpy as np\n\n\n{inspect.getsource(compute_reward)}"


def compute(asked: Call) -> dict[str, Any]:
    """The same computation without any wall."""
    found: dict[str, Any] = compute_reward({"x": asked.state["x"][0]}, asked.action[0], {"x": asked.next_state["x"][0]})
    return found


PLAIN_FORK = f"""
import os, sys
import numpy as np

{inspect.getsource(compute_reward)}
draw = np.random.default_rng(0)
before, after = (draw.normal(size=(2048, 10)).astype(np.float32) for _ in range(2))
action = draw.integers(0, 4, 2048)
for _ in sys.stdin:
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        answer = compute_reward({{"x": before}}, action, {{"x": after}})
        view = memoryview(b"".join(np.asarray(v, np.float32).tobytes() for v in answer.values()))
        while len(view):
            view = view[os.write(send, view) :]
        os._exit(0)
    os.close(send)
    with open(receive, "rb") as stream:
        stream.read()
    os.waitpid(pid, 0)
    print("done", flush=True)
"""


def plain_fork(stack: ExitStack) -> Callable[[], Any]:
    """A small process that forks without any wall, the answer through a pipe: what a call costs at least."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", PLAIN_FORK], stdin=pipe, stdout=pipe, text=True, bufsize=1)
    stack.callback(process.kill)
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None and stdout is not None

    def one() -> None:
        stdin.write("\n")
        stdout.readline()

    return one


def container_ways(client: Any, image: str, stack: ExitStack) -> dict[str, Callable[[], Any]]:
    """What others do: a process in a running container, and a container for each program."""
    command = [PYTHON_PATH, "-S", "-c", CONTAINER_PROGRAM]
    held = client.containers.run(
        image, [PYTHON_PATH, "-S", "-c", "import time; time.sleep(3600)"], detach=True, network_mode="none"
    )
    stack.callback(held.remove, force=True)
    return {
        "`docker exec` of Python and numpy in a warm container": lambda: held.exec_run(command),
        "cold `docker run` of Python and numpy": lambda: client.containers.run(
            image, command, network_mode="none", remove=True
        ),
    }


def times(ways: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each way in each round, after one round that does not count."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if number:
                found[name].append(1000 * (time.perf_counter() - began))
    return found


def training(sandbox: Sandbox, rounds: int) -> dict[str, float]:
    """Wall time of the default trainer's iterations with jailed rewards, against the same without a jail."""
    task = catalog.load(TASK)
    source = task.human_source()
    assert source is not None
    seeds = DesignSettings(task=TASK).selection_seeds()
    programs = [RewardProgram(f"{source}\n# candidate {i}\n") for i in range(CANDIDATES)]
    with ExitStack() as stack:
        jailed = [stack.enter_context(JailedReward(sandbox, program)) for program in programs]
        plain = [InProcess(program.source) for program in programs]
        populations = [
            Population(
                task,
                [Learner(arm=str(i), seed=seed, reward=reward) for i, reward in enumerate(rewards) for seed in seeds],
                env_steps=(rounds + 2) * task.ppo.envs * task.ppo.steps,
                device="cpu",
            )
            for rewards in (jailed, plain)
        ]
        for population in populations:
            stack.callback(population.close)
        spent: list[list[float]] = [[], []]
        for number in range(rounds + 1):
            order = (0, 1) if number % 2 else (1, 0)
            for which in order:
                began = time.perf_counter()
                populations[which].advance()
                if number:
                    spent[which].append(time.perf_counter() - began)
        steps = len(programs) * len(seeds) * task.ppo.envs * task.ppo.steps
    ratios = [a / b for a, b in zip(*spent, strict=True)]
    return {
        "overhead": statistics.median(ratios) - 1,
        "low": float(np.quantile(ratios, 0.25)) - 1,
        "high": float(np.quantile(ratios, 0.75)) - 1,
        "steps_per_second": steps / statistics.median(spent[0]),
        "steps_per_second_unjailed": steps / statistics.median(spent[1]),
    }


def measure(rounds: int) -> dict[str, Any]:
    """All figures: milliseconds as lists, trainings as ratios."""
    torch.set_num_threads(1)
    sandboxes: dict[str, Sandbox] = {"embedded": EmbeddedSandbox()}
    with ExitStack() as stack:
        ways: dict[str, Callable[[], Any]] = {"fork without walls, 2,048 x 10": plain_fork(stack)}
        slow: dict[str, Callable[[], Any]] = {}
        if docker_status().daemon:
            image = build_image()
            sandboxes["docker"] = DockerSandbox()
            client = connect()
            stack.callback(client.close)
            slow = container_ways(client, image, stack)
        large: dict[str, Callable[[], Any]] = {"in process, 32,768 x 26": lambda: compute(ROLLOUT)}
        for name, sandbox in sandboxes.items():
            service: RewardService = stack.enter_context(sandbox.serve(RewardProgram(PROGRAM)))
            ways[f"{name}, 2,048 x 10"] = lambda service=service: service.evaluate(SMALL)  # type: ignore[misc]
            large[f"{name}, 32,768 x 26"] = lambda service=service: service.evaluate(ROLLOUT)  # type: ignore[misc]
        found = {**times(ways, rounds), **times(large, rounds), **times(slow, max(3, rounds // 20))}
        sources = [human.read_text(encoding="utf-8") for human in sorted((ROOT / "envs" / "human").glob("*.py"))]
        checks = times({str(i): lambda s=s: gate.check(s, "reward") for i, s in enumerate(sources)}, rounds)  # type: ignore[misc]
        found["gate, a source"] = [each for times_of_one in checks.values() for each in times_of_one]
    return {
        "machine": machine(),
        "commit": commit(),
        "milliseconds": found,
        "training": {name: training(sandbox, max(10, rounds // 4)) for name, sandbox in sandboxes.items()},
    }


def table(found: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        f"{found['machine']}, commit {found['commit']}. `python -m benchmarks.walls --write`",
        "",
        "| call | p50, ms | p95, ms | calls |",
        "|---|---|---|---|",
    ]
    for name, each in found["milliseconds"].items():
        low, high = np.quantile(each, [0.5, 0.95])
        lines.append(f"| {name} | {low:.1f} | {high:.1f} | {len(each)} |")
    lines += [
        "",
        f"Training on {TASK}, {CANDIDATES} candidates on {DesignSettings(task=TASK).seeds} seeds, "
        "the same rewards with and without a jail, iterations by turns:",
        "",
        "| sandbox | env steps a second | without a jail | the jail costs (quartiles) |",
        "|---|---|---|---|",
    ]
    for name, each in found["training"].items():
        lines.append(
            f"| {name} | {each['steps_per_second']:,.0f} | {each['steps_per_second_unjailed']:,.0f} | "
            f"{each['overhead']:+.1%} ({each['low']:+.1%} to {each['high']:+.1%}) |"
        )
    if "docker" not in found["training"]:
        lines += ["", "No Docker daemon answered: its rows are missing."]
    return "\n".join(lines)


def main(rounds: int = 200, write: bool = False) -> None:
    """Measure and print.

    Args:
        rounds: Calls of each way.
        write: Keep the figures and the table.
    """
    found = measure(rounds)
    print(table(found))
    if write:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        put(PAGE, "benchmarks.walls", table(found))


if __name__ == "__main__":
    tyro.cli(main)
