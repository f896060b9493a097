"""Grouped convolutions, some of whose groups are computed as one."""

import numpy as np
from numpy.typing import NDArray


def between_groups(weights: NDArray[np.int8], groups: int, joined: int) -> NDArray[np.int8]:
    """[outputs][rows][columns][depth] over the inputs of `joined` groups: [...][joined * depth]."""
    outputs, rows, columns, depth = weights.shape
    wide = np.zeros((outputs, rows, columns, joined, depth), np.int8)
    places = np.arange(outputs) // (outputs // groups) % joined
    wide[np.arange(outputs), :, :, places] = weights
    return wide.reshape(outputs, rows, columns, joined * depth)
