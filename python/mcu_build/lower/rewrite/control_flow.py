"""`torch.cond` without branches, `scan` without its loop, `enable_grad` without its body.

A plan is a straight line of steps, so that memory and time are known at build time. Both sides of a condition
are computed, and it chooses each result: the sides have no effects but their results, so that changes no
output; it costs the time of both. A scan has as many turns as its inputs have elements: each is written out.
Firmware has no gradients: what computes with them, or without, is computed as the rest.
"""

from typing import Any

import torch
from torch._higher_order_ops.wrap import wrap_with_set_grad_enabled
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from mcu_build.lower.builder import Builder, aten, attribute, fake_mode, inherit, run_fake

_COND, _SCAN = torch.ops.higher_order.cond, torch.ops.higher_order.scan
_WITH_BODY = (_COND, _SCAN, wrap_with_set_grad_enabled)


def without_branches(exported: ExportedProgram) -> None:
    """Inline every body of another graph in place."""
    if any(node.target in _WITH_BODY for node in exported.graph.nodes):
        _inline_all(exported.graph_module, fake_mode(exported.graph_module))
        exported.graph_module.delete_all_unused_submodules()
        exported.graph_module.recompile()


def _inline_all(model: GraphModule, mode: Any) -> None:
    for node in list(model.graph.nodes):
        if node.target not in _WITH_BODY:
            continue
        build = Builder(model, mode, node)
        names = [operand for operand in node.all_input_nodes if operand.op == "get_attr"]
        results = _results(build, node)
        if isinstance(node.meta["val"], torch.Tensor):
            node.replace_all_uses_with(results[0], propagate_meta=False)
        for user in list(node.users):
            user.replace_all_uses_with(results[user.args[1]], propagate_meta=False)
            model.graph.erase_node(user)
        model.graph.erase_node(node)
        for name in names:
            if not name.users:
                model.graph.erase_node(name)
    model.graph.lint()


def _results(build: Builder, node: Node) -> list[Node]:
    if node.target is _COND:
        return _chosen(build, node)
    if node.target is _SCAN:
        return _written_out(build, node)
    _enabled, name, *operands = node.args
    return _inlined(build, _body(build, name), operands)


def _chosen(build: Builder, node: Node) -> list[Node]:
    """The results of the side that the condition takes."""
    condition, *names, operands = node.args
    assert isinstance(condition, Node)
    sides = [_inlined(build, _body(build, name), operands) for name in names]
    flag = build.reshape(condition, ())
    return [build(aten.where.self, flag, *pair) for pair in zip(*sides, strict=True)]


def _written_out(build: Builder, node: Node) -> list[Node]:
    """What a scan carries in the end, then its results of all turns, one after the other."""
    name, first, sequences, others = node.args
    body, carried = _body(build, name), list(first)
    turns: list[list[Node]] = []
    for turn in range(sequences[0].meta["val"].shape[0]):
        elements = [build(aten.select.int, sequence, 0, turn) for sequence in sequences]
        results = _inlined(build, body, (*carried, *elements, *others))
        carried = results[: len(carried)]
        turns.append(results[len(carried) :])
    return [*carried, *(build(aten.stack.default, list(results)) for results in zip(*turns, strict=True))]


def _body(build: Builder, name: Any) -> GraphModule:
    side: GraphModule = attribute(build.model, name)
    _inline_all(side, build.mode)
    return side


def _inlined(build: Builder, side: GraphModule, operands: Any) -> list[Node]:
    """The results of one side, its nodes copied before the condition's."""
    remaining = iter(operands)
    copies: dict[Node, Node] = {}
    for node in side.graph.nodes:
        if node.op == "placeholder":
            copies[node] = next(remaining)
        elif node.op == "call_function":
            with build.model.graph.inserting_before(build.origin):
                made = build.model.graph.node_copy(node, copies.__getitem__)
            if "stack_trace" not in made.meta:
                inherit(made, build.origin)
            made.meta["val"] = run_fake(made, build.mode)
            copies[node] = made
    results = side.graph.output_node().args[0]
    return [copies[result] for result in (results if isinstance(results, tuple | list) else [results])]
