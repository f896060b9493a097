"""Quantized ExportedProgram → program.pte for a Cortex-M core, with a row for every operator call."""

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch.export import ExportedProgram
from torch.export.graph_signature import TensorArgument
from torch.fx import Graph, Node

from mcu_build.custom import is_custom
from mcu_build.errors import McuError
from mcu_build.ir.plan import Quantization
from mcu_build.layer_names import frame_function, module_of
from mcu_build.lower.assigned import (
    Origin,
    everything,
    is_for_cpu,
    operator_name,
    origin,
    origin_near,
    why_in_float,
)
from mcu_build.lower.builder import inherit, run_fake
from mcu_build.lower.integer.int8_forms import DEQUANTIZE
from mcu_build.lower.lines import module_path
from mcu_build.lower.one_order import bring_into_order
from mcu_build.lower.refusals import named, refusal, without_refused
from mcu_build.lower.rewrite.kernels import without_out_variant
from mcu_build.lower.rows import (
    FRAME,
    RANGE,
    Lowering,
    inside,
    is_call,
    is_float,
    is_integer,
    rows_of,
    warnings_of,
)
from mcu_build.lower.state_inputs import tied
from mcu_build.lower.upstream.quiet import lines_of_delegates, quick, quiet
from mcu_build.plan.left_out import no_kernel
from mcu_build.recorder import is_users_file

# The host runs the form with a bias, which every core but those with Helium has.
_HOST_CORE = "cortex-m4"
# The file of a call that belongs to no layer of the model, at line 0.
_NOWHERE = "<model>"
_NOT_LOWERED = "it would take int8 numbers without their scale"


# Operators outside cortex_m that give back elements of what they read, whatever these stand for.
# fmt: off
_MOVES = frozenset({
    "_clone_dim_order", "_to_dim_order_copy", "amax", "amin", "as_strided_copy", "cat", "clamp", "clone",
    "constant_pad_nd", "dequantize_per_tensor", "embedding", "expand_copy", "flip", "gather", "index",
    "index_put", "index_select", "max_pool2d_with_indices", "maximum", "minimum", "permute_copy", "repeat",
    "roll",
    "select_copy", "slice_copy", "split_copy", "split_with_sizes_copy", "squeeze_copy", "stack",
    "transpose_copy", "unfold_copy", "unsqueeze_copy", "upsample_nearest2d", "view_copy", "where",
})
# fmt: on


@dataclass(frozen=True)
class Lowered:
    """A program for one core. `inputs` and `outputs` hold the quantization of int8 ones, None for others."""

    pte: bytes
    operators: tuple[Lowering, ...]
    warnings: tuple[str, ...]
    inputs: tuple[Quantization | None, ...]
    outputs: tuple[Quantization | None, ...]


def lower(
    quantized: ExportedProgram,
    core: str,
    io: Literal["float", "int8"] = "float",
    supported: Collection[str] | None = None,
) -> Lowered:
    """Lower for `core` ('cortex-m55', 'host', ...); with `io` int8 inputs and outputs stay int8.

    `supported` are the operators that have a kernel (all, where it is None); McuError names every call of
    another one with its line of the model.
    """
    return finish(to_cortex_m(quantized, core), io, supported)


def finish(
    graph: ExportedProgram, io: Literal["float", "int8"] = "float", supported: Collection[str] | None = None
) -> Lowered:
    """The program of what `to_cortex_m` gave. `graph` is used up: ExecuTorch rewrites it."""
    with quiet(), quick(), named("lowered"):
        inputs, outputs = _strip_boundary(graph, io)
        _lay_out_state(graph)
        bring_into_order(graph)
        if misfits := _misfits(graph):
            raise refusal(misfits)
        if missing := without_out_variant(graph.graph, supported):
            raise McuError(*no_kernel(missing))
        rows = tuple(row for node in graph.graph.nodes for row in rows_of(node))
        pte = _emit(graph)
    return Lowered(pte, rows, warnings_of(rows), inputs, outputs)


def to_cortex_m(quantized: ExportedProgram, core: str, partitioner: Any = None) -> ExportedProgram:
    """The program in operators of Cortex-M, as a graph that also runs in PyTorch.

    `partitioner`, one of executorch's, takes what it can out of it; only operators that are marked for the
    CPU (assigned.py) are then looked at here. What a pass refuses stays in float.
    """

    def attempt(refused: Mapping[str, str]) -> ExportedProgram:
        with quiet(), quick(), named("lowered"):
            lowered = _to_cortex_m(quantized, core, partitioner, refused)
        misfits = _misfits(lowered)
        if any(origin_near(node) for node in misfits):
            raise refusal(misfits)
        return lowered

    return without_refused(attempt, quantized.graph)


