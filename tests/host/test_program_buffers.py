"""Programs (.pte) that others have exported, whose methods keep buffers from call to call."""

import numpy as np
import pytest
import torch
from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge
from executorch.exir.passes.init_mutable_pass import InitializedMutableBufferPass
from torch import nn

from mcu_build.ir.program import TensorValue, load
from mcu_build.lower.upstream.quiet import quiet
from tests.support.cli import mcu_build

with quiet():
    from mcu_build.oracle.reference import Evaluator


class Mean(nn.Module):
    """A running mean and a count."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, 3), 2.0))
        self.register_buffer("count", torch.tensor(5))
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.mean.mul_(0.5).add_(self.head(x))
        self.count += 1
        return self.mean * 1.0, self.count + 0


class Window(nn.Module):
    """Samples that are shifted, and a convolution over them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("past", torch.full((1, 2, 3), 0.5))
        self.conv = nn.Conv1d(2, 3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        window = torch.cat([self.past, x.reshape(1, 2, 2)[..., :1]], 2)
        self.past.copy_(window[..., 1:])
        return torch.relu(self.conv(window))


class Chain(nn.Module):
    """Buffers that follow one another, and one that an output shows."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("old", "new"):
            self.register_buffer(name, torch.ones(1, 4))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        late = self.old + 0.0
        self.old.copy_(self.new * 0.5)
        self.new.copy_(x + 1)
        return late, self.old


class Cache(nn.Module):
    """Rows written at two indices."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(5, 4))
        self.register_buffer("at", torch.tensor([1, 2]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.rows[self.at] = torch.cat([x, x * 2])
        self.at.copy_((self.at + 1) % 5)
        return self.rows.sum(0)


def exported(model: nn.Module, *, in_place: bool = False, values: bool = True) -> bytes:
    """A program as executorch makes it; `values` stores what buffers hold at first."""
    names = [name for name, _ in model.named_buffers()]
    with quiet(), torch.no_grad():
        edge = to_edge(
            torch.export.export(model.eval(), (torch.zeros(1, 4),), strict=True),
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
        )
        config = ExecutorchBackendConfig(
            passes=[InitializedMutableBufferPass(names)] if values else [], run_reinplace_pass=in_place
        )
        return edge.to_executorch(config).buffer


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("kind", [Mean, Window, Chain, Cache])
def test_a_program_steps_as_pytorch_does(kind: type[nn.Module], in_place: bool, tmp_path) -> None:
    torch.manual_seed(2)
    model = kind()
    (tmp_path / "program.pte").write_bytes(exported(model, in_place=in_place))
    program = load(tmp_path / "program.pte")
    count = len(list(model.buffers()))
    assert len(program.initial) == count
    evaluator, state = Evaluator(program), []
    for id, data in zip(program.inputs[-count:], program.initial, strict=True):
        value = program.values[id]
        assert isinstance(value, TensorValue)
        state.append(np.frombuffer(data, value.dtype.numpy_name).reshape(value.shape))
    for _ in range(4):
        x = torch.randn(1, 4)
        wanted = model(x)
        wanted = [one.detach().numpy().copy() for one in (wanted if isinstance(wanted, tuple) else (wanted,))]
        row = evaluator.run([x.numpy(), *state])
        state = row[-count:]
        for one, other in zip(row[:-count], wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_firmware_keeps_what_a_program_keeps(tmp_path) -> None:
    torch.manual_seed(2)
    model = Window()
    path = tmp_path / "window.pte"
    path.write_bytes(exported(model))
    tested = mcu_build("test", "--board", "host", "--json", path)
    assert tested.status == 0, tested.err
    assert (tested.json["mismatches"], tested.json["outputs_vary"]) == (0, True)
    assert tested.json["state"] == {"elements": 16 * 6, "mismatches": 0}
    inputs = np.zeros((3, 1, 4), np.float32)
    np.savez(tmp_path / "in.npz", input_0=inputs)
    given = ("--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz")
    assert mcu_build("run", "--board", "host", *given, path).status == 0
    # The initial values are the file's.
    with np.load(tmp_path / "out.npz") as outputs, torch.no_grad():
        for found, one in zip(outputs["output_0"], torch.from_numpy(inputs), strict=True):
            np.testing.assert_allclose(found, model(one).numpy(), rtol=1e-4, atol=1e-6)


def test_buffers_without_a_value_begin_with_zero(tmp_path) -> None:
    path = tmp_path / "mean.pte"
    path.write_bytes(exported(Mean(), values=False))
    assert load(path).initial == (None, None)
    built = mcu_build("build", "--board", "host", path)
    assert built.status == 0, built.err
    assert "does not tell what 2 of 2 buffers hold before the first call: zero is taken" in built.err
