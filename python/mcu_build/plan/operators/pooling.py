"""Average and maximum of windows over images."""

from mcu_build.ir.calls.pooling import AvgPool2d, AvgPool2dParams, MaxPool2d, MaxPool2dParams
from mcu_build.ir.calls.struct import ImageSize, Window
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import image, image_output, image_size, window
from mcu_build.plan.select import Call, Selector


def quantized_avg_pool2d(call: Call) -> None:
    """(input, kernel_size, stride, padding, ceil_mode, zero_point, multiplier, shift, scratch, out).

    ceil_mode shows in the output's size alone. Input and output share their quantization, which cancels.
    """
    source, output, images = _images(call)
    call.append(AvgPool2d(AvgPool2dParams(*images), source.id, output.id))


def quantized_max_pool2d(call: Call) -> None:
    """(input, kernel_size, stride, padding, dilation, ceil_mode, input zero point, output zero point, min,
    max, out).
    """
    source, output, images = _images(call)
    if call.pair(4) != (1, 1) or call.integer(5):
        raise call.refuse("no dilation and no ceil_mode: the operator's definition has neither")
    if call.integer(6) != call.integer(7):
        raise call.refuse(f"zero points {call.integer(6)} and {call.integer(7)} differ")
    params = MaxPool2dParams(*images, call.integer(8), call.integer(9))
    call.append(MaxPool2d(params, source.id, output.id))


def max_pool2d(call: Call) -> None:
    """(input, kernel_size, stride, padding, out): with ceil_mode, which shows in the output's size alone."""
    source, output, images = _images(call)
    call.append(MaxPool2d(MaxPool2dParams(*images, -128, 127), source.id, output.id))


def _images(call: Call) -> tuple[Tensor, Tensor, tuple[int, ImageSize, ImageSize, Window]]:
    """Input, output, and what all pooling kernels take: batch, sizes of both images, window."""
    source, source_size = image(call, call.tensor(0))
    output, output_size = image_output(call)
    if source.dtype is not DType.I8 or output.dtype is not DType.I8:
        raise call.refuse(f"pooling {source.dtype.numpy_name} into {output.dtype.numpy_name}")
    moved = window(call.pair(1), call.pair(2), call.pair(3))
    return source, output, (source_size[0], image_size(source_size), image_size(output_size), moved)


_QUANTIZED: dict[str, Selector] = {
    "quantized_avg_pool2d": quantized_avg_pool2d,
    "quantized_max_pool2d": quantized_max_pool2d,
}
SELECTORS: dict[str, Selector] = {
    **{
        f"cortex_m::{name}{layout}.out": selector
        for name, selector in _QUANTIZED.items()
        for layout in ("", "_nhwc")
    },
    "mcu_build::max_pool2d.out": max_pool2d,
}
