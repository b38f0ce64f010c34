from __future__ import annotations

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from designer.arms import Arm
from designer.plots import Trained, final_fitness, learning_curves, seed_curves, smoothed
from designer.report import write_report
from designer.scorecard import confirmed
from designer.settings import DesignSettings
from designer.store import Json, RunStore
from designer.trainings import _pack, _record
from envs import catalog
from envs.episode import Transitions
from sandbox.program import RewardProgram
from training.result import Learner, TrainingResult
from training.reward import RewardAnswer
from training.statistics import summary
from training.train import train

ATTACK = "<script>alert('x')</script> & <img src=x onerror=alert(1)> $\\frac$"
FIRST = RewardProgram(
    "def compute_reward(state, action, next_state):\n    return {'key': state['carrying_type'] * 0.1}\n"
)
SECOND = RewardProgram(FIRST.source.replace("0.1", "0.2") + "# </pre></style><script>alert('code')</script>\n")
BAD = RewardProgram("import os\n")
TASK = replace(catalog.load("doorkey-5x5"), env_steps=2048)
SEEDS = (500, 501, 502, 503, 504)
SETTINGS = DesignSettings(
    task="doorkey-5x5", env_steps=2048, candidates=2, review=True, api_base="https://models.example/v1"
)
# The options refuse such an address; a folder that somebody sent may hold one.
CONFIG = {**SETTINGS.to_json(), "api_base": "https://me:secret@models.example/v1"}
VOID = {"meta", "br", "img", "input", "link", "hr"}


class Pay:
    """A reward of ours, computed in place: a tenth for every step that ends with a key in hand."""

    def __call__(self, transitions: Transitions) -> RewardAnswer:
        held = (transitions.next_state["carrying_type"] == 5).astype(np.float32)
        return RewardAnswer(components={"key": 0.1 * held, ATTACK: 0.01 * held})

    def restart(self) -> None:
        pass


@pytest.fixture(scope="module")
def results() -> dict[str, list[TrainingResult]]:
    reward = Pay()
    learners = [
        *(Learner(arm=SECOND.id, seed=s, reward=reward) for s in SEEDS),
        *(Learner(arm="native", seed=s, reward=None) for s in SEEDS),
    ]
    found = train(TASK, learners, evaluation_episodes=4)
    return {arm: [r for r in found if r.arm == arm] for arm in (SECOND.id, "native")}


