"""examples/vibration and examples/camera: the applications in C++ and in C, on a machine without a sensor."""

import re
import shutil

from mcu_build import process
from mcu_build.image.elf import read_elf
from mcu_build.resources import data_dir
from tests.support.firmware import COMMAND, Project

EXAMPLES = data_dir() / "examples"


def built(name, folder) -> Project:
    """An example, built from a copy of it."""
    shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns("build", "__pycache__"))
    return Project(folder / name).made("arm-clang")


def printed(project: Project, image: str) -> list[str]:
    words = [COMMAND, "run", "--board", "mps2-an386", project.tree / f"{image}.elf", "--timeout", "10"]
    return process.run(words).stdout.split("\n")


def promised(name: str) -> list[str]:
    """What an example's page says that its application prints: the last block of it."""
    page = (EXAMPLES / name / "README.md").read_text()
    return re.findall(r"^    (.+)$", page.partition("\nIt prints\n")[2], re.M)


def columns(lines: list[str]) -> tuple[list[str], list[int]]:
    """Lines of the vibration's application as words and hundredths."""
    words, scores = zip(*(line.split(", score in hundredths ") for line in lines), strict=True)
    return list(words), [int(score) for score in scores]


def test_a_worn_bearing_is_heard_by_both_applications(tmp_path):
    project, lines = built("vibration", tmp_path), promised("vibration")
    words, scores = columns(lines)
    heard, measured = columns(printed(project, "watch")[:4])
    assert heard == words
    # The net is trained here, where sums of floats may round otherwise than they did for the page.
    assert all(abs(score - promise) <= 3 for score, promise in zip(measured, scores, strict=True)), measured
    assert printed(project, "watch_c")[:4] == words == ["normal", "normal", "anomaly", "anomaly"]


def test_somebody_before_the_camera_is_seen_by_both_applications(tmp_path):
    project = built("camera", tmp_path)
    assert printed(project, "watch")[:3] == promised("camera") == ["nobody", "somebody", "nobody"]
    assert printed(project, "watch_c")[:3] == ["light off", "light on", "light off"]
    # Less than the picture of 64x64 bytes.
    arena = next(
        section for section in read_elf(project.tree / "watch.elf").sections if section.name == ".arena"
    )
    assert arena.size == 3728
