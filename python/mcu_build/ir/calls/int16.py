"""Operations on int16 activations: layers with int8 weights, pairs, products, pools, tables, norms."""

from collections.abc import Mapping
from dataclasses import dataclass

from mcu_build.ir.calls.call import Call, Read, Written, element_distances
from mcu_build.ir.calls.int8 import NormStrides
from mcu_build.ir.calls.linear_layer import RowsTimesMatrix
from mcu_build.ir.calls.resampling import Windows
from mcu_build.ir.calls.struct import Broadcast, ImageSize, Long, Pair, Struct, Window
from mcu_build.ir.tensor import DType, Tensor


@dataclass(frozen=True)
class BoundsS16(Struct):
    """Parameters of round_s16.h."""

    low: int
    high: int


@dataclass(frozen=True)
class RescaleS16Params(Struct):
    """Parameters of rescale_s16.h."""

    count: int
    input_zero_point: int
    multiplier: int
    shift: int
    output_zero_point: int
    bounds: BoundsS16


@dataclass(frozen=True)
class LinearS16Params(Struct):
    """Parameters of linear_s16.h."""

    rows: int
    inputs: int
    outputs: int
    is_long: bool
    bounds: BoundsS16


@dataclass(frozen=True)
class Conv2dS16Params(Struct):
    """Parameters of conv2d_s16.h."""

    batch: int
    input: ImageSize
    output: ImageSize
    window: Window
    groups: int
    is_long: bool
    bounds: BoundsS16


@dataclass(frozen=True)
class ResampleS16Params(Struct):
    """Parameters of resample_s16.h."""

    batch: int
    input: ImageSize
    output: ImageSize
    taps: Pair
    multiplier: int
    shift: int
    bounds: BoundsS16


@dataclass(frozen=True)
class AddS16Params(Struct):
    """Parameters of pairs_s16.h."""

    space: Broadcast
    first_multiplier: int
    second_multiplier: int
    shift: int
    bounds: BoundsS16


@dataclass(frozen=True)
class MulS16Params(Struct):
    """Parameters of pairs_s16.h."""

    space: Broadcast
    multiplier: int
    shift: int
    bounds: BoundsS16


@dataclass(frozen=True)
class MatmulS16Params(Struct):
    """Parameters of matmul_s16.h."""

    batch: int
    rows: int
    columns: int
    inner: int
    multiplier: int
    shift: int


@dataclass(frozen=True)
class PoolS16Params(Struct):
    """Parameters of pool_s16.h."""

    batch: int
    input: ImageSize
    output: ImageSize
    window: Window
    shift: int


@dataclass(frozen=True)
class LookupS16Params(Struct):
    """Parameters of lookup_s16.h."""

    count: int
    bits: int


@dataclass(frozen=True)
class SoftmaxS16Params(Struct):
    """Parameters of softmax_s16.h."""

    outer: int
    axis: int
    inner: int
    multiplier: int
    shift: int


@dataclass(frozen=True)
class LogSoftmaxS16Params(Struct):
    """Parameters of log_softmax_s16.h."""

    rows: int
    columns: int
    multiplier: int
    shift: int
    step: int
    octave: int
    output_shift: int


@dataclass(frozen=True)
class MaskedSoftmaxS16Params(Struct):
    """Parameters of softmax_s16.h."""

    batches: int
    rows: int
    columns: int
    mask_batch_stride: int
    mask_row_stride: int
    multiplier: int
    shift: int


@dataclass(frozen=True)
class NormS16Params(Struct):
    """Parameters of norm.h."""

    batches: int
    groups: int
    channels_per_group: int
    positions: int
    strides: NormStrides
    parameter_stride: int
    shift: int
    centered: bool
    epsilon: Long


@dataclass(frozen=True)
class RescaleS16(Call):
    """A change of scale from or to int16, or within it."""

    SOURCE = "rescale_s16"

    params: RescaleS16Params
    input: Read
    output: Written
    source_dtype: DType
    output_dtype: DType

    @property
    def kernel(self) -> str:
        """One for each pair of types."""
        return f"rescale_s{8 * self.source_dtype.size}_s{8 * self.output_dtype.size}"

    def inplace_distances(self, tensors: Mapping[int, Tensor]) -> Mapping[int, int]:
        """Element by element."""
        return element_distances(tensors[self.input], tensors[self.output])


