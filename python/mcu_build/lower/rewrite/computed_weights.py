"""Convolutions and linear layers whose weights an input decides: correlation, CondConv, hyper-networks.

An int8 layer needs its weights at build time, for the scale of each channel and for their order in memory. A
convolution with others stays in float; no NPU takes one.
"""

from torch.fx import Graph, Node

from mcu_build.lower.builder import aten

WHY = "its weights depend on an input"
_CONVOLUTIONS = frozenset(
    {
        aten.conv1d.default,
        aten.conv1d.padding,
        aten.conv2d.default,
        aten.conv2d.padding,
        aten.conv3d.default,
        aten.conv3d.padding,
        aten.conv_transpose1d.default,
        aten.conv_transpose2d.input,
        aten.conv_transpose3d.input,
        aten.convolution.default,
    }
)


def convolutions(graph: Graph) -> list[Node]:
    """Convolutions whose weights depend on an input of the model."""
    return _layers(graph, _CONVOLUTIONS)


def layers(graph: Graph) -> list[Node]:
    """The same with linear layers, which become int8 products of matrices on a core."""
    return _layers(graph, _CONVOLUTIONS | {aten.linear.default})


def _layers(graph: Graph, targets: frozenset[object]) -> list[Node]:
    computed: set[Node] = set()
    for node in graph.nodes:
        if node.op == "placeholder" or computed.intersection(node.all_input_nodes):
            computed.add(node)
    return [node for node in graph.nodes if node.target in targets and node.args[1] in computed]
