"""Copies of a project share the cache, and each watches and reads its own files only."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import mcu_build
from mcu_build.api import generate
from mcu_build.terminal import StageTimes

MODEL = """import os
from pathlib import Path

import torch
from helper import SCALE

here = Path(__file__).parent
OFFSET = float((here / "offset.txt").read_text()) if (here / "offset.txt").exists() else 0.0
torch.manual_seed(len(list((here / "rows").glob("*.csv"))))
BIAS = float(os.environ.get("BIAS", "0")) + (0.125 if here.joinpath("wi" + "de").is_file() else 0)
BIAS += 0.5 if os.path.isdir(os.path.join(here, "ro" + "om")) else 0


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x) * SCALE + OFFSET + BIAS


model = Net()
example_inputs = (torch.zeros(1, 4),)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A model with a helper, an optional file and a folder of data, a git repository, and its own cache."""
    monkeypatch.setenv("MCU_BUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BIAS", raising=False)
    folder = tmp_path / "first"
    (folder / "rows").mkdir(parents=True)
    (folder / "rows" / "a.csv").write_text("1\n")
    (folder / "kws.py").write_text(MODEL)
    (folder / "helper.py").write_text("SCALE = 2.0\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def git(folder, *words):
    who = ("-c", "user.name=n", "-c", "user.email=e@example.invalid")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def generated(model, output):
    """Whether the model was captured anew, what was generated, and the files to watch."""
    progress = StageTimes()
    made = generate(model, board="host", output=output, progress=progress)
    cached = {stage["name"]: stage["cached"] for stage in progress.stages}
    texts = {file.name: file.read_text() for file in made.files}
    return not cached["capture"], texts, made.dependencies


def code(texts):
    """The model's C++ of what was generated."""
    return "".join(text for name, text in sorted(texts.items()) if name.endswith(".cpp"))


def copied(project, how):
    """The project once more, and its model file there."""
    second = project.parent / "second"
    if how == "copy":
        shutil.copytree(project, second)
    elif how == "clone":
        git(project.parent, "clone", "-q", project, second)
    elif how == "worktree":
        git(project, "worktree", "add", "-q", second)
    else:
        second.mkdir()
        for file in project.iterdir():
            if file.suffix == ".py":
                shutil.copy(file, second / f"real_{file.name}")
                (second / file.name).symlink_to(f"real_{file.name}")
        shutil.copytree(project / "rows", second / "rows")
        (second / "kws.py").unlink()
        shutil.copy(project / "kws.py", second / "kws.py")
    return second / "kws.py"


@pytest.mark.parametrize("how", ["copy", "clone", "worktree", "links"])
def test_a_copy_watches_its_own_files(project, tmp_path, how):
    _, first, _ = generated(project / "kws.py", tmp_path / "one")
    model = copied(project, how)
    _, second, dependencies = generated(model, tmp_path / "two")
    assert {file.name for file in dependencies} >= {"kws.py", "helper.py"}
    assert not [file for file in dependencies if file.is_relative_to(project)]
    assert str(project) not in "".join(second.values())
    assert code(second) == code(first)
    assert not generated(model, tmp_path / "two")[0]
    # And so it finds what is edited there, and the first one does not.
    (model.parent / "helper.py").write_text("SCALE = 3.0\n")
    anew, edited, _ = generated(model, tmp_path / "two")
    assert anew and code(edited) != code(second)
    again, unchanged, _ = generated(project / "kws.py", tmp_path / "one")
    assert not again and unchanged == first


def test_no_file_of_the_cache_names_the_project(project, tmp_path):
    generated(project / "kws.py", tmp_path / "one")
    kept = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert {"quantized.pt2", "model.pt2", "program.pte", "info.json"} <= {file.name for file in kept}
    assert not [file for file in kept if str(tmp_path).encode() in file.read_bytes()]
    warnings = next(json.loads(file.read_text()) for file in kept if file.name == "info.json")["warnings"]
    assert len(warnings) == 1 and "no `calibration`" in warnings[0]


def test_a_warning_names_the_copy(project, tmp_path):
    for model in (project / "kws.py", copied(project, "copy")):
        built = mcu_build.build(model, board="host", build_dir=model.parent / "build")
        assert str(model) in built.built.manifest.warnings[0]


CHANGES = {
    "helper shadowed by a package": lambda here: package(here / "helper"),
    "optional file added": lambda here: (here / "offset.txt").write_text("0.5"),
    "data file added": lambda here: (here / "rows" / "b.csv").write_text("2\n"),
    "file added that was asked for": lambda here: (here / "wide").touch(),
    "folder added that was asked for": lambda here: (here / "room").mkdir(),
    "variable set": lambda here: os.environ.update(BIAS="0.25"),
    "helper is a link to another file": lambda here: linked(here),
}


def package(folder):
    folder.mkdir()
    (folder / "__init__.py").write_text("SCALE = 4.0\n")


def linked(folder):
    other = folder / "other.py"
    other.write_text("SCALE = 5.0\n")
    os.utime(other, (1, 1))
    (folder / "helper.py").unlink()
    (folder / "helper.py").symlink_to("other.py")


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_around_the_model_is_found(project, tmp_path, monkeypatch, change):
    monkeypatch.setenv("BIAS", "0")
    before = code(generated(project / "kws.py", tmp_path / "one")[1])
    CHANGES[change](project)
    anew, texts, _ = generated(project / "kws.py", tmp_path / "one")
    assert anew and code(texts) != before
    assert not generated(project / "kws.py", tmp_path / "one")[0]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_was_asked_for_and_is_gone_is_found(project, tmp_path, kind):
    """A folder's existence counts where it has no entries, too."""
    (project / "wide").touch() if kind == "file" else (project / "room").mkdir()
    before = code(generated(project / "kws.py", tmp_path / "one")[1])
    (project / "wide").unlink() if kind == "file" else (project / "room").rmdir()
    anew, texts, _ = generated(project / "kws.py", tmp_path / "one")
    assert anew and code(texts) != before


def test_a_link_that_is_pointed_elsewhere(project, tmp_path):
    """Links to the model and to its helper: the helper is looked for beside the file, not beside the link."""
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "kws.py").symlink_to(project / "kws.py")
    second = copied(project, "copy").parent
    (second / "helper.py").write_text("SCALE = 3.0\n")
    before = code(generated(tmp_path / "links" / "kws.py", tmp_path / "one")[1])
    (tmp_path / "links" / "kws.py").unlink()
    (tmp_path / "links" / "kws.py").symlink_to(second / "kws.py")
    _, texts, dependencies = generated(tmp_path / "links" / "kws.py", tmp_path / "one")
    assert code(texts) != before
    assert second / "helper.py" in dependencies and project / "helper.py" not in dependencies
    assert str(tmp_path / "links") in texts["depends.txt"].splitlines()


def test_a_helper_that_is_gone_is_an_error(project, tmp_path):
    generated(project / "kws.py", tmp_path / "one")
    (project / "helper.py").unlink()
    with pytest.raises(mcu_build.McuError, match="No module named 'helper'"):
        generated(project / "kws.py", tmp_path / "one")


def test_depends_txt_lists_what_may_appear(project, tmp_path):
    lines = generated(project / "kws.py", tmp_path / "one")[1]["depends.txt"].splitlines()
    assert str(project / "helper.py") in lines
    assert str(project / "offset.txt") in lines
    assert str(project / "helper" / "__init__.py") in lines
    assert str(project / "rows" / "*") in lines
    assert {str(project / "wide"), str(project / "room")} <= {*lines}
    assert all(Path(line).is_absolute() for line in lines)
