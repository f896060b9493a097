"""One function for each operator of a program: which kernel serves it, with which parameters."""

from mcu_build.plan.operators import convolution, elementwise, layout, portable_movement, quantize

TABLES = (
    convolution.SELECTORS,
    elementwise.SELECTORS,
    layout.SELECTORS,
    portable_movement.SELECTORS,
    quantize.SELECTORS,
)
