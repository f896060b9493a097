"""Constant folding: what no input decides is computed once, when the program is built.

Masks, positional encodings, anchors, weights made from other parameters (weight norm, spectral norm), numbers
read out of buffers with `.item()`. Each operator is evaluated once: the cost is that of running the constant
part of the model.
"""

import hashlib
from collections.abc import Collection, Iterator
from itertools import count
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import ExportGraphSignature, InputKind, InputSpec, TensorArgument
from torch.fx import Node

from mcu_build.lower.builder import inherit, run_fake

# Bytes up to which a constant is stored whole. A larger one that only repeats elements is stored without the
# repetitions.
_SMALL = 1024
_CONSTANT_KINDS = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)
_FILLS = frozenset(
    {"full", "zeros", "ones", "full_like", "zeros_like", "ones_like", "new_full", "new_zeros", "new_ones"}
)
# Memory that the model has not written: zeros, so that two builds give the same.
_UNSET = frozenset({"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"})
_WRITES_AT = frozenset({torch.ops.aten.index_put.default, torch.ops.aten._unsafe_index_put.default})


def fold_constants(
    exported: ExportedProgram, expand: Any = torch.ops.aten.expand.default, dequantize: bool = False
) -> ExportedProgram:
    """The same program with every operator that depends on no user input replaced by its result.

    Equal results are stored once. What only repeats elements of a constant (`expand`, `full`) is narrowed
    where its readers broadcast, and repeated by `expand` on the device where it is large. Left alone are
    random numbers, writes, what reads a buffer that the program writes, and quantize and dequantize, unless
    with `dequantize`: a quantized constant stays one.
    """
    known = evaluated(exported, dequantize)
    if all(node.op == "placeholder" for node in known):
        return exported
    return _Folding(exported, known, expand).run()


def evaluated(exported: ExportedProgram, dequantize: bool = False) -> dict[Node, Any]:
    """Every node that depends on no user input, with its value: a tensor, a number or several of them.

    With `dequantize` also what PT2E's quantize and dequantize make of constants.
    """
    known: dict[Node, Any] = dict(constants(exported))
    with torch.no_grad():
        for node in exported.graph.nodes:
            if node.op != "call_function" or not _is_pure(node, dequantize):
                continue
            if all(operand in known for operand in node.all_input_nodes):
                known[node] = _value(node, known)
            elif (like := _like(node)) is not None and set(node.all_input_nodes) <= {like, *known}:
                known[node] = _value(node, known | {like: _unset(like)})
            elif (size := _size(node)) is not None:
                known[node] = size
    return known


def _size(node: Node) -> int | None:
    """The size of a dimension, as an operator, where that is a number."""
    if node.target is not torch.ops.aten.sym_size.int:
        return None
    tensor, dimension = node.args
    size = tensor.meta["val"].shape[dimension]
    return size if isinstance(size, int) else None


def _like(node: Node) -> Node | None:
    """The operand of a fill that gives it nothing but shape and type, as for `ones_like`."""
    like = node.args[0] if is_fill(node) and node.args else None
    if not isinstance(like, Node) or is_symbolic(like.meta.get("val")):
        return None
    return like if like not in node.args[1:] else None


def _unset(node: Node) -> torch.Tensor:
    """Memory like a node's value."""
    value = node.meta["val"]
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)


def constants(exported: ExportedProgram) -> Iterator[tuple[Node, torch.Tensor]]:
    """Placeholders of parameters, of buffers that the program does not write, and of lifted constants."""
    signature = exported.graph_signature
    written = set(signature.buffers_to_mutate.values())
    nodes = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
    for spec in signature.input_specs:
        if spec.kind not in _CONSTANT_KINDS or spec.target in written:
            continue
        value = exported.state_dict.get(spec.target, exported.constants.get(spec.target))
        if isinstance(value, torch.Tensor):
            yield nodes[spec.arg.name], value.detach()


def _is_pure(node: Node, dequantize: bool) -> bool:
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        # getitem, and arithmetic of numbers that were read out of a tensor.
        return callable(node.target) and not isinstance(node.target, torch._ops.HigherOrderOperator)
    tags = getattr(node.target, "tags", ())
    if schema.is_mutable or torch.Tag.nondeterministic_seeded in tags:
        return False
    is_anew = schema.name == "torchao::dequantize_affine"  # frontend/rounded.py says so
    folds = is_anew or (dequantize and "quantized_decomposed" in schema.name)
    rounds = "quantize" in schema.name and not folds
    return bool(schema.returns) and not rounds


