"""examples/vibration: the application in C++ and in C, on a machine without a sensor."""

import re
import shutil

from mcu_build import process
from mcu_build.resources import data_dir
from tests.support.firmware import COMMAND, Project


def test_a_worn_bearing_is_heard_by_both_applications(tmp_path):
    ignored = shutil.ignore_patterns("build", "__pycache__")
    example = data_dir() / "examples" / "vibration"
    shutil.copytree(example, tmp_path / "vibration", ignore=ignored)
    project = Project(tmp_path / "vibration").made("arm-clang")
    said = {}
    for image in ("watch", "watch_c"):
        words = [COMMAND, "run", "--board", "mps2-an386", project.tree / f"{image}.elf", "--timeout", "10"]
        said[image] = process.run(words).stdout.split("\n")
    promised = re.findall(r"^    (normal|anomaly), (.+)$", (example / "README.md").read_text(), re.MULTILINE)
    assert said["watch"][:4] == [", ".join(line) for line in promised]
    assert said["watch_c"][:4] == [word for word, _ in promised] == ["normal"] * 2 + ["anomaly"] * 2
