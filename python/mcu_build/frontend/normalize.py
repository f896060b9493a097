"""An exported program as the later stages want it, with what it computes unchanged.

Writes into tensors become new tensors, operators that read strides become operators that do not, what no
input decides is computed, and images are laid out channels-last. The model itself is exported as its author
wrote it.
"""

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch._higher_order_ops.wrap import wrap_with_autocast
from torch.export import ExportedProgram
from torch.export.graph_signature import ExportGraphSignature, OutputKind, OutputSpec, TensorArgument
from torch.fx import Node
from torch.utils import _pytree

from mcu_build.errors import McuError
from mcu_build.frontend.seen_state import attributes, lost_buffers, merge_shared
from mcu_build.lower.builder import Builder, aten, fake_mode, run_fake, shape
from mcu_build.lower.layout import make_channels_last
from mcu_build.lower.lines import source_line
from mcu_build.lower.rewrite.complex_numbers import without_complex
from mcu_build.lower.rewrite.control_flow import without_branches
from mcu_build.lower.rewrite.element_index import RULES as ENTRIES
from mcu_build.lower.rewrite.element_index import copy_entries, forget_numbers
from mcu_build.lower.rewrite.fold import fold_constants, is_fill, is_symbolic
from mcu_build.lower.rewrite.kernels import without_kernel, without_type
from mcu_build.lower.rewrite.resample import EXPORTED_RULES as RESIZING
from mcu_build.lower.rewrite.searches import RULES as SEARCHES
from mcu_build.plan.left_out import no_kernel
from mcu_build.plan.select import operators

# What is refused, with its place, and what to do.
Refusal = tuple[str, str]

_RANDOM_HINT = (
    "Give the random numbers to `forward` as an input; `F.dropout` needs `training=self.training`, or use "
    "nn.Dropout. A policy gives its most likely action, as with `deterministic=True`."
)
_LOOP_HINT = (
    "Write the loop out with a fixed number of steps, and keep what is done already with "
    "`torch.where(done, y, next_y)`."
)
_ITEM_HINT = "Compute with the tensor itself: `x * y.max()` in place of `x * y.max().item()`."
_AUTOCAST_HINT = "Export it without autocast: firmware computes in int8 and float32."
_SHAPE_HINT = (
    "Firmware has fixed shapes: torch.where(mask, x, 0) in place of x[mask], topk with a fixed k in place of "
    "nonzero()."
)
_TYPE_HINT = (
    "Firmware computes in float32, int8 and integers: keep tensors and constants in float32 with `.float()`."
)


def normalize(exported: ExportedProgram, path: Path, state: Collection[str] = frozenset()) -> ExportedProgram:
    """The same program in the form described above, its outputs a flat tuple of tensors.

    `path` is the user's file, for messages; `state` are attributes and buffers that calls were seen to
    change: an exported program takes attributes for constants, and buffers that are written out of its sight.
    McuError with all of them at once where the program keeps such state, draws random numbers or loops on
    data, where a shape depends on data, and for operators that nothing can compute.
    """
    without_branches(exported)
    refused = [*_loops(exported), *attributes(exported, state)]
    functional = exported if refused else fold_constants(_without_numbers(_without_writes(exported)))
    refused += _random(functional)
    if functional is not exported:  # Some sizes and types become known only when constants are folded.
        refused += [*_dynamic(functional), *_without_type(functional), *lost_buffers(functional, state)]
    try:
        without_complex(functional)
    except McuError as error:
        refused += [(line, error.hint) for line in error.message.split("\n")]
    _rewrite(functional, {**SEARCHES, **RESIZING})
    if not refused:  # Cosines and sines are computed in float64.
        functional = fold_constants(functional)
    refused += _without_kernel(functional)
    _raise(path, refused)
    _forget_strides(functional)
    # Once more: index arithmetic states what strided reads gather.
    return make_channels_last(fold_constants(functional))


def _raise(path: Path, refused: Sequence[Refusal]) -> None:
    """McuError with everything that is refused, if there is anything."""
    if refused:
        hints = dict.fromkeys(hint for _, hint in refused)
        lines = dict.fromkeys(f"{path}: {line}" for line, _ in refused)
        raise McuError("\n".join(lines), " ".join(hints))


def _without_numbers(exported: ExportedProgram) -> ExportedProgram:
    """Numbers among the outputs as tensors, and those that index a tensor as the tensors they come from."""
    flat = _flat_outputs(exported)
    _rewrite(flat, ENTRIES)
    forget_numbers(flat.graph)
    return flat


