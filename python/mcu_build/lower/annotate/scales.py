"""Which tensors share a scale, decided once their ranges are known: between calibration and conversion.

A mean is much smaller than what it averages, and class scores are much smaller than the boxes that they are
joined with: in one scale the smaller has few of 256 values. `annotate` lets each be observed by itself. Where
ranges are alike, a shared scale costs nothing in accuracy and saves arithmetic: they are united here.
"""

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any

from executorch.backends.arm.common.annotation_meta import ArmAnnotationInfo
from torch.fx import Graph, GraphModule, Node
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from mcu_build.lower.assigned import mark_boundary
from mcu_build.lower.builder import aten
from mcu_build.lower.rewrite.masked_softmax import ShareObserver
from mcu_build.lower.state_inputs import tied

# Up to this factor, means that are slow to requantize have the scale of what they average: those of padded
# windows, and of so few elements that there are many of them.
_MEAN = 2.0
_FEW = 4
# Likewise a part of an output that is joined: with scales of their own, parts are joined in float.
_PART = 4.0
_JOINED = "mcu_build_joined"


def joined_outputs(graph: Graph, moves: Callable[[Node], bool]) -> list[list[Node]]:
    """Concatenations that end in outputs of the model, through operators that only move elements, each with
    those behind it: in groups that hang together, in the order of the graph."""
    states = {result for _, result in tied(graph)}
    last: set[Node] = set()
    for node in reversed(graph.nodes):
        if moves(node) and node not in states and all(u.op == "output" or u in last for u in node.users):
            last.add(node)
    groups: list[list[Node]] = []
    for node in graph.nodes:
        before = [group for group in groups if any(operand in group for operand in node.all_input_nodes)]
        joins = node.target is aten.cat.default and len(set(node.all_input_nodes)) > 1
        if node in last and (joins or before):
            groups = [group for group in groups if group not in before]
            groups.append([*(member for group in before for member in group), node])
    return groups


def remember_joined(group: Iterable[Node]) -> None:
    """Note that the parts of a group of `joined_outputs` are observed each by itself."""
    members = list(group)
    for node in members:
        node.meta[_JOINED] = members[0].name


def settle_scales(prepared: GraphModule) -> None:
    """Unite scales where ranges are alike; where they are not, leave what joins outputs in float."""
    groups: dict[str, list[Node]] = {}
    for node in prepared.graph.nodes:
        if _JOINED in node.meta:
            groups.setdefault(node.meta[_JOINED], []).append(node)
    for group in groups.values():
        _settle_joined(prepared, group)
    for node in prepared.graph.nodes:
        if node.target is aten.avg_pool2d.default and _is_slow(node):
            _settle_mean(prepared, node)
    prepared.graph.lint()
    prepared.recompile()


def _settle_mean(prepared: GraphModule, node: Node) -> None:
    before, after = _observer(prepared, node.args[0]), _observer_behind(prepared, node)
    if before is None or after is None or before is after:
        return
    (low, high), (mean_low, mean_high) = _range(before), _range(after)
    # A mean that shares its scale with others may have a wider one.
    if low <= mean_low and mean_high <= high and _factor((before, after)) <= _MEAN:
        _replace(prepared, after, before)


def _is_slow(node: Node) -> bool:
    """Whether windows are small, or reach beyond the image by padding or ceil_mode."""
    window, padding = node.args[1], node.args[3] if len(node.args) > 3 else 0
    sizes = [window] * 2 if isinstance(window, int) else [window[0], window[-1]]
    return prod(sizes) <= _FEW or padding not in (0, [0], [0, 0]) or True in node.args[4:5]


def _settle_joined(prepared: GraphModule, group: Sequence[Node]) -> None:
    behind = [user for node in group for user in node.users if _observer(prepared, user) is not None]
    operands = dict.fromkeys(operand for node in group for operand in node.all_input_nodes)
    parts = [operand for operand in operands if operand not in group and operand not in behind]
    whole = _observer(prepared, behind[0])
    of_parts = [_observer(prepared, part) for part in parts]
    observers = list({id(observer): observer for observer in of_parts if observer is not None}.values())
    if _factor(observers) > _PART:
        _keep_apart(prepared, group, behind, parts)
    elif len(observers) == 1:
        _replace(prepared, whole, observers[0])
    else:
        for observer in observers:
            _replace(prepared, observer, whole)


def _keep_apart(
    prepared: GraphModule, group: Sequence[Node], behind: Sequence[Node], parts: Sequence[Node]
) -> None:
    """Join floats: each part behind the quantization that it has for other readers, if it has one."""
    for node in group:
        mark_boundary(node)
        # What executorch's passes fold quantization into.
        node.meta["custom"].pop(ArmAnnotationInfo.CUSTOM_META_KEY, None)
    for observer in behind:
        observer.replace_all_uses_with(observer.args[0])
        prepared.graph.erase_node(observer)
    for part in parts:
        source = part.args[0] if part.op == "call_module" else part
        annotation = source.meta.get(Q_ANNOTATION_KEY)
        if source is not part and (annotation is None or annotation.output_qspec is None):
            for node in group:
                node.replace_input_with(part, source)
            if not part.users:
                prepared.graph.erase_node(part)


def _observer(prepared: GraphModule, node: Node) -> Any:
    """The observer that a node of the prepared graph calls, None for any other node and for scales that a
    kernel has."""
    if node.op != "call_module":
        return None
    module = prepared.get_submodule(str(node.target))
    return module if hasattr(module, "min_val") and not isinstance(module, ShareObserver) else None


def _observer_behind(prepared: GraphModule, node: Node) -> Any:
    return next(
        (observer for user in node.users if (observer := _observer(prepared, user)) is not None), None
    )


def _range(observer: Any) -> tuple[float, float]:
    """What is quantized: it always holds zero."""
    return min(float(observer.min_val), 0.0), max(float(observer.max_val), 0.0)


def _factor(observers: Iterable[Any]) -> float:
    """How much wider the widest range is than the narrowest; ranges of nothing but zero are like any."""
    ranges = [_range(observer) for observer in observers]
    widths = [high - low for low, high in ranges if high > low]
    return max(widths) / min(widths) if widths else 1.0


def _replace(prepared: GraphModule, old: Any, new: Any) -> None:
    """Make all that is quantized as `old` says quantized as `new` says, biases derived from it included."""
    for name, module in list(prepared.named_modules(remove_duplicate=False)):
        if module is old:
            parent, _, attribute = name.rpartition(".")
            setattr(prepared.get_submodule(parent), attribute, new)
        elif sources := getattr(module, "obs_or_fqs", None):
            module.obs_or_fqs = [new if source is old else source for source in sources]
