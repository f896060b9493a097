"""examples/streams: gestures in C++, fed by an interrupt, and in C; words from a microphone in both."""

import shutil
from pathlib import Path

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


def promised(image: str) -> list[str]:
    """What the example's page says that an image prints."""
    page = (data_dir() / "examples" / "streams" / "README.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{image}.elf` "))
    return [line.strip("`") for line in row.split("|")[4].strip().split(", ")]


def printed(project: Project, image: str) -> list[str]:
    words = [COMMAND, "run", "--board", "corstone-300", project.tree / f"{image}.elf", "--timeout", "10"]
    return process.run(words).stdout.split("\n")


def test_gestures_and_words_in_cplusplus_and_in_c(tmp_path, monkeypatch):
    monkeypatch.setenv("MCU_BUILD_CACHE", str(tmp_path / "cache"))
    project = built(tmp_path, "demo", "demo_c", "keyword", "keyword_c")
    # Rest, shake, rest: each is printed once, and no sample was lost.
    assert printed(project, "demo")[:4] == promised("demo") == ["still", "shake", "still", "done"]
    assert printed(project, "demo_c")[:3] == promised("demo_c") == ["still", "shake", "still"]
    # A voice that rises, and one that falls.
    for image in ("keyword", "keyword_c"):
        assert printed(project, image)[:2] == promised(image) == ["rising", "falling"]
