"""The first layer at which what an NPU is given, or what it computes, differs.

The quantized program is cut behind a layer, lowered anew and verified like the whole; each cut halves the
layers in question.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcu_build.cache import Cache
from mcu_build.errors import McuError
from mcu_build.progress import Progress
from mcu_build.stages.lower import lower_entry, lower_model
from mcu_build.stages.lowered import Lowered, LoweredDelegate
from mcu_build.stages.reference import evaluate_program
from mcu_build.stages.request import Request
from mcu_build.vectors import npz
from mcu_build.vectors.compare import Mismatch
from mcu_build.vectors.npz import Array
from mcu_build.verify.command_streams import run_streams
from mcu_build.verify.tosa import Verdict, agreement, in_pytorch, verify
from mcu_build.verify.trace import Layer

if TYPE_CHECKING:
    from torch.fx import GraphModule, Node

    from mcu_build.verify.why import Difference


def compare_delegates(
    request: Request, after: str, vectors: int | None, cache: Cache, progress: Progress, search: bool = True
) -> "Difference | None":
    """TOSA against the quantized program in PyTorch (`after` is 'tosa'), or command streams against TOSA.

    None where they agree. With `search` the layer is looked for. McuError where nothing is delegated.
    """
    from mcu_build.verify.why import Difference

    lowered = lower_model(request.model, request.board, request.npu, request.options, cache, progress)
    with tempfile.TemporaryDirectory() as made:
        verdict = verify(lowered, request.board, vectors, Path(made), cache, progress)
        text = _differences(verdict, after)
        if not text:
            return None
        difference = _first(request, lowered, after, Path(made), progress) if search else None
    if difference is None:
        return Difference(Layer("", ""), None, f"{text}; the first layer cannot be determined")
    return Difference(*difference, text)


def _differences(verdict: Verdict, after: str) -> str:
    """What differs, in words; nothing where all agrees."""
    far = [output for output in verdict.outputs if output.mean_steps > output.allowed_steps]
    wrong = [delegate for delegate in verdict.delegates if delegate.mismatches]
    if after == "tosa":
        return ", ".join(f"{output.mean_steps:.1f} steps apart on average" for output in far)
    return ", ".join(f"{stream.mismatches:,} of {stream.elements:,} values differ" for stream in wrong)


@dataclass(frozen=True)
class _Cut:
    """The quantized program up to some dequantize operators, which are its outputs."""

    module: "GraphModule"
    outputs: tuple["Node", ...]


def _first(
    request: Request, lowered: Lowered, after: str, folder: Path, progress: Progress
) -> tuple[Layer, Mismatch | None] | None:
    """The first layer that differs and its element; None where no part of the program does."""
    from mcu_build.frontend.store import load_quantized

    assert lowered.quantized is not None and lowered.vectors is not None
    module = load_quantized(lowered.quantized).module(check_guards=False)
    inputs = [array[:2] for array in npz.numbered(npz.load(lowered.vectors), "input")]
    places = _places(module)
    right, wrong, element = -1, len(places), None
    while wrong - right > 1:
        middle = (right + wrong) // 2
        progress.step(f"cutting behind layer {middle + 1} of {len(places)}")
        here = folder / str(middle)
        try:
            seen, difference = _differs(_cut(module, places, middle), request, lowered, after, inputs, here)
        except McuError:
            return None
        if seen:
            wrong, element = middle, difference
        else:
            right = middle
    return None if wrong == len(places) else (_layer(places[wrong]), element)


def _places(module: "GraphModule") -> list["Node"]:
    """Where values are rounded, behind their operators: dequantize operators, one for each value."""
    nodes: dict[Node, Node] = {}
    for node in module.graph.nodes:
        source = node.all_input_nodes[0] if node.all_input_nodes else node
        rounded = _is(node, "dequantize_per_tensor") and _is(source, "quantize_per_tensor")
        if rounded and source.all_input_nodes[0].op == "call_function":
            nodes.setdefault(source, node)
    return list(nodes.values())


def _cut(module: "GraphModule", places: Sequence["Node"], index: int) -> _Cut:
    """The program up to a place, with all that the rest reads of it."""
    from torch.fx import Graph, GraphModule

    order = {node: at for at, node in enumerate(module.graph.nodes)}
    last = order[places[index]]
    outputs = [
        node
        for node in places[: index + 1]
        if node is places[index] or any(order[user] > last for user in node.all_input_nodes[0].users)
    ]
    graph = Graph()
    copies: dict[Node, Node] = {}
    for node in module.graph.nodes:
        if node.op != "output":
            copies[node] = graph.node_copy(node, lambda operand: copies[operand])
    graph.output(tuple(copies[node] for node in outputs))
    graph.eliminate_dead_code()
    return _Cut(GraphModule(module, graph), tuple(outputs))


def _differs(
    cut: _Cut, request: Request, lowered: Lowered, after: str, inputs: Sequence[Array], folder: Path
) -> tuple[bool, Mismatch | None]:
    """Whether a part of the program differs, and the first element or the one furthest apart."""
    import torch

    from mcu_build.frontend.store import save
    from mcu_build.lower.upstream.quiet import quiet

    folder.mkdir()
    example = tuple(torch.from_numpy(array[0]) for array in inputs)
    with quiet():
        save(torch.export.export(cut.module, example, strict=False), folder / "quantized.pt2")
    (folder / "info.json").write_text(json.dumps({"custom": [], "stream": None}))
    lower_entry(folder, request.board, request.npu, "float", lowered.definitions, folder)
    part = _part(lowered, folder)
    npz.save(folder / "vectors.npz", {f"input_{index}": array for index, array in enumerate(inputs)})
    if not part.delegates:
        return False, None
    if after == "npu":
        wrong = [stream for stream in run_streams(part, folder / "vectors.npz") if stream.mismatches]
        return bool(wrong), wrong[0].first if wrong else None
    evaluate_program(part, folder / "vectors.npz", folder)
    tosa = npz.numbered(npz.load(folder / "expected.npz"), "output")
    in_pytorch(folder / "quantized.pt2", folder / "vectors.npz", folder)
    torch_ = npz.numbered(npz.load(folder / "outputs.npz"), "output")
    for index, node in enumerate(cut.outputs):
        agreed = agreement(tosa[index], torch_[index], _step(node))
        if agreed.mean_steps > agreed.allowed_steps:
            return True, _furthest(index, torch_[index], tosa[index])
    return False, None


def _part(lowered: Lowered, folder: Path) -> Lowered:
    from dataclasses import replace

    details = json.loads((folder / "lowering.json").read_text())
    delegates = tuple(
        LoweredDelegate(
            folder / delegate["tosa"],
            delegate["fast_scratch"],
            delegate["estimates"],
            tuple(delegate["layers"]),
        )
        for delegate in details["delegates"]
    )
    return replace(
        lowered,
        program=folder / "program.pte",
        quantized=folder / "quantized.pt2",
        delegates=delegates,
        boundaries=(),
        state=None,
    )


def _step(node: "Node") -> tuple[float, int]:
    """The size of one step of what a dequantize operator reads, and the bytes of an element."""
    _, scale, _, low, high = node.args[:5]
    return float(scale), 1 if high - low < 1 << 8 else 2


def _furthest(output: int, wanted: Array, actual: Array) -> Mismatch:
    import numpy as np

    vector, *index = np.unravel_index(int(np.abs(wanted - actual).argmax()), wanted.shape)
    at = (vector, *index)
    return Mismatch(int(vector), output, tuple(map(int, index)), float(wanted[at]), float(actual[at]))


def _layer(node: "Node") -> Layer:
    from mcu_build.lower.assigned import origin, output_shape
    from mcu_build.lower.lines import module_path, source_line

    made = node.all_input_nodes[0].all_input_nodes[0]
    known = origin(made)
    if known:
        return Layer(known.operator, known.layer, known.module, known.shape)
    return Layer(str(made.target), source_line(made), module_path(made), output_shape(made))


def _is(node: "Node", name: str) -> bool:
    schema: Any = getattr(node.target, "_schema", None)
    return schema is not None and str(schema.name).endswith(f"::{name}")
