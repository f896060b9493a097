"""Parameters of the portable kernels, of which passes ask nothing (call.Portable)."""

from dataclasses import dataclass

from mcu_build.ir.calls.boundary import DequantizeParams, QuantizeParams
from mcu_build.ir.calls.struct import Broadcast, Floats2, Ints3, Ints4, Ints6, Long, Struct


@dataclass(frozen=True)
class Planes(Struct):
    """Parameters of planes.h."""

    batches: int
    channels: int
    depth: int
    rows: int
    columns: int
    batch_stride: int
    channel_stride: int
    depth_stride: int
    row_stride: int
    column_stride: int


@dataclass(frozen=True)
class UnaryParams(Struct):
    """Parameters of unary_f32.h."""

    count: int


@dataclass(frozen=True)
class LeakyReluParams(Struct):
    """Parameters of activation_f32.h."""

    count: int
    slope: float


@dataclass(frozen=True)
class EluParams(Struct):
    """Parameters of activation_f32.h."""

    count: int
    positive: float
    negative: float
    input_scale: float


@dataclass(frozen=True)
class PowParams(Struct):
    """Parameters of activation_f32.h."""

    count: int
    exponent: float


@dataclass(frozen=True)
class ClampParams(Struct):
    """Parameters of clamp.h."""

    count: int
    low: Long
    high: Long


@dataclass(frozen=True)
class ClampF32Params(Struct):
    """Parameters of clamp.h."""

    count: int
    low: float
    high: float


@dataclass(frozen=True)
class ConvertParams(Struct):
    """Parameters of convert.h."""

    count: int


@dataclass(frozen=True)
class PairParams(Struct):
    """Parameters of arithmetic.h."""

    space: Broadcast


@dataclass(frozen=True)
class CompareParams(Struct):
    """Parameters of compare.h."""

    space: Broadcast


@dataclass(frozen=True)
class WhereParams(Struct):
    """Parameters of where.h."""

    shape: Ints6
    condition: Ints6
    first: Ints6
    second: Ints6


@dataclass(frozen=True)
class ReduceParams(Struct):
    """Parameters of reduce.h."""

    kept: Ints4
    kept_strides: Ints4
    reduced: Ints4
    reduced_strides: Ints4


@dataclass(frozen=True)
class VarianceParams(Struct):
    """Parameters of reduce.h."""

    space: ReduceParams
    divisor: float


@dataclass(frozen=True)
class AlongParams(Struct):
    """Parameters of along.h."""

    outer: int
    size: int
    inner: int


@dataclass(frozen=True)
class ScanParams(Struct):
    """Parameters of scan.h."""

    outer: int
    size: int
    inner: int


@dataclass(frozen=True)
class MedianParams(Struct):
    """Parameters of median.h."""

    outer: int
    size: int
    inner: int


@dataclass(frozen=True)
class LayerNormParams(Struct):
    """Parameters of norm_f32.h."""

    rows: int
    size: int
    epsilon: float


@dataclass(frozen=True)
class ImageStrides(Struct):
    """Parameters of norm_f32.h."""

    batch: int
    channel: int
    pixel: int


@dataclass(frozen=True)
class GroupNormParams(Struct):
    """Parameters of norm_f32.h."""

    batches: int
    groups: int
    channels_per_group: int
    pixels: int
    strides: ImageStrides
    epsilon: float


@dataclass(frozen=True)
class BatchNormParams(Struct):
    """Parameters of norm_f32.h."""

    batches: int
    channels: int
    pixels: int
    strides: ImageStrides
    epsilon: float


@dataclass(frozen=True)
class ConvF32Params(Struct):
    """Parameters of conv_f32.h."""

    input: Planes
    output: Planes
    groups: int
    kernel: Ints3
    stride: Ints3
    padding: Ints3
    dilation: Ints3
    weight_strides: Ints6


@dataclass(frozen=True)
class FourierParams(Struct):
    """Parameters of fourier_f32.h."""

    lines: int
    samples: int
    frames: int
    size: int
    hop: int
    bins: int
    line_stride: int
    bin_stride: int
    frame_stride: int


@dataclass(frozen=True)
class PlanePoolParams(Struct):
    """Parameters of plane_pool.h."""

    input: Planes
    output: Planes
    kernel: Ints3
    stride: Ints3
    padding: Ints3
    dilation: Ints3
    count_padding: bool
    divisor: int


@dataclass(frozen=True)
class AdaptivePoolParams(Struct):
    """Parameters of plane_pool.h."""

    input: Planes
    output: Planes


@dataclass(frozen=True)
class QuantizedPoolParams(Struct):
    """Parameters of plane_pool.h."""

    pool: PlanePoolParams
    input: DequantizeParams
    output: QuantizeParams


@dataclass(frozen=True)
class QuantizedAdaptivePoolParams(Struct):
    """Parameters of plane_pool.h."""

    pool: AdaptivePoolParams
    input: DequantizeParams
    output: QuantizeParams


@dataclass(frozen=True)
class ResizeParams(Struct):
    """Parameters of resize.h."""

    input: Planes
    output: Planes
    scale: Floats2
    align_corners: bool


@dataclass(frozen=True)
class GridSampleParams(Struct):
    """Parameters of grid_sample.h."""

    input: Planes
    output: Planes
    axes: int
    padding: int
    align_corners: bool


@dataclass(frozen=True)
class MatmulF32Params(Struct):
    """Parameters of matmul_f32.h."""

    batches: int
    rows: int
    columns: int
    depth: int
    first_strides: Ints3
    second_strides: Ints3


@dataclass(frozen=True)
class CdistParams(Struct):
    """Parameters of distance.h."""

    batches: int
    first_rows: int
    second_rows: int
    size: int
    p: float


@dataclass(frozen=True)
class PdistParams(Struct):
    """Parameters of distance.h."""

    rows: int
    size: int
    p: float


@dataclass(frozen=True)
class TakeParams(Struct):
    """Parameters of gather.h."""

    outer: int
    size: int
    count: int
    block_bytes: int


@dataclass(frozen=True)
class GatherParams(Struct):
    """Parameters of gather.h."""

    element_bytes: int
    shape: Ints6
    strides: Ints6
    size: int
    stride: int


@dataclass(frozen=True)
class EmbeddingBagParams(Struct):
    """Parameters of embedding_bag.h."""

    bags: int
    count: int
    rows: int
    size: int
    padding: int


@dataclass(frozen=True)
class TopkParams(Struct):
    """Parameters of topk.h."""

    outer: int
    size: int
    inner: int
    count: int
    largest: bool


@dataclass(frozen=True)
class SortParams(Struct):
    """Parameters of sort.h."""

    outer: int
    size: int
    inner: int
    descending: bool


@dataclass(frozen=True)
class ScatterParams(Struct):
    """Parameters of scatter.h."""

    elements: int
    shape: Ints6
    source: Ints6
    output: Ints6
    size: int
    stride: int


@dataclass(frozen=True)
class PutParams(Struct):
    """Parameters of scatter.h."""

    outer: int
    size: int
    count: int
    inner: int


@dataclass(frozen=True)
class MaskedScatterParams(Struct):
    """Parameters of scatter.h."""

    elements: int
    available: int
    element_bytes: int


@dataclass(frozen=True)
class InsertParams(Struct):
    """Parameters of scatter.h."""

    bytes: int
    element_bytes: int
    offset: int
    shape: Ints6
    strides: Ints6
