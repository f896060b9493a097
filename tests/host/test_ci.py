"""`mcu-build ci`: a report that tells what has changed, and fails where a job has to fail."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import mcu_build
from mcu_build.resources import data_dir
from mcu_build.verify import prove
from tests.support.cli import mcu_build as command

MODEL = """
import torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(6, {width}), torch.nn.ReLU(), torch.nn.Linear({width}, 3))
example_inputs = (torch.zeros(1, 6),)
calibration = [torch.randn(1, 6) for _ in range(16)]
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A narrow and a wide program: no torch is needed to build them."""
    folder = tmp_path_factory.mktemp("programs")
    made = []
    for width in (8, 24):
        (folder / f"width_{width}.py").write_text(MODEL.format(width=width))
        built = mcu_build.build(folder / f"width_{width}.py", board="host", build_dir=folder)
        made.append((built.path("program").read_bytes(), built.flash, built.ram))
    return made


def git(folder, *words):
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path, programs, monkeypatch):
    """Two commits: the narrow net, then the wide one, and a net that is new."""
    git(tmp_path, "init", "-q")
    (tmp_path / "net.pte").write_bytes(programs[0][0])
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "Narrow")
    (tmp_path / "net.pte").write_bytes(programs[1][0])
    (tmp_path / "new.pte").write_bytes(programs[0][0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_report_tells_what_has_changed(repository, programs):
    (_, narrow, _), (_, wide, ram) = programs
    result = command("ci", "--board", "host", "--base", "HEAD", "net.pte", "new.pte")
    assert result.status == 0, result.err
    rows = [line.split(" | ") for line in result.out.splitlines()[2:]]
    assert rows[0][2] == "48 equal (native)"
    assert rows[0][4] == f"{wide:,} (+{wide - narrow:,})"
    assert rows[0][5].startswith(f"{ram:,} (+")
    assert "(" not in rows[1][4]
    assert (repository / "mcu-build-report" / "report.md").read_text() == result.out
    kept = json.loads((repository / "mcu-build-report" / "report.json").read_text())
    assert [found["base"] for found in kept["results"]][1] is None
    assert (repository / "mcu-build-report" / "images" / "net" / "host" / "firmware.elf").is_file()
    # Nothing of the base is left behind.
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_what_has_not_changed_is_the_same(repository, programs):
    (repository / "net.pte").write_bytes(programs[0][0])
    result = command("ci", "--board", "host", "--base", "HEAD", "net.pte")
    assert "(same)" in result.out and "(+" not in result.out


def test_everything_may_come_from_the_environment(repository, monkeypatch):
    for name, value in {
        "MODELS": "net.pte new.pte",
        "BOARDS": "host",
        "NPU": "",
        "BASE": "",
        "MAX_RAM": "1",
        "OUTPUT": "elsewhere",
    }.items():
        monkeypatch.setenv(f"MCU_{name}", value)
    result = command("ci")
    assert result.status == 6
    assert result.out.count("ram: ") == 2
    assert (repository / "elsewhere" / "report.json").is_file()


def test_one_wrong_output_fails_the_job(repository, monkeypatch):
    real = prove.simulate

    def corrupt(*arguments):
        outcome = real(*arguments)
        return replace(outcome, outputs=outcome.outputs[:-1] + bytes([outcome.outputs[-1] ^ 1]))

    monkeypatch.setattr(prove, "simulate", corrupt)
    result = command("ci", "--board", "host", "net.pte", "--json")
    assert result.status == 4
    assert result.json["results"][0]["mismatches"] == 1
    report = (repository / "mcu-build-report" / "report.md").read_text()
    assert "1 of 48 wrong" in report
    assert "1 of 48 outputs are wrong" in report


def test_all_are_tried_and_the_first_failure_is_the_status(repository):
    result = command("ci", "--board", "host", "--board", "hots", "gone.pte", "net.pte", "--json")
    assert result.status == 1
    errors = [found["error"] for found in result.json["results"]]
    assert [error.splitlines()[0] if error else None for error in errors] == [
        "gone.pte: no such file",
        "--board: no board is called 'hots'",
        None,
        "--board: no board is called 'hots'",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--board", "host"), "MODELS"),
        (("net.pte",), "--board"),
        (("--board", "host", "--base", "nonsense", "net.pte"), "git"),
    ],
)
def test_nonsense_is_refused(repository, words, told):
    result = command("ci", *words)
    assert result.status in (1, 2)
    assert told in result.err


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A program that writes down how it is called, first on PATH."""

    def make(name, script):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        file = folder / name
        file.write_text(f'#!/bin/sh\necho "$@" >>"{tmp_path}/{name}.log"\n{script}\n')
        file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return tmp_path / f"{name}.log"

    return make


