"""What an NPU's partitioner is given of a program with state."""

import torch
from torch.fx import Graph, Node

from mcu_build.lower.cortex_m import _part_readers
from mcu_build.lower.integer.int8_forms import DEQUANTIZE
from mcu_build.lower.state_inputs import PREFIX


def read(name: str) -> tuple[Node, Node]:
    """What two readers of one tensor read, where the second input of the program has that name."""
    graph = Graph()
    given, _ = graph.placeholder("x"), graph.placeholder(name)
    real = graph.call_function(DEQUANTIZE, (given, 0.1, 0, -128, 127, torch.int8))
    readers = [graph.call_function(target, (real,)) for target in (torch.relu, torch.neg)]
    graph.output(tuple(readers))
    _part_readers(graph)
    return readers[0].args[0], readers[1].args[0]


def test_readers_of_a_program_with_state_do_not_share_their_input() -> None:
    first, second = read(f"{PREFIX}0")
    assert first is not second
    assert (first.target, first.args) == (second.target, second.args)
    first, second = read("y")
    assert first is second
