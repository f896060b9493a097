"""Convolutions: plain, depthwise, transposed."""

from dataclasses import dataclass

from mcu_build.errors import McuError
from mcu_build.ir.calls.convolution import (
    Conv2d,
    Conv2dParams,
    DepthwiseConv2d,
    DepthwiseConv2dParams,
    TransposeConv2d,
    TransposeConv2dParams,
)
from mcu_build.ir.calls.struct import ImageSize
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import (
    ImageSizes,
    contiguous,
    image,
    image_output,
    image_size,
    output_epilogue,
    window,
)
from mcu_build.plan.select import Call, Selector


@dataclass(frozen=True)
class _Operands:
    """Input, weights and output in the kernel's memory layout, and the sizes of the two images."""

    source: Tensor
    weights: Tensor
    target: Tensor
    source_size: ImageSizes
    target_size: ImageSizes

    @property
    def images(self) -> tuple[int, ImageSize, ImageSize]:
        """What every convolution's parameters begin with: batch, sizes of both images."""
        return self.source_size[0], image_size(self.source_size), image_size(self.target_size)


def quantized_conv2d(call: Call) -> None:
    """(input, weight OHWI, bias, stride, padding, dilation, input_offset, output_offset, multipliers, shifts,
    min, max, scratch, out).
    """
    operands = _operands(call)
    outputs, height, width, depth = operands.weights.shape
    channels = operands.source_size[3]
    groups = channels // depth
    if groups == 0 or channels % depth or outputs % groups or outputs != operands.target_size[3]:
        raise _misfit(call, operands)
    params = Conv2dParams(
        *operands.images,
        window((height, width), call.pair(3), call.pair(4), call.pair(5)),
        groups,
        call.integer(6),
        output_epilogue(call, 7, 10, 11),
    )
    call.append(Conv2d(params, *_tensors(call, operands, 8)))


def quantized_depthwise_conv2d(call: Call) -> None:
    """(input, weight 1HWO, bias, stride, padding, dilation, depth_multiplier, input_offset, output_offset,
    multipliers, shifts, min, max, scratch, out).
    """
    operands = _operands(call)
    batch, height, width, outputs = operands.weights.shape
    if batch != 1 or outputs % operands.source_size[3] or outputs != operands.target_size[3]:
        raise _misfit(call, operands)
    params = DepthwiseConv2dParams(
        *operands.images,
        window((height, width), call.pair(3), call.pair(4), call.pair(5)),
        call.integer(7),
        output_epilogue(call, 8, 11, 12),
    )
    call.append(DepthwiseConv2d(params, *_tensors(call, operands, 9)))


def quantized_transpose_conv2d(call: Call) -> None:
    """(input, weight OHWI, bias, stride, padding, output_padding, dilation, input_offset, output_offset,
    multipliers, shifts, min, max, scratch, scratch, out).
    """
    operands = _operands(call)
    outputs, height, width, depth = operands.weights.shape
    # The definition has no groups either: its weights would not fit torch's transposed convolution.
    if depth != operands.source_size[3] or outputs != operands.target_size[3]:
        raise _misfit(call, operands)
    params = TransposeConv2dParams(
        *operands.images,
        window((height, width), call.pair(3), call.pair(4), call.pair(6)),
        call.integer(7),
        output_epilogue(call, 8, 11, 12),
    )
    call.append(TransposeConv2d(params, *_tensors(call, operands, 9)))


def _operands(call: Call) -> _Operands:
    source, source_size = image(call, call.tensor(0))
    target, target_size = image_output(call)
    weights = contiguous(call, call.tensor(1))
    dtypes = [tensor.dtype.numpy_name for tensor in (source, weights, target)]
    if dtypes != ["int8"] * 3:
        raise call.refuse(f"no kernel for input, weights and output of {', '.join(dtypes)}")
    if len(weights.shape) != 4 or min(*weights.shape, *source_size, *target_size) < 1:
        raise call.refuse(f"weights {weights.shape} over an image of {source_size}")
    return _Operands(source, weights, target, source_size, target_size)


def _misfit(call: Call, operands: _Operands) -> McuError:
    channels, outputs = operands.source_size[3], operands.target_size[3]
    return call.refuse(f"weights {operands.weights.shape} do not take {channels} channels to {outputs}")


def _tensors(call: Call, operands: _Operands, multipliers: int) -> tuple[int, int, int | None, int, int, int]:
    """Input, weights, bias, multipliers (argument `multipliers`), shifts (the one behind) and output."""
    bias = call.optional_tensor(2)
    scales = [call.tensor(multipliers), call.tensor(multipliers + 1)]
    for tensor in (*scales, *([bias] if bias else [])):
        if tensor.dtype is not DType.I32 or tensor.elements != operands.target_size[3]:
            raise call.refuse(
                f"{tensor.elements} x {tensor.dtype.numpy_name} as bias, multipliers or shifts of "
                f"{operands.target_size[3]} channels"
            )
    ids = (operands.source.id, operands.weights.id, bias.id if bias else None)
    return (*ids, scales[0].id, scales[1].id, operands.target.id)


SELECTORS: dict[str, Selector] = {
    f"cortex_m::{name}{layout}.out": selector
    for name, selector in (
        ("quantized_conv2d", quantized_conv2d),
        ("quantized_depthwise_conv2d", quantized_depthwise_conv2d),
        ("quantized_transpose_conv2d", quantized_transpose_conv2d),
    )
    for layout in ("", "_nhwc")
}
