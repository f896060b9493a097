"""Where Vela 5.1 compiles wrong streams without a word, or none: what is kept from it, what it is given in
parts, what in another form. And what executorch 1.5.1 makes of a graph that it gives to Vela.

tests/host/npu/test_vela_defects.py holds each of these to Vela: it fails when Vela has been mended.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any

import torch
from executorch.backends.arm.constants import DQ_OPS, Q_OPS
from executorch.backends.arm.tosa.specification import TosaSpecification
from executorch.exir.dialects._ops import ops
from torch.fx import Graph, Node
from torch.fx.passes.operator_support import OperatorSupportBase

from mcu_build.lower.upstream.replaced import replaced

_TAG = "delegation_tag"
_BOUNDARIES = (*Q_OPS, *DQ_OPS)
_LINEAR = (ops.edge.aten.linear.default, ops.edge.aten.addmm.default, ops.edge.aten.mm.default)
# What a partition needs more than, lest nothing is left of it.
_VIEWS = (
    *_BOUNDARIES,
    ops.edge.aten.view_copy.default,
    ops.edge.aten.squeeze_copy.dims,
    ops.edge.aten.unsqueeze_copy.default,
    ops.edge.dim_order_ops._clone_dim_order.default,
)


class Guard(OperatorSupportBase):  # type: ignore[misc]
    """Refuses operators that come out wrong; `reasons` says which, and why."""

    def __init__(self, specification: TosaSpecification) -> None:
        self._is_u55 = specification.is_U55_subset
        self.reasons: dict[Node, str] = {}

    def is_node_supported(self, submodules: Mapping[str, torch.nn.Module], node: Node) -> bool:
        """Whether Vela compiles the operator right."""
        del submodules
        why = _wrong(node, self._is_u55)
        if why:
            self.reasons[node] = f"Vela 5.1 compiles it wrong: {why}"
        return not why


def _wrong(node: Node, is_u55: bool) -> str:
    if node.target == ops.edge.aten.convolution.default and _is_shifted(node):
        return "depthwise with several outputs a channel, padding, and a vertical stride above 2"
    keeps = len(node.args) > 2 and node.args[2]
    if node.target == ops.edge.aten.amin.default and is_u55 and not keeps:
        return "amin without keepdim"
    return ""


def _is_shifted(convolution: Node) -> bool:
    """Vela moves the padding of these to other sides of the image."""
    (_, weights, _, stride, padding, _, transposed, _, groups) = convolution.args
    outputs, per_group = _shape(weights)[:2]
    is_depthwise = groups > 1 and per_group == 1 and not transposed
    return is_depthwise and outputs > groups and stride[0] > 2 and any(padding)


def cut_partitions(graph: Graph, tags: Iterable[str]) -> set[str]:
    """Divide partitions of `graph` so that Vela compiles each part right. Returns all tags.

    A tensor of three dimensions or more that leaves a partition and is read in it, too: between two changes
    of layout, which cancel out, Vela loses the output. A linear layer of 16 bits over several rows behind
    another: it reads its input in another shape. Both are right where they begin or end a delegate.
    """
    _end_in_integers(graph)
    numbers = count()
    cut: set[str] = set()
    waiting = list(tags)
    while waiting:
        tag = waiting.pop()
        nodes = _tagged(graph, tag)
        place = next((index for index, node in enumerate(nodes) if _ends_here(node, tag)), None)
        if place is None:
            if _computes(nodes):
                cut.add(tag)
            else:
                _untag(nodes)
            continue
        rest = f"{tag}.{next(numbers)}"
        _retag(nodes[place + 1 :], rest)
        # Constants and inputs are made ready where they are read.
        _retag([node for node in nodes[: place + 1] if node.target in DQ_OPS and _only_for(node, rest)], rest)
        waiting += [tag, rest]
    _end_in_integers(graph)
    return cut


def _end_in_integers(graph: Graph) -> None:
    """Put what quantizes a result of a partition into it: Vela's result is an integer, whoever reads it.

    The partitioner may leave it to the partition that reads it, and then to the core, as the first of that.
    """
    for node in graph.nodes:
        if node.target in Q_OPS and (tag := node.all_input_nodes[0].meta.get(_TAG)):
            node.meta[_TAG] = tag


@contextlib.contextmanager
def mended_passes() -> Iterator[None]:
    """Lower inside the block with executorch's passes for Ethos-U as they should be."""
    with one_result_of_convolutions(), twins_kept_apart(), clamps_that_clamp():
        yield


