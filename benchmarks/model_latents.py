"""Latent programs of finished design runs, kept for the table of `benchmarks.credit`.

    rewardsmith design TASK-episodic --form latent --model M --iterations 3 --run-dir RUN
    python -m benchmarks.model_latents RUN...

Of each run two programs are kept in ``results/latents.json``: ``one-shot``, what the model made of its drafts in the
first iteration before anything was trained (LaRe's way; its first draft that held, where no merged program did), and
``loop``, the run's best after its last iteration. Beside them lie who wrote them, the conversation that did, and what
it cost. A factor that follows a term of the native reward is taken out, and said; a program with fewer than two left,
or whose factors make such a term up between them, is not kept.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import tyro

from benchmarks.credit import RESULTS, programs
from benchmarks.native_terms import held, made_up, measured
from designer.checks import Verifier
from designer.facts import ranked
from designer.settings import DesignSettings
from designer.store import Json, RunStore
from envs import catalog
from sandbox.embedded import EmbeddedSandbox
from sandbox.program import RewardProgram


def without(source: str, factors: set[str]) -> str | None:
    """The program without these factors and what they alone needed; None where it does not return one literal dict."""
    tree = ast.parse(source)
    answers = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return)]
    literal = [node for node in answers if isinstance(node, ast.Dict)]
    if len(literal) != 1 or len(answers) != 1:
        return None
    pairs = zip(literal[0].keys, literal[0].values, strict=True)
    left = [(k, v) for k, v in pairs if not (isinstance(k, ast.Constant) and k.value in factors)]
    literal[0].keys, literal[0].values = [k for k, _ in left], [v for _, v in left]
    while any(_drop_unread(node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        pass
    return ast.unparse(tree) + "\n"


def _drop_unread(function: ast.FunctionDef) -> bool:
    """Drop the assignments of a function to names that it never reads; whether there were any."""
    read = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    kept = [line for line in function.body if _assigned(line) is None or _assigned(line) in read]
    dropped, function.body = len(kept) < len(function.body), kept
    return dropped


def _assigned(line: ast.stmt) -> str | None:
    """The one name that a statement gives a value to; None for any other statement."""
    targets = line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AugAssign) else []
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None


def one_shot(store: RunStore) -> list[str]:
    """What held in the first iteration, the merged program first, then by age."""
    merged = DesignSettings.from_json(store.read_json("config.json") or {}).merging_slot(0)
    found = [(c, store.candidate(c) or {}) for c in store.candidate_ids()]
    first = [(c, facts) for c, facts in found if facts["iteration"] == 0 and _held(store, c)]
    return [c for c, _ in sorted(first, key=lambda each: each[1]["slot"] != merged)]


def _held(store: RunStore, candidate: str) -> bool:
    return bool((store.read_json(f"candidates/{candidate}/verification.json") or {}).get("ok"))


def kept(store: RunStore, candidates: list[str], iterations: int) -> Json | None:
    """The first of them that is left with two factors, which neither hold a native term nor make one up.

    ``iterations``: how many of them it took, for the cost.
    """
    config = store.read_json("config.json") or {}
    verifier = Verifier(catalog.load(config["task"]), EmbeddedSandbox())
    for candidate in candidates:
        source = store.program(candidate).source
        terms = held(*measured(verifier, RewardProgram(source, "latent")))
        changed = without(source, set(terms)) if terms else source
        if changed is None or not verifier.verify(RewardProgram(changed, "latent")).ok:
            continue
        if made_up(*measured(verifier, RewardProgram(changed, "latent"))):
            continue
        facts = store.candidate(candidate) or {}
        record = store.read_json(f"candidates/{candidate}/training.json")
        return {
            "by": config["model"],
            "id": candidate,
            "written in iteration": facts["iteration"],
            "slot": facts["slot"],
            "iterations": iterations,
            "fitness in selection": record["fitness"]["iqm"] if record and not terms else None,
            "taken out": terms,
            "cost": cost(store, iterations),
            "prompts": prompts(store, facts["iteration"], facts["slot"]),
            "source": changed,
        }
    return None


def cost(store: RunStore, iterations: int) -> Json:
    """What the model was asked for in the first ``iterations``; of one alone, before anything was trained."""
    replies = [e for e in store.events() if e["event"] == "reply" and e["slot"]["iteration"] < iterations]
    told = [e for e in replies if iterations > 1 or e["slot"]["role"] != "analyzer"]
    return {
        "replies": len(told),
        "prompt tokens": sum(e["prompt_tokens"] for e in told),
        "completion tokens": sum(e["completion_tokens"] for e in told),
        "seconds": round(sum(e["seconds"] for e in told)),
        "usd": None if any(e["usd"] is None for e in told) else sum(e["usd"] for e in told),
    }


def prompts(store: RunStore, iteration: int, slot: int) -> list[Any]:
    """The conversation of a slot: of each request its round, its messages and the reply's text."""
    found = []
    for path in sorted((store.root / "llm").glob("*.json")):
        exchange = json.loads(path.read_text(encoding="utf-8"))
        place = exchange["request"]["slot"]
        if (place["role"], place["iteration"], place["candidate"]) == ("designer", iteration, slot):
            found.append(
                {
                    "round": place["round"],
                    "mend": place["mend"],
                    "temperature": exchange["request"]["temperature"],
                    "messages": exchange["request"]["messages"],
                    "reply": exchange["reply"]["text"],
                }
            )
    return sorted(found, key=lambda each: (each["round"], each["mend"]))


def main(runs: tyro.conf.Positional[tuple[Path, ...]]) -> None:
    """Keep the latents of these runs.

    Args:
        runs: Folders of finished runs with ``--form latent``.
    """
    known = programs()
    for run in runs:
        store = RunStore.open(run)
        task_id = (store.read_json("config.json") or {})["task"]
        done = 1 + max((store.candidate(c) or {})["iteration"] for c in store.candidate_ids())
        for kind, candidates, iterations in (("one-shot", one_shot(store), 1), ("loop", ranked(store), done)):
            found = kept(store, candidates, iterations)
            print(f"{task_id} {kind}: {found['id'] if found else 'none'}")
            if found is not None:
                known.setdefault(task_id, {})[kind] = found
    text = json.dumps(known, indent=1) + "\n"
    (RESULTS / "latents.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    tyro.cli(main)
