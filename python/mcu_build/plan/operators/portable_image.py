"""Operators on images of plain numbers, in any order of memory: convolution, pooling, change of size."""

from collections.abc import Sequence

from mcu_build.plan.ir import DType, Params, Tensor
from mcu_build.plan.ir import Value as Member
from mcu_build.plan.operators.layout import model_strides
from mcu_build.plan.operators.portable_movement import SUFFIX
from mcu_build.plan.select import Call, Selector

_POOLED = (DType.I8, DType.F32)
_RESIZED = (DType.U8, DType.I8, DType.I16, DType.F32)


def _planes(call: Call, tensor: Tensor, spatial: int = 2) -> dict[str, Member]:
    """The `Planes` struct of [N, C, H, W], with H missing where there is one spatial dimension.

    N may be missing, too.
    """
    shape, strides = tensor.model_shape, model_strides(tensor)
    if len(shape) == spatial + 1:
        shape, strides = (1, *shape), (0, *strides)
    if spatial == 1 and len(shape) == 3:
        shape, strides = (*shape[:2], 1, shape[2]), (*strides[:2], 0, strides[2])
    if len(shape) != 4:
        raise call.refuse(f"{tensor.name} has shape {tensor.model_shape}")
    sizes = ("batches", "channels", "rows", "columns")
    steps = ("batch_stride", "channel_stride", "row_stride", "column_stride")
    return {**dict(zip(sizes, shape, strict=True)), **dict(zip(steps, strides, strict=True))}


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
    if spatial not in (1, 2):
        raise call.refuse(f"convolution over {spatial} dimensions")
    transposed, groups = bool(call.integer(6)), call.integer(8)
    inputs, outputs = _planes(call, source, spatial), _planes(call, output, spatial)
    params = Params(
        "ConvF32Params",
        {
            "input": inputs,
            "output": outputs,
            "groups": groups,
            "kernel": _rows_columns(weight.model_shape[2:], 1, spatial),
            "stride": _rows_columns(call.integers(3), 1, spatial),
            "padding": _rows_columns(call.integers(4), 0, spatial),
            "dilation": _rows_columns(call.integers(5), 1, spatial),
            "weight_strides": _weight_strides(weight, transposed, groups),
        },
    )
    kernel = "conv_transpose_f32" if transposed else "conv_f32"
    # Either way each weight of a group meets each pixel of one side once; borders are counted in full.
    pixels = (source if transposed else output).elements // (weight.model_shape[0])
    call.emit(kernel, "conv_f32", params, [source, weight, bias], [output], macs=pixels * weight.elements)


def _rows_columns(values: Sequence[int], missing: int, spatial: int) -> tuple[int, int]:
    """Two values for rows and columns from two, one for both, or one where rows are missing."""
    if spatial == 1:
        return missing, values[0]
    return values[0], values[-1]


def _weight_strides(weight: Tensor, transposed: bool, groups: int) -> tuple[int, ...]:
    """Strides for group, output channel, input channel, row and column."""
    first, second, *image = model_strides(weight)
    row, column = (0, image[0]) if len(image) == 1 else image
    group = weight.model_shape[0] // groups * first
    channels = (second, first) if transposed else (first, second)
    return (group, *channels, row, column)


def max_pool2d(call: Call) -> None:
    """(input, kernel_size, stride, padding, dilation, ceil_mode, out, indices): float32 or int8."""
    source = call.tensor(0)
    output, indices = call.outputs(2)
    dtype = _require(call, [source, output], _POOLED)
    members = _windows(call, source, output) | {
        "dilation": call.pair(4),
        "count_padding": False,
        "divisor": 0,
    }
    params = Params("PlanePoolParams", members)
    call.emit(f"max_pool_{SUFFIX[dtype]}", "plane_pool", params, [source], [output])
    if call.is_used(indices):
        placed = Params("PlanePoolParams", {**members, "output": _planes(call, indices)})
        call.emit(f"max_pool_indices_{SUFFIX[dtype]}", "plane_pool", placed, [source], [indices])


def avg_pool2d(call: Call) -> None:
    """(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, out): float32."""
    source, output = call.tensor(0), call.output
    _require(call, [source, output], (DType.F32,))
    members = _windows(call, source, output) | {
        "dilation": (1, 1),
        "count_padding": bool(call.integer(5)),
        "divisor": 0 if call.value(6) is None else call.integer(6),
    }
    call.emit("avg_pool_f32", "plane_pool", Params("PlanePoolParams", members), [source], [output])


def _windows(call: Call, source: Tensor, output: Tensor) -> dict[str, Member]:
    return {
        "input": _planes(call, source),
        "output": _planes(call, output),
        "kernel": call.pair(1),
        # No stride means that of windows side by side.
        "stride": call.pair(2) if call.integers(2) else call.pair(1),
        "padding": call.pair(3),
    }


def adaptive_avg_pool2d(call: Call) -> None:
    """(input, output_size, out): float32."""
    source, output = call.tensor(0), call.output
    _require(call, [source, output], (DType.F32,))
    params = Params("AdaptivePoolParams", {"input": _planes(call, source), "output": _planes(call, output)})
    call.emit("adaptive_avg_pool_f32", "plane_pool", params, [source], [output])


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
    params = Params(
        "ResizeParams",
        {
            "input": _planes(call, source),
            "output": _planes(call, output),
            "scale": tuple(_scale(old, new, factor, align) for old, new, factor in sizes),
            "align_corners": align,
        },
    )
    call.emit(f"resize_{name}_{SUFFIX[dtype]}", "resize", params, [source], [output])


def _scale(old: int, new: int, factor: object, align: bool) -> float:
    """Step in the input for a step in the output, as in PyTorch's UpSample.h."""
    if align:
        return (old - 1) / (new - 1) if new > 1 else 0.0
    return 1.0 / factor if isinstance(factor, int | float) and factor > 0 else old / new


SELECTORS: dict[str, Selector] = {
    "aten::convolution.out": convolution,
    "aten::max_pool2d_with_indices.out": max_pool2d,
    "aten::avg_pool2d.out": avg_pool2d,
    "aten::_adaptive_avg_pool2d.out": adaptive_avg_pool2d,
    "aten::upsample_nearest2d.vec_out": nearest_vec,
    "aten::upsample_nearest2d.out": nearest,
    "aten::upsample_bilinear2d.vec_out": bilinear_vec,
    "aten::upsample_bilinear2d.out": bilinear,
}