@contextlib.contextmanager
def clamps_that_clamp() -> Iterator[None]:
    """Fuse a ReLU into the layer before it only where the least integer stands for 0.

    Executorch 1.5.1 counts on the range of the integers to cut off what is below 0. Where the result shares
    its scale with values below 0, as in a concatenation, they pass.
    """
    from executorch.backends.arm._passes.fuse_quantized_activation_pass import FuseQuantizedActivationPass
    from executorch.backends.arm._passes.quant_args import QuantArgs

    original = FuseQuantizedActivationPass._is_fuseable_quantized_activation

    def fuses(node: Node) -> bool:
        if not original(node):
            return False
        quantize = next(iter(node.users))
        given = QuantArgs.from_operator(quantize.target, quantize.args)
        return bool(given.zp == given.qmin)

    with replaced(FuseQuantizedActivationPass, "_is_fuseable_quantized_activation", staticmethod(fuses)):
        yield


@contextlib.contextmanager
def twins_kept_apart() -> Iterator[None]:
    """Merge equal operators of one operand only where their results have one quantization, too.

    Executorch 1.5.1 takes `tanh(x)` that is written twice for one, with the scale of the first.
    """
    from executorch.backends.transforms.fuse_duplicate_users_pass import FuseDuplicateUsersPass

    original = FuseDuplicateUsersPass._build_user_signature

    def sign(self: Any, node: Node) -> Any:
        signature = original(self, node)
        quantization = repr([node.meta.get(key) for key in ("input_qparams", "output_qparams")])
        return None if signature is None else (*signature, quantization)

    with replaced(FuseDuplicateUsersPass, "_build_user_signature", sign):
        yield


@contextlib.contextmanager
def one_result_of_convolutions() -> Iterator[None]:
    """Give what reads a convolution of 16 bits its 16 bits, unless all of it is read as 32.

    Executorch 1.5.1 takes each 32-bit operand, of an addition for instance, from the 48 bits of the sums
    instead. Where the convolution is read twice, by a residual connection and by the next layer, Vela then
    refuses it for U55 and U65, and takes several times the cycles on U85.
    """
    from executorch.backends.arm._passes.rewrite_conv_pass import RewriteConvPass

    original = RewriteConvPass._insert_a16w8_output_branches

    def insert(self: Any, module: Any, convolution: Node, *rest: Any) -> None:
        if _is_read_once(convolution):
            original(self, module, convolution, *rest)

    with replaced(RewriteConvPass, "_insert_a16w8_output_branches", insert):
        yield


def _is_read_once(convolution: Node) -> bool:
    """Whether one node reads it, and, if that moves elements only, all that read those read 32 bits."""
    if len(convolution.users) != 1:
        return False
    (user,) = convolution.users
    readers = user.users if user.target == ops.edge.aten.permute_copy.default else [user]
    return all(
        reader.target == ops.backend.tosa.RESCALE.default and reader.args[1] is torch.int32
        for reader in readers
    )


def _tagged(graph: Graph, tag: str) -> list[Node]:
    return [node for node in graph.nodes if node.meta.get(_TAG) == tag]


def _retag(nodes: Iterable[Node], tag: str) -> None:
    for node in nodes:
        node.meta[_TAG] = tag


def _untag(nodes: Iterable[Node]) -> None:
    for node in nodes:
        del node.meta[_TAG]


def _computes(nodes: Iterable[Node]) -> bool:
    return any(node.target not in _VIEWS for node in nodes)


def _only_for(node: Node, tag: str) -> bool:
    return all(user.meta.get(_TAG) == tag for user in node.users)


def _ends_here(node: Node, tag: str) -> bool:
    """Whether a part of the partition must end behind the node."""
    inside = [user for user in node.users if user.meta.get(_TAG) == tag]
    if not inside or node.target not in Q_OPS:
        return False
    leaves = len(inside) < len(node.users) and len(_shape(node)) > 2
    return leaves or (
        _is_wide(node) and any(_is_behind_linear(node, reader, tag) for reader in _readers(inside))
    )


def _is_wide(node: Node) -> bool:
    return bool(node.meta["val"].dtype == torch.int16)


def _readers(values: Iterable[Node]) -> Iterator[Node]:
    for value in values:
        yield from value.users


def _is_behind_linear(written: Node, reader: Node, tag: str) -> bool:
    """Whether `reader` is a linear layer over several rows, and what it reads comes from another one."""
    if reader.target not in _LINEAR or _rows(reader) < 2:
        return False
    waiting, seen = [written], set[Node]()
    while waiting:
        node = waiting.pop()
        if node in seen or node.meta.get(_TAG) != tag:
            continue
        if node.target in _LINEAR:
            return True
        seen.add(node)
        waiting += node.all_input_nodes
    return False


def _rows(linear: Node) -> int:
    shape = _shape(linear)
    return int(torch.Size(shape[:-1]).numel())


def _shape(node: Any) -> tuple[int, ...]:
    return tuple(node.meta["val"].shape)