def _without_kernel(exported: ExportedProgram) -> list[Refusal]:
    """Operators that no kernel computes, in int8 or in float."""
    missing = without_kernel(exported.graph, operators())
    message, hint = no_kernel(missing)
    return [(line, hint) for line in message.split("\n")] if missing else []


def _without_type(exported: ExportedProgram) -> list[Refusal]:
    """Types of elements that no kernel computes with."""
    types = without_type(exported.graph)
    return [
        (f"{where}: {name}: no kernel computes with this type", _TYPE_HINT) for name, where in types.items()
    ]


def _without_writes(exported: ExportedProgram) -> ExportedProgram:
    computed = _computed(exported)
    # A constant under a write (`torch.zeros(4).index_add_`) would be written at build time, or in flash.
    for node in exported.graph.nodes:
        root = _written_root(node)
        if _writes_elsewhere(node) or _is_vmap(node) or (root is not None and root not in computed):
            break
    else:
        return exported
    exported = merge_shared(exported)
    _copy_copied_buffers(exported)
    copy_entries(exported)
    return _without_written_inputs(exported.run_decompositions({}))


def _is_vmap(node: Node) -> bool:
    """Whether a node begins or ends `torch.vmap`, which tracing the program again resolves."""
    return getattr(node.target, "__module__", "") == "torch._functorch.predispatch"


def _computed(exported: ExportedProgram) -> set[Node]:
    """The nodes whose elements an input decides: not `zeros_like(x)`, which later becomes a constant."""
    names, computed = set(exported.graph_signature.user_inputs), set[Node]()
    for node in exported.graph.nodes:
        if node.name in names or (not computed.isdisjoint(node.all_input_nodes) and not is_fill(node)):
            computed.add(node)
    return computed


def _copy_copied_buffers(exported: ExportedProgram) -> None:
    """`a.copy_(b)` of two buffers, a delay line, as a copy of a clone.

    The new value of a would be b itself, which torch's verifier takes for an output that is no result.
    """
    graph, buffers = exported.graph, exported.graph_signature.inputs_to_buffers
    for node in list(graph.nodes):
        source = node.args[1] if node.target is aten.copy_.default else None
        if isinstance(source, Node) and source.name in buffers:
            with graph.inserting_before(node):
                clone = graph.call_function(aten.clone.default, (source,))
            clone.meta = dict(source.meta)
            node.args = (node.args[0], clone, *node.args[2:])
    exported.graph_module.recompile()


def _loops(exported: ExportedProgram) -> list[Refusal]:
    """Loops whose turns data decide, for a plan is one sequence of calls, and bodies of another precision."""
    return [
        (f"{_where(node)}: torch.autocast", _AUTOCAST_HINT)
        if node.target is wrap_with_autocast
        else (f"{_where(node)}: torch.{node.target}: firmware has no loops that depend on data", _LOOP_HINT)
        for node in exported.graph.nodes
        if isinstance(node.target, torch._ops.HigherOrderOperator)
        and any(argument.op == "get_attr" for argument in node.all_input_nodes)
    ]


def _where(node: Node) -> str:
    return source_line(node) or "the model"


def _writes_elsewhere(node: Node) -> bool:
    """Whether a node writes memory that others see under another name; `relu_` of a fresh result does not."""
    root = _written_root(node)
    if root is None:
        return False
    written = node.args[0]
    return root is not written or root.op == "placeholder" or any(_is_view(user) for user in root.users)


def _written_root(node: Node) -> Node | None:
    """The node whose memory `node` writes, behind all views of it."""
    schema = getattr(node.target, "_schema", None)
    if node.op != "call_function" or schema is None or not schema.is_mutable:
        return None
    root = node.args[0] if node.args else None
    while isinstance(root, Node) and root.op == "call_function" and (_is_view(root) or _is_inplace(root)):
        root = root.args[0]
    return root if isinstance(root, Node) else None


