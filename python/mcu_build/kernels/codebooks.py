"""Layers of few distinct weights (clustered): codes of four bits and tables of 16, where flash counts."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mcu_build.ir.calls.convolution import Conv2d
from mcu_build.ir.calls.matmul import Linear
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context

ENTRIES = 16
# Bytes of code that the first layer with codes adds to an image, of either kernel.
_CODE = 512
_AT_ONCE = 16
# What codes and tables may take of the weights at most: less is not worth the time of looking them up.
_SHARE = 0.75


def codebook_step(context: Context, step: Step) -> Step | None:
    """A step of portable kernels with codes for its weights; None where that saves too little."""
    call = step.call
    if isinstance(call, Linear) and call.params.filter_offset == 0:
        rows, kernel = _rows(context, call.weights, 1), "linear_codes_s8"
    elif isinstance(call, Conv2d):
        rows, kernel = _rows(context, call.weights, call.params.output.channels), "conv2d_codes_s8"
    else:
        return None
    tables = [] if rows is None else [np.unique(row) for row in rows]
    if rows is None or max(map(len, tables)) > ENTRIES:
        return None
    outputs = call.params.outputs if isinstance(call, Linear) else call.params.output.channels
    codes = np.stack([np.searchsorted(table, row) for table, row in zip(tables, rows, strict=True)])
    table = np.stack([np.pad(table, (0, ENTRIES - len(table))) for table in tables])
    name = context.tensor(call.weights).name
    packed = pack(codes.reshape(outputs, -1).astype(np.uint8))
    if packed.size + table.size > _SHARE * rows.size:
        return None
    constants = [
        _constant(context, f"{name} (codes)", DType.U8, packed),
        _constant(context, f"{name} (table)", DType.I8, table.astype(np.int8)),
    ]
    # Up to a multiple of what is looked up at once.
    decoded = context.scratch(-(-rows.size // outputs // _AT_ONCE) * _AT_ONCE)
    at = step.arguments.index(call.weights)
    return replace(
        step,
        kernel=kernel,
        source="codebook",
        arguments=(*step.arguments[:at], *constants, *step.arguments[at + 1 :], decoded),
        writes=(*step.writes, decoded),
        inplace={},
    )


def with_codebooks(steps: Sequence[Step], coded: Sequence[Step | None], saved: Sequence[int]) -> list[Step]:
    """The steps with codes that save bytes, as many as are worth the code of their kernels.

    `saved` are bytes of constants that each saves.
    """
    taken = {index for index, step in enumerate(coded) if step is not None and saved[index] > 0}
    for kernel in {step.kernel for step in coded if step is not None}:
        users = {index for index in taken if (step := coded[index]) and step.kernel == kernel}
        if sum(saved[index] for index in users) <= _CODE:
            taken -= users
    return [(coded[index] if index in taken else None) or step for index, step in enumerate(steps)]


def pack(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Codes [outputs, weights] two a byte, the first of them in the low half."""
    full = np.pad(codes, [(0, 0), (0, codes.shape[1] % 2)])
    return (full[:, ::2] | full[:, 1::2] << 4).astype(np.uint8)


def _rows(context: Context, weights: int, tables: int) -> npt.NDArray[np.int8] | None:
    """Constant weights that share a table, [tables, weights]."""
    tensor = context.tensor(weights)
    if tensor.data is None or tensor.dtype is not DType.I8:
        return None
    return np.frombuffer(tensor.data, np.int8).reshape(tables, -1)


def _constant(context: Context, name: str, dtype: DType, data: npt.NDArray[np.generic]) -> int:
    return context.constant(name, dtype, data.shape, np.ascontiguousarray(data).tobytes())
