"""One function for each operator of a program: which kernel serves it, with which parameters."""

from mcu_build.plan.operators import (
    activation,
    convolution,
    elementwise,
    int4,
    int8_forms,
    int16,
    layout,
    matmul,
    pooling,
    portable,
    quantize,
    recurrent,
)

TABLES = (
    activation.SELECTORS,
    convolution.SELECTORS,
    elementwise.SELECTORS,
    int4.SELECTORS,
    int8_forms.SELECTORS,
    int16.SELECTORS,
    layout.SELECTORS,
    matmul.SELECTORS,
    pooling.SELECTORS,
    portable.SELECTORS,
    quantize.SELECTORS,
    recurrent.SELECTORS,
)
