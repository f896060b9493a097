"""A quantized program over whole recordings as one that is called step by step, with its past as state."""

import copy
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Graph, Node

from mcu_build.errors import McuError
from mcu_build.frontend.state import Inputs, add_state
from mcu_build.frontend.stream.rules import rewrite
from mcu_build.frontend.stream.surgery import Surgeon, is_side_by_side
from mcu_build.frontend.stream.timeline import (
    LAST,
    Ahead,
    LongerHopError,
    Recording,
    Rewrite,
    Site,
    Time,
    Timeline,
    ahead,
    operator,
)
from mcu_build.lower.assigned import origin_near
from mcu_build.lower.builder import aten, shape
from mcu_build.lower.rewrite.recurrent import RecurrentCall
from mcu_build.lower.rewrite.recurrent_shapes import LAYERS

_PADS = frozenset({aten.pad.default, aten.constant_pad_nd.default})
_HOP_HINT = "Use fewer strides over time, or longer recordings."


@dataclass(frozen=True)
class Streamed:
    """A program of one step. Its last inputs are state, `state` their first values.

    `hop` are the samples of the input in a step, `steps` the steps of a recording. `outputs` are the times of
    the program's outputs, None where there is a result after the last step; `first` the steps after which
    each has its first result. `ahead` is the layer that looks furthest ahead, None where all are causal.
    """

    program: ExportedProgram
    state: Inputs
    hop: int
    steps: int
    outputs: tuple[Timeline | None, ...]
    first: tuple[int, ...]
    ahead: Ahead | None


def check_stream(whole: ExportedProgram, axes: Mapping[int, int]) -> None:
    """McuError where a program has no form step by step, as far as that is known without its values."""
    program = copy.deepcopy(whole)
    inputs = _inputs(program)
    recording, times, rewrites = _analyzed(program, {inputs[index]: axis for index, axis in axes.items()})
    for index, first in enumerate(_first_steps(program.graph.output_node().args[0], times, rewrites)):
        if first > recording.steps:
            raise McuError(
                f"stream: recordings of {recording.length} samples are shorter than the window: output "
                f"{index} has its first result after {first * recording.hop}",
                "Give longer recordings in example_inputs.",
            )


def to_stream(whole: ExportedProgram, axes: Mapping[int, int], examples: Sequence[Inputs]) -> Streamed:
    """The program with inputs streamed along the axes given, by the inputs' index.

    `examples` are two recordings or more: what does not depend on them is known before the first step.
    McuError where an operator has no form step by step.
    """
    program = copy.deepcopy(whole)
    inputs = _inputs(program)
    streamed = {inputs[index]: axis for index, axis in axes.items()}
    recording, times, rewrites = _analyzed(program, streamed)
    results = program.graph.output_node().args[0]
    final = {node: _emitted(time) for node in results if isinstance(time := times.get(node), Timeline)}
    values = _values(whole, list(program.graph.nodes), _needed(rewrites, final), examples)
    surgeon = Surgeon(program, times, values)
    for node in list(program.graph.nodes):
        if node in streamed:
            surgeon.shorten(node)
        elif node.op == "call_function":
            surgeon.apply(node, rewrites[node])
    made = surgeon.outputs(final)
    state = surgeon.state
    _drop_idle_pads(program.graph, {*made, *(buffer.result for buffer in state)})
    add_state(program, [buffer.placeholder for buffer in state], made, [buffer.result for buffer in state])
    program.graph.eliminate_dead_code()
    placeholders = tuple(
        _step_of(tensor, axes.get(index), recording.hop) for index, tensor in enumerate(examples[0])
    )
    initial = tuple(buffer.initial for buffer in state)
    program.example_inputs = ((*placeholders, *initial), {})
    return Streamed(
        program,
        initial,
        recording.hop,
        recording.steps,
        tuple(_final(times.get(node), final.get(node)) for node in results),
        _first_steps(results, times, rewrites),
        _furthest(rewrites, times, [node for node in results if node in final], recording),
    )


def _drop_idle_pads(graph: Graph, kept: Set[Node]) -> None:
    """Leave out pads of nothing, what is left of those in front, but for those in `kept`.

    Alone in a delegate they have an output that is its input, which Vela refuses.
    """
    for node in list(graph.nodes):
        if node.target in _PADS and not any(node.args[1]) and node not in kept:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)


