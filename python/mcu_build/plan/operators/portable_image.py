"""Operators on images of plain numbers, in any memory layout: convolution, pooling, change of size."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mcu_build.ir.calls.images import Upsample, UpsampleParams
from mcu_build.ir.calls.portable import (
    AdaptivePoolParams,
    ConvF32Params,
    GridSampleParams,
    PlanePoolParams,
    Planes,
    ResizeParams,
)
from mcu_build.ir.calls.struct import ImageSize, Pair
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import contiguous, model_strides
from mcu_build.plan.operators.portable_fourier import as_stft
from mcu_build.plan.operators.portable_movement import SUFFIX
from mcu_build.plan.select import Call, Selector

_POOLED = (DType.I8, DType.F32)
_RESIZED = (DType.U8, DType.I8, DType.I16, DType.F32)


def _planes(call: Call, tensor: Tensor, spatial: int = 2) -> Planes:
    """The planes of [N, C, ...] with one, two or three spatial dimensions; N may be missing."""
    shape, strides = tensor.model_shape, model_strides(tensor)
    if len(shape) == spatial + 1:
        shape, strides = (1, *shape), (0, *strides)
    if len(shape) != spatial + 2:
        raise call.refuse(f"{tensor.name} has shape {tensor.model_shape}")
    shape = (*shape[:2], *_axes(shape[2:], 1, spatial))
    strides = (*strides[:2], *_axes(strides[2:], 0, spatial))
    return Planes(*shape, *strides)


def _axes(values: Sequence[int], missing: int, spatial: int) -> tuple[int, ...]:
    """Values for depth, rows and columns from one for each spatial dimension, or one for all of them."""
    if len(values) not in (1, spatial):
        raise ValueError(f"{len(values)} values for {spatial} dimensions")
    return (missing,) * (3 - spatial) + tuple(values) * (spatial // len(values))


def _require(call: Call, tensors: Sequence[Tensor], dtypes: Sequence[DType]) -> DType:
    """The one type of all `tensors`, which has to be among `dtypes`."""
    names = sorted({tensor.dtype.numpy_name for tensor in tensors})
    if len(names) > 1 or tensors[0].dtype not in dtypes:
        raise call.refuse(f"no kernel for {', '.join(names)}")
    return tensors[0].dtype


def convolution(call: Call) -> None:
    """(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups, out): float32."""
    source, weight, bias, output = call.tensor(0), call.tensor(1), call.optional_tensor(2), call.output
    _require(call, [source, weight, output, *([bias] if bias else [])], (DType.F32,))
    spatial = len(weight.shape) - 2
    if spatial not in (1, 2, 3):
        raise call.refuse(f"convolution over {spatial} dimensions")
    transposed, groups = bool(call.integer(6)), call.integer(8)
    plain = (*call.integers(4), *call.integers(5)) == (0, 1) and groups == 1
    is_plain = spatial == 1 and plain and not transposed and bias is None
    if is_plain and as_stft(call, source, weight, call.integers(3)[0]):
        return
    inputs, outputs = _planes(call, source, spatial), _planes(call, output, spatial)
    params = ConvF32Params(
        input=inputs,
        output=outputs,
        groups=groups,
        kernel=_axes(weight.model_shape[2:], 1, spatial),
        stride=_axes(call.integers(3), 1, spatial),
        padding=_axes(call.integers(4), 0, spatial),
        dilation=_axes(call.integers(5), 1, spatial),
        weight_strides=_weight_strides(weight, transposed, groups),
    )
    kernel = "conv_transpose_f32" if transposed else "conv_f32"
    # Either way each weight of a group meets each pixel of one side once; padding is counted in full.
    pixels = (source if transposed else output).elements // (weight.model_shape[0])
    call.emit(kernel, "conv_f32", params, [source, weight, bias], [output], macs=pixels * weight.elements)


def _weight_strides(weight: Tensor, transposed: bool, groups: int) -> tuple[int, ...]:
    """Strides for group, output channel, input channel, depth, row and column."""
    first, second, *image = model_strides(weight)
    group = weight.model_shape[0] // groups * first
    channels = (second, first) if transposed else (first, second)
    return (group, *channels, *_axes(image, 0, len(image)))


def _max_pool(spatial: int) -> Selector:
    def max_pool(call: Call) -> None:
        """(input, kernel_size, stride, padding, dilation, ceil_mode, out, indices): float32 or int8."""
        source = call.tensor(0)
        output, indices = call.outputs(2)
        params = _windows(call, source, output, spatial, _axes(call.integers(4), 1, spatial))
        _largest(call, "max_pool", params, spatial, (source, output, indices))

    return max_pool


def max_pool_dilated(call: Call) -> None:
    """(input, kernel_size, stride, padding, dilation, rounds_up, out): int8."""
    source, output = call.tensor(0), call.output
    params = _windows(call, source, output, 2, _axes(call.integers(4), 1, 2))
    _require(call, [source, output], (DType.I8,))
    call.emit("max_pool_s8", "plane_pool", params, [source], [output])


def _largest(
    call: Call,
    name: str,
    params: PlanePoolParams | AdaptivePoolParams,
    spatial: int,
    tensors: tuple[Tensor, Tensor, Tensor],
) -> None:
    """The largest entry of each window, and where it stands in its plane if anything reads that."""
    source, output, indices = tensors
    dtype = _require(call, [source, output], _POOLED)
    call.emit(f"{name}_{SUFFIX[dtype]}", "plane_pool", params, [source], [output])
    if call.is_used(indices):
        placed = replace(params, output=_planes(call, indices, spatial))
        call.emit(f"{name}_indices_{SUFFIX[dtype]}", "plane_pool", placed, [source], [indices])


def _avg_pool(spatial: int) -> Selector:
    def avg_pool(call: Call) -> None:
        """(input, kernel_size, stride, padding, ceil_mode, count_include_pad, ..., out): float32."""
        source, output = call.tensor(0), call.output
        _require(call, [source, output], (DType.F32,))
        # A line has no divisor_override.
        divisor = None if spatial == 1 else call.value(6)
        params = replace(
            _windows(call, source, output, spatial, (1, 1, 1)),
            count_padding=bool(call.integer(5)),
            divisor=0 if divisor is None else call.integer(6),
        )
        call.emit("avg_pool_f32", "plane_pool", params, [source], [output])

    return avg_pool


def _windows(
    call: Call, source: Tensor, output: Tensor, spatial: int, dilation: tuple[int, ...]
) -> PlanePoolParams:
    return PlanePoolParams(
        input=_planes(call, source, spatial),
        output=_planes(call, output, spatial),
        kernel=_axes(call.integers(1), 1, spatial),
        # No stride means that of windows side by side.
        stride=_axes(call.integers(2) or call.integers(1), 1, spatial),
        padding=_axes(call.integers(3), 0, spatial),
        dilation=dilation,
        count_padding=False,
        divisor=0,
    )


def _adaptive_avg_pool(spatial: int) -> Selector:
    def adaptive_avg_pool(call: Call) -> None:
        """(input, output_size, out): float32."""
        source, output = call.tensor(0), call.output
        _require(call, [source, output], (DType.F32,))
        params = _adaptive(call, source, output, spatial)
        call.emit("adaptive_avg_pool_f32", "plane_pool", params, [source], [output])

    return adaptive_avg_pool


def _adaptive_max_pool(spatial: int) -> Selector:
    def adaptive_max_pool(call: Call) -> None:
        """(input, output_size, out, indices): float32 or int8."""
        source = call.tensor(0)
        output, indices = call.outputs(2)
        params = _adaptive(call, source, output, spatial)
        _largest(call, "adaptive_max_pool", params, spatial, (source, output, indices))

    return adaptive_max_pool


def _adaptive(call: Call, source: Tensor, output: Tensor, spatial: int) -> AdaptivePoolParams:
    return AdaptivePoolParams(*(_planes(call, tensor, spatial) for tensor in (source, output)))


def nearest_vec(call: Call) -> None:
    """(input, output_size, scale_factors, out): float32, int8, int16 or uint8."""
    _resize(call, "nearest", _RESIZED, _given_factors(call, 2), False)


def nearest(call: Call) -> None:
    """(input, output_size, scales_h, scales_w, out): float32, int8, int16 or uint8."""
    _resize(call, "nearest", _RESIZED, (call.value(2), call.value(3)), False)


def bilinear_vec(call: Call) -> None:
    """(input, output_size, align_corners, scale_factors, out): float32."""
    _resize(call, "bilinear", (DType.F32,), _given_factors(call, 3), bool(call.integer(2)))


def bilinear(call: Call) -> None:
    """(input, output_size, align_corners, scales_h, scales_w, out): float32."""
    _resize(call, "bilinear", (DType.F32,), (call.value(3), call.value(4)), bool(call.integer(2)))


def _given_factors(call: Call, index: int) -> Sequence[object]:
    value = call.value(index)
    return value if isinstance(value, tuple) else (None, None)


def _resize(call: Call, name: str, dtypes: Sequence[DType], factors: Sequence[object], align: bool) -> None:
    source, output = call.tensor(0), call.output
    dtype = _require(call, [source, output], dtypes)
    sizes = zip(source.model_shape[2:], output.model_shape[2:], factors, strict=True)
    scale = tuple(
        _scale(old, new, None if _ignores(name, old, new) else factor, align) for old, new, factor in sizes
    )
    if name == "nearest" and dtype is DType.I8 and (step := _upsample(source, output, scale)):
        call.append(step)
        return
    params = ResizeParams(
        input=_planes(call, source),
        output=_planes(call, output),
        scale=scale,
        align_corners=align,
    )
    call.emit(f"resize_{name}_{SUFFIX[dtype]}", "resize", params, [source], [output])


def _upsample(source: Tensor, output: Tensor, scale: Sequence[float]) -> Upsample | None:
    """Nearest resizing by whole factors of images with their channels last; None: it is another."""
    order = (0, 2, 3, 1)
    if any(tensor.dim_order != order for tensor in (source, output)):
        return None
    factors = []
    for old, new, step in zip(source.shape[1:3], output.shape[1:3], scale, strict=True):
        at = np.floor(np.arange(new, dtype=np.float32) * np.float32(step)).astype(np.int64)
        factor = max(new // old, 1)
        if not np.array_equal(np.minimum(at, old - 1), np.arange(new) // factor):
            return None
        factors.append(factor)
    params = UpsampleParams(
        batch=source.shape[0],
        input=ImageSize(*source.shape[1:]),
        output=ImageSize(*output.shape[1:]),
        factor=Pair(*factors),
        above=0,
    )
    return Upsample(params, source.id, output.id)


def _ignores(name: str, old: int, new: int) -> bool:
    """Whether PyTorch goes by the sizes, whatever the factor is: the 3 rows of 3 * 1.3 are copies."""
    return new == old or (name == "nearest" and new == 2 * old)


def _scale(old: int, new: int, factor: object, align: bool) -> float:
    """Step in the input for a step in the output, as in PyTorch's UpSample.h."""
    if align:
        return (old - 1) / (new - 1) if new > 1 else 0.0
    return 1.0 / factor if isinstance(factor, int | float) and factor > 0 else old / new


