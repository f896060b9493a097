"""Numbers as C and C++ write them."""

import math

import numpy as np


def float_literal(value: float) -> str:
    """A float32 literal: the shortest that reads back as the same bits."""
    with np.errstate(over="ignore"):
        rounded = np.float32(value)
    if math.isnan(rounded):
        return '__builtin_nanf("")'
    if math.isinf(rounded):
        return "__builtin_inff()" if rounded > 0 else "-__builtin_inff()"
    positional = 1e-4 <= abs(rounded) < 1e7 or rounded == 0
    render = np.format_float_positional if positional else np.format_float_scientific
    return f"{render(rounded, unique=True, trim='0')}f"