@dataclass(frozen=True)
class LinearS16(RowsTimesMatrix):
    """Rows times a matrix [outputs][inputs]."""

    KERNEL, SOURCE = "linear_s16", "linear_s16"

    params: LinearS16Params
    input: Read
    weights: Read
    bias: Read
    multipliers: Read
    shifts: Read
    output: Written

    def inplace_distances(self, tensors: Mapping[int, Tensor]) -> Mapping[int, int]:
        """Two rows of the output at a time: the first of their inputs is read until the end."""
        rows, inputs, outputs = self.params.rows, self.params.inputs, self.params.outputs
        last = (rows - 1) // 2 * 2
        return {self.input: 2 * max(min(row + 2, rows) * outputs - row * inputs for row in (0, last))}


@dataclass(frozen=True)
class Conv2dS16(Call):
    """A convolution, plain, in groups or depthwise."""

    KERNEL, SOURCE = "conv2d_s16", "conv2d_s16"

    params: Conv2dS16Params
    input: Read
    weights: Read
    bias: Read
    multipliers: Read
    shifts: Read
    output: Written

    @property
    def macs(self) -> int:
        """Multiply-accumulates, those outside of the image included."""
        params = self.params
        depth = params.input.channels // params.groups
        made = params.batch * params.output.pixels * params.output.channels
        return made * params.window.size.product * depth

    @property
    def weight_operand(self) -> int | None:
        """The weights."""
        return self.weights


@dataclass(frozen=True)
class DepthwiseS16(Conv2dS16):
    """A convolution in which each channel makes one; weights are [ky][kx][channels]."""

    KERNEL, SOURCE = "depthwise_s16", "depthwise_s16"


@dataclass(frozen=True)
class TransposeConv2dS16(Conv2dS16):
    """A transposed convolution."""

    KERNEL, SOURCE = "transpose_conv2d_s16", "transpose_conv2d_s16"

    @property
    def macs(self) -> int:
        """Multiply-accumulates, those outside of the output included."""
        params = self.params
        made = params.batch * params.input.pixels * params.output.channels
        return made * params.window.size.product * params.input.channels


@dataclass(frozen=True)
class PairS16(Call):
    """The sum or the product of two operands."""

    SOURCE = "pairs_s16"

    params: AddS16Params | MulS16Params
    first: Read
    second: Read
    output: Written

    @property
    def kernel(self) -> str:
        """One for each operation."""
        return "add_s16" if isinstance(self.params, AddS16Params) else "mul_s16"

    def inplace_distances(self, tensors: Mapping[int, Tensor]) -> Mapping[int, int]:
        """An operand that is repeated is read to the end."""
        space = self.params.space
        operands = ((self.first, space.first), (self.second, space.second))
        return {id: 0 for id, strides in operands if space.is_dense(strides)}


@dataclass(frozen=True)
class MatmulS16(Call):
    """Products of batches of matrices, the second with its rows and columns exchanged."""

    KERNEL, SOURCE = "matmul_s16", "matmul_s16"

    params: MatmulS16Params
    left: Read
    right: Read
    output: Written

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.params.batch * self.params.rows * self.params.columns * self.params.inner


@dataclass(frozen=True)
class ResampleS16(Windows):
    """Each row and each column of the output from a few of the input, by tables of starts and weights."""

    KERNEL, SOURCE = "resample_s16", "resample_s16"

    params: ResampleS16Params
    input: Read
    row_starts: Read
    row_weights: Read
    column_starts: Read
    column_weights: Read
    output: Written


@dataclass(frozen=True)
class LookupS16(Call):
    """A function of one value, by straight lines between the entries of a table."""

    KERNEL, SOURCE = "lookup_s16", "lookup_s16"

    params: LookupS16Params
    input: Read
    table: Read
    output: Written

    def inplace_distances(self, tensors: Mapping[int, Tensor]) -> Mapping[int, int]:
        """Element by element."""
        return element_distances(tensors[self.input], tensors[self.output])


@dataclass(frozen=True)
class NormS16(Call):
    """Layer, group and RMS norms."""

    KERNEL, SOURCE = "norm_s16", "norm"

    params: NormS16Params
    input: Read
    weight: Read
    bias: Read
    output: Written

    @property
    def macs(self) -> int:
        """Two for each element."""
        params = self.params
        return 2 * params.batches * params.groups * params.channels_per_group * params.positions
