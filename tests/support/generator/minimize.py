"""Make a failing model small: what is left still fails, and no step of these makes it smaller."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.support.generator.models import Net, shapes, without_dead


def minimized(net: Net, fails: Callable[[Net], bool]) -> Net:
    """The smallest model found for which `fails` holds, as it does for `net`."""
    found = True
    while found:
        found = False
        for smaller in _smaller(net):
            if shapes(smaller) is not None and fails(smaller):
                net, found = smaller, True
                break
    return net


def _smaller(net: Net) -> Iterator[Net]:
    """Models with fewer outputs, nodes or inputs, those that are much smaller first."""
    first, known = len(net.inputs), shapes(net)
    if known is None:
        return
    total = first + len(net.nodes)
    for index in range(first, total):
        if net.outputs != (index,):
            made = without_dead(replace(net, outputs=(index,)))
            if len(made.nodes) < len(net.nodes) or len(made.outputs) < len(net.outputs):
                yield made
    for index in range(total - 2, first - 1, -1):
        yield without_dead(_from_input(net, index, known[index]))
    for index in range(first, total):
        for earlier in range(index):
            if known[earlier] == known[index]:
                yield without_dead(_instead(net, index, earlier))
                break


def _instead(net: Net, index: int, other: int) -> Net:
    """`other` wherever value `index` is read."""

    def told(value: int) -> int:
        return other if value == index else value

    nodes = tuple(replace(node, operands=tuple(map(told, node.operands))) for node in net.nodes)
    return replace(net, nodes=nodes, outputs=tuple(map(told, net.outputs)))


def _from_input(net: Net, index: int, shape: tuple[int, ...]) -> Net:
    """A further input in place of what computes value `index`."""
    first = len(net.inputs)

    def moved(value: int) -> int:
        return first if value == index else value + (value >= first)

    nodes = tuple(replace(node, operands=tuple(map(moved, node.operands))) for node in net.nodes)
    outputs = tuple(map(moved, net.outputs))
    return replace(net, inputs=(*net.inputs, shape), nodes=nodes, outputs=outputs)
