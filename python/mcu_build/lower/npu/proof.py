"""Is what Vela compiled what it was given? Its stream in the model of the NPU against TOSA in Arm's model.

Vela 5.1 compiles some combinations of operators wrong without a word, and refuses others. Those that
`vela_defects` does not know of are found here, in each delegate before it goes into a program: the operator
from which on the values differ is left to the core.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mcu_build.errors import McuError
from mcu_build.lower.npu.tosa_graph import Graph
from mcu_build.lower.npu.tosa_reference import TosaGraph
from mcu_build.npu import simulate
from mcu_build.npu.config import Config, find
from mcu_build.npu.payload import parse

# A payload and its bytes of fast scratch memory, of a TOSA flatbuffer. McuError where Vela refuses it.
Build = Callable[[bytes], tuple[bytes, int]]

_SEEDS = (0, 1)
_WRONG = "Vela 5.1 compiles it wrong here: its stream gives other values"
_REFUSED = "Vela 5.1 refuses it: {}"


@dataclass(frozen=True)
class Fault:
    """The tensor of a delegate's TOSA that comes out wrong or cannot be compiled, and which of the two."""

    tensor: str
    why: str


def find_faults(tosa: bytes, build: Build, target: str) -> list[Fault]:
    """For each output of `tosa` that comes out wrong, the first operator that Vela does not compile right.

    `build` compiles for `target`. No fault where there is nothing to compare: inputs whose range is not
    known, results that TOSA leaves open.
    """
    graph, config = Graph(tosa), find(target)

    @functools.cache
    def problem(*tensors: str) -> str:
        return _problem(graph, tensors, build, config)

    if not problem(*graph.outputs):
        return []
    single = [fault for output in graph.outputs if (fault := _narrow(graph, output, problem))]
    # All are right alone, and wrong together: an output that is read again, for instance.
    return single or [Fault(output, problem(*graph.outputs)) for output in graph.outputs]


def _narrow(graph: Graph, output: str, problem: Callable[..., str]) -> Fault | None:
    """From an output back to the first tensor with a problem, halving what leads to it each time."""
    fault: Fault | None = None
    tensors: tuple[str, ...] = (output,)
    while wrong := next((tensor for tensor in tensors if problem(tensor)), None):
        line = graph.leading_to(wrong)
        if not line:  # An input that is an output.
            return fault or Fault(wrong, problem(wrong))
        low, high = 0, len(line) - 1
        while low < high:
            middle = (low + high) // 2
            if problem(line[middle]):
                high = middle
            else:
                low = middle + 1
        fault = Fault(line[high], problem(line[high]))
        # Where branches meet, one that was not looked at may have brought the problem.
        tensors = graph.producers.get(line[high], ())
    return fault


def _problem(graph: Graph, tensors: tuple[str, ...], build: Build, config: Config) -> str:
    """What is wrong where the graph ends in `tensors`; empty where nothing is."""
    part = graph.ending_in(tensors)
    try:
        payload, fast_scratch = build(part)
    except McuError as error:
        return _REFUSED.format(error.message.removeprefix("Vela: "))
    delegate, oracle = parse(payload), TosaGraph(part)
    for seed in _SEEDS:
        inputs = graph.draw(seed)
        if inputs is None:
            return ""
        try:
            expected = oracle.run(inputs)
        except McuError:
            return ""
        if len(delegate.inputs) != len(inputs):  # One that is an output: Vela drops it.
            return _WRONG
        try:
            outputs = simulate.run(delegate, config, inputs, fast_scratch)
        except McuError:
            return _WRONG
        if outputs != [np.ascontiguousarray(values).tobytes() for values in expected]:
            return _WRONG
    return ""
