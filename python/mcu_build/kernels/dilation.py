"""Windows with dilation as larger ones without, for kernels that read neighbours."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mcu_build.ir.calls.struct import Pair, Window


def filled(
    window: Window, weights: NDArray[np.int8], *, rows: bool = True
) -> tuple[Window, NDArray[np.int8]]:
    """The window, its weights [rows][columns][channels] with zeros between columns and, if `rows`, rows."""
    step = Pair(window.dilation.y if rows else 1, window.dilation.x)
    height, width, channels = weights.shape
    size = Pair((height - 1) * step.y + 1, (width - 1) * step.x + 1)
    wide = np.zeros((size.y, size.x, channels), np.int8)
    wide[:: step.y, :: step.x] = weights
    return replace(window, size=size, dilation=Pair(window.dilation.y // step.y, 1)), wide
