"""What pools of several cores share."""

from dataclasses import replace
from typing import TypeVar

from mcu_build.ir.calls.pooling import AvgPool2dParams, MaxPool2dParams
from mcu_build.ir.calls.struct import ImageSize

MOST_PIXELS = 255  # of which a sum of int8 fits 16 bits

P = TypeVar("P", AvgPool2dParams, MaxPool2dParams)


def columns_as_channels(params: P) -> P:
    """The same with columns that no window joins as channels."""
    window = params.window
    if (window.size.x, window.stride.x, window.padding.x) != (1, 1, 0):
        return params
    return replace(params, input=_joined(params.input), output=_joined(params.output))


def _joined(image: ImageSize) -> ImageSize:
    return ImageSize(image.height, 1, image.row)
