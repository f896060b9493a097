"""Names of weights that torch's graph modules have a use of their own for.

A part of a model may be called `code` or `graph`; torch.export takes it, and then makes a GraphModule, where
these are properties, that does not find the weights below them.
"""

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule


def free_names(exported: ExportedProgram) -> None:
    """Give every weight and constant below such a part another name, in place."""
    taken = set(dir(GraphModule({}, Graph()))) - set(dir(nn.Module()))
    renamed = {
        spec.target: f"{spec.target.partition('.')[0]}_of_model.{spec.target.partition('.')[2]}".rstrip(".")
        for spec in exported.graph_signature.input_specs
        if spec.target and spec.target.partition(".")[0] in taken
    }
    if not renamed:
        return
    signature = exported.graph_signature
    for spec in (*signature.input_specs, *signature.output_specs):
        spec.target = renamed.get(spec.target or "", spec.target)
    held: tuple[dict[str, torch.Tensor], ...] = (exported.state_dict, exported.constants)
    for tensors in held:
        for name in [name for name in tensors if name in renamed]:
            tensors[renamed[name]] = tensors.pop(name)
