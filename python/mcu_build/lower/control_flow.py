"""`torch.cond` without branches: both sides are computed, and the condition chooses each result.

A plan is a straight line of steps, so that memory and time are known at build time. The sides have no effects
but their results, so computing both changes no output; it costs the time of both.
"""

from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from mcu_build.lower.builder import Builder, aten, attribute, fake_mode, inherit, run_fake

_COND = torch.ops.higher_order.cond


def without_branches(exported: ExportedProgram) -> None:
    """Inline every `torch.cond` in place."""
    if any(node.target is _COND for node in exported.graph.nodes):
        _inline_all(exported.graph_module, fake_mode(exported.graph_module))
        exported.graph_module.delete_all_unused_submodules()
        exported.graph_module.recompile()


def _inline_all(model: GraphModule, mode: Any) -> None:
    for node in list(model.graph.nodes):
        if node.target is not _COND:
            continue
        condition, *names, operands = node.args
        build = Builder(model, mode, node)
        sides = []
        for name in names:
            side = attribute(model, name)
            _inline_all(side, mode)
            sides.append(_inlined(build, side, operands))
        flag = build.reshape(condition, ())
        chosen = [build(aten.where.self, flag, *pair) for pair in zip(*sides, strict=True)]
        if isinstance(node.meta["val"], torch.Tensor):
            node.replace_all_uses_with(chosen[0], propagate_meta=False)
        for user in list(node.users):
            user.replace_all_uses_with(chosen[user.args[1]], propagate_meta=False)
            model.graph.erase_node(user)
        model.graph.erase_node(node)
        for name in names:
            if not name.users:
                model.graph.erase_node(name)
    model.graph.lint()


def _inlined(build: Builder, side: GraphModule, operands: Any) -> list[Node]:
    """The results of one side, its nodes copied before the condition's."""
    given = iter(operands)
    copies: dict[Node, Node] = {}
    for node in side.graph.nodes:
        if node.op == "placeholder":
            copies[node] = next(given)
        elif node.op == "call_function":
            with build.model.graph.inserting_before(build.origin):
                made = build.model.graph.node_copy(node, copies.__getitem__)
            if "stack_trace" not in made.meta:
                inherit(made, build.origin)
            made.meta["val"] = run_fake(made, build.mode)
            copies[node] = made
    results = side.graph.output_node().args[0]
    return [copies[result] for result in (results if isinstance(results, tuple | list) else [results])]
