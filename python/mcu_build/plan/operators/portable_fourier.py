"""Products with cosines and sines, which `torch.stft` has become, as fast Fourier transforms."""

from math import pi

import numpy as np
import numpy.typing as npt

from mcu_build.ir.calls.portable import FourierParams
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import contiguous, model_strides
from mcu_build.plan.select import Call

Floats = npt.NDArray[np.float64]

# Samples of a window: of fewer a product is as quick, and with more of them angles are seen less exactly.
_SIZES = (16, 1 << 14)
# Largest difference from a cosine or sine, which float32 has rounded, times its window, likewise.
_NEAR = 2.0**-21


def as_stft(call: Call, source: Tensor, weight: Tensor, hop: int) -> bool:
    """Emit the convolution of [lines, 1, samples] with `weight` [2 bins, 1, size], if that is a basis."""
    output = call.output
    if len(weight.model_shape) != 3 or weight.model_shape[1] != 1:
        return False
    lines = output.elements // (output.model_shape[-2] * output.model_shape[-1])
    line, bin, frame = model_strides(output)[-3:] if len(output.model_shape) == 3 else (0, 0, 0)
    sizes = (lines, source.model_shape[-1], output.model_shape[-1])
    return len(output.model_shape) == 3 and _emit(call, source, weight, sizes, hop, (line, bin, frame))


def as_fft(call: Call, source: Tensor, weight: Tensor) -> bool:
    """Emit the linear layer over rows of `source` with `weight` [2 bins, size], if that is a basis."""
    output = call.output
    size, outputs = source.model_shape[-1], output.model_shape[-1]
    if output.dim_order != tuple(range(len(output.dim_order))):
        return False
    return _emit(call, source, weight, (source.elements // size, size, 1), size, (outputs, 1, 0))


def _emit(
    call: Call,
    source: Tensor,
    weight: Tensor,
    sizes: tuple[int, int, int],
    hop: int,
    strides: tuple[int, int, int],
) -> bool:
    """`sizes` are lines, samples of each and frames; `strides` those of lines, bins and frames."""
    window = _window(weight)
    if window is None or any(tensor.dtype is not DType.F32 for tensor in (source, call.output)):
        return False
    size, bins = len(window), weight.model_shape[0] // 2
    angles = 2 * pi * np.arange(size // 2) / size
    turns = np.stack([np.cos(angles), -np.sin(angles)], 1).astype(np.float32)
    constants = [
        call.constant(f"{weight.name} ({name})", DType.F32, (values.size,), values.tobytes())
        for name, values in (("window", window), ("turns", turns))
    ]
    scratch = call.scratch(4 * size)
    assert scratch is not None
    params = FourierParams(*sizes, size, hop, bins, *strides)
    macs = sizes[0] * sizes[2] * (5 * size * (size.bit_length() - 1) // 4 + 4 * bins)
    reads = [contiguous(call, source), *constants]
    call.emit("fourier_f32", "fourier_f32", params, reads, [call.output, scratch], macs=macs)
    return True


def _window(weight: Tensor) -> npt.NDArray[np.float32] | None:
    """What all rows of a windowed basis are weighted with; None where `weight` is none."""
    rows, size = weight.model_shape[0], weight.model_shape[-1]
    is_size = _SIZES[0] <= size <= _SIZES[1] and size & (size - 1) == 0 and rows in (size + 2, 2 * size)
    if weight.data is None or weight.dtype is not DType.F32 or not is_size:
        return None
    in_memory = np.frombuffer(weight.data, np.float32).reshape(weight.shape)
    taps = in_memory.transpose(np.argsort(weight.dim_order)).reshape(rows, size)
    bins = rows // 2
    window: npt.NDArray[np.float32] = taps[0].copy()
    limit = _NEAR * np.abs(window).astype(np.float64)
    for first in range(0, bins, 64):
        numbers = np.arange(first, min(first + 64, bins))[:, None]
        angles = 2 * pi / size * (numbers * np.arange(size) % size)
        for part, wanted in ((0, np.cos(angles)), (bins, -np.sin(angles))):
            part_of_it = taps[part + first : part + first + len(numbers)].astype(np.float64)
            if (np.abs(part_of_it - window * wanted) > limit).any():
                return None
    return window