class Page(HTMLParser):
    """The page as a browser's parser sees it: tags, attributes, text, and whether every tag is closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing, at line {self.getpos()[0]}"

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def read(source: Path | str) -> Page:
    page = Page(source if isinstance(source, str) else source.read_text(encoding="utf-8"))
    assert not page.open, "every tag is closed"
    return page


def verification(program: RewardProgram, **changes: Any) -> Json:
    evidence = {"components": [["key", 0.7]], "episodes": 4, "mean_length": 20.0}
    return {
        "ok": True,
        "program": program.id,
        "status": "verified",
        "sandbox": {"backend": "embedded", "layers": ["net-namespace", "seccomp"]},
        "gate": True,
        "violations": [],
        "components": {"key": {"min": 0.0, "mean": 0.02, "max": 0.1, "std": 0.04, "share": 1.0}},
        "measured": {"warnings": [ATTACK], "sensitivity": {"next_state.carrying_type": 0.9}, "milliseconds": 1.2},
        "audit": {
            "verdict": "sound",
            "gamma": 0.99,
            "task_weight": 1.0,
            "evidence": [
                {"behaviour": "solve", "role": "solution", "mean_return": 0.9, "beaten": None, **evidence},
                {"behaviour": "hold_the_key", "role": "exploit", "mean_return": 0.4, "beaten": None, **evidence},
            ],
        },
        **changes,
    }


def with_fitness(record: Json, values: list[float]) -> Json:
    """The record of a training, its final fitness set by hand: what a longer training would have reached."""
    seeds = [{**s, "fitness": v} for s, v in zip(record["seeds"], values, strict=True)]
    return {**record, "seeds": seeds, "fitness": summary(values)}


def card_of(store: RunStore, stopped_by: str = "iterations") -> Json:
    """A scorecard with what was confirmed, if anything was."""
    none = {"iqm": None, "low": None, "high": None, "seeds": 0}
    native = store.read_json("controls/native/confirmation.json")
    return {
        "task": TASK.id,
        "model": "offline",
        "measure": "success_rate",
        "best": confirmed(store),
        "controls": {"native": {"fitness": native["fitness"] if native else none}},
        "candidates": [],
        "cost": {"tokens": 12_345, "usd": None, "env_steps": 20_480, "seconds": 83.0},
        "stopped_by": stopped_by,
    }


@pytest.fixture
def empty(tmp_path: Path) -> RunStore:
    return RunStore.create(tmp_path / "run", CONFIG)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, results: dict[str, list[TrainingResult]]) -> RunStore:
    """A finished run: a program that was sent back, its revision that was trained and confirmed, and a refused one."""
    empty = RunStore.create(tmp_path_factory.mktemp("finished") / "run", CONFIG)
    facts = {"iteration": 0, "slot": 0, "round": 0, "idea": "pay for the key", "revision_of": None}
    empty.add_program(FIRST, facts)
    empty.add_program(SECOND, {**facts, "iteration": 1, "idea": ATTACK, "revision_of": FIRST.id})
    empty.add_program(BAD, {**facts, "slot": 1, "idea": "read the machine"})
    refusal = {"stage": "gate", "kind": "rejected", "rule": "import", "line": 1, "message": f"os: {ATTACK}"}
    empty.write_json(f"candidates/{FIRST.id}/verification.json", verification(FIRST))
    empty.write_json(f"candidates/{SECOND.id}/verification.json", verification(SECOND))
    nothing: Json = {"measured": {}, "audit": None, "components": {}}
    refused = verification(BAD, ok=False, status="refused", violations=[refusal], **nothing)
    empty.write_json(f"candidates/{BAD.id}/verification.json", refused)
    sent_back = {"approve": False, "reasons": ["Pay more for the key.", ATTACK], "round": 0}
    empty.write_json(f"candidates/{FIRST.id}/critique.json", sent_back)
    empty.write_json(f"candidates/{SECOND.id}/critique.json", {"approve": True, "reasons": [], "round": 0})
    analysis = {
        "diagnosis": ATTACK,
        "evidence": [{"episode": "e0", "step": 2, "what": "turns away"}],
        "change": {"level": "scale", "advice": "raise the weight"},
    }
    empty.write_json(f"candidates/{SECOND.id}/analysis.json", analysis)
    arm, native = Arm(name=SECOND.id, program=SECOND), Arm(name="native", program=None)
    for name, purpose in (("training", "selection"), ("confirmation", "confirmation")):
        ours = _record(TASK, arm, purpose, results[SECOND.id])
        theirs = _record(TASK, native, purpose, results["native"])
        empty.write_json(f"{arm.folder}/{name}.json", with_fitness(ours, [0.9, 0.85, 0.95, 0.9, 0.8]))
        empty.write_json(f"{native.folder}/{name}.json", with_fitness(theirs, [0.5, 0.4, 0.45, 0.5, 0.3]))
    empty.write_arrays(f"{arm.folder}/trajectories.npz", _pack(results[SECOND.id][0].episodes))
    empty.event("env_steps", steps=20_480, what="selection")
    empty.add_feedback(ATTACK)
    write_report(empty, TASK, card_of(empty))
    return empty


@pytest.fixture
def store(finished: RunStore, tmp_path: Path) -> RunStore:
    """A copy of the finished run, to be changed."""
    shutil.copytree(finished.root, tmp_path / "run")
    return RunStore.open(tmp_path / "run")


@pytest.fixture
def text(finished: RunStore) -> str:
    """The finished run's page."""
    return (finished.root / "report.html").read_text(encoding="utf-8")


