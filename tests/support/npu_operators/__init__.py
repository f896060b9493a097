"""Every operator that executorch's Arm back end delegates, as generated cases: random shapes and parameters.

The names are those of the tests in `executorch/backends/arm/test/ops`.
"""

from collections.abc import Sequence
from typing import Any

from tests.support.npu_modules import Built
from tests.support.npu_operators import arithmetic, layers, moves
from tests.support.npu_operators.draw import Draw

OPERATORS = dict(sorted((arithmetic.GENERATORS | moves.GENERATORS | layers.GENERATORS).items()))


# One of each way in which an NPU computes, for tests that are to be quick.
SAMPLE = (
    "conv2d depthwise_conv transpose_conv2d linear add mul minimum abs clamp leaky_relu sigmoid gelu softmax "
    "avg_pool2d max_pool2d mean sum amax upsample_nearest2d permute cat slice constant_pad_nd view"
)
# The same of what U85 alone takes.
SAMPLE_U85 = "where lt logical bitwise any flip repeat index_put upsample_bilinear2d masked_fill"

# What the partitioner keeps from U55 and U65, though it may take a part of what an operator is made of.
ONLY_U85 = frozenset(
    {"all", "any", "bitwise", "bitwise_not", "conv3d", "embedding", "eq", "flip", "gather", "ge", "gt", "le"}
    | {"index_copy", "index_put", "index_select", "index_tensor", "logical", "lt", "masked_fill", "ne"}
    | {"select_scatter", "sign", "tril", "upsample_bilinear2d", "where"}
)
# What it keeps from U85 too.
NOWHERE = frozenset(["argmax", "cond", "grid_sampler", "max_pool1d", "prod", "unfold_copy", "while"])


def is_delegated(name: str, column: str) -> bool:
    """Whether an operator runs on the NPUs of a column of the proof: "U55", "U65", "U85"."""
    return name not in NOWHERE and (column == "U85" or name not in ONLY_U85)


def build(names: str, seed: int, limit: int | None = None) -> Built:
    """One module of the operators in `names` (separated by spaces), drawn from `seed`.

    `limit` is the number of branches that each has at most.
    """
    inputs: list[Any] = []
    parts: list[tuple[Any, int, int]] = []
    for name in names.split():
        module, own = OPERATORS[name](Draw(f"{name} {seed}"))
        parts.append((module, len(inputs), len(own)))
        inputs += own
    return (parts[0][0] if len(parts) == 1 else _joined(parts, limit)), tuple(inputs)


def _joined(parts: Sequence[tuple[Any, int, int]], limit: int | None) -> Any:
    import torch

    class Joined(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleList(module for module, _, _ in parts)

        def forward(self, *tensors: Any) -> Any:
            found: tuple[Any, ...] = ()
            for module, (_, first, count) in zip(self.parts, parts, strict=True):
                found += module(*tensors[first : first + count])[:limit]
            return found

    return Joined()
