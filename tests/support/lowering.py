"""Take a small model through quantize, lower and evaluate, and say how it went."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mcu_build.frontend import precision
from mcu_build.frontend.quantize import quantize
from mcu_build.ir.program import Program, parse
from mcu_build.lower.cortex_m import Lowered, finish, to_cortex_m
from mcu_build.lower.upstream.quiet import quiet
from mcu_build.oracle.reference import evaluate

Inputs = tuple[torch.Tensor, ...]


class Function(nn.Module):
    """A plain function as a model, with optional submodules by name."""

    def __init__(self, function: Callable[..., Any], **modules: Any) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            if isinstance(module, torch.Tensor):
                self.register_buffer(name, module)
            else:
                setattr(self, name, module)

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(self, *inputs)


@dataclass(frozen=True)
class Outcome:
    """What came of a model for `inputs`: outputs of the program, of the same graph in PyTorch (None where
    torch has no integer kernel for an operator), and of the float model."""

    lowered: Lowered
    program: Program
    inputs: list[np.ndarray]
    evaluated: list[np.ndarray]
    in_torch: list[np.ndarray] | None
    in_float: list[np.ndarray]

    @property
    def float_operators(self) -> list[str]:
        """Operators left in float."""
        return [row.operator for row in self.lowered.operators if row.where == "float"]

    @property
    def relative_error(self) -> float:
        """Largest mean absolute difference from the float model, as a share of the output's range."""
        pairs = zip(self.evaluated, self.in_float, strict=True)
        return max(float(np.abs(a - b).mean() / float(np.abs(b).max())) for a, b in pairs)


def arrays(result: Any) -> list[np.ndarray]:
    """Outputs of a module as a list of arrays."""
    results = torch.utils._pytree.tree_leaves(result)
    return [tensor.detach().contiguous().numpy() for tensor in results]


def take(
    model: nn.Module,
    example: Sequence[torch.Tensor],
    core: str = "cortex-m4",
    items: int = 8,
    wishes: Mapping[str, str] | None = None,
) -> Outcome:
    """Quantize with `items` random inputs like `example`, lower for `core`, evaluate on a further one.

    `wishes` are `precision` of a model file.
    """
    generator = torch.Generator().manual_seed(7)
    draws = [tuple(_like(tensor, generator) for tensor in example) for _ in range(items)]
    model = model.eval()
    with quiet():
        exported = torch.export.export(model, tuple(example))
    precision.apply(exported, wishes or {}, Path("model.py"))
    quantized = quantize(exported, draws)
    graph = to_cortex_m(quantized, core)
    inputs = draws[-1]
    with quiet(), torch.no_grad():
        try:
            in_torch = arrays(graph.module(check_guards=False)(*inputs))
        except NotImplementedError:
            in_torch = None
    lowered = finish(graph)
    program = parse(lowered.pte)
    given = [tensor.numpy() for tensor in inputs]
    return Outcome(
        lowered,
        program,
        given,
        evaluate(program, given),
        in_torch,
        arrays(model(*inputs)),
    )


def _like(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    if not tensor.dtype.is_floating_point:
        return torch.randint(0, 8, tensor.shape, generator=generator).to(tensor.dtype)
    drawn = torch.randn(tensor.shape, generator=generator)
    return drawn.to(memory_format=torch.channels_last) if tensor.dim() == 4 else drawn
