"""What is bound to fail is refused before anything is computed, with a next step that works."""

import importlib.util
import sys
import time

import pytest
import torch
from torch import nn

from mcu_build import preflight, process
from mcu_build.board import board_files, find_board, load_board
from mcu_build.errors import Exit, McuError
from mcu_build.frontend.first_call import call_once
from mcu_build.frontend.labels import labels_at_hand
from mcu_build.frontend.model_file import load
from mcu_build.frontend.not_finite import first_not_finite
from mcu_build.lower.upstream.quiet import quiet
from mcu_build.lower.upstream.without_inductor import STAND_IN
from tests.support.cli import mcu_build

MODEL = "raise RuntimeError('nobody runs the model')"


def refused(*words: object) -> str:
    """What the command prints; it is quick, and does not run the model."""
    started = time.process_time()
    result = mcu_build(*words)
    assert time.process_time() - started < 1.0
    assert result.status in (1, 3), result.err
    assert "nobody runs" not in result.err
    return result.err


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("MCU_BUILD_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "net.py"
    file.write_text(MODEL)
    return file


def test_a_board_without_a_simulator(model):
    text = refused("test", "--board", "nucleo-f446re", model)
    assert "nucleo-f446re: run.qemu: QEMU has no machine for this board" in text
    assert "--on-device" in text and "--board mps2-an386 stands in: a cortex-m4" in text
    text = refused("profile", "--board", "nucleo-f446re", model)
    assert "--on-device" in text and "--board mps2-an386" in text
    assert "--board mps2-an386" in refused("profile", "--board", "host", model)


def test_the_hint_can_be_followed():
    """Whatever board stands in, a test and a profile may begin there."""
    for file in board_files().values():
        board = load_board(file)
        other = preflight.stand_in(board)
        if board.is_host or other is None:
            continue
        preflight.check("run", other)
        preflight.check("profile", other)
    assert preflight.stand_in(find_board("raspberry-pi-pico")).id == "microbit"


def test_a_missing_tool_is_found_first(model, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    text = refused("test", "--board", "corstone-300", model)
    assert (
        "qemu-system-arm" in text and "apt-get install qemu-system-arm" in text and "mcu-build doctor" in text
    )
    text = refused("build", "--board", "corstone-300", model)
    assert "mcu-build doctor" in text


def test_files_that_cannot_be_read(model, tmp_path):
    assert "absent.npz: No such file" in refused(
        "run", "--board", "host", model, "--inputs", tmp_path / "absent.npz"
    )
    assert "no such file" in refused("build", "--board", "host", tmp_path / "absent.py")


def test_a_board_that_passes_goes_on(model):
    result = mcu_build("build", "--board", "host", model)
    assert "nobody runs the model" in result.err


def test_labels_that_lie_at_hand():
    x = torch.zeros(1)
    assert labels_at_hand([(x, 1), (x, None), (x, 2)]) == (1, None, 2)
    assert labels_at_hand(pair for pair in [(x, 1)]) == ()
    assert labels_at_hand([x]) == () and labels_at_hand(None) == ()


def test_a_label_out_of_range_before_quantization(model):
    model.write_text(
        "import torch\nmodel = torch.nn.Linear(4, 2)\nexample_inputs = (torch.zeros(1, 4),)\n"
        "evaluation = [(torch.ones(1, 4), 0), (torch.ones(1, 4), 2)]\n"
    )
    result = mcu_build("build", "--board", "host", model)
    assert "evaluation[1]: the label is 2" in result.err and "2 classes, 0 to 1" in result.err
    assert "capture" not in result.err  # the stage has not ended


class Logarithm(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(x - 1)


def test_the_layer_where_the_first_nan_appears():
    model = nn.Sequential(nn.ReLU(), Logarithm(), nn.Linear(3, 2)).eval()
    with quiet():
        module = torch.export.export(model, (torch.full((1, 3), 2.0),)).module(check_guards=False)
    assert first_not_finite(module, [torch.full((1, 3), 2.0)]) == ""
    where = first_not_finite(module, [torch.zeros(1, 3)])
    assert where.startswith(f"1 log 3 ({__file__.rpartition('/')[2]}:")


def test_a_missing_tool_has_status_3(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(McuError) as caught:
        preflight.check("run", find_board("corstone-300"))
    assert caught.value.exit_code is Exit.TOOL_MISSING


NAN = """import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 3), Log())
    def forward(self, x):
        return self.body(x)
class Log(nn.Module):
    def forward(self, x):
        return torch.log(x - x.abs() - 1) * 2
model = Net()
example_inputs = (torch.zeros(1, 4),)
"""


def test_outputs_that_are_no_numbers_are_found_in_pytorch(model):
    model.write_text(NAN)
    result = mcu_build("build", "--board", "host", model)
    assert result.status == 1
    assert (
        "example_inputs: output 0 is NaN, in PyTorch already, first in body.1 log 3 (net.py:11)" in result.err
    )
    model.write_text(NAN + "calibration = [torch.ones(1, 4)]\n")
    assert "calibration[0]: output 0 is NaN" in mcu_build("build", "--board", "host", model).err
    # Example inputs outside of what the model is made for are no mistake.
    model.write_text(
        "import torch\nfrom torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n"
        "        return x / x.sum()\nmodel = Net()\nexample_inputs = (torch.zeros(1, 4),)\n"
        "calibration = [torch.ones(1, 4)]\n"
    )
    call_once(load(model))


# What takes longer to import than the forward pass that finds the mistake.
HEAVY = (
    "executorch",
    "mcu_build.codegen.executorch",
    "mcu_build.export.make",
    "mcu_build.frontend.capture",
    "mcu_build.plan.operators",
    "mcu_build.profile",
    "scipy",
    "sympy",
    "torch._dynamo",
    "torch._inductor",
    "torchao",
)


def test_what_the_forward_pass_shows_needs_torch_alone(model):
    """Bare torch takes most of what the refusal takes; nothing else of weight is added."""
    model.write_text(NAN)
    code = (
        "import sys, torch\nlight = set(sys.modules)\n"
        "from mcu_build.cli import main\n"
        f"try: main(['build', '-b', 'mps2-an386', {str(model)!r}])\nexcept SystemExit: pass\n"
        "print(*(set(sys.modules) - light))"
    )
    done = process.run([sys.executable, "-c", code])
    assert "output 0 is NaN" in done.stderr
    added = set(done.stdout.split())
    assert "mcu_build.frontend.eager_numbers" in added
    # The stand-in for a module of torch's is none of them.
    assert not [name for name in added - {STAND_IN} if name.startswith("torch")]
    for heavy in HEAVY:
        assert importlib.util.find_spec(heavy), heavy
        assert heavy not in added


def test_preflight_imports_no_torch():
    code = "import sys, mcu_build.preflight; print('torch' in sys.modules)"
    assert process.run([sys.executable, "-c", code]).stdout.strip() == "False"
