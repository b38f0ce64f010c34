"""Latent rewards through the loop: written, decoded, measured, and handed on with their decoder."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save

from designer.arms import Arm
from designer.exits import DONE, REFUSED, USER
from designer.main import run
from designer.run import Run
from designer.scorecard import delivered
from designer.settings import DesignSettings
from designer.store import RunStore
from designer.trainings import _disagreement
from envs import catalog
from envs.episode import Episode
from envs.make import make_env
from training.credit.decoder import load_decoder

SMALL = ["--seeds", "1", "--confirm-seeds", "5", "--sandbox", "embedded", "--device", "cpu"]


def design(root: Path, task: str, *options: str) -> RunStore:
    assert run(["design", task, "--model", "offline", "--run-dir", str(root), *SMALL, *options]) in (DONE, REFUSED)
    return RunStore.open(root)


@pytest.fixture(scope="module")
def latent_run(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    root = tmp_path_factory.mktemp("latent") / "run"
    return design(
        root, "pendulum-episodic", "--form", "latent", "--iterations", "2", "--candidates", "3", "--env-steps", "4096"
    )


def test_a_run_designs_latent_rewards_beside_their_controls(latent_run: RunStore) -> None:
    card = latent_run.read_json("scorecard.json") or {}
    assert set(card["controls"]) == {"native", "raw", "uniform"}
    assert len(card["candidates"]) >= 5 and {c["status"] for c in card["candidates"]} == {"trained"}
    for each in card["candidates"]:
        assert "def compute_latent" in latent_run.program(each["id"]).source
        record = latent_run.read_json(f"candidates/{each['id']}/training.json") or {}
        assert len(record["importance"]) >= 2
        assert set(record["importance"]) == set(record["seeds"][0]["curve"][-1]["components"])
        assert set(record["effect"]) == set(record["ablation"]) == set(record["importance"])
        assert any(record["effect"].values())
        assert record["importance_course"] and 0 <= record["explained"] <= 1
        decoded = latent_run.read_json(f"candidates/{each['id']}/decoded.json") or []
        assert [one["episode"] for one in decoded] == [f"e{i}" for i in range(len(decoded))]
        verified = latent_run.read_json(f"candidates/{each['id']}/verification.json") or {}
        assert verified["measured"]["outcome"]["episodes"] >= 32
    assert run(["show", str(latent_run.root)]) == DONE
    assert run(["show", str(latent_run.root), card["candidates"][0]["id"]]) == DONE
    assert (latent_run.root / "report.html").is_file()


def test_the_next_design_is_told_what_each_factor_was_worth(latent_run: RunStore) -> None:
    asked = [json.loads(path.read_text())["request"] for path in (latent_run.root / "llm").glob("*.json")]
    later = [r for r in asked if r["slot"]["role"] == "designer" and r["slot"]["iteration"] == 1]
    assert later and all('"effect": {' in r["messages"][1]["content"] for r in later)
    assert all('"importance": {' in r["messages"][1]["content"] for r in later)
    assert all("compute_latent" in r["messages"][0]["content"] for r in later)


def test_what_is_shown_of_a_factor_has_a_sign_and_runs_without_it_open_as_well(
    latent_run: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(latent_run.root, tmp_path / "run")
    root, candidate = str(tmp_path / "run"), (latent_run.read_json("scorecard.json") or {})["candidates"][0]["id"]

    def pays() -> dict[str, str]:
        capsys.readouterr()
        assert run(["show", root, candidate]) == DONE
        table = capsys.readouterr().out.split("lost without")[1].split("  pay:")[0]
        rows = [line.split() for line in table.splitlines()[1:] if line.strip()]
        return {row[0]: row[1] for row in rows}

    file = tmp_path / "run" / "candidates" / candidate / "training.json"
    record = json.loads(file.read_text())
    assert set(pays()) == set(record["effect"])
    for name, shown in pays().items():
        assert shown[0] in "+-0" and float(shown.replace(",", "")) == pytest.approx(record["effect"][name], rel=0.01)
    assert run(["report", root]) == DONE
    assert "below 0 the factor is punished" in (tmp_path / "run" / "report.html").read_text()
    for each in (tmp_path / "run" / "candidates").glob("*/training.json"):
        older = json.loads(each.read_text())
        del older["effect"]
        each.write_text(json.dumps(older))
    assert set(pays().values()) == {"–"}
    assert run(["report", root]) == DONE
    assert run(["resume", root]) in (DONE, REFUSED)


def test_where_nothing_is_learned_it_is_said_and_no_factor_looks_important(
    latent_run: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(latent_run.root, tmp_path / "run")
    for file in (tmp_path / "run" / "candidates").glob("*/training.json"):
        record = json.loads(file.read_text())
        record["importance"] = dict.fromkeys(record["importance"], 4e-5)
        file.write_text(json.dumps(record))
        capsys.readouterr()
        assert run(["show", str(tmp_path / "run"), file.parent.name]) == DONE
        shown = capsys.readouterr().out
        assert "The decoder makes nothing of any factor: " in shown and "100 %" not in shown
    assert run(["report", str(tmp_path / "run")]) == DONE
    assert "<p>The decoder makes nothing of any factor: " in (tmp_path / "run" / "report.html").read_text()


def requests(store: RunStore, role: str) -> list[dict[str, Any]]:
    asked = [json.loads(path.read_text())["request"] for path in (store.root / "llm").glob("*.json")]
    return [request for request in asked if request["slot"]["role"] == role]


def facts(request: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(request["messages"][1]["content"].split("```json\n")[1].split("\n```")[0])
    return told


def test_the_last_slot_of_the_first_iteration_merges_the_others(latent_run: RunStore) -> None:
    slots = {(f["slot"]["iteration"], f["slot"]["candidate"]): f for f in map(facts, requests(latent_run, "designer"))}
    others = {c for c in latent_run.candidate_ids() if (latent_run.candidate(c) or {})["iteration"] == 0}
    merged = [c for c in others if (latent_run.candidate(c) or {})["slot"] == 2]
    drafts = slots[0, 2]["drafts"]
    assert {draft["id"] for draft in drafts} == others - set(merged)
    assert all(draft["source"] == latent_run.program(draft["id"]).source for draft in drafts)
    assert not any(f["drafts"] for key, f in slots.items() if key != (0, 2))


def test_the_analyzer_sees_where_the_decoder_and_the_outcome_part(latent_run: RunStore) -> None:
    for told in map(facts, requests(latent_run, "analyzer")):
        training = told["training"]
        assert {"effect", "importance", "ablation", "explained", "importance_course"} <= set(training)
        assert [d["episode"] for d in training["decoded"]] == [e["id"] for e in training["episodes"]]


def paid_episode(rewards: list[float]) -> Episode:
    nothing = {"x": np.zeros(len(rewards), np.float32)}
    return Episode(
        state=nothing, action=np.zeros(len(rewards), np.int64), next_state=nothing,
        reward=np.array(rewards, np.float32), terminated=False, truncated=True, success=False,
    )  # fmt: skip


def test_a_teams_outcome_and_what_is_decoded_are_of_all_its_agents() -> None:
    episode = paid_episode([0.0, 0.0, -2.0])
    alone = np.array([[0.5], [-1.0], [2.0]], np.float32)
    assert _disagreement([episode], [alone])[0] == {
        "episode": "e0",
        "outcome": -2.0,
        "decoded": 1.5,
        "highest": [[2, 2.0], [0, 0.5], [1, -1.0]],
        "lowest": [[1, -1.0], [0, 0.5], [2, 2.0]],
    }
    team = np.array([[0.5, 0.25], [-1.0, 4.0], [2.0, -3.0]], np.float32)
    assert _disagreement([episode], [team])[0] == {
        "episode": "e0",
        "outcome": -4.0,
        "decoded": 2.75,
        "highest": [[1, 4.0, 1], [2, 2.0, 0], [0, 0.5, 0]],
        "lowest": [[2, -3.0, 1], [1, -1.0, 0], [0, 0.25, 1]],
    }


def test_what_a_teams_agents_are_paid_is_shown(
    latent_run: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = copy_of(latent_run, tmp_path / "run").store
    best = (store.read_json("scorecard.json") or {})["best"]["id"]
    team = np.array([[0.5, 0.25], [-1.0, 4.0]], np.float32)
    store.write_json(f"candidates/{best}/decoded.json", _disagreement([paid_episode([0.0, 1.0])], [team]))
    assert run(["show", str(store.root), best]) == DONE
    assert "4 at step 1 of agent 1" in " ".join(capsys.readouterr().out.split())
    assert run(["report", str(store.root)]) == DONE
    assert "4 at step 1 of agent 1, 0.5 at step 0 of agent 0" in (store.root / "report.html").read_text()


def test_fresh_seeds_on_the_frozen_decoder_stand_beside_the_others(
    latent_run: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = copy_of(latent_run, tmp_path / "run")
    store = opened.store
    fresh = [c for c in store.candidate_ids() if store.read_json(f"candidates/{c}/confirmation.json") is None]
    candidate = fresh[0]
    winner = Arm(name=candidate, program=store.program(candidate))
    frozen = store.decoder(candidate)
    opened.loop.trainings.run([winner], opened.settings.confirmation_seeds(), "confirmation")
    opened.loop._try_bundle(winner)
    record = store.read_json(f"candidates/{candidate}/bundle.json") or {}
    assert [s["seed"] for s in record["seeds"]] == list(opened.settings.confirmation_seeds())
    assert record["importance"] is None and set(record["seeds"][0]["curve"][-1]["components"]) == {"decoded"}
    assert store.decoder(candidate) == frozen
    assert delivered(store, candidate) == record
    opened.loop.finish({})
    rows = (store.read_json("scorecard.json") or {})["candidates"]
    assert candidate in [r["id"] for r in rows if r["bundle_fitness"]]
    assert run(["show", str(store.root)]) == DONE
    assert "frozen" in capsys.readouterr().out  # the sentence is broken into lines
    assert run(["report", str(store.root)]) == DONE
    assert "bundle holds the frozen decoder" in (store.root / "report.html").read_text()
    assert run(["export", str(store.root), "--candidate", candidate, "-o", str(tmp_path / "bundle")]) == DONE
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert (manifest["fitness"], manifest["fitness_on"]) == (record["fitness"], "bundle")
    assert (tmp_path / "bundle" / "decoder.safetensors").read_bytes() == frozen


def test_a_team_is_confirmed_with_its_frozen_decoder_and_exported(tmp_path: Path) -> None:
    latent = ["--form", "latent", "--iterations", "1", "--candidates", "1", "--env-steps", "2400"]
    store = design(tmp_path / "first", "simple-spread-episodic", *latent)
    opened = copy_of(store, tmp_path / "run")
    store, (candidate,) = opened.store, store.candidate_ids()
    # So short a training decides nothing: here the candidate is taken to be the better one.
    native = store.read_json("controls/native/training.json") or {}
    worse = [{**seed, "fitness": seed["fitness"] - 100} for seed in native["seeds"]]
    store.write_json("controls/native/training.json", {**native, "seeds": worse})
    opened.loop.confirm({})
    frozen, learning = (store.read_json(f"candidates/{candidate}/{name}.json") for name in ("bundle", "confirmation"))
    assert frozen and learning and frozen["failure"] is None
    assert [s["seed"] for s in frozen["seeds"]] == [s["seed"] for s in learning["seeds"]]
    assert frozen["seeds"] != learning["seeds"]
    assert delivered(store, candidate) == frozen
    opened.loop.finish({})
    assert run(["export", str(store.root), "--candidate", candidate, "-o", str(tmp_path / "bundle")]) == DONE
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert (manifest["fitness"], manifest["agents"]) == (frozen["fitness"], 3)
    assert (tmp_path / "bundle" / "decoder.safetensors").read_bytes() == store.decoder(candidate)


def copy_of(store: RunStore, path: Path) -> Run:
    shutil.copytree(store.root, path)
    copied = RunStore.open(path)
    return Run.open(copied, DesignSettings.from_json(copied.read_json("config.json") or {}), lambda *_: None)


def test_without_a_decoder_there_is_no_bundle_and_the_run_goes_on(latent_run: RunStore, tmp_path: Path) -> None:
    """Where no episode ended in the selection, nothing was decoded."""
    opened = copy_of(latent_run, tmp_path / "run")
    store, candidate = opened.store, latent_run.candidate_ids()[0]
    (store.root / "candidates" / candidate / "decoder.safetensors").unlink()
    (store.root / "candidates" / candidate / "bundle.json").unlink(missing_ok=True)
    winner = Arm(name=candidate, program=store.program(candidate))
    opened.loop.trainings.run([winner], opened.settings.confirmation_seeds(), "confirmation")
    opened.loop._try_bundle(winner)
    assert store.read_json(f"candidates/{candidate}/bundle.json") is None
    assert not store.bundled(candidate)


def test_a_bundle_that_fails_in_training_takes_nothing_from_its_candidate(latent_run: RunStore, tmp_path: Path) -> None:
    opened = copy_of(latent_run, tmp_path / "run")
    store, candidate = opened.store, latent_run.candidate_ids()[0]
    (store.root / "candidates" / candidate / "bundle.json").unlink(missing_ok=True)
    weights = {
        name: np.ones(1, np.float32) for name in ("decoder.0.bias", "factors.mean", "factors.deviation", "scale")
    }
    frozen = Arm(
        name=candidate,
        program=store.program(candidate),
        decoder={**weights, "decoder.0.weight": np.ones((1, 1), np.float32)},
    )
    opened.loop.trainings.run([frozen], opened.settings.confirmation_seeds(), "bundle")
    record = store.read_json(f"candidates/{candidate}/bundle.json") or {}
    assert record["failure"].startswith("the decoder reads 1 factors")
    assert (store.candidate(candidate) or {})["status"] == "trained"
    assert delivered(store, candidate) == store.read_json(f"candidates/{candidate}/confirmation.json")


@pytest.mark.parametrize("content", [b"", b"x" * 100, save({"decoder.0.weight": np.ones((2, 1), np.float32)})])
def test_a_file_that_is_no_decoder_is_named(
    content: bytes, latent_run: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(latent_run.root, tmp_path / "run")
    candidate = latent_run.candidate_ids()[0]
    (tmp_path / "run" / "candidates" / candidate / "decoder.safetensors").write_bytes(content)
    out = str(tmp_path / "bundle")
    assert run(["export", str(tmp_path / "run"), "--candidate", candidate, "-o", out]) == USER
    assert "decoder.safetensors is no decoder" in " ".join(capsys.readouterr().err.split())
    assert run(["resume", str(tmp_path / "run"), "--feedback", "more"]) == USER


@pytest.mark.parametrize("content", ["{}", "[]", '"x"', '{"failure": null}'])
def test_a_bundles_record_that_is_none_is_told(content: str, latent_run: RunStore, tmp_path: Path) -> None:
    shutil.copytree(latent_run.root, tmp_path / "run")
    candidate = latent_run.candidate_ids()[0]
    (tmp_path / "run" / "candidates" / candidate / "bundle.json").write_text(content)
    assert run(["resume", str(tmp_path / "run"), "--feedback", "more"]) == USER


def test_the_bundle_pays_what_the_decoder_says(
    latent_run: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate = latent_run.candidate_ids()[0]
    bundle = tmp_path / "bundle"
    assert run(["export", str(latent_run.root), "--candidate", candidate, "-o", str(bundle)]) == DONE
    assert "reward, decoder, state extractor, wrapper, manifest" in " ".join(capsys.readouterr().out.split())
    spec = importlib.util.spec_from_file_location("latent_bundle", bundle / "wrapper.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    env: Any = module.DesignedReward(make_env(catalog.load("pendulum-episodic")))
    env.reset(seed=3)
    told, paid = [], []
    for step in range(12):
        _, reward, terminated, truncated, info = env.step(np.array([step % 3 - 1.0], np.float32))
        told.append([info["reward_factors"][name] for name in sorted(info["reward_factors"])])
        paid.append(reward)
        assert info["reward_components"] == {"decoded": reward}
        if terminated or truncated:
            env.reset()
    kept = load_file(bundle / "decoder.safetensors")
    factors = len(kept["factors.mean"])
    decoder = load_decoder(factors, (), [kept], "cpu")
    normal = np.clip((np.array(told, np.float32) - kept["factors.mean"]) / kept["factors.deviation"], -10, 10)
    expected = decoder(torch.from_numpy(normal)[None])[0].detach().numpy() * kept["scale"][0]
    np.testing.assert_allclose(paid, expected, rtol=1e-4, atol=1e-6)
    assert np.std(paid) > 0


def test_a_bundle_whose_decoder_was_changed_is_refused(latent_run: RunStore, tmp_path: Path) -> None:
    candidate, bundle = latent_run.candidate_ids()[0], tmp_path / "bundle"
    assert run(["export", str(latent_run.root), "--candidate", candidate, "-o", str(bundle)]) == DONE
    with (bundle / "decoder.safetensors").open("ab") as file:
        file.write(b"x")
    spec = importlib.util.spec_from_file_location("changed_bundle", bundle / "wrapper.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(ValueError, match=r"decoder\.safetensors was changed"):
        module.DesignedReward(make_env(catalog.load("pendulum-episodic")))


def test_both_forms_compete_on_one_budget(tmp_path: Path) -> None:
    store = design(
        tmp_path / "run",
        "doorkey-5x5",
        "--form",
        "auto",
        "--iterations",
        "1",
        "--candidates",
        "4",
        "--env-steps",
        "2048",
    )
    forms = [(store.candidate(c) or {})["form"] for c in store.candidate_ids()]
    assert forms.count("reward") == forms.count("latent") == 2
    assert set((store.read_json("scorecard.json") or {})["controls"]) == {"native", "human", "raw", "uniform"}


def test_a_latent_file_is_trained_beside_its_controls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "reward.py"
    file.write_text(
        "import numpy as np\n\n\ndef compute_latent(state, action, next_state):\n"
        '    return {"angle": np.abs(next_state["pole_angle"]), "push": (action == 1).astype(np.float32)}\n'
    )
    options = ["--task", "cartpole-episodic", "--env-steps", "2048", "--seeds", "1", "--sandbox", "embedded", "--json"]
    assert run(["train", str(file), "--form", "latent", *options]) == DONE
    told = json.loads(capsys.readouterr().out)
    assert set(told["controls"]) == {"native", "raw", "uniform"}
    file.write_text(file.read_text().replace('"angle": np.abs(next_state["pole_angle"]), ', ""))
    assert run(["train", str(file), "--form", "latent", *options]) == REFUSED