def test_the_headline_is_the_paired_difference_with_interval_and_seeds(text: str) -> None:
    headline = re.search(r"<h1>(.*?)</h1>", text)
    assert headline is not None
    assert re.search(r"trains better .* success rate \+0\.4\d+ \[0\.4\d*, 0\.\d+\] on 5 seeds", headline[1])


def test_everything_of_the_winner_is_on_the_page(text: str) -> None:
    words = read(text).words
    for wanted in (
        "net-namespace",
        "hold the key",
        "next_state.carrying_type",
        "e0, step 2",
        "turns away",
        "raise the weight",
        "The critic approved it",
        "Pay more for the key.",
        "gate · import, line 1",
        "12,345",
        "unknown",
        "start: agent_pos=",
        "read the machine",
        "a call with 2,048 transitions takes 1.2 ms",
    ):
        assert wanted in words, wanted


def test_the_cited_step_is_marked(text: str) -> None:
    assert len(re.findall(r"<mark>2: ", text)) == 1


def test_a_revision_is_shown_as_what_it_changed(text: str) -> None:
    page = read(text)
    assert f"--- {FIRST.id}" in page.words
    links = [a["href"] for tag, a in page.tags if tag == "a" and a.get("href") == f"#c-{FIRST.id}"]
    assert links and any(a.get("id") == f"c-{FIRST.id}" for _, a in page.tags)


def test_nothing_a_model_wrote_becomes_markup(store: RunStore) -> None:
    hostile = replace(TASK, description=ATTACK, id=f"t{ATTACK}")
    card = {**card_of(store), "model": ATTACK, "stopped_by": ATTACK}
    page = read(write_report(store, hostile, card))
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img", "iframe", "object", "link", "base", "form"})
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert page.words.count("<script>alert('x')</script>") >= 9
    assert "<script>alert('code')</script>" in page.words


def test_a_figure_escapes_its_labels_and_reads_no_formula_in_them(results: dict[str, list[TrainingResult]]) -> None:
    record = _record(TASK, Arm(name="native", program=None), "selection", results["native"])
    arms = [Trained(label=ATTACK[:40], look="native", record=record), Trained(label="$x^", look="human", record=record)]
    page = Page(final_fitness(arms, "success_rate"))
    assert "<script>alert('x')</script>" in page.words and "$x^" in page.words
    assert "script" not in {tag for tag, _ in page.tags}


def test_the_page_needs_nothing_from_outside(text: str) -> None:
    page = Page(text)
    names = ("src", "href", "xlink:href", "data", "poster")
    used = [a[name] or "" for _, a in page.tags for name in names if name in a]
    assert used and all(reference.startswith("#") for reference in used)
    assert "@import" not in text and not re.search(r"url\((?!#)", text)


def test_links_inside_the_page_lead_somewhere_and_ids_are_unique(text: str) -> None:
    page = read(text)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        if tag == "a":
            assert (attributes["href"] or "")[1:] in ids, attributes


def test_equal_runs_give_equal_pages(store: RunStore, text: str) -> None:
    path = write_report(store, TASK, card_of(store))
    assert path == store.root / "report.html"
    assert path.read_text(encoding="utf-8") == text


def test_how_to_repeat_the_run_is_told_without_its_credentials(text: str) -> None:
    assert "rewardsmith design doorkey-5x5 --api-base https://models.example/v1 --candidates 2" in text
    assert "--env-steps 2048 --review" in text
    assert "secret" not in text


def test_an_empty_run_has_a_page(empty: RunStore) -> None:
    words = read(write_report(empty, TASK, card_of(empty, "not finished"))).words
    assert "This run has not finished" in words
    assert "Nothing has been trained yet." in words and "No program has been written yet." in words