def _grid_sampler(axes: int) -> Selector:
    def grid_sampler(call: Call) -> None:
        """(input, grid, interpolation_mode, padding_mode, align_corners, out): float32."""
        source, grid, output = call.tensor(0), call.tensor(1), call.output
        _require(call, [source, grid, output], (DType.F32,))
        mode = ("bilinear", "nearest", "bicubic")[call.integer(2)]
        if mode == "bicubic" and axes == 3:
            raise call.refuse("bicubic interpolation of a volume")
        params = GridSampleParams(
            input=_planes(call, source, axes),
            output=_planes(call, output, axes),
            axes=axes,
            padding=call.integer(3),
            align_corners=bool(call.integer(4)),
        )
        call.emit(f"grid_{mode}_f32", "grid_sample", params, [source, contiguous(call, grid)], [output])

    return grid_sampler


SELECTORS: dict[str, Selector] = {
    "mcu_build::max_pool2d_dilated.out": max_pool_dilated,
    "aten::convolution.out": convolution,
    **{f"aten::max_pool{spatial}d_with_indices.out": _max_pool(spatial) for spatial in (2, 3)},
    **{f"aten::avg_pool{spatial}d.out": _avg_pool(spatial) for spatial in (1, 2, 3)},
    **{f"aten::_adaptive_avg_pool{spatial}d.out": _adaptive_avg_pool(spatial) for spatial in (2, 3)},
    "aten::adaptive_avg_pool1d.out": _adaptive_avg_pool(1),
    **{f"aten::adaptive_max_pool{spatial}d.out": _adaptive_max_pool(spatial) for spatial in (2, 3)},
    **{f"aten::grid_sampler_{axes}d.out": _grid_sampler(axes) for axes in (2, 3)},
    "aten::upsample_nearest2d.vec_out": nearest_vec,
    "aten::upsample_nearest2d.out": nearest,
    "aten::upsample_bilinear2d.vec_out": bilinear_vec,
    "aten::upsample_bilinear2d.out": bilinear,
}
