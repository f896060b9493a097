"""Convolutions of int8 images: plain, depthwise, transposed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from mcu_build.ir.calls.call import Call, Read, Written
from mcu_build.ir.calls.rescaled import rescaled, sums_of
from mcu_build.ir.calls.rows import (
    images_fit,
    row_distance,
    transposed_of_rows,
    transposed_rows,
    window_rows,
    windows_of_rows,
)
from mcu_build.ir.calls.struct import NONE, ONE, ImageSize, OutputEpilogue, Struct, Window
from mcu_build.ir.channels import Coupling, Cut, Ints, Mask, Range, Values, channels_of
from mcu_build.ir.tensor import Tensor

_MOST = 1 << 31


@dataclass(frozen=True)
class Conv2dParams(Struct):
    """Parameters of conv2d.h."""

    batch: int
    input: ImageSize
    output: ImageSize
    window: Window
    groups: int
    input_offset: int
    epilogue: OutputEpilogue


@dataclass(frozen=True)
class DepthwiseConv2dParams(Struct):
    """Parameters of depthwise_conv2d.h."""

    batch: int
    input: ImageSize
    output: ImageSize
    window: Window
    input_offset: int
    epilogue: OutputEpilogue


@dataclass(frozen=True)
class TransposeConv2dParams(Struct):
    """Parameters of transpose_conv2d.h."""

    batch: int
    input: ImageSize
    output: ImageSize
    window: Window
    input_offset: int
    epilogue: OutputEpilogue


@dataclass(frozen=True)
class Convolution(Call):
    """What all of them have: an image, weights, one requantization for each channel of the output."""

    params: Conv2dParams | DepthwiseConv2dParams | TransposeConv2dParams
    input: Read
    weights: Read
    bias: Read | None
    multipliers: Read
    shifts: Read
    output: Written

    @property
    def weight_operand(self) -> int | None:
        """The weights."""
        return self.weights


@dataclass(frozen=True)
class _Padded(Convolution):
    """Plain and depthwise convolutions, which add nothing where a window lies outside of the image."""

    params: Conv2dParams | DepthwiseConv2dParams

    def inplace_distances(self, tensors: Mapping[int, Tensor]) -> Mapping[int, int]:
        """By rows of the image."""
        params = self.params
        return {self.input: row_distance(params.batch, params.input, params.output, params.window)}

    def needed_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Mapping[int, range] | None:
        """Those that its windows see."""
        params = self.params
        needed = window_rows(params.input, params.window, rows)
        fits = images_fit(params, tensors[self.input], tensors[self.output])
        return {self.input: needed} if needed and fits and tensors[self.weights].is_constant else None

    def of_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Self:
        """Padded above and below only where the whole image is."""
        return replace(self, params=windows_of_rows(self.params, rows))

    def reading(self, input: int, size: ImageSize, window: Window) -> Self:
        """The same over another image."""
        return replace(self, params=replace(self.params, input=size, window=window), input=input)

    @property
    def leaves_image(self) -> bool:
        """Whether a window reaches beyond the image."""
        return self.params.window.leaves(self.params.input, self.params.output)

    @property
    def is_one_row(self) -> bool:
        """Whether it makes one pixel of bytes that lie one behind the other: a linear layer of one row."""
        params, window = self.params, self.params.window
        dense = window.dilation == ONE and window.padding == NONE
        lies = window.size.x == params.input.width or window.size.y == 1
        return params.batch * params.output.pixels == 1 and dense and lies

    def value_range(self, values: Values) -> Range | None:
        """Of the sums of least and of largest products, requantized."""
        products = self._products(values)
        if self.leaves_image:
            products = products.hull(Range(np.zeros(1, np.int64), np.zeros(1, np.int64)))
        bias, multipliers, shifts = map(values.constant, (self.bias, self.multipliers, self.shifts))
        if multipliers is None or shifts is None or (bias is None and self.bias is not None):
            return None
        return rescaled(sums_of(products, bias), multipliers, shifts, self.params.epilogue)

    def _products(self, values: Values) -> Range:
        """Least and largest product of each tap, [outputs, taps]."""
        outputs = self.params.output.channels
        weights = values.constant(self.weights)
        if weights is None:
            return Range(np.full((outputs, 1), -_MOST), np.full((outputs, 1), _MOST))
        taps = self._taps(weights)
        image = values.of(self.input, self.params.input.channels)
        low, high = (self._per_tap(end + self.params.input_offset, taps) for end in (image.low, image.high))
        return Range(np.minimum(taps * low, taps * high), np.maximum(taps * low, taps * high))

    def _taps(self, weights: Ints) -> Ints:
        """Weights as [outputs, taps]."""
        raise NotImplementedError

    def _per_tap(self, image: Ints, taps: Ints) -> Ints:
        """A number of each input channel for each tap, [outputs, taps] or [outputs, 1]."""
        raise NotImplementedError

    def _fits(self, tensors: Mapping[int, Tensor]) -> bool:
        """Whether its channels are those of its tensors, and all else is constant."""
        constants = (self.weights, self.bias, self.multipliers, self.shifts)
        return (
            channels_of(tensors[self.input]) == self.params.input.channels
            and channels_of(tensors[self.output]) == self.params.output.channels
            and all(tensors[id].data is not None for id in constants if id is not None)
        )

    def _cut(self, cut: Cut, weights: Ints, bias: Ints | None) -> Self:
        """With these weights and bias, and the multipliers and shifts of the channels that are kept."""
        written = cut.keep[self.output]
        multipliers, shifts = (
            cut.constant(id, cut.array(id).reshape(-1)[written]) for id in (self.multipliers, self.shifts)
        )
        read = cut.share(self.input, self.params.input.channels)
        made = cut.share(self.output, self.params.output.channels)
        return replace(
            self,
            params=replace(
                self.params,
                input=replace(self.params.input, channels=read),
                output=replace(self.params.output, channels=made),
            ),
            weights=cut.constant(self.weights, weights),
            bias=cut.bias(self.bias, bias) if bias is not None else None,
            multipliers=multipliers,
            shifts=shifts,
        )


@dataclass(frozen=True)
class Conv2d(_Padded):
    """A convolution; weights are [outputs][rows][columns][inputs of a group]."""

    KERNEL, SOURCE = "conv2d_s8", "conv2d"

    params: Conv2dParams

    @property
    def macs(self) -> int:
        """Multiply-accumulates, padding counted in full."""
        params = self.params
        outputs = params.batch * params.output.pixels * params.output.channels
        return outputs * params.window.size.product * (params.input.channels // params.groups)

    def _taps(self, weights: Ints) -> Ints:
        return weights.reshape(self.params.output.channels, -1)

    def _per_tap(self, image: Ints, taps: Ints) -> Ints:
        params = self.params
        groups = np.arange(len(taps)) // (params.output.channels // params.groups)
        pixels = taps.shape[1] // (params.input.channels // params.groups)
        return np.tile(image.reshape(params.groups, -1)[groups], (1, pixels))

    def coupled_channels(self, tensors: Mapping[int, Tensor]) -> list[Coupling] | None:
        """None: it reads some channels and makes others."""
        return [] if self._fits(tensors) and self.params.groups == 1 else None

    def needed_channels(self, values: Values, written: Mask) -> Mask | None:
        """Those with weights, unless they are constant and their share can go into the bias.

        At the padding a constant other than the zero point adds less.
        """
        taps = values.constant(self.weights)
        if taps is None:
            return None
        taps = taps.reshape(len(taps), -1, taps.shape[-1])[written]
        beyond = self.leaves_image
        return needed(values.of(self.input), taps, self.params.input_offset, only_zero_points=beyond)

    def without_channels(self, cut: Cut) -> Self:
        """What constant channels added goes into the bias."""
        weights = cut.array(self.weights)
        taps = weights.reshape(*weights.shape[:3], -1).sum((1, 2))
        read, written = cut.keep[self.input], cut.keep[self.output]
        bias = folded(cut, self.input, self.bias, taps, self.params.input_offset)[written]
        return self._cut(cut, weights[written][..., read], bias)


@dataclass(frozen=True)
class DepthwiseConv2d(_Padded):
    """Each channel of the output from one of the input; weights are [1][rows][columns][outputs]."""

    KERNEL, SOURCE = "depthwise_conv2d_s8", "depthwise_conv2d"

    params: DepthwiseConv2dParams

    @property
    def macs(self) -> int:
        """Multiply-accumulates, padding counted in full."""
        params = self.params
        outputs = params.batch * params.output.pixels * params.output.channels
        return outputs * params.window.size.product

    @property
    def _multiplier(self) -> int:
        """Output channels for each input channel."""
        return self.params.output.channels // self.params.input.channels

    def _taps(self, weights: Ints) -> Ints:
        return weights.reshape(-1, self.params.output.channels).T

    def _per_tap(self, image: Ints, taps: Ints) -> Ints:
        return image[np.arange(len(taps)) // self._multiplier, None]

    def coupled_channels(self, tensors: Mapping[int, Tensor]) -> list[Coupling] | None:
        """Each of the output with that of the input."""
        if not self._fits(tensors):
            return None
        made = np.arange(self.params.output.channels)
        return [(self.output, made, self.input, made // self._multiplier)]

    def without_channels(self, cut: Cut) -> Self:
        """Weights, bias, multipliers and shifts of what is kept."""
        written = cut.keep[self.output]
        bias = cut.array(self.bias).reshape(-1)[written] if self.bias is not None else None
        return self._cut(cut, cut.array(self.weights)[..., written], bias)


@dataclass(frozen=True)
class TransposeConv2d(Convolution):
    """A transposed convolution; weights are [outputs][rows][columns][inputs]."""

    KERNEL, SOURCE = "transpose_conv2d_s8", "transpose_conv2d"

    params: TransposeConv2dParams

    def needed_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Mapping[int, range] | None:
        """Those that are spread over `rows`."""
        params = self.params
        needed = transposed_rows(params.input, params.window, rows)
        fits = images_fit(params, tensors[self.input], tensors[self.output])
        return {self.input: needed} if needed and fits and tensors[self.weights].is_constant else None

    def of_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Self:
        """What is spread beyond `rows` is left out, as beyond the edge of the image."""
        return replace(self, params=transposed_of_rows(self.params, rows))

    @property
    def macs(self) -> int:
        """Multiply-accumulates, what falls outside of the output counted too."""
        params = self.params
        pixels = params.batch * params.input.pixels * params.window.size.product
        return pixels * params.input.channels * params.output.channels


def needed(image: Range, taps: Ints, offset: int, only_zero_points: bool = False) -> Mask:
    """Which channels of `image` a layer with weights [outputs][taps][channels] cannot do without.

    `only_zero_points`: only those that are constantly the zero point add the same everywhere.
    """
    same = image.constant
    if only_zero_points:
        same = same & (image.low == -offset)
    constants = np.where(same, np.abs(image.low + offset), 0)
    if np.abs(taps).sum(1).dot(constants).max(initial=0) >= _MOST >> 1:
        same = np.zeros_like(same)  # A bias might not hold it.
    unused: Mask = (taps == 0).all((0, 1))
    return ~(same | unused)


def folded(cut: Cut, image: int, bias: int | None, taps: Ints, offset: int) -> Ints:
    """The bias with what the channels that are left out have added, `taps` [outputs, inputs] in all."""
    values = cut.values.of(image)
    # Channels that are not constant only go where their taps are 0.
    constants = np.where(~cut.keep[image] & values.constant, values.low + offset, 0)
    found_bias: Ints = taps @ constants
    return found_bias if bias is None else found_bias + cut.array(bias).reshape(-1)
