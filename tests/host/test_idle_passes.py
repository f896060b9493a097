"""Passes that are left out would have changed nothing; those that would are run."""

import pytest
import torch
from executorch.exir import EdgeCompileConfig, to_edge
from executorch.exir.passes.remove_mixed_type_operators import RemoveMixedTypeOperators
from executorch.exir.passes.scalar_to_tensor_pass import ScalarToTensorPass
from executorch.exir.passes.sym_to_tensor_pass import SymToTensorPass
from torch import nn

from mcu_build.lower.upstream.idle_passes import idle_passes_skipped

FLOATS, INTEGERS = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.int32)


class Applied(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def edge(function, *inputs):
    """Operators, constants and types of results of the edge program."""
    exported = torch.export.export(Applied(function), inputs, strict=False)
    program = to_edge(exported, compile_config=EdgeCompileConfig(_check_ir_validity=False)).exported_program()
    made = [
        (node.op, str(node.target), str(node.args), *map(_layout, _values(node)))
        for node in program.graph.nodes
        if node.op != "output"
    ]
    return made, {name: value.tolist() for name, value in program.constants.items()}


def _values(node):
    value = node.meta["val"]
    return value if isinstance(value, tuple | list) else [value]


def _layout(value):
    return value.dtype, value.shape, value.stride()


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lambda x: torch.tanh(x) + x, (FLOATS,)),
        (lambda x: x.view(6).reshape(3, 2), (FLOATS,)),
        (lambda x: x.t(), (FLOATS,)),
        (lambda x: 1 - x * 2.5, (FLOATS,)),
        (lambda x, y: x + y, (FLOATS, INTEGERS)),
        (lambda x, y: x / y, (INTEGERS, INTEGERS)),
        (lambda x: torch.minimum(x, torch.tensor(2.0)), (FLOATS,)),
        (lambda x: x.clone().to(torch.float64), (FLOATS,)),
        (lambda x: x.topk(2)[0].sum(0), (FLOATS,)),
    ],
    ids=["plain", "view", "t", "scalar", "mixed", "division", "constant", "copy", "tuple"],
)
def test_the_edge_program_is_the_same(function, inputs):
    usual = edge(function, *inputs)
    with idle_passes_skipped():
        assert edge(function, *inputs) == usual


def test_a_pass_runs_where_it_has_something_to_do(monkeypatch):
    ran = []
    for one in (RemoveMixedTypeOperators, ScalarToTensorPass, SymToTensorPass):
        monkeypatch.setattr(one, "call", _noting(one.call, ran))
    with idle_passes_skipped():
        edge(lambda x: torch.tanh(x) + x, FLOATS)
        assert not ran
        edge(lambda x, y: x + y, FLOATS, INTEGERS)
    assert ran == ["RemoveMixedTypeOperators"]


def test_a_subclass_of_a_pass_always_runs():
    """Executorch has some that rewrite more operators: what their base looks at says nothing of them."""
    seen = []

    class More(ScalarToTensorPass):
        def call_operator(self, op, args, kwargs, meta):
            seen.append(op)
            return super().call_operator(op, args, kwargs, meta)

    exported = torch.export.export(Applied(torch.tanh), (FLOATS,), strict=False)
    module = to_edge(exported).exported_program().graph_module
    with idle_passes_skipped():
        ScalarToTensorPass()(module)
        assert not seen
        More()(module)
    assert seen


def _noting(usual, ran):
    def call(self, module):
        ran.append(type(self).__name__)
        return usual(self, module)

    return call
