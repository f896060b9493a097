"""The portable operators: what a program keeps of PyTorch's own beside quantized operators."""

from mcu_build.plan.operators import (
    portable_binary,
    portable_fill,
    portable_gather,
    portable_image,
    portable_matmul,
    portable_movement,
    portable_reduce,
    portable_scatter,
    portable_unary,
)
from mcu_build.plan.select import Selector

SELECTORS: dict[str, Selector] = {
    **portable_binary.SELECTORS,
    **portable_fill.SELECTORS,
    **portable_gather.SELECTORS,
    **portable_image.SELECTORS,
    **portable_matmul.SELECTORS,
    **portable_movement.SELECTORS,
    **portable_reduce.SELECTORS,
    **portable_scatter.SELECTORS,
    **portable_unary.SELECTORS,
}
