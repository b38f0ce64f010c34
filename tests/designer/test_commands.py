"""The commands as people use them: what each prints, and the exit code that it ends with."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from designer.exits import DEFECT, DONE, INFRA, INTERRUPTED, REFUSED, USER
from designer.main import run
from envs import catalog
from tests.designer import corridor
from tests.designer.command import REWARDSMITH, call, environment
from tests.designer.endpoint import serving
from tests.designer.test_resume import CORRIDOR, HERE, at, walking

ROOT = Path(corridor.__file__).parents[2]
HUMAN = ROOT / "envs" / "human"
NOWHERE = "unix:///nowhere/docker.sock"
HEADER = "import numpy as np\n\n\ndef compute_reward(state, action, next_state):\n"
UPRIGHT = HEADER + "    return {'upright': 1.0 - np.abs(next_state['pole_angle'])}\n"
SECRETIVE = "import os\n" + HEADER + "    return {'home': np.full(len(action), float(len(os.environ)))}\n"
IDLE = HEADER + "    return {'alive': np.full(len(action), 2.0)}\n"


class Said:
    """Runs a command in this process; exit code, standard output, standard error."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        said = self._capsys.readouterr()
        return code, said.out, said.err


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    return Said(capsys)


@pytest.fixture
def program(tmp_path: Path) -> Any:
    def write(source: str) -> Path:
        path = tmp_path / "reward.py"
        path.write_text(source)
        return path

    return write


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two iterations of two candidates on the corridor, with a best."""
    root = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch, serving(walking) as endpoint:
        patch.syspath_prepend(str(HERE))
        assert run(["design", *CORRIDOR, *at(endpoint, root)]) == DONE
    return root


def ids(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "candidates").iterdir())


def test_every_task_is_listed_with_its_state_schema(said: Said) -> None:
    code, out, _ = said("tasks", "--json")
    listed = {task["id"]: task for task in json.loads(out)}
    assert code == DONE and set(listed) == set(catalog.ids())
    for task in listed.values():
        assert task["description"] and task["env_steps"] > 0
        assert all(field["description"] for field in task["state"]["properties"].values())
    code, out, _ = said("tasks")
    assert code == DONE and all(name in out for name in listed)


def test_doctor_names_what_is_missing_with_the_command_that_mends_it(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    code, out, _ = said("doctor", "--json")
    told = json.loads(out)
    rows = {row["what"]: row for row in told["rows"]}
    assert code == DONE and told["possible"] is True
    assert not rows["Docker"]["ok"] and NOWHERE in rows["Docker"]["found"]
    assert rows["Docker"]["remedy"].startswith("apt-get install docker.io")
    assert rows["embedded jail"]["ok"] and "seccomp" in rows["embedded jail"]["found"]
    assert not rows["model keys"]["ok"] and "export OPENAI_API_KEY=" in rows["model keys"]["remedy"]
    assert all(row["remedy"] for row in told["rows"] if not row["ok"])
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-of-this-test")
    code, out, _ = said("doctor")
    assert code == DONE and "A run is possible." in out
    assert "OPENAI_API_KEY is set" in out and "canary" not in out


def test_a_sound_file_is_verified(said: Said, program: Any) -> None:
    code, out, _ = said("verify", HUMAN / "cartpole.py", "--task", "cartpole", "--json")
    told = json.loads(out)
    assert code == DONE and told["ok"] is True
    assert told["components"]["balance"] and told["violations"] == []
    assert said("verify", program(UPRIGHT), "--task", "cartpole", "--sandbox", "embedded")[0] == DONE


def test_a_hostile_file_is_refused_by_the_gate_and_without_it_by_the_jail(said: Said, program: Any) -> None:
    code, out, err = said("verify", program(SECRETIVE), "--task", "cartpole", "--json")
    found = json.loads(out)["violations"]
    assert code == REFUSED and err == ""
    assert {"stage": "gate", "line": 1}.items() <= {k: found[0][k] for k in ("stage", "line")}.items()
    opened = program(HEADER + "    return {'r': np.full(len(action), float(len(open('/etc/passwd').read())))}\n")
    code, out, err = said("verify", opened, "--task", "cartpole", "--no-gate", "--json")
    found = json.loads(out)["violations"]
    assert code == REFUSED and "the static gate is OFF" in err
    assert {v["stage"] for v in found} == {"sandbox"} and found[0]["line"] == 5


@pytest.mark.parametrize("command", [("verify",), ("verify", "--no-gate"), ("train", "--env-steps", "1")])
def test_a_file_of_the_other_form_is_told_with_its_option(said: Said, program: Any, command: tuple[str, ...]) -> None:
    name, *options = command
    latent = HEADER.replace("compute_reward", "compute_latent") + "    return {'a': state['pole_angle']}\n"
    code, *words = said(name, program(latent), "--task", "cartpole", "--sandbox", "embedded", *options)
    assert code == REFUSED and "add --form latent" in " ".join(" ".join(words).split())
    code, *words = said(
        name, program(UPRIGHT), "--task", "cartpole", "--sandbox", "embedded", "--form", "latent", *options
    )
    assert code == REFUSED and "leave --form latent out" in " ".join(" ".join(words).split())


def test_a_reward_that_idling_collects_is_refused_with_the_evidence(said: Said, program: Any) -> None:
    code, out, _ = said("verify", program(IDLE), "--task", "mountaincar", "--json")
    told = json.loads(out)
    assert code == REFUSED and told["audit"]["verdict"] == "gamed"
    assert said("verify", program(IDLE), "--task", "mountaincar")[0] == REFUSED


def test_a_task_without_scripted_solutions_is_not_audited(said: Said, program: Any) -> None:
    source = HEADER + "    return {'on': next_state['place'] - state['place'] * 1.0}\n"
    arguments = ("--task", "walk on", "--env", "corridor:Corridor-v0", "--state", "corridor:read_state")
    code, out, _ = said("verify", program(source), *arguments, "--json")
    assert code == DONE and json.loads(out)["audit"]["verdict"] == "not_audited"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("verify", "missing.py", "--task", "cartpole"), "cannot be read"),
        (("verify", "latin.py", "--task", "cartpole"), "not UTF-8"),
        (("verify", "latin.py", "--task", "no-such-task"), "no-such-task"),
        (("verify", "good.py", "--task", "cartpole", "--sandbox", "docker"), "Docker daemon"),
        (("show", "no-such-run"), "There is no run"),
        (("show", "no-such-run", "abc"), "There is no run"),
        (("train", "good.py", "--task", "cartpole", "--env", "No-v0"), "No-v0"),
        (("frobnicate",), "frobnicate"),
        (("verify", "good.py", "--task"), "task"),
        (("design", "swing \udcff up", "--env", "Pendulum-v1"), "UTF-8"),
    ],
)
def test_what_cannot_be_used_is_said(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.py").write_bytes(b"# caf\xe9\n")
    (tmp_path / "good.py").write_text(UPRIGHT)
    try:
        code, _, err = said(*arguments)
    except SystemExit as end:  # the parser of options ends by itself
        assert end.code == USER
        return
    assert code == (INFRA if "docker" in arguments else USER) and words in err


def test_training_a_file_tells_its_fitness_beside_the_control(said: Said, program: Any) -> None:
    arguments = ("--task", "cartpole", "--env-steps", "2048", "--seeds", "2", "--sandbox", "embedded")
    code, out, err = said("train", program(UPRIGHT), *arguments, "--json")
    told = json.loads(out)
    assert code == DONE and told["fitness"]["seeds"] == 2 and told["fitness"]["low"] is None
    assert told["controls"]["native"]["fitness"]["seeds"] == 2
    assert "paired difference" in err and "env steps" in err


def test_training_warns_of_a_reward_that_can_be_gamed_and_ends_with_one_that_fails(said: Said, program: Any) -> None:
    budget = ("--env-steps", "2048", "--seeds", "1", "--sandbox", "embedded")
    code, out, _ = said("train", program(IDLE), "--task", "mountaincar", *budget)
    assert code == DONE and "warning:" in out
    code, _, err = said("train", program(SECRETIVE), "--task", "cartpole", *budget)
    assert code == REFUSED and err.startswith("rewardsmith: refused:")
    fails = HEADER + "    return {'r': np.ones(1000)[: len(action)]}\n"
    code, _, err = said("train", program(fails), "--task", "cartpole", *budget)
    assert code == REFUSED and "shape" in err


def test_a_run_is_shown_as_table_and_each_candidate_with_its_code(said: Said, finished: Path) -> None:
    code, out, _ = said("show", finished)
    assert code == DONE and all(name in out for name in ids(finished)) and "native" in out
    code, out, _ = said("show", finished, "--json")
    assert code == DONE and json.loads(out)["best"]["id"] in ids(finished)
    one = ids(finished)[0]
    code, out, _ = said("show", finished, one)
    assert code == DONE and "def compute_reward" in out
    code, out, _ = said("show", finished, one, "--json")
    told = json.loads(out)
    assert code == DONE and "def compute_reward" in told["source"] and told["verification"]["ok"] is True
    code, _, err = said("show", finished, "feedfeedfeed")
    assert code == USER and "feedfeedfeed" in err


def test_a_name_stands_for_the_run_below_runs(said: Said, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = finished.parent
    (home / "runs").mkdir(exist_ok=True)
    if not (home / "runs" / "mine").exists():
        (home / "runs" / "mine").symlink_to(finished)
    monkeypatch.chdir(home)
    assert said("show", "mine")[0] == DONE


def test_two_candidates_are_compared(said: Said, finished: Path) -> None:
    first, second = ids(finished)[:2]
    code, out, _ = said("diff", finished, first, second)
    assert code == DONE and any(line.startswith("-") for line in out.splitlines()) and first in out


def test_reports_lay_two_runs_side_by_side(said: Said, finished: Path) -> None:
    code, out, _ = said("report", finished, "--beside", finished)
    assert code == DONE and Path(out.strip()).read_text().count("<table") > 2


def test_the_best_is_exported_and_any_other_by_name(said: Said, finished: Path, tmp_path: Path) -> None:
    code, out, _ = said("export", finished, "-o", tmp_path / "best")
    assert code == DONE and "unsandboxed" in out and "decoder" not in out
    best = json.loads((finished / "scorecard.json").read_text())["best"]["id"]
    other = next(name for name in ids(finished) if name != best)
    assert said("export", finished, "-o", tmp_path / "other", "--candidate", other)[0] == DONE
    manifests = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("best", "other")]
    assert manifests[0] != manifests[1]
    assert said("export", finished, "-o", tmp_path / "best", "--candidate", other)[0] == DONE, "a bundle is replaced"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    code, _, err = said("export", finished, "-o", tmp_path / "mine")
    assert code == USER and "mine" in err and (tmp_path / "mine" / "thesis.txt").exists()


def test_a_run_without_a_best_says_how_to_export_another(said: Said, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_bytes((finished / "config.json").read_bytes())
    code, _, err = said("export", tmp_path / "run", "-o", tmp_path / "out")
    assert code == USER and "--candidate" in err


def test_json_output_is_json_alone_and_progress_goes_elsewhere(tmp_path: Path) -> None:
    arguments = ["cartpole", "--env-steps", "2048", "--seeds", "1", "--iterations", "1", "--candidates", "1"]
    done = call("design", *arguments, "--sandbox", "embedded", "--run-dir", tmp_path / "run", "--json", cwd=tmp_path)
    assert done.returncode in (DONE, REFUSED)
    assert json.loads(done.stdout)["task"] == "cartpole"
    assert "model   offline: a baseline" in done.stderr and "env steps" in done.stderr


def test_version_and_help_need_nothing(tmp_path: Path) -> None:
    assert call("--version", cwd=tmp_path).stdout.startswith("rewardsmith 0.")
    helped = call(cwd=tmp_path)
    assert helped.returncode == DONE and "design" in helped.stdout


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    line = f"{REWARDSMITH} tasks --json | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, env=environment(), cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (DONE, b"[", b"")


def test_sigterm_ends_a_training_like_an_interrupt(tmp_path: Path) -> None:
    (tmp_path / "reward.py").write_text(UPRIGHT)
    command = [str(REWARDSMITH), "train", "reward.py", "--task", "cartpole", "--sandbox", "embedded"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), cwd=tmp_path
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        while b"env steps" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == INTERRUPTED
        assert process.stderr.read() == b"rewardsmith: interrupted.\n"


def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))

    command = [str(REWARDSMITH), "design", "cartpole", "--env-steps", "2048", "--seeds", "1", "--sandbox", "embedded"]
    # Where coverage is measured, its own file would not fit either.
    unmeasured = {name: value for name, value in environment().items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [*command, "--run-dir", "run"], capture_output=True, text=True, env=unmeasured, cwd=tmp_path,
        preexec_fn=small_files, check=False,
    )  # fmt: skip
    assert done.returncode == INFRA, done.stderr
    assert "resume" in done.stderr and "Traceback" not in done.stderr
    assert call("resume", "run", cwd=tmp_path).returncode in (DONE, REFUSED)


def test_a_defect_of_ours_leaves_a_report_and_an_exit_code_of_its_own(tmp_path: Path) -> None:
    broken = (
        "from envs import catalog; del catalog.ids; from designer.main import run; raise SystemExit(run(['tasks']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", broken], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT)),
    )  # fmt: skip
    assert done.returncode == DEFECT and "Traceback" not in done.stderr
    (report,) = tmp_path.glob("rewardsmith-defect-*.txt")
    assert "AttributeError" in report.read_text() and str(report) in done.stderr


@pytest.mark.docker
def test_the_image_is_made_and_leftovers_are_swept(capsys: pytest.CaptureFixture[str]) -> None:
    said = Said(capsys)
    code, out, _ = said("sandbox", "build")
    assert code == DONE and out.startswith("sha256:")
    code, out, _ = said("sandbox", "sweep")
    assert code == DONE and out.strip().endswith("leftovers removed")
    code, out, _ = said("doctor", "--json")
    assert code == DONE and next(r for r in json.loads(out)["rows"] if r["what"] == "Docker")["ok"] is True


@pytest.mark.docker
def test_auto_takes_docker_where_a_daemon_answers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "reward.py").write_text(UPRIGHT)
    code, out, _ = Said(capsys)("verify", tmp_path / "reward.py", "--task", "cartpole", "--json")
    assert code == DONE and "no-network" in json.loads(out)["sandbox"]["layers"]