def _part_readers(graph: Graph) -> None:
    """Give each reader in a program with state a dequantize node of its own.

    Arm's partitioner leaves out a node that also something outside of the partition reads, and then rejects
    its other readers, as their input is float: such as the window of a stream, which is copied to state too.
    """
    if not tied(graph):
        return
    for node in list(graph.nodes):
        if node.target is not DEQUANTIZE:
            continue
        for user in list(node.users)[1:]:
            with graph.inserting_after(node):
                own = graph.node_copy(node)
            user.replace_input_with(node, own)


def _to_cortex_m(
    quantized: ExportedProgram, core: str, partitioner: Any, refused: Mapping[str, str]
) -> ExportedProgram:
    from executorch.backends.cortex_m.edge_compile_config import cortex_m_edge_compile_config
    from executorch.backends.cortex_m.passes import (
        ActivationFusionPass,
        AtenToCortexMPass,
        CortexMPassManager,
        DecomposeHardswishPass,
    )
    from executorch.backends.cortex_m.target_config import CortexMTargetConfig
    from executorch.backends.transforms.remove_getitem_op import RemoveGetItemPass
    from executorch.exir import to_edge, to_edge_transform_and_lower
    from executorch.exir.dialects._ops import ops

    from mcu_build.lower.integer.int4 import build_int4
    from mcu_build.lower.integer.int8_forms import build_forms
    from mcu_build.lower.integer.int16 import build_int16
    from mcu_build.lower.integer.markers import Unmark, mark
    from mcu_build.lower.integer.recurrent import build_recurrent
    from mcu_build.lower.integer.tables import build_tables
    from mcu_build.lower.layout import settle
    from mcu_build.lower.rewrite.fold import fold_constants
    from mcu_build.lower.tidy import DropUnusedIndices, FuseClamps, cancel_transposes, drop_checks, make_exact
    from mcu_build.lower.unquantize import unquantize

    target = CortexMTargetConfig.from_target_string(_HOST_CORE if core == "host" else core)
    tabled = copy.deepcopy(quantized)
    unquantize(tabled, refused)
    on_core = is_for_cpu if partitioner else everything

    def chosen(node: Node) -> bool:
        return on_core(node) and not why_in_float(node)

    build_int4(tabled, chosen)
    build_int16(tabled, chosen)
    build_forms(tabled, chosen)
    build_recurrent(tabled, chosen)
    build_tables(tabled, chosen)
    mark(tabled, chosen)
    _forget_output_names(tabled)
    config = cortex_m_edge_compile_config()
    if partitioner:
        _part_readers(tabled.graph)
        edge = to_edge_transform_and_lower(tabled, partitioner=[partitioner], compile_config=config)
    else:
        edge = to_edge(tabled, compile_config=config)
    # Tables and FuseClamps have done the work of the passes that go.
    ours = {
        ActivationFusionPass: [FuseClamps],
        DecomposeHardswishPass: [],
        RemoveGetItemPass: [DropUnusedIndices],
        AtenToCortexMPass: [Unmark, AtenToCortexMPass],
    }
    passes = [p for step in CortexMPassManager.legacy_pass_list for p in ours.get(step, [step])]
    # Decompositions compute indices and weights of their own, such as those of resizing in float.
    folded = fold_constants(edge.exported_program(), ops.edge.aten.expand_copy.default)
    manager = CortexMPassManager(folded, passes=passes, target_config=target)
    lowered = manager.transform()
    drop_checks(lowered)
    make_exact(lowered)
    cancel_transposes(lowered)
    settle(lowered)
    _prune_constants(lowered)
    _name_layers(lowered)
    return lowered


def _forget_output_names(exported: ExportedProgram) -> None:
    """Leave the names of outputs to the signature: torch loses track of those that were put in later."""
    root = exported.module_call_graph[0].signature
    assert root is not None
    root.outputs = [TensorArgument("") for _ in root.outputs]


