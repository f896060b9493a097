"""A part of a float program as a model file of its own, with the values that it reads in the whole.

The file stands in a folder beside `layer.pt2`, the operators, and `inputs.npz`, what they read for some of
the model's vectors: its calibration and its evaluation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.fx import Graph, GraphModule, Interpreter, Node

from mcu_build.files import write_atomically
from mcu_build.layer_names import short_operator
from mcu_build.lower.assigned import is_int16, output_shape
from mcu_build.lower.lines import module_path, source_line
from mcu_build.vectors import npz

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Inputs = tuple[torch.Tensor, ...]
# Vectors that are kept with a part.
_VECTORS = 16
# What kernels compute with the layer before.
_FUSED = frozenset(
    {"batch_norm", "_native_batch_norm_legit_no_training", "relu", "relu_", "hardtanh", "clamp"}
)
_TEXT = '''"""{summary}

Written by `mcu-build why`, with what these operators read in the whole model.
"""

from pathlib import Path

import numpy
import torch

_HERE = Path(__file__).parent
_PROGRAM = torch.export.load(_HERE / "layer.pt2").module(check_guards=False)
_ARRAYS = numpy.load(_HERE / "inputs.npz")
_INPUTS = [torch.from_numpy(_ARRAYS[f"input_{{index}}"]) for index in range(len(_ARRAYS.files))]

model = torch.fx.GraphModule(_PROGRAM, _PROGRAM.graph)
calibration = list(zip(*_INPUTS))
evaluation = [(inputs, None) for inputs in calibration]
example_inputs = calibration[0]
'''
_INT16 = "activation_bits = 16\n"


@dataclass(frozen=True)
class Part:
    """Operators of a program up to `output`, reading `sources`, values of other operators or inputs."""

    program: GraphModule
    output: Node
    sources: tuple[Node, ...]


class Whole:
    """A float program that parts are taken out of, with inputs of some calls: one tuple each."""

    def __init__(self, exported: "ExportedProgram", calls: Iterable[Inputs]) -> None:
        self._module = exported.module(check_guards=False)
        self._calls = list(islice(calls, _VECTORS))
        self._made_up = _varying(self._module.graph)

    def find(self, name: str) -> Node | None:
        """The operator of a name in the graph."""
        return next((node for node in self._computing() if node.name == name), None)

    def like(self, module: str, operator: str, line: str, shape: Sequence[int]) -> Node | None:
        """The operator that a layer of a lowered program was made from, as far as its names tell."""
        if not module and not line:
            return None
        near = [
            node
            for node in self._computing()
            if (module_path(node) == module if module else source_line(node) == line)
        ]

        def likeness(node: Node) -> tuple[bool, bool]:
            same = short_operator(str(node.target)) == short_operator(operator)
            return same, np.prod(output_shape(node)) == np.prod(shape)

        return max(near, key=likeness, default=None)

    def alone(self, node: Node) -> Part:
        """An operator with those that kernels compute along with it."""
        last = node
        while len(last.users) == 1 and short_operator(str(next(iter(last.users)).target)) in _FUSED:
            last = next(iter(last.users))
        inside = {last, node, *_between(node, last)}
        sources = [node for part in inside for node in part.all_input_nodes if node in self._made_up - inside]
        return Part(self._module, last, tuple(dict.fromkeys(sources)))

    def up_to(self, node: Node) -> Part:
        """All that an operator is made from."""
        needed = _needed(node, ())
        inputs = [node for node in self._module.graph.nodes if node.op == "placeholder" and node in needed]
        return Part(self._module, self.alone(node).output, tuple(inputs))

    def write(self, part: Part, folder: Path, name: str, summary: str) -> Path:
        """Write a part as the model file `name`.py in `folder`, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        values = [_Kept(self._module, part.sources).values(call) for call in self._calls]
        program = torch.export.export(_extracted(part), values[0], strict=False)
        torch.export.save(program, folder / "layer.pt2")
        arrays = [torch.stack(list(column)).numpy() for column in zip(*values, strict=True)]
        npz.save(folder / "inputs.npz", {f"input_{index}": array for index, array in enumerate(arrays)})
        text = _TEXT.format(summary=summary) + (_INT16 if is_int16(part.output) else "")
        write_atomically(folder / f"{name}.py", text.encode())
        return folder / f"{name}.py"

    def _computing(self) -> list[Node]:
        return [
            node for node in self._module.graph.nodes if node.op == "call_function" and node in self._made_up
        ]


def _varying(graph: Graph) -> set[Node]:
    """All that depends on an input."""
    varying: set[Node] = set()
    for node in graph.nodes:
        if node.op == "placeholder" or any(operand in varying for operand in node.all_input_nodes):
            varying.add(node)
    return varying


def _between(first: Node, last: Node) -> list[Node]:
    nodes = []
    while last is not first:
        last = last.all_input_nodes[0]
        nodes.append(last)
    return nodes


def _needed(output: Node, sources: Sequence[Node]) -> set[Node]:
    needed, queue = set(sources), [output]
    while queue:
        node = queue.pop()
        if node not in needed:
            needed.add(node)
            queue.extend(node.all_input_nodes)
    return needed


def _extracted(part: Part) -> GraphModule:
    """A module of its own: inputs are `sources`, in their order."""
    graph, copies = Graph(), {}
    for source in part.sources:
        copies[source] = graph.placeholder(source.name)
    needed = _needed(part.output, part.sources)
    for node in part.program.graph.nodes:
        if node in needed and node not in copies:
            copies[node] = graph.node_copy(node, lambda operand: copies[operand])
    graph.output(copies[part.output])
    return GraphModule(part.program, graph)


class _Kept(Interpreter):  # type: ignore[misc]
    """Runs a graph and keeps what some of its nodes give."""

    def __init__(self, module: GraphModule, nodes: Sequence[Node]) -> None:
        super().__init__(module)
        self._nodes = nodes
        self._found: dict[Node, torch.Tensor] = {}

    def values(self, call: Inputs) -> Inputs:
        """Those values for one call's inputs, in the nodes' order."""
        with torch.no_grad():
            self.run(*call)
        return tuple(self._found[node] for node in self._nodes)

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if n in self._nodes:
            self._found[n] = value.detach().clone()
        return value
