"""Buffers that `forward` writes, as inputs and outputs of a program that keeps nothing itself.

Buffers become the last inputs of the program, their new values the last outputs, in one order. Everything
that comes after works on a pure function; who calls it carries the state from call to call. The names of the
inputs tell which they are, in every graph that is made from this one.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import (
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.fx import Graph, Node
from torch.utils import _pytree

from mcu_build.lower.state_inputs import PREFIX
from mcu_build.lower.upstream.quiet import quiet

Inputs = tuple[torch.Tensor, ...]


def lift_state(exported: ExportedProgram) -> tuple[ExportedProgram, Inputs]:
    """The program with its written buffers as inputs and outputs, and their initial values."""
    with quiet():
        return _lift(exported)


def _lift(exported: ExportedProgram) -> tuple[ExportedProgram, Inputs]:
    signature = exported.graph_signature
    written = {target: name for name, target in signature.buffers_to_mutate.items()}
    if not written:
        return exported, ()
    graph, placeholders = exported.graph, [n for n in exported.graph.nodes if n.op == "placeholder"]
    by_name = {node.name: node for node in placeholders}
    kept = [spec for spec in signature.input_specs if spec.target not in written]
    lifted = [spec for spec in signature.input_specs if spec.target in written]
    initial = tuple(_initial(exported, str(spec.target)) for spec in lifted)
    last = placeholders[-1]
    inputs = []
    for index, spec in enumerate(lifted):
        node = _renamed(graph, by_name[spec.arg.name], f"{PREFIX}{index}", last)
        last = node
        inputs.append(InputSpec(InputKind.USER_INPUT, TensorArgument(node.name), None))
    names = [spec.arg.name for spec in signature.output_specs]
    results = dict(zip(names, graph.output_node().args[0], strict=True))
    user = [spec for spec in signature.output_specs if spec.kind is OutputKind.USER_OUTPUT]
    new = [results[written[str(spec.target)]] for spec in lifted]
    ordered = (*(results[spec.arg.name] for spec in user), *new)
    graph.output_node().args = (ordered,)
    graph.output_node().meta["val"] = tuple(node.meta["val"] for node in ordered)
    outputs = [OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(node.name), None) for node in ordered]
    exported.graph_module.recompile()
    made = exported._update(
        exported.graph_module,
        ExportGraphSignature([*kept, *inputs], outputs),
        state_dict={name: value for name, value in exported.state_dict.items() if name not in written},
        constants={name: value for name, value in exported.constants.items() if name not in written},
    )
    _set_structure(made, len(signature.user_inputs) + len(lifted), len(ordered))
    assert exported.example_inputs is not None
    made.example_inputs = ((*exported.example_inputs[0], *initial), {})
    return made, initial


def add_state(
    exported: ExportedProgram, inputs: Sequence[Node], outputs: Sequence[Node], results: Sequence[Node]
) -> None:
    """Make placeholders `inputs` the program's last inputs and `results` its last outputs, behind `outputs`.

    The program is changed in place.
    """
    graph, signature = exported.graph, exported.graph_signature
    ordered = (*outputs, *results)
    graph.output_node().args = (ordered,)
    graph.output_node().meta["val"] = tuple(node.meta["val"] for node in ordered)
    made = [InputSpec(InputKind.USER_INPUT, TensorArgument(node.name), None) for node in inputs]
    signature.input_specs = [*signature.input_specs, *made]
    signature.output_specs = [
        OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(node.name), None) for node in ordered
    ]
    graph.eliminate_dead_code()
    graph.lint()
    exported.graph_module.recompile()
    _set_structure(exported, len(signature.user_inputs), len(ordered))


class Stepper:
    """A program with state, called step by step: it takes a call's inputs and gives the model's outputs."""

    def __init__(self, module: torch.nn.Module, initial: Inputs) -> None:
        self._module = module
        self._initial = initial
        self.state = initial

    def reset(self) -> None:
        """Begin a sequence."""
        self.state = self._initial

    def step(self, inputs: Inputs) -> list[torch.Tensor]:
        """The outputs of one call; the state goes on."""
        result = self._module(*inputs, *self.state)
        leaves = [leaf for leaf in _pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        count = len(leaves) - len(self._initial)
        self.state = tuple(leaf.detach().clone() for leaf in leaves[count:])
        return leaves[:count]

    def advance(self, inputs: Inputs) -> None:
        """Let the state go on; nothing is computed where there is none."""
        if self._initial:
            with torch.no_grad():
                self.step(inputs)


def with_state(sequences: Iterable[Sequence[Inputs]], stepper: Stepper) -> Iterator[Inputs]:
    """The inputs of every step together with the state that it meets."""
    for sequence in sequences:
        stepper.reset()
        for inputs in sequence:
            yield (*inputs, *stepper.state)
            stepper.advance(inputs)


def _initial(exported: ExportedProgram, target: str) -> torch.Tensor:
    value: Any = exported.state_dict.get(target, exported.constants.get(target))
    made: torch.Tensor = value.detach().clone()
    return made


def _renamed(graph: Graph, node: Node, name: str, after: Node) -> Node:
    """The placeholder under another name, behind `after`."""
    with graph.inserting_after(after):
        made = graph.placeholder(name)
    made.meta = dict(node.meta)
    node.replace_all_uses_with(made)
    graph.erase_node(node)
    return made


def _set_structure(exported: ExportedProgram, inputs: int, outputs: int) -> None:
    root = exported.module_call_graph[0].signature
    assert root is not None
    root.in_spec = _pytree.tree_structure((tuple(range(inputs)), {}))
    root.out_spec = _pytree.tree_structure(tuple(range(outputs)))
    root.inputs = [TensorArgument(name) for name in exported.graph_signature.user_inputs]
    root.forward_arg_names = list(exported.graph_signature.user_inputs)
    root.outputs = [spec.arg for spec in exported.graph_signature.output_specs]
