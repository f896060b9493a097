"""Orders of memory that ExecuTorch's own kernels know: what a program gives its operators."""

from collections.abc import Iterator

import torch
from torch import nn

from mcu_build.frontend.quantize import quantize
from mcu_build.ir.program import KernelCall, Program, TensorListValue, TensorValue, parse
from mcu_build.lower import cortex_m
from mcu_build.lower.upstream.quiet import quiet
from mcu_build.plan.compile import compile_program
from tests.support.lowering import take

_DEFAULT = ("cat", "transpose", "slice_copy", "squeeze_copy", "unsqueeze_copy", "permute_copy")
_IMAGES = ("conv2d", "pool2d")


class Mixed(nn.Module):
    """A concatenation, a slice and a transposition of images; convolutions of what is not channels-last."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 6, 1)
        self.joined, self.rows = nn.Conv2d(10, 4, 1), nn.Conv1d(4, 5, 3, padding=1)
        self.last = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        both = self.joined(torch.cat([self.first(x), self.second(x)], 1))
        return self.last(both.permute(0, 2, 3, 1)), self.rows(both[:, :, 2]), both[:, :, 1:4]


def tensors(program: Program, call: KernelCall) -> Iterator[TensorValue]:
    for id in call.arguments:
        value = program.values[id]
        items = (
            [program.values[one] for one in value.items] if isinstance(value, TensorListValue) else [value]
        )
        yield from (one for one in items if isinstance(one, TensorValue) and one.data is None)


def misordered(program: Program) -> list[str]:
    """The operators whose kernels in ExecuTorch would take bytes for others, or refuse."""
    found = []
    for call in program.instructions:
        assert isinstance(call, KernelCall)
        orders = [one.dim_order for one in tensors(program, call) if len(one.shape) > 2]
        is_default = any(name in call.operator for name in _DEFAULT) and "conv2d" not in call.operator
        if is_default and any(list(order) != sorted(order) for order in orders):
            found.append(call.operator)
        if any(name in call.operator for name in _IMAGES) and {*orders} - {(0, 2, 3, 1)}:
            found.append(call.operator)
    return found


def test_every_operator_has_the_order_that_its_kernel_knows(monkeypatch) -> None:
    torch.manual_seed(0)
    inputs = [(torch.randn(1, 3, 6, 6),) for _ in range(4)]
    with quiet():
        quantized = quantize(torch.export.export(Mixed().eval(), inputs[0]), inputs)
    program = parse(cortex_m.lower(quantized, "cortex-m55", "int8").pte)
    assert {"aten::cat.out", "cortex_m::transpose.out"} <= {*program.operators}
    assert misordered(program) == []
    monkeypatch.setattr(cortex_m, "bring_into_order", lambda graph: None)
    before = parse(cortex_m.lower(quantized, "cortex-m55", "int8").pte)
    assert {"aten::cat.out", "cortex_m::transpose.out"} <= {*misordered(before)}
    # What the application sees stays.
    ports = [[one.values[id].dim_order for id in (*one.inputs, *one.outputs)] for one in (program, before)]
    assert ports[0] == ports[1]


class Ring(nn.Module):
    """What a step of a stream does: the newest column joins those before it, and the oldest leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(6, 8, 1), nn.Conv2d(8, 8, (1, 3))

    def forward(self, past: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        joined = torch.cat([past, self.first(x)], 3)
        return self.second(joined), joined[..., 1:]


def test_our_own_plan_takes_no_step_more_for_it(monkeypatch) -> None:
    torch.manual_seed(0)
    past = torch.randn(4, 1, 8, 1, 2)
    inputs = [(one.to(memory_format=torch.channels_last), torch.randn(1, 6, 1, 1)) for one in past]
    with quiet():
        quantized = quantize(torch.export.export(Ring().eval(), inputs[0]), inputs)

    def steps() -> list[str]:
        program = parse(cortex_m.lower(quantized, "cortex-m4", "int8").pte)
        return [step.kernel for step in compile_program(program, "ring").steps]

    ordered = steps()
    monkeypatch.setattr(cortex_m, "bring_into_order", lambda graph: None)
    assert ordered == steps()


def test_sizes_of_padding_are_in_the_order_of_what_is_padded() -> None:
    """Behind a mean of floats, which executorch wants in the default order."""

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean, self.same = nn.AvgPool2d((1, 4)), nn.Conv2d(4, 4, (1, 4), padding="same", groups=4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.same(self.mean(torch.tanh(x)))

    outcome = take(Padded(), (torch.randn(1, 4, 1, 32),), wishes={"mean": "float"})
    assert "aten::avg_pool2d" in outcome.float_operators
    assert outcome.evaluated[0].shape == outcome.in_float[0].shape
    assert outcome.relative_error < 0.02
