"""16 bits unasked: where int8 ruins an output, for as few operators as mend it."""

import math
from types import SimpleNamespace

import pytest

from mcu_build.frontend import session, widen
from mcu_build.frontend.captured import capture_file
from mcu_build.frontend.widen import Judged, better_alone, widened
from mcu_build.progress import Silent
from mcu_build.quality.sqnr import LEAST_SQNR_DB, Quality

# One channel reaches hundreds of times as far as the others, and what comes behind evens that out.
UNLIKE = """
import torch
from torch import nn

torch.manual_seed(0)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.act = nn.Conv2d(3, 8, 1), nn.Hardswish()
        self.second, self.last = nn.Conv2d(8, 8, 1, groups=8, bias=False), nn.Conv2d(8, 4, 1)
        with torch.no_grad():
            self.first.weight[2] *= {spread}
            self.second.weight[2] /= {spread}

    def forward(self, x):
        return self.last(torch.relu(self.second(self.act(self.first(x)))))

model, example_inputs = Net().eval(), (torch.randn(1, 3, 4, 4),)
calibration = lambda: (torch.randn(1, 3, 4, 4) for _ in range(8))
{more}
"""


def quantized(folder, spread: float, more: str = ""):
    """The warnings of a model, and decibels of its output."""
    file = folder / "net.py"
    file.write_text(UNLIKE.format(spread=spread, more=more))
    captured = capture_file(file)
    judged = session._judged(file, session._Data(file, captured), None, Silent())
    return [text for text in captured.warnings if "16 bits" in text], judged


def test_an_output_that_int8_ruins_gets_16_bits(tmp_path):
    warnings, judged = quantized(tmp_path, 400)
    assert judged.worst >= LEAST_SQNR_DB
    (text,) = warnings
    assert "So first conv2d, act hardswish, second conv2d" in text
    # What the warning says to do, done.
    warnings, judged = quantized(tmp_path, 400, "precision = {'*': 'int8'}")
    assert warnings == [] and judged.worst < LEAST_SQNR_DB and not judged.wide


def test_an_output_of_alike_channels_stays_int8(tmp_path, monkeypatch):
    monkeypatch.setattr(widen, "by_loss", lambda *_: pytest.fail("it is enough"))
    warnings, judged = quantized(tmp_path, 1)
    assert warnings == [] and judged.worst >= LEAST_SQNR_DB


def judged_with(decibels: float, wide=(), spread=100.0, clipped=0.0) -> Judged:
    row = SimpleNamespace(sqnr_db=decibels, spread=spread, clipped=clipped)
    return Judged(SimpleNamespace(rows={"layer": row}), (), (Quality(0, decibels, 1, 1),), wide)


@pytest.mark.parametrize("needed", [1, 2, 5, 16, 17])
def test_as_few_operators_as_it_takes(monkeypatch, needed):
    sets = [frozenset(map(str, range(size))) for size in range(1, 17)]
    monkeypatch.setattr(widen, "by_loss", lambda *_: sets)
    tried = []

    def judged(wide=()):
        tried.append(len(wide))
        return judged_with(25.0 if len(wide) >= needed else 5.0, wide)

    taken = widened(None, judged(), judged)
    assert len(taken.wide) == (needed if needed <= len(sets) else 0)
    assert len(tried) <= 2 + math.log2(len(sets))


@pytest.mark.parametrize("cause", [{"spread": 6.0}, {"clipped": 0.1}])
def test_what_16_bits_are_no_remedy_for(cause):
    int8 = judged_with(5, **cause)
    assert widened(None, int8, lambda wide: pytest.fail("it is no remedy")) is int8


def test_the_core_alone_is_offered_where_an_npu_is_much_worse():
    assert better_alone("net.py", judged_with(9), judged_with(11)) == ()
    (text,) = better_alone("net.py", judged_with(9), judged_with(40, {"mean"}))
    assert "9.0 dB, on the core alone 40.0 dB, with 16 bits for a part: --npu none" in text
