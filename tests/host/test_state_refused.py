"""What a model keeps and no firmware can: named with its line, and told from what is no state."""

import pytest

from mcu_build.errors import McuError
from mcu_build.frontend.capture import capture
from mcu_build.frontend.model_file import load
from mcu_build.frontend.state import lift_state
from tests.support.cli import mcu_build

BAD = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("past", {initial})
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        {body}
        return self.head(x + self.past.sum(0))

model = Net()
example_inputs = (torch.randn(1, 4),)
"""


@pytest.mark.parametrize(
    ("initial", "body", "told", "hint"),
    [
        (
            "torch.zeros(1, 4)",
            "self.past = torch.cat([self.past, x])",
            r"buffer 'past': its shape changes from call to call, float32\[1, 4\] to float32\[2, 4\]",
            "keep a window",
        ),
        (
            "None",
            "self.past = x if self.past is None else self.past + x",
            "buffer 'past': None before the first call",
            "what it holds after power-on",
        ),
        # The same after both calls, which have the same inputs.
        (
            "None",
            "x, self.past = (x if self.past is None else x - self.past), x.clone()",
            "buffer 'past': None before the first call",
            "what it holds after power-on",
        ),
        ("None", "self.past = self.past * 2", "line 12: cannot be run: TypeError", "Buffer 'past' is None"),
    ],
)
def test_state_without_a_shape_or_a_beginning(initial, body, told, hint, tmp_path):
    path = tmp_path / "bad.py"
    path.write_text(BAD.format(initial=initial, body=body))
    with pytest.raises(McuError, match=told) as raised:
        capture(load(path))
    assert hint in raised.value.hint


KEPT = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("past", torch.zeros(1, 4))
        self.weight = nn.Parameter(torch.zeros(1, 4))
        self.seen, self.count, self.calls = [], 0, 0
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        {body}
        return self.head(x + self.past)

model = Net()
example_inputs = (torch.randn(1, 4),)
"""


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("self.seen.append(x); x = sum(self.seen)", "attribute 'seen': calls change it"),
        ("self.count += 1; x = x * self.count", "attribute 'count': calls change it"),
        ("self.weight.add_(x); x = x + self.weight", "parameter 'weight': `forward` writes it"),
        ("self.past.data.copy_(x)", "cannot be exported"),
        ("self._buffers['past'] = self.past + x", "buffer 'past': the model writes it"),
    ],
)
def test_what_is_kept_and_is_no_buffer_is_refused(body, told, tmp_path):
    path = tmp_path / "kept.py"
    path.write_text(KEPT.format(body=body))
    with pytest.raises(McuError, match=told) as raised:
        capture(load(path))
    assert "copy_" in raised.value.hint or "register_buffer" in raised.value.hint


def test_a_count_of_calls_that_nothing_reads_is_no_state(tmp_path):
    """The control: an attribute that changes, and no output with it."""
    path = tmp_path / "counts.py"
    path.write_text(KEPT.format(body="self.calls += 1; self.seen.append(self.calls)"))
    assert lift_state(capture(load(path)))[1] == ()


def test_what_a_call_makes_once_and_keeps_is_no_state(tmp_path):
    """The control: a buffer that the first call fills and later ones leave alone."""
    path = tmp_path / "mask.py"
    body = "if self.past is None: self.past = torch.ones(1, 4)"
    path.write_text(BAD.format(initial="None", body=body))
    assert lift_state(capture(load(path)))[1] == ()


def test_state_that_does_not_fit_is_named_before_compiling(tmp_path):
    path = tmp_path / "large.py"
    path.write_text(
        BAD.format(initial="torch.zeros(5000, 4)", body="self.past.copy_(torch.cat([self.past[1:], x]))")
    )
    refused = mcu_build("build", "--board", "microbit", path)
    assert refused.status == 1
    assert "+ state 20,000 + stack" in refused.err
    assert "The state takes 20,000 bytes at all times: keep fewer samples." in refused.err