def _emit(lowered: ExportedProgram) -> bytes:
    from executorch.backends.cortex_m.edge_compile_config import cortex_m_edge_compile_config
    from executorch.exir import EdgeProgramManager, ExecutorchBackendConfig

    manager = EdgeProgramManager(lowered, compile_config=cortex_m_edge_compile_config())
    with lines_of_delegates():
        return bytes(manager.to_executorch(ExecutorchBackendConfig(emit_stacktrace=True)).buffer)


def _prune_constants(lowered: ExportedProgram) -> None:
    """Drop parameters and buffers that nothing reads any more: folded scales, weights kept in two layouts."""
    from executorch.backends.transforms.utils import delete_constant_placeholder, is_param_node

    for node in list(lowered.graph.nodes):
        if node.op == "placeholder" and not node.users and is_param_node(lowered, node):
            delete_constant_placeholder(lowered, node)


def _name_layers(lowered: ExportedProgram) -> None:
    """Leave one frame to every call: the line of the user's model, by file name so that no path is kept.

    The frame's function has the path of the module (layer_names.py).
    """
    previous = _Place(_NOWHERE, 0, "")
    for node in lowered.graph.nodes:
        if node.op == "call_function":
            previous = _place(node, previous)
            node.meta["stack_trace"] = previous.frame


@dataclass(frozen=True)
class _Place:
    file: str
    line: int
    module: str

    @property
    def frame(self) -> str:
        return f'  File "{self.file}", line {self.line}, in {frame_function(self.module)}\n    -\n'


def _place(node: Node, previous: _Place) -> _Place:
    """Where a call belongs. The boundary and the helpers of a rewrite belong to a neighbour."""
    trace = node.meta.get("stack_trace") or ""
    own = _user_frame(trace)
    if own is None and origin(node):
        own = _NOWHERE, 0  # a layer of torch.nn that no line of the user's calls
    delegated = next(filter(None, map(inside, node.users)), ())
    handed_over = _line_of(delegated[0]) if delegated else None
    file, line = own or _neighbour_frame(node) or handed_over or (previous.file, previous.line)
    if parts := inside(node):
        modules = list(dict.fromkeys(part.module for part in parts if part.module))
        return _Place(file, line, RANGE.join(dict.fromkeys(modules[:1] + modules[-1:])))
    if delegated:
        return _Place(file, line, delegated[0].module)
    made_from, last = origin_near(node), previous.module.rpartition(RANGE)[2]
    module = made_from.module if made_from else module_path(node) or _own_frame(trace) or last
    return _Place(file, line, module)


def _line_of(made_from: Origin) -> tuple[str, int] | None:
    """File name and line of an operator of the model."""
    file, _, line = made_from.layer.rpartition(":")
    return (file, int(line)) if file and line.isdecimal() else None


def _own_frame(trace: str) -> str:
    """The module of a frame that was left here before: what it was lowered from had one."""
    match = FRAME.search(trace)
    return module_of(match["name"]) if match else ""


def _neighbour_frame(node: Node) -> tuple[str, int] | None:
    near = (*node.users, *node.all_input_nodes)
    return next(
        (f for neighbour in near if (f := _user_frame(neighbour.meta.get("stack_trace") or ""))), None
    )


def _user_frame(trace: str) -> tuple[str, int] | None:
    """File name and line of the innermost frame of a stack trace that is not torch's or executorch's."""
    frame = None
    for match in FRAME.finditer(trace):
        if not match["file"].startswith("<") and is_users_file(match["file"]):
            frame = Path(match["file"]).name, int(match["line"])
    return frame


def _calls(lowered: ExportedProgram) -> list[Node]:
    """The nodes that become operator calls."""
    return [node for node in lowered.graph.nodes if is_call(node)]


def _misfits(lowered: ExportedProgram) -> dict[Node, str]:
    """Calls that take int8 for what it is not, with the reason: their numbers would mean nothing."""
    return {node: _NOT_LOWERED for node in _calls(lowered) if _is_misfit(node)}


def _is_misfit(node: Node) -> bool:
    name = operator_name(node)
    int8s = any(is_integer(operand) for operand in node.all_input_nodes)
    floats = any(is_float(operand.meta.get("val")) for operand in (node, *node.all_input_nodes))
    if is_custom(name) or "quantize_per_tensor" in name or name.startswith("mcu_build::"):
        return False
    if name.startswith("cortex_m::") or name.split("::")[1].split(".")[0] in _MOVES:
        return int8s and floats
    return int8s


def _quantization(node: Node) -> Quantization:
    scale, zero_point = node.args[1:3]
    return Quantization(float(scale), int(zero_point))


