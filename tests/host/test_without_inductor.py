"""What a command loads of torch's compiler for desktop machines: nothing, unless it is asked for."""

import sys

from mcu_build import process

_CODE = """
import sys
import mcu_build.frontend.capture, mcu_build.frontend.quantize, mcu_build.lower.cortex_m
from executorch.exir.program import _program
name = "torch._inductor.fx_passes.post_grad"
late = sys.modules[name]
assert "torch._inductor.lowering" not in sys.modules
assert _program.unsafe_remove_auto_functionalized_pass
import torch
late.decompose_auto_functionalized(torch.fx.symbolic_trace(torch.nn.ReLU()).graph)
assert sys.modules[name] is late
writing = torch.ops.higher_order
for one in (writing.auto_functionalized, writing.auto_functionalized_v2):
    assert one.__name__.startswith("auto_functionalized")
assert late.PatternMatcherPass
assert sys.modules[name] is not late and "torch._inductor.lowering" in sys.modules
"""


def test_it_is_loaded_when_it_is_asked_for():
    finished = process.run([sys.executable, "-c", _CODE])
    assert finished.status == 0, finished.stderr
