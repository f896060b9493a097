"""Which operators of a float program make and read a value: what has to change for it to get more bits."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.fx import Node

LAYERS = ("conv1d", "conv2d", "conv3d", "linear", "conv_transpose1d", "conv_transpose2d")


def touching(node: "Node") -> "Iterator[frozenset[Node]]":
    """The operators that make or read what `node` makes; then with those of what it reads, too: what an
    operator loses alone comes from there where it cancels most of its operands.
    """
    made = _around(node)
    yield made
    yield made.union(*(_around(operand) for operand in node.all_input_nodes if _is_operator(operand)))


def kind(node: "Node") -> str:
    """'conv2d' of aten.conv2d.default."""
    return str(node.target).removeprefix("aten.").partition(".")[0]


def _around(node: "Node") -> "frozenset[Node]":
    return frozenset({node, *_makers(node), *_readers(node)})


def _makers(node: "Node") -> "Iterator[Node]":
    """Back to what computes from several tensors or from weights, this included."""
    while not _computes(node) and node.all_input_nodes and _is_operator(node.all_input_nodes[0]):
        node = node.all_input_nodes[0]
        yield node


def _readers(node: "Node") -> "Iterator[Node]":
    """On to those that compute from several tensors or from weights, these included."""
    queue = list(node.users)
    while queue:
        reader = queue.pop()
        if _is_operator(reader):
            yield reader
            if not _computes(reader):
                queue.extend(reader.users)


def _computes(node: "Node") -> bool:
    return kind(node) in LAYERS or sum(map(_is_operator, node.all_input_nodes)) > 1


def _is_operator(node: "Node") -> bool:
    return bool(node.op == "call_function")