def _first_steps(
    results: Sequence[Node], times: Mapping[Node, Time], rewrites: Mapping[Node, Rewrite]
) -> tuple[int, ...]:
    """After how many steps each of `results` is made of samples of the recording alone."""
    first: dict[Node, int] = {}
    for node, made in rewrites.items():
        windows = [
            -(-(time.delay + reading.past) // time.hop) + 1
            for operand, reading in made.readings.items()
            if made.out is LAST and isinstance(time := times[operand], Timeline)
        ]
        first[node] = max([1, *windows, *(first.get(operand, 1) for operand in node.all_input_nodes)])
    return tuple(
        max(0, time.delay) // time.hop + 1
        if isinstance(time := times.get(node), Timeline)
        else first.get(node, 1)
        for node in results
    )


def _final(time: Time, late: int | None) -> Timeline | None:
    if not isinstance(time, Timeline):
        return None
    return Timeline(time.axis, time.hop, time.delay + (late or 0), time.length)


def _emitted(time: Timeline) -> int:
    """How many samples an output has to wait so that its first one is the recording's first."""
    return max(0, -time.delay)


def _step_of(tensor: torch.Tensor, axis: int | None, hop: int) -> torch.Tensor:
    return tensor if axis is None else tensor.narrow(axis, 0, hop)


def _inputs(program: ExportedProgram) -> list[Node]:
    """The user's inputs. A copied graph has other names than its signature, which follows."""
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    specs = program.graph_signature.input_specs
    for node, spec in zip(placeholders, specs, strict=True):
        spec.arg.name = node.name
    return [node for node, spec in zip(placeholders, specs, strict=True) if spec.kind is InputKind.USER_INPUT]


def _analyzed(
    program: ExportedProgram, streamed: Mapping[Node, int]
) -> tuple[Recording, dict[Node, Time], dict[Node, Rewrite]]:
    """The times of all nodes with the smallest hop, and what becomes of each operator."""
    lengths = {shape(node)[axis] for node, axis in streamed.items()}
    if len(lengths) != 1:
        raise McuError(
            f"stream: inputs of {' and '.join(map(str, sorted(lengths)))} samples",
            "Stream inputs of one length.",
        )
    length, hop = lengths.pop(), 1
    while hop <= length:
        recording = Recording(length, hop)
        times: dict[Node, Time] = {node: Timeline(axis, hop, 0, length) for node, axis in streamed.items()}
        rewrites: dict[Node, Rewrite] = {}
        try:
            for node in program.graph.nodes:
                if node.op == "call_function":
                    rewrites[node] = rewrite(Site(node, times, recording))
                    times[node] = rewrites[node].out
            _check_outputs(program.graph, times, recording)
            return recording, times, rewrites
        except LongerHopError as longer:
            hop *= longer.factor
    raise McuError(
        f"stream: a step would have {hop} samples: the recordings of example_inputs have {length}", _HOP_HINT
    )


def _check_outputs(graph: Graph, times: Mapping[Node, Time], recording: Recording) -> None:
    """McuError for an output of which no samples can be told apart."""
    for node in graph.output_node().args[0]:
        if isinstance(time := times.get(node), Timeline) and time.rows > 1:
            raise Site(node, times, recording).refusal(
                "this output joins time and what is before it to one dimension",
                "Return it with time as a dimension.",
            )


def _needed(rewrites: Mapping[Node, Rewrite], final: Mapping[Node, int]) -> set[str]:
    """Tensors of which samples are known before the first step."""
    read = {
        operand.name
        for made in rewrites.values()
        for operand, reading in made.readings.items()
        if reading.past > 0
    }
    total = {node.name for node, made in rewrites.items() if made.neutral is not None}
    return read | total | {node.name for node, late in final.items() if late} | _constants(rewrites)


def _constants(rewrites: Mapping[Node, Rewrite]) -> set[str]:
    """Constants beside what has time, and first states of recurrent layers."""
    constants: set[Node] = set()
    for node, made in rewrites.items():
        if node.target in LAYERS:
            constants |= set(RecurrentCall.of(node).states)
        elif isinstance(made.out, Timeline) and is_side_by_side(node):
            constants |= {
                operand
                for operand in node.all_input_nodes
                if operand not in rewrites or rewrites[operand].out is None
            }
    return {node.name for node in constants}


def _values(
    whole: ExportedProgram, nodes: Sequence[Node], names: set[str], examples: Sequence[Inputs]
) -> list[dict[str, torch.Tensor]]:
    """Tensors of the whole program for each of the examples, by their names among the copied `nodes`."""
    copied = {old: new.name for old, new in zip(whole.graph.nodes, nodes, strict=True) if new.name in names}
    held = {**whole.state_dict, **whole.constants}
    values: dict[str, torch.Tensor] = {}

    class Kept(torch.fx.Interpreter):  # type: ignore[misc]
        def run_node(self, n: Node) -> Any:
            value = super().run_node(n)
            if n in copied:
                values[copied[n]] = value.clone()
            return value

    made = []
    for example in examples:
        rest = iter(example)
        tensors = [
            next(rest) if spec.kind is InputKind.USER_INPUT else held[str(spec.target)]
            for spec in whole.graph_signature.input_specs
        ]
        with torch.no_grad():
            Kept(whole.graph_module).run(*tensors)
        made.append(dict(values))
    return made


def _furthest(
    rewrites: Mapping[Node, Rewrite],
    times: Mapping[Node, Time],
    results: Sequence[Node],
    recording: Recording,
) -> Ahead | None:
    """The first layer that looks ahead, where an output does, with how far the outputs do."""
    late = [ahead(time, recording) for node in results if isinstance(time := times[node], Timeline)]
    if max(late, default=0) <= 0:
        return None
    for node in rewrites:
        time = times[node]
        if isinstance(time, Timeline) and ahead(time, recording) > 0:
            made_from = origin_near(node)
            return Ahead(operator(node), made_from.where if made_from else "the model", max(late))
    raise AssertionError("an output looks ahead, but no layer does")