def _value(node: Node, known: dict[Node, Any]) -> Any:
    args, kwargs = torch.fx.map_arg((node.args, dict(node.kwargs)), lambda operand: known[operand])
    result = node.target(*args, **kwargs)
    if _base_name(node) in _UNSET:
        return result.zero_()
    if isinstance(result, torch.Tensor) and _base_name(node) in _FILLS and result.numel() > 1:
        return result.flatten()[0].expand(result.shape)
    return result


def _is_positioned(node: Node) -> bool:
    """Whether it reads or writes at indices. Flags for all of a tensor it writes to choose, and stay."""
    if node.target in _WRITES_AT:
        return len(node.args[1]) > 1
    return node.target is torch.ops.aten.index.Tensor


def is_fill(node: Node) -> bool:
    """Whether a node makes a tensor of one number, whatever it is like."""
    return node.op == "call_function" and _base_name(node) in _FILLS


def _base_name(node: Node) -> str:
    return str(getattr(node.target, "_schema", node.target)).split("(")[0].split("::")[-1].split(".")[0]


class _Folding:
    """One folding under way: the program, the known values, and the constants made so far."""

    def __init__(self, exported: ExportedProgram, known: dict[Node, Any], expand: Any) -> None:
        self.exported = exported
        self.known = known
        self.expand = expand
        self.mode = next(
            node.meta["val"].fake_mode
            for node in exported.graph.nodes
            if isinstance(node.meta.get("val"), torch.Tensor)
        )
        self.first = next(iter(exported.graph.nodes))
        self.made: dict[tuple[Any, ...], Node] = {}
        self.specs: list[InputSpec] = []
        self.constants = dict(exported.constants)
        self.stored_anyway = {
            value.untyped_storage().data_ptr()
            for node, value in known.items()
            if node.op == "placeholder" and any(user not in known for user in node.users)
        }

    def run(self) -> ExportedProgram:
        """Put constants in the places of known nodes; the program without what nothing reads any more."""
        graph = self.exported.graph
        for node in list(graph.nodes):
            if _is_check(node) and all(operand in self.known for operand in node.all_input_nodes):
                graph.erase_node(node)
            elif node not in self.known:
                if _is_positioned(node):
                    self._without_flags(node)
                for operand in node.all_input_nodes:
                    if operand in self.known and operand.op != "placeholder":
                        self._replace(node, operand)
        for node in reversed(list(graph.nodes)):
            if node in self.known and node.op != "placeholder" and not node.users:
                graph.erase_node(node)
        self._refresh()
        graph.lint()
        self.exported.graph_module.recompile()
        return self._rebuilt()

    def _without_flags(self, node: Node) -> None:
        """Known flags among indices as the positions where they are set."""
        indices: list[Any] = []
        for index in node.args[1]:
            value = self.known.get(index) if isinstance(index, Node) else None
            if isinstance(index, Node) and isinstance(value, torch.Tensor) and value.dtype is torch.bool:
                indices += [self._constant(index, places) for places in value.nonzero(as_tuple=True)]
            else:
                indices.append(index)
        node.update_arg(1, indices)

    def _replace(self, reader: Node, operand: Node) -> None:
        value = self.known[operand]
        if isinstance(value, torch.Tensor):
            if not self._is_stored_anyway(value):
                reader.replace_input_with(operand, self._constant_for(reader, operand, value))
        elif not isinstance(value, tuple | list):
            # A number out of a tensor: its readers take it as an argument of their own.
            def number(node: Node) -> Any:
                return value if node is operand else node

            reader.args = torch.fx.map_arg(reader.args, number)
            reader.kwargs = torch.fx.map_arg(reader.kwargs, number)

    def _is_stored_anyway(self, value: torch.Tensor) -> bool:
        """Whether it is a large view of a constant that is stored for others: an embedding's table."""
        return _nbytes(value) > _SMALL and value.untyped_storage().data_ptr() in self.stored_anyway

    def _constant_for(self, reader: Node, operand: Node, value: torch.Tensor) -> Node:
        repeated = [d for d in range(value.dim()) if value.stride(d) == 0 and value.shape[d] > 1]
        if not repeated or _nbytes(value) <= _SMALL:
            return self._constant(operand, value)
        narrow = value
        for dimension in repeated:
            narrow = narrow.narrow(dimension, 0, 1)
        constant = self._constant(operand, narrow)
        if _broadcasts(reader, operand):
            return constant
        with self.exported.graph.inserting_before(reader):
            wide = self.exported.graph.call_function(self.expand, (constant, list(value.shape)))
        inherit(wide, operand)
        wide.meta["val"] = run_fake(wide, self.mode)
        return wide

    def _constant(self, origin: Node, value: torch.Tensor) -> Node:
        """A placeholder that holds `value`; one for all that are equal."""
        # A copy: a view would keep, and save, the whole of what it is a part of.
        value = torch.empty(value.shape, dtype=value.dtype).copy_(value)
        digest = hashlib.sha256(value.reshape(-1).view(torch.uint8).numpy()).digest()
        key = (value.dtype, tuple(value.shape), digest)
        if key not in self.made:
            name = _unused_name(self.constants.keys() | self.exported.state_dict.keys())
            with self.exported.graph.inserting_before(self.first):
                node = self.exported.graph.placeholder(name)
            inherit(node, origin)
            self.constants[name] = value
            node.meta["val"] = self.mode.from_tensor(value, static_shapes=True)
            self.specs.append(InputSpec(InputKind.CONSTANT_TENSOR, TensorArgument(node.name), name, None))
            self.made[key] = node
        return self.made[key]

    def _refresh(self) -> None:
        """Sizes that were symbols until a constant gave them."""
        for node in self.exported.graph.nodes:
            if node.op == "call_function" and is_symbolic(node.meta.get("val")):
                node.meta["val"] = run_fake(node, self.mode)

    def _rebuilt(self) -> ExportedProgram:
        nodes = {node.name: node for node in self.exported.graph.nodes if node.op == "placeholder"}
        signature = self.exported.graph_signature
        specs = [*self.specs]
        for spec in signature.input_specs:
            node = nodes.get(spec.arg.name)
            if node is None:
                continue
            if spec.kind in _CONSTANT_KINDS and not node.users:
                self.exported.graph.erase_node(node)
            else:
                specs.append(spec)
        self.exported.graph_module.recompile()
        outputs = self.exported.graph.output_node().args[0]
        for result, output in zip(outputs, signature.output_specs, strict=True):
            if isinstance(result, Node):
                output.arg = TensorArgument(result.name)
        read = {spec.target for spec in specs}
        return self.exported._update(
            self.exported.graph_module,
            ExportGraphSignature(specs, signature.output_specs),
            state_dict={name: value for name, value in self.exported.state_dict.items() if name in read},
            constants={name: value for name, value in self.constants.items() if name in read},
        )


def _nbytes(value: torch.Tensor) -> int:
    return int(value.numel() * value.element_size())


def _unused_name(used: Collection[str]) -> str:
    """A name for one more constant: what an earlier folding made may have become a buffer since."""
    number = sum(name.startswith("_folded_") for name in used)
    return next(name for index in count(number) if (name := f"_folded_{index}") not in used)


def _is_check(node: Node) -> bool:
    """Whether it is an assertion of the exporter, or of the model."""
    return _base_name(node).startswith(("_assert", "sym_constrain_range"))


def _broadcasts(reader: Node, operand: Node) -> bool:
    """Whether `reader` gives the same for an `operand` that is repeated by broadcasting."""
    if torch.Tag.pointwise not in getattr(reader.target, "tags", ()):
        return False
    others = [node.meta["val"].shape for node in reader.all_input_nodes if node is not operand]
    return bool(others) and torch.broadcast_shapes(*others) == reader.meta["val"].shape


def is_symbolic(value: Any) -> bool:
    """Whether a node's value, or the shape of it, is not a number yet."""
    if isinstance(value, tuple | list):
        return any(is_symbolic(item) for item in value)
    if isinstance(value, torch.Tensor):
        return not all(isinstance(size, int) for size in value.shape)
    return isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool)