def test_without_any_trained_program_the_verdict_is_none(store: RunStore) -> None:
    for candidate in store.candidate_ids():
        for name in ("training", "confirmation"):
            store.path(f"candidates/{candidate}/{name}.json").unlink(missing_ok=True)
    page = read(write_report(store, TASK, card_of(store)))
    assert "No reward was found that trains better than the native one: no program came through" in page.words
    assert "control: native" in page.words


def test_what_was_not_confirmed_is_called_so(store: RunStore) -> None:
    ours = store.read_json(f"candidates/{SECOND.id}/confirmation.json")
    assert ours is not None
    store.write_json(f"candidates/{SECOND.id}/confirmation.json", with_fitness(ours, [0.5, 0.4, 0.4, 0.5, 0.3]))
    words = read(write_report(store, TASK, card_of(store))).words
    assert "No reward was found that trains better than the native one: the best candidate differs by" in words
    assert "not confirmed as better" in words


def test_records_with_missing_numbers_are_shown_with_dashes(store: RunStore) -> None:
    name = f"candidates/{SECOND.id}/confirmation.json"
    broken = store.read_json(name)
    assert broken is not None
    for seed in broken["seeds"]:
        seed.update(fitness=None, curve=[])
    broken.update(failure=ATTACK, fitness={"iqm": None, "low": None, "high": None, "seeds": 5})
    store.write_json(name, broken)
    store.path(f"candidates/{SECOND.id}/trajectories.npz").unlink()
    store.path(f"candidates/{SECOND.id}/verification.json").unlink()
    words = read(write_report(store, TASK, card_of(store))).words
    assert "No verification of this program is on record." in words
    assert "the comparison was not completed" in words


def test_two_runs_lie_side_by_side(store: RunStore, tmp_path: Path) -> None:
    other = RunStore.create(tmp_path / "best-of-n", {**SETTINGS.to_json(), "iterations": 1, "candidates": 12})
    card = {**card_of(other), "model": "another model"}
    words = read(write_report(store, TASK, card_of(store), beside=(other, card))).words
    assert "best-of-n" in words and "1 × 12" in words and "another model" in words
    assert not (other.root / "report.html").exists(), "only the run itself gets a page"


def test_curves_bridge_points_without_a_value_and_invent_none_outside() -> None:
    def point(steps: int, success: float | None) -> Json:
        return {"env_steps": steps, "success": success}

    seeds = [
        {"curve": [point(1, None), point(2, 0.0), point(3, None), point(4, 1.0)]},
        {"curve": [point(1, 0.5), point(2, 0.5)]},
        {"curve": []},
    ]
    steps, values = seed_curves({"seeds": seeds}, lambda p: p["success"])
    assert steps.tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(values, [[np.nan, 0, 0.5, 1], [0.5, 0.5, np.nan, np.nan]])


def test_smoothing_counts_episodes_not_points() -> None:
    ended = [(1, 1.0), (99, 0.0), (0, None)]
    record = {"seeds": [{"seed": 0, "curve": [{"episodes": n, "success": value} for n, value in ended]}]}
    curve = smoothed(record, "success")["seeds"][0]["curve"]
    assert [point["success"] for point in curve] == [0.01, 0.01, 0.0]
    assert record["seeds"][0]["curve"][0]["success"] == 1.0, "the record stays as it was"


def test_a_figure_scales_and_is_the_same_every_time(results: dict[str, list[TrainingResult]]) -> None:
    record = _record(TASK, Arm(name="native", program=None), "selection", results["native"])
    arms = [Trained(label="native", look="native", record=record)]
    figure = learning_curves(arms, "return")
    assert figure == learning_curves(arms, "return")
    assert re.match(r"<svg [^>]*viewBox", figure) and not re.match(r"<svg [^>]*(width|height)=", figure)
    assert "<style" not in figure and "<metadata" not in figure
