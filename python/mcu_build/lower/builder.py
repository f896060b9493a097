"""Write nodes into a float graph: every new node has a value (a fake tensor) and the line of an old one."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import GraphModule, Node

from mcu_build.lower.rewrite.recurrent_shapes import LAYERS, results_of_layer

aten = torch.ops.aten

_KEPT_META = ("stack_trace", "nn_module_stack", "custom")


def attribute(model: torch.nn.Module, node: Node) -> Any:
    """What a get_attr node stands for."""
    value: Any = model
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value


def fake_mode(model: GraphModule) -> Any:
    """The mode that the graph's fake tensors belong to."""
    values = (node.meta.get("val") for node in model.graph.nodes)
    return next(value.fake_mode for value in values if isinstance(value, torch.Tensor))


def run_fake(node: Node, mode: Any) -> Any:
    """The value of `node` as a fake tensor, from those of its operands."""
    with mode:
        args, kwargs = torch.fx.map_arg((node.args, dict(node.kwargs)), lambda operand: operand.meta["val"])
        if node.target in LAYERS:
            return results_of_layer(*args)
        return node.target(*args, **kwargs)


def shape(node: Node) -> tuple[int, ...]:
    """The shape of a node's tensor."""
    return tuple(node.meta["val"].shape)


def argument(node: Node, index: int, name: str, default: Any = None) -> Any:
    """An argument of a call, wherever it stands."""
    return node.args[index] if len(node.args) > index else node.kwargs.get(name, default)


def inherit(node: Node, origin: Node) -> None:
    """Give `node` the place of `origin` in the user's model."""
    node.meta.update({key: origin.meta[key] for key in _KEPT_META if key in origin.meta})
    if "custom" in node.meta:
        # Of its own: executorch writes into it whether the node is quantized.
        node.meta["custom"] = dict(node.meta["custom"])


def in_order_of(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The same values in the memory layout of another tensor."""
    order = sorted(range(tensor.dim()), key=lambda d: (-like.stride(d), d))
    strides, step = [0] * tensor.dim(), 1
    for dimension in reversed(order):
        strides[dimension] = step
        step *= tensor.shape[dimension]
    return tensor.new_empty_strided(tuple(tensor.shape), tuple(strides)).copy_(tensor)


class Builder:
    """Inserts nodes before `origin`, on behalf of it."""

    def __init__(self, model: GraphModule, mode: Any, origin: Node) -> None:
        self.model = model
        self.mode = mode
        self.origin = origin

    def __call__(self, target: Any, *args: Any, **kwargs: Any) -> Node:
        """A call of `target`."""
        with self.model.graph.inserting_before(self.origin):
            node = self.model.graph.call_function(target, args, kwargs)
        inherit(node, self.origin)
        node.meta["val"] = run_fake(node, self.mode)
        return node

    def constant(self, tensor: torch.Tensor) -> Node:
        """A new constant of the model."""
        index = len(self.model._buffers)
        while hasattr(self.model, f"_rewritten_{index}"):
            index += 1
        name = f"_rewritten_{index}"
        self.model.register_buffer(name, tensor.detach().clone().contiguous())
        with self.model.graph.inserting_before(self.origin):
            node = self.model.graph.get_attr(name)
        inherit(node, self.origin)
        node.meta["val"] = self.mode.from_tensor(getattr(self.model, name), static_shapes=True)
        return node

    def value_of(self, node: Any) -> torch.Tensor | None:
        """The tensor of a constant, None for anything that is computed."""
        if not isinstance(node, Node) or node.op != "get_attr":
            return None
        value = attribute(self.model, node)
        return value.detach() if isinstance(value, torch.Tensor) else None

    def reshape(self, node: Node, sizes: Sequence[int]) -> Node:
        """`node` with other sizes, itself where it has them."""
        return node if shape(node) == tuple(sizes) else self(aten.reshape.default, node, list(sizes))

    def expand(self, node: Node, sizes: Sequence[int]) -> Node:
        """`node` repeated to `sizes`, itself where it has them."""
        missing = len(sizes) - len(shape(node))
        wide = self.reshape(node, (1,) * missing + shape(node))
        return wide if shape(wide) == tuple(sizes) else self(aten.expand.default, wide, list(sizes))