def _is_view(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    aliases = [result.alias_info for result in schema.returns] if schema is not None else []
    return any(alias is not None and not alias.is_write for alias in aliases)


def _is_inplace(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def _without_written_inputs(exported: ExportedProgram) -> ExportedProgram:
    """Drop what the model writes into its inputs: firmware's callers own them."""
    signature = exported.graph_signature
    output = exported.graph.output_node()
    kept = [spec.kind is not OutputKind.USER_INPUT_MUTATION for spec in signature.output_specs]
    output.args = (tuple(arg for arg, keep in zip(output.args[0], kept, strict=True) if keep),)
    exported.graph_module.recompile()
    specs = [spec for spec, keep in zip(signature.output_specs, kept, strict=True) if keep]
    return exported._update(exported.graph_module, ExportGraphSignature(signature.input_specs, specs))


def _flat_outputs(exported: ExportedProgram) -> ExportedProgram:
    """Numbers among the outputs as constant tensors, None left out, and all in one tuple."""
    output = exported.graph.output_node()
    given_results = output.args[0]
    with exported.graph.inserting_before(output):
        results = [
            result if isinstance(result, Node) else _number(exported, result)
            for result in given_results
            if result is not None
        ]
    output.args = (tuple(results),)
    exported.graph_module.recompile()
    signature = exported.graph_signature
    kept = [s for s, result in zip(signature.output_specs, given_results, strict=True) if result is not None]
    specs = [
        OutputSpec(spec.kind, TensorArgument(result.name), spec.target)
        for spec, result in zip(kept, results, strict=True)
    ]
    flat = exported._update(exported.graph_module, ExportGraphSignature(signature.input_specs, specs))
    root = flat.module_call_graph[0]
    assert root.signature is not None
    if not root.signature.out_spec.is_leaf():
        count = sum(spec.kind is OutputKind.USER_OUTPUT for spec in specs)
        root.signature.out_spec = _pytree.tree_structure(tuple(range(count)))
    return flat


def _number(exported: ExportedProgram, value: float) -> Node:
    dtype = {bool: torch.bool, int: torch.int64}.get(type(value), torch.float32)
    node = exported.graph.call_function(aten.full.default, ([], value), {"dtype": dtype})
    node.meta["val"] = run_fake(node, fake_mode(exported.graph_module))
    return node


def _random(exported: ExportedProgram) -> list[Refusal]:
    """Operators that draw random numbers: no two runs of the model would agree."""
    return [
        (f"{_where(node)}: {node.target}: draws random numbers", _RANDOM_HINT)
        for node in exported.graph.nodes
        if node.op == "call_function" and _is_random(node)
    ]


def _is_random(node: Node) -> bool:
    if node.target is aten.dropout.default:
        return bool(node.args[2])
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()) and not _is_resting(node)


def _is_resting(node: Node) -> bool:
    """Whether an operator with a dropout inside, such as attention or an LSTM, has it switched off."""
    arguments = {argument.name: argument.default_value for argument in node.target._schema.arguments}
    arguments |= dict(zip(arguments, node.args, strict=False)) | dict(node.kwargs)
    shares = [arguments[name] for name in ("p", "dropout_p", "dropout") if name in arguments]
    return arguments.get("train", arguments.get("training", True)) is False or shares == [0.0]


def _forget_strides(exported: ExportedProgram) -> None:
    """Replace operators whose result depends on their operand's strides, which layouts are about to change.

    With them goes what a write into a part of a tensor has left: it becomes a concatenation, which has an
    int8 form.
    """
    rules = {
        aten.view.default: _reshape,
        aten._unsafe_view.default: _reshape,
        aten.as_strided.default: _gather_strided,
        aten.as_strided_scatter.default: _scatter_strided,
        aten.fill.Scalar: _filled,
        aten.copy.default: _copied,
        aten.slice_scatter.default: _join_slice,
        aten.select_scatter.default: _join_selected,
        aten.index_put.default: _put_masked,
        aten.lerp.Scalar: _interpolate,
        aten.lerp.Tensor: _interpolate,
        operator.getitem: _batch_norm,
        **dict.fromkeys((aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor), _of_one_type),
    }
    _rewrite(exported, rules)


def _rewrite(exported: ExportedProgram, rules: Mapping[Any, Callable[[Builder, Node], Node | None]]) -> None:
    """Put what a rule builds in the place of each operator that has one."""
    graph, mode = exported.graph, fake_mode(exported.graph_module)
    for node in list(graph.nodes):
        rule = rules.get(node.target) if node.op == "call_function" else None
        replacement = rule(Builder(exported.graph_module, mode, node), node) if rule else None
        if replacement is not None:
            node.replace_all_uses_with(replacement, propagate_meta=False)
            graph.erase_node(node)
    _name_outputs(exported)
    graph.lint()
    exported.graph_module.recompile()


def _batch_norm(build: Builder, node: Node) -> Node | None:
    """The first result of what taking writes out has made of batch_norm, as batch_norm again."""
    norm = node.args[0]
    if not isinstance(norm, Node) or norm.target is not aten._native_batch_norm_legit_no_training.default:
        return None
    source, weight, bias, mean, variance, momentum, epsilon = norm.args
    return build(
        aten.batch_norm.default, source, weight, bias, mean, variance, False, momentum, epsilon, False
    )


def _of_one_type(build: Builder, node: Node) -> Node | None:
    """Arithmetic of integers with floats, the integers converted first: what is float then gets a scale.

    Flags of the same tensor stay: `x * (x > 0)` is a function of one tensor, and becomes a table. A number
    beside an integer tensor without dimensions gets that one's type: executorch makes it int64, and the
    result with it.
    """
    dtype, number = node.meta["val"].dtype, node.args[1]
    if isinstance(number, int) and shape(node) == () and dtype in (torch.int32, torch.int16, torch.int8):
        number = build(aten.full.default, [], number, dtype=dtype)
        return build(node.target, node.args[0], number, *node.args[2:], **node.kwargs)
    mixed = [operand for operand in node.all_input_nodes if not operand.meta["val"].dtype.is_floating_point]
    if node.meta["val"].dtype is not torch.float32 or not mixed:
        return None
    if all(operand.meta["val"].dtype is torch.bool for operand in mixed) and len(_roots(node)) == 1:
        return None
    converted = {operand: build(aten._to_copy.default, operand, dtype=torch.float32) for operand in mixed}
    return build(node.target, *(converted.get(argument, argument) for argument in node.args), **node.kwargs)


def _roots(node: Node) -> set[Node]:
    """The tensors whose elements an element of `node` is computed from, one of each."""
    roots, seen, left = set(), {node}, [node]
    while left:
        found = left.pop()
        if torch.Tag.pointwise not in getattr(found.target, "tags", ()):
            roots.add(found)
            continue
        left += [operand for operand in found.all_input_nodes if operand not in seen]
        seen.update(found.all_input_nodes)
    return roots


def _interpolate(build: Builder, node: Node) -> Node:
    """lerp as arithmetic: PyTorch's own decomposition copies strides (prims::copy_strided)."""
    start, end, weight = node.args
    times = aten.mul.Tensor if isinstance(weight, Node) else aten.mul.Scalar
    return build(aten.add.Tensor, start, build(times, build(aten.sub.Tensor, end, start), weight))


def _name_outputs(exported: ExportedProgram) -> None:
    """Bring the names in the signature up to date with the graph."""
    results = exported.graph.output_node().args[0]
    for result, spec in zip(results, exported.graph_signature.output_specs, strict=True):
        if isinstance(result, Node):
            spec.arg.name = result.name


def _reshape(build: Builder, node: Node) -> Node:
    return build(aten.reshape.default, *node.args)


def _gather_strided(build: Builder, node: Node) -> Node | None:
    """`as_strided` as what it reads: elements of the memory of the tensor that its operand is a view of."""
    size, stride, *rest = node.args[1:]
    base: Node = node.args[0]
    offset = rest[0] if rest and rest[0] is not None else base.meta["val"].storage_offset()
    while base.op == "call_function" and _is_view(base):
        base = base.args[0]
    strides = base.meta["val"].stride()
    order = sorted(range(len(strides)), key=lambda dimension: -strides[dimension])
    in_memory = base if order == list(range(len(order))) else build(aten.permute.default, base, order)
    flat = build.reshape(in_memory, (prod(shape(base)),))
    places = torch.zeros(size, dtype=torch.int64) + offset
    for dimension, (count, step) in enumerate(zip(size, stride, strict=True)):
        places += (torch.arange(count) * step).reshape(-1, *[1] * (len(size) - dimension - 1))
    places = places.flatten()
    if not torch.equal(places, torch.arange(len(places)) + offset):
        flat = build(aten.index_select.default, flat, 0, _indices(build, size, stride, offset))
    elif len(places) != prod(shape(base)):
        flat = build(aten.slice.Tensor, flat, 0, offset, offset + len(places))
    return build(aten.reshape.default, flat, list(size))


def _scatter_strided(build: Builder, node: Node) -> Node | None:
    """A write into `as_strided`, of a diagonal for one: elements put where they are in memory."""
    base, part, size, stride, *rest = node.args
    strides = base.meta["val"].stride()
    if list(strides) != sorted(strides, reverse=True):
        return None
    offset = rest[0] if rest and rest[0] is not None else 0
    places = _indices(build, size, stride, offset)
    flat = build.reshape(base, (prod(shape(base)),))
    put = build(aten.index_put.default, flat, [places], build.reshape(part, (prod(size),)))
    return build.reshape(put, shape(base))


def _filled(build: Builder, node: Node) -> Node:
    """A number in the place of every element."""
    return build(aten.full.default, list(shape(node)), node.args[1], dtype=node.meta["val"].dtype)


def _indices(build: Builder, size: list[int], stride: list[int], offset: int) -> Node:
    """Where the elements are in memory, as operators that constant folding evaluates."""
    index = build(aten.full.default, [1] * len(size), offset, dtype=torch.int64)
    for dimension, (count, step) in enumerate(zip(size, stride, strict=True)):
        along = build(aten.mul.Tensor, build(aten.arange.default, count), step)
        sizes = [1] * len(size)
        sizes[dimension] = count
        index = build(aten.add.Tensor, index, build.reshape(along, sizes))
    return build.reshape(index, (prod(size),))


def _copied(build: Builder, node: Node) -> Node:
    """What is copied, in the type and of the sizes of where it is copied to."""
    target, source = node.args[:2]
    if source.meta["val"].dtype != node.meta["val"].dtype:
        source = build(aten._to_copy.default, source, dtype=target.meta["val"].dtype)
    return build.expand(source, shape(target))


def _join_slice(build: Builder, node: Node) -> Node | None:
    """A tensor with a slice replaced: what is before, the slice, and what is behind."""
    whole, part = node.args[:2]
    dimension, start, end, step = (
        _argument(node, 2, "dim", 0),
        _argument(node, 3, "start", None),
        _argument(node, 4, "end", None),
        _argument(node, 5, "step", 1),
    )
    count = shape(whole)[dimension]
    first, last, _ = slice(start, end).indices(count)
    return _joined(build, whole, part, dimension, first, max(first, last)) if step == 1 else None


def _argument(node: Node, index: int, name: str, default: Any) -> Any:
    return node.args[index] if len(node.args) > index else node.kwargs.get(name, default)


def _join_selected(build: Builder, node: Node) -> Node:
    """A tensor with one index of a dimension replaced."""
    whole, part, dimension, index = node.args
    index %= shape(whole)[dimension]
    wide = build(aten.unsqueeze.default, part, dimension)
    return _joined(build, whole, wide, dimension, index, index + 1)


def _joined(build: Builder, whole: Node, part: Node, dimension: int, first: int, last: int) -> Node:
    count = shape(whole)[dimension]
    pieces = [part] if last > first else []
    if first > 0:
        pieces.insert(0, build(aten.slice.Tensor, whole, dimension, 0, first))
    if last < count:
        pieces.append(build(aten.slice.Tensor, whole, dimension, last, count))
    return pieces[0] if len(pieces) == 1 else build(aten.cat.default, pieces, dimension)


def _put_masked(build: Builder, node: Node) -> Node | None:
    """`x[mask] = number` as a choice of each element."""
    whole, indices, value, *accumulate = node.args
    mask = indices[0] if len(indices) == 1 else None
    is_number = value.meta["val"].numel() == 1 and not any(accumulate)
    if mask is None or not is_number or mask.meta["val"].dtype is not torch.bool:
        return None
    missing = len(shape(whole)) - len(shape(mask))
    wide = build.reshape(mask, (*shape(mask), *[1] * missing))
    return build(aten.where.self, wide, build.reshape(value, ()), whole)


def _dynamic(exported: ExportedProgram) -> list[Refusal]:
    """Operators whose results' sizes depend on data, and not only because their operands' do."""
    names = []
    for node in exported.graph.nodes:
        sized_before = any(is_symbolic(operand.meta.get("val")) for operand in node.all_input_nodes)
        if node.op == "call_function" and is_symbolic(node.meta.get("val")) and not sized_before:
            line = source_line(node)
            at = f" at {line}" if line else ""
            if isinstance(node.meta["val"], torch.Tensor | list | tuple):
                names.append((f"{node.target}{at}: the shape of its result depends on data", _SHAPE_HINT))
            else:
                names.append((f"{node.target}{at}: a number that depends on data", _ITEM_HINT))
    return names
