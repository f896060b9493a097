"""torch.cond computes what PyTorch does, whichever side is taken."""

import pytest
import torch
from torch import nn
from torch._higher_order_ops.scan import scan

from mcu_build.errors import McuError
from mcu_build.frontend.normalize import normalize
from mcu_build.frontend.quantize import quantize
from mcu_build.lower.cortex_m import lower


class Gated(nn.Module):
    """One convolution or none, and a condition within a side."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def heavy(y: torch.Tensor) -> torch.Tensor:
            return torch.cond(y[0, 0, 0, 0] > 0, lambda z: torch.relu(z) + 1, lambda z: z - 2, (y,))

        return torch.cond(x.mean() > 0, lambda y: heavy(self.layer(y)), lambda y: torch.relu(y) * 0.5, (x,))


X = torch.randn(1, 2, 6, 6, generator=torch.Generator().manual_seed(2))


def test_every_side_is_pytorch_s():
    model = Gated().eval()
    exported = normalize(torch.export.export(model, (X,)), "model.py")
    assert not any("cond" in str(node.target) for node in exported.graph.nodes)
    normalized = exported.module(check_guards=False)
    taken = set()
    for scale, shift in ((1, 1), (-1, 1), (1, -1)):
        x = X * scale + shift
        taken.add((bool(x.mean() > 0), bool(model.layer(x)[0, 0, 0, 0] > 0)))
        torch.testing.assert_close(normalized(x), model(x))
    assert len({first for first, _ in taken}) == 2


def test_one_result_without_a_tuple():
    """As torch's own operator gives it."""

    class Plain(nn.Module):
        def forward(self, x):
            return torch.ops.higher_order.cond(
                x.mean() > 0, lambda y: y / 2, lambda y: torch.relu(y) - 1, (x,)
            )

    normalized = normalize(torch.export.export(Plain(), (X,)), "model.py").module(check_guards=False)
    for x in (X + 1, X - 1):
        torch.testing.assert_close(normalized(x), Plain()(x))


def test_gradients_in_a_saved_program_change_nothing():
    class Graded(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                y = torch.relu(x) + 1
            return y * x

    with torch.no_grad():
        exported = torch.export.export(Graded(), (X,))
    assert any("set_grad" in str(node.target) for node in exported.graph.nodes)
    normalized = normalize(exported, "model.py").module(check_guards=False)
    torch.testing.assert_close(normalized(X), Graded()(X))


def test_autocast_in_a_saved_program_is_refused_by_name():
    class Cast(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return torch.relu(x)

    with pytest.raises(McuError, match=r"torch\.autocast") as caught:
        normalize(torch.export.export(Cast(), (X,)), "model.py")
    assert "without autocast" in caught.value.hint


def test_a_scan_is_written_out():
    class Scanned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            def turn(state, element):
                state = torch.tanh(self.layer(state) + element)
                return state, state * 2

            return scan(turn, torch.zeros(4), x)

    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(2))
    exported = normalize(torch.export.export(Scanned().eval(), (x,)), "model.py")
    assert not any("scan" in str(node.target) for node in exported.graph.nodes)
    model = exported.module(check_guards=False)
    results = model(x)
    with torch.no_grad():
        layer = nn.Linear(4, 4)
        layer.load_state_dict({name[6:]: value for name, value in exported.state_dict.items()})
        state, turns = torch.zeros(4), []
        for element in x:
            state = torch.tanh(layer(state) + element)
            turns.append(state * 2)
    torch.testing.assert_close(results, (state, torch.stack(turns)))


def test_sides_are_int8():
    exported = normalize(torch.export.export(Gated().eval(), (X,)), "model.py")
    lowered = lower(quantize(exported, [(X,), (-X,)]), "cortex-m4")
    assert [row.where for row in lowered.operators if "conv2d" in row.operator] == ["int8"]