def test_the_doctor_installs_what_is_missing(stand_in, monkeypatch, tmp_path):
    from mcu_build import doctor

    for name, real in {"apt-get": "", "sudo": 'exec "$@"'}.items():
        log = stand_in(name, real)
    log = tmp_path / "apt-get.log"
    missing = [
        doctor.Finding("qemu", False, "not found", "apt-get install qemu-system-arm"),
        doctor.Finding("gcc", True, "12", "apt-get install gcc-arm-none-eabi"),
        doctor.Finding("torch", False, "not installed", "python3 -m pip install 'torch==2.13.0'"),
    ]
    assert doctor.install_missing(missing)
    assert log.read_text().splitlines() == [
        "update -qq",
        "install -y -qq --no-install-recommends qemu-system-arm",
    ]
    assert not doctor.install_missing(missing[1:])
    stand_in("apt-get", "echo 'no network' >&2; exit 100")
    with pytest.raises(mcu_build.McuError, match="apt-get update: status 100: no network"):
        doctor.install_missing(missing)


@pytest.mark.parametrize(("known", "method"), [("", "--method POST"), ("1234", "--method PATCH")])
def test_a_comment_replaces_the_last(stand_in, tmp_path, known, method):
    log = stand_in(
        "gh", f'case "$*" in *--jq*) echo "{known}";; *) cat "${{7#body=@}}" >"{tmp_path}/body";; esac'
    )
    (tmp_path / "report.md").write_text("| model |\n")
    env = {**os.environ, "GITHUB_REPOSITORY": "some/one", "PULL_REQUEST": "7"}
    script = data_dir() / "scripts" / "comment"
    done = subprocess.run([script, tmp_path / "report.md"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    listed, sent = log.read_text().splitlines()
    assert "repos/some/one/issues/7/comments" in listed
    assert method in sent
    assert ("issues/comments/1234" in sent) == bool(known)
    assert (tmp_path / "body").read_text() == "<!-- mcu-build -->\n| model |\n"


SCHEMAS = {"action.yml": "vendor.github-actions", "ci/gitlab.yml": "vendor.gitlab-ci"}


@pytest.mark.parametrize("name", SCHEMAS)
def test_yaml_holds_to_its_schema(tmp_path, name):
    def check(file):
        words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[name], file]
        return subprocess.run(words, capture_output=True, text=True).returncode

    # Schemas look into no job that is hidden: as one that extends it sees it.
    text = re.sub(r"^\.", "", (data_dir() / name).read_text(), flags=re.MULTILINE)
    file = tmp_path / Path(name).name
    file.write_text(text)
    assert check(file) == 0
    file.write_text(text.replace("using: composite", "using: compost").replace("when: always", "when: ever"))
    assert file.read_text() != text
    assert check(file) != 0


def test_the_project_file_names_models_boards_and_budgets(repository, monkeypatch):
    monkeypatch.delenv("MCU_BOARD", raising=False)
    none = command("ci")
    assert none.status == 2 and "MODELS: missing" in none.err
    lines = ['board = "host"', 'optimize = "size"', "max_ram = 1", "[models.net]", 'file = "net.pte"']
    (repository / "mcu-build.toml").write_text("\n".join(lines))
    result = command("ci", "--json")
    assert result.status == 6
    (row,) = result.json["results"]
    assert row["board"] == "host" and "the budget is 1" in row["error"]
    assert row["model"] == "net.pte"  # not where it lies on this computer
    assert (repository / "mcu-build-report" / "build" / "net" / "host-size").is_dir()
    # Options go before the file.
    assert command("ci", "net", "--max-ram", "1M").status == 0
    assert "hots" in command("ci", "net", "-b", "hots").out
