"""Graphs that are compiled late are what they would have been: called, printed, copied."""

import copy
import inspect

import pytest
import torch
from torch.fx import Graph, GraphModule, symbolic_trace

from mcu_build.lower.upstream.late_code import code_when_called

X = torch.tensor([-1.0, 2.0])


def twice(x):
    return torch.relu(x) * 2


@pytest.fixture(name="compiled")
def fixture_compiled(monkeypatch):
    """The graphs that were compiled, in order."""
    graphs, usual = [], Graph.python_code

    def python_code(graph, *arguments, **named):
        graphs.append(graph)
        return usual(graph, *arguments, **named)

    monkeypatch.setattr(Graph, "python_code", python_code)
    return graphs


def changed():
    """A graph module whose graph was changed after it was made."""
    module = symbolic_trace(twice)
    for node in module.graph.nodes:
        if node.target is torch.relu:
            node.target = torch.neg
    module.recompile()
    return module


def test_a_graph_is_compiled_when_it_is_called_and_no_sooner(compiled):
    with code_when_called():
        module = changed()
        assert not compiled
        assert module(X).tolist() == [2.0, -4.0]
        module(X)
    assert len(compiled) == 1


USES = {
    "call": lambda module: module(X).tolist(),
    "forward": lambda module: module.forward(x=X).tolist(),
    "signature": lambda module: str(inspect.signature(module.forward)),
    "code": lambda module: module.code,
    "text": str,
    "copy": lambda module: copy.deepcopy(module)(X).tolist(),
    "returned": lambda module: module.recompile().src,
    "nested": lambda module: GraphModule({"inner": module}, _calling())(X).tolist(),
}


def _calling():
    graph = Graph()
    graph.output(graph.call_module("inner", (graph.placeholder("x"),)))
    return graph


@pytest.mark.parametrize("use", USES)
def test_it_is_what_it_would_have_been(use):
    want = USES[use](changed())
    with code_when_called():
        module = changed()
        inside = USES[use](changed())
    assert inside == want
    assert USES[use](module) == want, "looked at after the block"
