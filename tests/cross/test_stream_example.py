"""examples/streams: gestures in C++, fed by an interrupt, and in C; words from a microphone in both."""

import shutil
from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.resources import data_dir
from tests.support.firmware import COMMAND, Project


def built(folder: Path, *images: str) -> Project:
    """Some of the example's images, from a copy of it."""
    ignored = shutil.ignore_patterns("build", "__pycache__")
    shutil.copytree(data_dir() / "examples" / "streams", folder / "streams", ignore=ignored)
    project = Project(folder / "streams")
    assert project.configure("arm-clang").status == 0
    project.build(*images)
    return project


def printed(project: Project, image: str) -> list[str]:
    words = [COMMAND, "run", "--board", "corstone-300", project.tree / f"{image}.elf", "--timeout", "10"]
    return process.run(words).stdout.split("\n")


def test_gestures_in_cplusplus_and_in_c(tmp_path, monkeypatch):
    monkeypatch.setenv("MCU_BUILD_CACHE", str(tmp_path / "cache"))
    project = built(tmp_path, "demo", "demo_c")
    # Rest, shake, rest: each is told once, and no sample was lost.
    assert printed(project, "demo")[:4] == ["still", "shake", "still", "done"]
    assert printed(project, "demo_c")[:3] == ["still", "shake", "still"]


@pytest.mark.slow
def test_words_in_cplusplus_and_in_c(tmp_path):
    project = built(tmp_path, "keyword", "keyword_c")
    for image in ("keyword", "keyword_c"):
        assert printed(project, image)[:2] == ["rising", "falling"]
