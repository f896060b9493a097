"""Which inputs of a graph are state, recognized by their names (frontend/state.py gives them)."""

from torch.fx import Graph, Node

PREFIX = "mcu_state_"


def tied(graph: Graph) -> list[tuple[Node, Node]]:
    """The inputs of a graph that are state, each with its new value among the outputs."""
    inputs = [node for node in graph.nodes if node.op == "placeholder" and node.name.startswith(PREFIX)]
    results = graph.output_node().args[0]
    return list(zip(inputs, results[len(results) - len(inputs) :], strict=True)) if inputs else []
