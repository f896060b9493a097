"""The int8 operators that are ours, `mcu_build::*`: PReLU and normalization."""

from math import prod

from mcu_build.plan.ir import DType, Params, Tensor
from mcu_build.plan.operators.layout import model_strides, ordered
from mcu_build.plan.select import Call, Selector

_LARGEST_GROUP = 1 << 22


def prelu(call: Call) -> None:
    """(input, slopes, positive, shift, input_zero_point, output_zero_point, out)."""
    source, slopes, output = _operand(call), call.tensor(1), call.output
    channels = output.model_shape[1]
    if slopes.dtype is not DType.I32 or slopes.elements != channels:
        raise call.refuse(f"{slopes.elements} slopes of {slopes.dtype.numpy_name} for {channels} channels")
    place = output.dim_order.index(1)
    params = Params(
        "PreluParams",
        {
            "outer": prod(output.shape[:place]),
            "channels": channels,
            "inner": prod(output.shape[place + 1 :]),
            "positive": call.integer(2),
            "shift": call.integer(3),
            "input_zero_point": call.integer(4),
            "output_zero_point": call.integer(5),
        },
    )
    call.emit("prelu_s8", "prelu", params, [source, slopes], [output])


def norm(call: Call) -> None:
    """(input, weight, bias, groups, centered, epsilon, input_zero_point, output_zero_point, shift, out)."""
    source, weight, bias, output = _operand(call), call.tensor(1), call.tensor(2), call.output
    n, channels, *rest = output.model_shape
    groups, positions = call.integer(3), prod(rest)
    per_group, left = divmod(channels, groups)
    if left or per_group * positions > _LARGEST_GROUP:
        raise call.refuse(f"{channels} channels of {positions} elements in {groups} groups")
    entries = {weight.elements, bias.elements}
    if weight.dtype is not DType.I32 or bias.dtype is not DType.I32 or entries not in ({1}, {channels}):
        raise call.refuse(f"weight and bias have {sorted(entries)} entries for {channels} channels")
    strides = model_strides(output)
    params = Params(
        "NormParams",
        {
            "batches": n,
            "groups": groups,
            "channels_per_group": per_group,
            "positions": positions,
            "strides": {
                "batch": strides[0],
                "channel": strides[1],
                "position": _position_stride(call, output),
            },
            "parameter_stride": int(entries == {channels}),
            "input_zero_point": call.integer(6),
            "output_zero_point": call.integer(7),
            "shift": call.integer(8),
            "centered": bool(call.integer(4)),
            "epsilon": call.integer(5),
        },
    )
    call.emit("norm_s8", "norm", params, [source, weight, bias], [output], macs=2 * output.elements)


def _operand(call: Call) -> Tensor:
    """The int8 input with its memory in the order of the output's."""
    source, output = call.tensor(0), call.output
    if source.dtype is not DType.I8 or output.dtype is not DType.I8 or len(output.shape) < 2:
        raise call.refuse(f"{source.dtype.numpy_name}{list(source.shape)} to {output.dtype.numpy_name}")
    return ordered(call, source, output.dim_order)


def _position_stride(call: Call, tensor: Tensor) -> int:
    """Between neighbours of all dimensions behind the channels, which lie together in their order."""
    behind = [d for d in tensor.dim_order if d > 1 and tensor.model_shape[d] != 1]
    if behind != sorted(behind):
        raise call.refuse(f"{tensor.name} has its dimensions in the order {tensor.dim_order}")
    strides = model_strides(tensor)
    return strides[behind[-1]] if behind else 0


SELECTORS: dict[str, Selector] = {
    "mcu_build::prelu.out": prelu,
    "mcu_build::norm.out": norm,
}
