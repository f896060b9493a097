"""examples/streams: the gestures' application, fed by an interrupt."""

import shutil

from mcu_build import process
from mcu_build.resources import data_dir
from tests.support.firmware import COMMAND, Project


def test_an_interrupt_feeds_the_stream(tmp_path, monkeypatch):
    monkeypatch.setenv("MCU_BUILD_CACHE", str(tmp_path / "cache"))
    ignored = shutil.ignore_patterns("build", "__pycache__")
    shutil.copytree(data_dir() / "examples" / "streams", tmp_path / "streams", ignore=ignored)
    project = Project(tmp_path / "streams").made("arm-clang")
    finished = process.run(
        [COMMAND, "run", "--board", "corstone-300", project.tree / "demo.elf", "--timeout", "10"]
    )
    # Rest, shake, rest: each is told once, and no sample was lost.
    assert finished.stdout.split("\n")[:4] == ["still", "shake", "still", "done"]
