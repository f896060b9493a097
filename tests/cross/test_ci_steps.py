"""The steps of the GitHub action and of the GitLab template, in an empty environment as runners have them.

What only the services have is untried: `uses:` steps, expressions other than those below, tokens, runners.
"""

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import yaml

import mcu_build
from mcu_build.resources import data_dir
from tests.host.test_ci import MODEL, git

# The Python of this environment, without what is installed in it: as actions/setup-python brings one.
PATH = f"{Path(sys.base_prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin"
BOARD = "mps2-an386"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository with a program in two commits, the narrow net and the wide one."""
    folder = tmp_path_factory.mktemp("steps")
    repository = folder / "repository"
    repository.mkdir()
    git(repository, "init", "-q")
    for width in (8, 24):
        file = folder / f"width_{width}.py"
        file.write_text(MODEL.format(width=width))
        built = mcu_build.build(file, board="host", build_dir=folder / "build")
        (repository / "net.pte").write_bytes(built.path("program").read_bytes())
        git(repository, "add", "net.pte")
        git(repository, "commit", "-qm", f"Width {width}")
    return repository


def environment(folder: Path, environment_folder: Path) -> dict[str, str]:
    """An empty environment with a home of its own. The libraries are those of this one: they are large."""
    venv.create(environment_folder)
    site = next((environment_folder / "lib").glob("python*/site-packages"))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    home = folder / "home"
    home.mkdir()
    # Without isolation pip asks no index for the build's own requirements.
    return {"HOME": str(home), "PATH": PATH, "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1"}


def run(script: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)


def assert_report(folder: Path, simulator: str = "qemu") -> None:
    found = json.loads((folder / "report.json").read_text())["results"][0]
    assert found["error"] is None
    assert found["simulators"] == [simulator]
    assert found["outputs"] == 48 and found["mismatches"] == 0
    assert found["measures"]["instructions"] > found["base"]["instructions"] > 0
    assert (folder / "images" / "net" / BOARD / "firmware.bin").is_file()


class Runner:
    """As much of GitHub's runner as composite actions with scripts need."""

    def __init__(self, folder: Path, repository: Path, inputs: dict[str, str]) -> None:
        self.folder, self.repository = folder, repository
        self.action = yaml.safe_load((data_dir() / "action.yml").read_text())
        given = {name: field.get("default", "") for name, field in self.action["inputs"].items()} | inputs
        self.known = {f"inputs.{name}": value for name, value in given.items()}
        self.known["github.event.pull_request.base.sha"] = git(repository, "rev-parse", "HEAD~1")
        self.files = {name: folder / name.lower() for name in ("GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
        for file in self.files.values():
            file.touch()
        self.env = environment(folder, folder / "mcu-build")

    def step(self, name: str) -> subprocess.CompletedProcess[str]:
        step = next(step for step in self.action["runs"]["steps"] if step["name"] == name)
        own = {key: self.expanded(value) for key, value in step.get("env", {}).items()}
        paths = self.files["GITHUB_PATH"].read_text().split()
        env = {
            **self.env,
            **own,
            **{name: str(file) for name, file in self.files.items()},
            "PATH": ":".join([*reversed(paths), PATH]),
            "GITHUB_ACTION_PATH": str(data_dir()),
            "RUNNER_TEMP": str(self.folder),
        }
        return run(step["run"], self.repository, env)

    def expanded(self, text: str) -> str:
        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: self.known[found[1]], text)


def test_the_steps_of_the_action(tmp_path, repository):
    runner = Runner(tmp_path, repository, {"models": "net.pte", "boards": BOARD, "max-flash": "64K"})
    for name in ("Install mcu-build and its tools", "Build, prove and measure", "Summary"):
        done = runner.step(name)
        assert done.returncode == 0, (name, done.stdout, done.stderr)
    assert_report(repository / "mcu-build-report")
    summary = (tmp_path / "github_step_summary").read_text()
    assert "48 equal (qemu)" in summary and "(+" in summary
    # It was this checkout, installed there, with a cache of its own.
    assert list((tmp_path / "home" / ".cache" / "mcu-build").iterdir())
    assert list((tmp_path / "mcu-build").rglob("mcu_build/data/boards"))
    # The control: the same job over budget fails, and still reports.
    runner.known["inputs.max-flash"] = "1K"
    assert runner.step("Build, prove and measure").returncode == 6
    assert runner.step("Summary").returncode == 0
    assert "the budget is 1,024" in (tmp_path / "github_step_summary").read_text()


@pytest.mark.slow
def test_the_steps_of_the_gitlab_template(tmp_path, repository):
    job = yaml.safe_load((data_dir() / "ci" / "gitlab.yml").read_text())[".mcu-build"]
    project = tmp_path / "project"
    git(tmp_path, "clone", "-q", str(repository), str(project))
    variables = {**job["variables"], "MCU_MODELS": "net.pte", "MCU_BOARDS": BOARD}
    variables |= {"MCU_BASE": git(repository, "rev-parse", "HEAD~1"), "MCU_BUILD": str(data_dir())}
    env = {**environment(tmp_path, project / ".mcu-build"), **variables, "CI_PROJECT_DIR": str(project)}
    done = run("\n".join([*job["before_script"], *job["script"]]), project, env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_report(project / "mcu-build-report")
    assert os.fspath(project) not in (project / "mcu-build-report" / "report.md").read_text()
