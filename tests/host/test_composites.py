"""Composite operators are registered once, and every decomposition finds and leaves them as torch would."""

import pytest
import torch
from torch._ops import OpOverload
from torch._subclasses.fake_impls import op_implementations_dict as fake_rules

from mcu_build.lower.upstream.composites import composites_remembered

KEPT = [torch.ops.aten.linear.default, torch.ops.aten.silu.default, torch.ops.aten.conv2d.default]


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.linear = torch.nn.Conv2d(1, 2, 3), torch.nn.Linear(2, 3)

    def forward(self, x):
        return self.linear(torch.nn.functional.silu(self.conv(x)).mean((2, 3)))


@pytest.fixture(name="exported", scope="module")
def fixture_exported():
    return torch.export.export(Net().eval(), (torch.ones(1, 1, 8, 8),))


@pytest.fixture(name="registered")
def fixture_registered(monkeypatch):
    """Kernels that are registered for operators, one after the other."""
    found, usual = [], OpOverload.py_impl

    def py_impl(operator, key):
        found.append((operator, key))
        return usual(operator, key)

    monkeypatch.setattr(OpOverload, "py_impl", py_impl)
    return found


def decomposed(exported, kept):
    """The operators of a program in which those that are `kept` stay whole."""
    table = torch.export.default_decompositions()
    for operator in kept:
        table.pop(operator, None)
    graph = exported.run_decompositions(table).graph
    return [str(node.target) for node in graph.nodes if node.op == "call_function"]


def state():
    """What is registered for every operator that torch may keep whole."""
    operators = torch._export.utils._collect_all_valid_cia_ops()
    return {op: (dict(op.py_kernels), fake_rules.get(op)) for op in operators}


@pytest.mark.parametrize("kept", [KEPT, KEPT[:1], []])
def test_programs_are_what_torch_makes_of_them(exported, kept):
    expected = decomposed(exported, kept)
    with composites_remembered():
        assert [decomposed(exported, kept) for _ in range(3)] == [expected] * 3
    assert ("aten.linear.default" in expected) == (KEPT[0] in kept)


def test_only_the_first_decomposition_registers(exported, registered):
    with composites_remembered():
        decomposed(exported, KEPT)
        before = len(registered)
        decomposed(exported, KEPT)
        assert len(registered) == before
    # The control: torch's own way registers them anew.
    decomposed(exported, KEPT)
    assert len(registered) > before + 100


def test_operators_are_left_as_they_were(exported):
    decomposed(exported, KEPT)
    before = state()
    with composites_remembered():
        decomposed(exported, KEPT)
        decomposed(exported, KEPT)
    assert state() == before


def test_what_somebody_else_registers_counts(exported, registered):
    operator, key = KEPT[0], torch._C.DispatchKey.XPU
    with composites_remembered():
        decomposed(exported, KEPT)
        operator.py_impl(key)(torch.add)
        try:
            registered.clear()
            decomposed(exported, KEPT)
            assert {one for one, _ in registered} == {operator}
            assert operator.py_kernels == {key: torch.add}
        finally:
            operator.py_kernels.clear()
            operator._dispatch_cache.clear()
