"""What is built once is not built again; what has changed is never missed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import mcu_build

MODEL = """
import json
from pathlib import Path

import numpy as np
import torch

from helper import scale

here = Path(__file__).parent
width = json.loads((here / "config.json").read_text())["width"]


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(width, 3)
        self.first.weight.data = torch.from_numpy(np.load(here / "weights.npy"))

    def forward(self, x):
        return torch.relu(self.first(x)) * scale


model = Net()
example_inputs = (torch.zeros(1, width),)


def calibration():
    for row in np.load(here / "data.npy"):
        yield torch.from_numpy(row)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A model with a helper module, a configuration, weights and data in files, and a cache of its own."""
    import numpy as np

    monkeypatch.setenv("MCU_BUILD_CACHE", str(tmp_path / "cache"))
    dice = np.random.default_rng(0)
    (tmp_path / "net.py").write_text(MODEL)
    (tmp_path / "helper.py").write_text("scale = 2.0\n")
    (tmp_path / "config.json").write_text('{"width": 4}')
    np.save(tmp_path / "weights.npy", dice.standard_normal((3, 4)).astype(np.float32))
    np.save(tmp_path / "data.npy", dice.standard_normal((8, 1, 4)).astype(np.float32))
    return tmp_path


def build(project, *options):
    result = mcu_build(
        "--board", "host", project / "net.py", "--build-dir", project / "build", "--json", *options
    )
    assert result.status == 0, result.out
    return result.json


def stages(document):
    return {stage["name"]: stage["cached"] for stage in document["stages"]}


def program(document):
    return Path(document["artefacts"]["program"]).read_bytes()


def build_as_a_user(project):
    """What a command of its own says, its seconds, and whether it has imported torch."""
    words = ["--board", "host", str(project / "net.py"), "--json", "--build-dir", str(project / "build")]
    code = (
        "import json, sys, time\nstart = time.monotonic()\nfrom mcu_build.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit: pass\n"
        "print(json.dumps([time.monotonic() - start, 'torch' in sys.modules]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout), *json.loads(done.stderr.splitlines()[-1])


def test_a_second_build_is_quick_and_imports_no_torch(project):
    first, cold, torch_imported = build_as_a_user(project)
    assert torch_imported
    assert not any(stages(first).values())
    second, warm, torch_imported = build_as_a_user(project)
    assert all(stages(second).values())
    assert not torch_imported
    assert warm < cold / 4


@pytest.mark.parametrize("changed", ["helper.py", "config.json", "weights.npy", "data.npy", "net.py"])
def test_a_change_is_never_missed(project, changed):
    import numpy as np

    before = program(build(project))
    file = project / changed
    if changed == "helper.py":
        file.write_text("scale = 3.0\n")
    elif changed == "config.json":
        file.write_text('{"width":  4}')
    elif changed == "net.py":
        file.write_text(MODEL.replace("torch.relu(self.first(x))", "self.first(x)"))
    else:
        np.save(file, np.load(file) * np.float32(1.5))
    after = build(project)
    assert not any(stages(after).values())
    if changed != "config.json":
        assert program(after) != before


def test_another_board_takes_up_the_quantization(project):
    build(project)
    words = ("generate", "--board", "corstone-300", "--npu", "none", project / "net.py", "--json")
    result = mcu_build(*words, "--output", project / "out")
    assert result.status == 0, result.out
    assert stages(result.json) == {"capture": True, "quantize": True, "lower": False, "plan": False}
    again = mcu_build(
        "generate", "--board", "mps2-an386", project / "net.py", "--output", project / "out2", "--json"
    )
    # The host and the M4 want the same program: nothing is lowered again.
    assert stages(again.json) == {"capture": True, "quantize": True, "lower": True, "plan": False}


def test_a_damaged_artefact_is_made_again(project):
    elf = Path(build(project)["artefacts"]["elf"])
    elf.write_bytes(b"broken" + elf.read_bytes()[6:])
    second = build(project)
    assert not stages(second)["build"]
    assert elf.read_bytes()[:4] == b"\x7fELF"
