"""What no input decides is computed when the program is built, once, and stored no larger than it must be."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from mcu_build.lower.cortex_m import operator_name, to_cortex_m
from mcu_build.lower.rewrite.fold import fold_constants, is_symbolic


def fold(module: nn.Module, *inputs: torch.Tensor):
    """The folded program, after a check that it computes what the module does; operators left; constants."""
    with torch.no_grad():
        exported = torch.export.export(module.eval(), inputs, strict=False)
        expected = module(*inputs)
        folded = fold_constants(exported)
        torch.testing.assert_close(folded.module()(*inputs), expected)
    nodes = folded.graph_module.graph.nodes
    operators = [node.target._schema.name.split("::")[1] for node in nodes if node.op == "call_function"]
    return operators, {**folded.state_dict, **folded.constants}


class Function(nn.Module):
    """A module of one function of the module and its inputs."""

    def __init__(self, function, **buffers) -> None:
        super().__init__()
        self.function = function
        for name, value in buffers.items():
            self.register_buffer(name, value)

    def forward(self, *inputs):
        return self.function(self, *inputs)


class _MaxNorm(nn.Module):
    def forward(self, weight):
        return torch.renorm(weight, p=2, dim=0, maxnorm=0.5)


def normed(layer: nn.Module, how: str) -> nn.Module:
    if how == "max_norm":
        parametrize.register_parametrization(layer, "weight", _MaxNorm())
        return layer
    old = {"weight_norm_old": nn.utils.weight_norm, "spectral_norm_old": nn.utils.spectral_norm}
    return old[how](layer) if how in old else getattr(parametrizations, how)(layer)


@pytest.mark.parametrize(
    "how", ["weight_norm", "weight_norm_old", "spectral_norm", "spectral_norm_old", "orthogonal", "max_norm"]
)
@pytest.mark.filterwarnings("ignore")
def test_a_parametrized_weight_is_one_constant(how):
    operators, constants = fold(normed(nn.Conv1d(8, 16, 5), how), torch.randn(1, 8, 20))
    assert operators == ["conv1d"]
    assert sorted(tuple(value.shape) for value in constants.values()) == [(16,), (16, 8, 5)]


def test_masks_and_positions_are_constants():
    def attend(_, x):
        steps = torch.arange(8)
        mask = torch.where(torch.tril(torch.ones(8, 8)) > 0, 0.0, -1e9)
        angles = steps[:, None] / 10000 ** (torch.arange(8) / 8)
        return torch.softmax(x + mask + torch.sin(angles), -1)

    operators, constants = fold(Function(attend), torch.randn(8, 8))
    assert operators == ["add", "add", "softmax"]
    assert len(constants) == 2


def test_what_is_like_an_input_takes_its_shape_alone():
    def masked(_, x):
        return torch.where(x > 0, x, -9e15 * torch.ones_like(x)) + x.new_full((4,), 2.0).cumsum(0)

    assert fold(Function(masked), torch.randn(3, 4))[0] == ["gt", "where", "add"]


def test_numbers_out_of_a_buffer():
    def anchors(module, x):
        return x * torch.full((6,), module.strides[1]) + module.strides[0].item()

    operators, constants = fold(Function(anchors, strides=torch.tensor([8.0, 16.0])), torch.randn(6))
    assert operators == ["mul", "add"]
    assert [value.tolist() for value in constants.values()] == [[16.0] * 6]


def test_a_size_out_of_a_buffer():
    def ramp(module, x):
        return x + torch.arange(module.count.item()).sum()

    operators, _ = fold(Function(ramp, count=torch.tensor(5)), torch.randn(6))
    assert operators == ["add"]


def test_known_flags_among_indices_are_positions():
    """The sizes of what flags choose are known with them, and those of what is made of that."""
    flags = {"use": torch.tensor([True, False, True]), "upper": torch.ones(4, 4).triu(1).bool()}

    def chosen(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        few = x[..., m.use]
        x[:, :, m.use] = 0.5
        return few.view(few.size(0), -1), (x @ x.mT)[:, m.upper], x

    given = torch.randn(2, 4, 3)
    exported = torch.export.export(Function(chosen, **flags), (given.clone(),), strict=False)
    folded = fold_constants(fold_constants(exported.run_decompositions({})))
    assert not any(is_symbolic(node.meta.get("val")) for node in folded.graph.nodes)
    assert all(value.dtype is not torch.bool for value in folded.constants.values())
    expected = chosen(Function(None, **flags), given.clone())
    torch.testing.assert_close(folded.module()(given.clone()), expected)


def test_equal_constants_are_stored_once():
    def twice(_, x):
        return x * torch.arange(64.0) + (x + 1) * torch.linspace(0, 63, 64)

    _, constants = fold(Function(twice), torch.randn(64))
    assert len(constants) == 1


def test_what_only_repeats_is_stored_without_the_repetitions():
    def repeat(module, x):
        wide = module.row.expand(64, 4, 32)
        return x * wide, torch.cat([x, wide]), x + torch.full((64, 4, 32), 2.0)

    operators, constants = fold(Function(repeat, row=torch.randn(1, 1, 32)), torch.randn(64, 4, 32))
    assert sum(value.numel() for value in constants.values()) == 33
    assert sorted(operators) == ["add", "cat", "expand", "mul"]


def test_a_table_that_is_read_both_ways_is_stored_once():
    module = Function(lambda m, i: m.table[i] @ m.table.t(), table=torch.randn(100, 8))
    _, constants = fold(module, torch.arange(3))
    assert sum(value.numel() for value in constants.values()) == 800


def test_what_an_input_decides_stays():
    """The negative control: nothing to fold, random numbers and shapes of inputs included."""
    operators, _ = fold(Function(lambda _, x: torch.relu(x @ x).sum()), torch.randn(4, 4))
    assert operators == ["matmul", "relu", "sum"]
    with torch.no_grad():
        exported = torch.export.export(
            Function(lambda _, x: x + torch.rand(4)), (torch.zeros(4),), strict=False
        )
    assert "rand" in fold_constants(exported).graph_module.code


def test_constants_are_outputs():
    module = Function(lambda m, x: (x + 1, m.table, torch.arange(3)), table=torch.randn(2))
    operators, constants = fold(module, torch.randn(2))
    assert operators == ["add"]
    assert len(constants) == 2


def test_a_folded_program_is_saved_and_read_back(tmp_path):
    module = normed(nn.Linear(4, 3), "weight_norm").eval()
    given = torch.randn(2, 4)
    folded = fold_constants(torch.export.export(module, (given,), strict=False))
    torch.export.save(folded, tmp_path / "net.pt2")
    again = torch.export.load(tmp_path / "net.pt2")
    assert torch.equal(again.module()(given), folded.module()(given))
    assert [node.name for node in again.graph.nodes] == [node.name for node in folded.graph.nodes]


def test_what_decompositions_compute_from_sizes_is_folded_too():
    """Bicubic resizing: its indices and weights are constants, what is left gathers and weighs."""

    def resize(_, x):
        return nn.functional.interpolate(x, scale_factor=2, mode="bicubic")

    given = torch.randn(1, 2, 4, 4)
    lowered = to_cortex_m(torch.export.export(Function(resize), (given,), strict=False), "host")
    names = {operator_name(node) for node in lowered.graph.nodes if node.op == "call_function"}
    assert "aten::index.Tensor" in names
    assert not {name for name in names if name.startswith(("aten::arange", "aten::floor", "aten::clamp"))}