def _user_inputs(lowered: ExportedProgram) -> list[Node]:
    names = lowered.graph_signature.user_inputs
    by_name = {node.name: node for node in lowered.graph.nodes if node.op == "placeholder"}
    return [by_name[name] for name in names if isinstance(name, str)]


def _input_quantizers(node: Node) -> list[Node]:
    """The quantize calls on an input, where all its readers are such, with the same parameters."""
    users = list(node.users)
    names = [operator_name(user) for user in users]
    if not users or any("quantize_per_tensor" not in name or "dequantize" in name for name in names):
        return []
    return users if len({user.args[1:] for user in users}) == 1 else []


def _strip_boundary(
    lowered: ExportedProgram, io: Literal["float", "int8"]
) -> tuple[tuple[Quantization | None, ...], tuple[Quantization | None, ...]]:
    """Take quantize off the inputs and dequantize off the outputs; what is float inside stays float.

    With `io` float only off state, which nobody outside sees: it is kept as integers where it is read and
    written in one quantization.
    """
    states = tied(lowered.graph)
    if io == "float" and not states:
        return (None,) * len(_user_inputs(lowered)), (None,) * len(lowered.graph.output_node().args[0])
    output = lowered.graph.output_node()
    # What is an output and a state's new value is one node at two positions: each has its own answer.
    read = {state.name: _one_quantization(state, result) for state, result in states}
    stripped = [*[io == "int8"] * (len(output.args[0]) - len(states)), *read.values()]
    inputs = tuple(
        _strip_input(node) if read.get(node.name, io == "int8") else None for node in _user_inputs(lowered)
    )
    results: list[Any] = []
    boundaries: list[Quantization | None] = []
    for index, (node, is_stripped) in enumerate(zip(output.args[0], stripped, strict=True)):
        if is_stripped and isinstance(node, Node) and _is_dequantize(node):
            boundaries.append(_quantization(node))
            results.append(node.args[0])
            lowered.graph_signature.output_specs[index].arg.name = node.args[0].name
        else:
            boundaries.append(None)
            results.append(node)
    output.args = (tuple(results),)
    output.meta["val"] = tuple(node.meta["val"] for node in results)
    lowered.graph.eliminate_dead_code()
    lowered.graph_module.recompile()
    return inputs, tuple(boundaries)


def _lay_out_state(lowered: ExportedProgram) -> None:
    """Have the new value of a state lie in memory as the state is read: it is copied there as it is."""
    from executorch.exir.dialects._ops import ops

    clone = ops.edge.dim_order_ops._clone_dim_order.default
    output = lowered.graph.output_node()
    results = list(output.args[0])
    pairs = tied(lowered.graph)
    for index, (state, result) in enumerate(pairs, len(results) - len(pairs)):
        source = result.args[0] if result.target is clone else result
        if _order(source) != _order(state):
            order = {"dim_order": list(state.meta["val"].dim_order())}
            with lowered.graph.inserting_before(output):
                source = lowered.graph.call_function(clone, (source,), order)
            inherit(source, result)
            source.meta["val"] = run_fake(source, state.meta["val"].fake_mode)
        results[index] = source
        lowered.graph_signature.output_specs[index].arg.name = source.name
    output.args = (tuple(results),)
    output.meta["val"] = tuple(node.meta["val"] for node in results)
    lowered.graph.eliminate_dead_code()
    lowered.graph_module.recompile()


def _order(node: Node) -> list[int]:
    """The dimensions of more than one element as they lie in memory."""
    value = node.meta["val"]
    return [dimension for dimension in value.dim_order() if value.shape[dimension] != 1]


def _is_dequantize(node: Node) -> bool:
    return node.op == "call_function" and "::dequantize_per_tensor" in operator_name(node)


def _one_quantization(placeholder: Node, result: Node) -> bool:
    """Whether a state is read as the same integers that its new value is made of."""
    quantizers = _input_quantizers(placeholder)
    if not quantizers or not _is_dequantize(result):
        return False
    return bool(quantizers[0].args[1:6] == result.args[1:6])


def _strip_input(node: Node) -> Quantization | None:
    quantizers = _input_quantizers(node)
    if not quantizers:
        return None
    quantization = _quantization(quantizers[0])
    node.meta["val"] = quantizers[0].meta["val"]
    for quantizer in quantizers:
        quantizer.replace_all_uses_with(node)
        node.graph.erase_node(quantizer)
    return quantization
