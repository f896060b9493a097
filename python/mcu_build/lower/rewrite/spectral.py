"""Spectra without complex numbers: `torch.stft`, `torch.istft` and `torch.fft`, forwards and back.

A spectrum is a product with cosines and sines that are constants: a convolution over a signal's frames, or a
linear layer. What is complex is a pair of tensors, its real and its imaginary part (complex_numbers.py).
"""

from collections.abc import Callable, Sequence
from math import pi
from typing import Any

import torch
from torch.fx import Node

from mcu_build.lower.builder import Builder, aten, shape

# Real and imaginary part; None stands for zeros.
Parts = tuple[Node, Node | None]


def argument(node: Node, name: str) -> Any:
    """An argument by name, the schema's default where it is not given."""
    for index, parameter in enumerate(node.target._schema.arguments):
        if parameter.name == name:
            positional = node.args[index] if index < len(node.args) else None
            value = node.kwargs.get(name, positional)
            return parameter.default_value if value is None else value
    raise KeyError(name)


def stft(build: Builder, node: Node, signal: Node) -> Parts:
    """Frames of the signal times a windowed basis, as a convolution: [signals, bins, frames]."""
    size = node.args[1]
    assert isinstance(size, int)
    hop = argument(node, "hop_length") or size // 4
    bins = size if argument(node, "onesided") is False else size // 2 + 1
    factor = size**-0.5 if argument(node, "normalized") else 1.0
    window = _window(build, argument(node, "window"), argument(node, "win_length") or size, size)
    basis = build(aten.cat.default, list(_basis(build, size, bins, factor)))
    if window is not None:
        basis = build(aten.mul.Tensor, basis, window)
    batches = shape(signal)[0] if len(shape(signal)) == 2 else 1
    lines = build.reshape(signal, (batches, 1, shape(signal)[-1]))
    both = build(aten.conv1d.default, lines, build(aten.unsqueeze.default, basis, 1), None, [hop])
    sizes = (*shape(signal)[:-1], bins, shape(both)[-1])
    parts = (build(aten.slice.Tensor, both, 1, first, first + bins) for first in (0, bins))
    real, imaginary = (build.reshape(part, sizes) for part in parts)
    return real, imaginary


def istft(build: Builder, node: Node, spectrum: Parts) -> Node:
    """Frames back from their spectra, windowed and added up where they overlap; over the sum of the windows'
    squares there."""
    size = node.args[1]
    assert isinstance(size, int)
    hop, length = argument(node, "hop_length") or size // 4, argument(node, "length")
    sizes = shape(spectrum[0])
    batches, frames = (sizes[0] if len(sizes) == 3 else 1), sizes[-1]
    factor = size**-0.5 if argument(node, "normalized") else 1 / size
    window = _window(build, argument(node, "window"), argument(node, "win_length") or size, size)
    basis = build(aten.cat.default, list(_back_basis(build, size, sizes[-2], factor)))
    if window is not None:
        basis = build(aten.mul.Tensor, basis, window)
    both = build(aten.cat.default, list(_whole(build, spectrum)), -2)
    rows = build.reshape(both, (batches, 2 * sizes[-2], frames))
    added = _overlapped(build, rows, build(aten.unsqueeze.default, basis, 1), hop)
    squares = build(aten.mul.Tensor, window, window) if window else build(aten.ones.default, [size])
    ones = build(aten.ones.default, [1, 1, frames])
    weights = _overlapped(build, ones, build.reshape(squares, (1, 1, size)), hop)
    total = shape(added)[-1]
    start = size // 2 if argument(node, "center") else 0
    end = min(start + length, total) if length else total - start
    signal, weight = (build(aten.slice.Tensor, part, -1, start, end) for part in (added, weights))
    result = build(aten.div.Tensor, signal, weight)
    if length and end - start < length:
        result = build(aten.constant_pad_nd.default, result, [0, length - (end - start)])
    return build.reshape(result, shape(node))


def _overlapped(build: Builder, rows: Node, frames: Node, hop: int) -> Node:
    return build(aten.conv_transpose1d.default, rows, frames, None, [hop])


def _whole(build: Builder, parts: Parts) -> tuple[Node, Node]:
    real, imaginary = parts
    return real, build(aten.zeros_like.default, real) if imaginary is None else imaginary


def _window(build: Builder, window: Node | None, length: int, size: int) -> Node | None:
    """The window in the middle of a frame of `size`; all ones where none is given."""
    if length == size:
        return window
    before = (size - length) // 2
    ones = window if window is not None else build(aten.ones.default, [length])
    return build(aten.constant_pad_nd.default, ones, [before, size - length - before])


# What a transform along one dimension does: (signal, dimension, size or None, norm).
Along = Callable[[Builder, Parts, int, int | None, str | None], Parts]


def rfft(build: Builder, signal: Parts, axis: int, size: int | None, norm: str | None) -> Parts:
    """Half of the spectrum of a real signal."""
    count = size or shape(signal[0])[axis]
    return _forward(build, signal, axis, count, count // 2 + 1, norm)


def fft(build: Builder, signal: Parts, axis: int, size: int | None, norm: str | None) -> Parts:
    """All of the spectrum."""
    count = size or shape(signal[0])[axis]
    return _forward(build, signal, axis, count, count, norm)


def ifft(build: Builder, spectrum: Parts, axis: int, size: int | None, norm: str | None) -> Parts:
    """Conjugated, because that is what the inverse is: conj(fft(conj(x))) / n."""
    real, imaginary = _whole(build, spectrum)
    count = size or shape(real)[axis]
    opposite = {"forward": None, "ortho": "ortho"}.get(norm or "", "forward")
    turned = (real, build(aten.neg.default, imaginary))
    back, rest = _whole(build, _forward(build, turned, axis, count, count, opposite))
    return back, build(aten.neg.default, rest)


def irfft(build: Builder, spectrum: Parts, axis: int, size: int | None, norm: str | None) -> Parts:
    """The real signal of half of a spectrum."""
    real, imaginary = _whole(build, spectrum)
    count = size or 2 * (shape(real)[axis] - 1)
    bins = count // 2 + 1
    factor = {"ortho": count**-0.5, "forward": 1.0}.get(norm or "", 1 / count)
    basis = build(aten.cat.default, list(_back_basis(build, count, bins, factor)))
    lines = [_fitted(build, part, axis, bins) for part in (real, imaginary)]
    signal = build(
        aten.linear.default, build(aten.cat.default, lines, -1), build(aten.transpose.int, basis, 0, 1)
    )
    return build(aten.transpose.int, signal, axis, -1), None


def _forward(
    build: Builder, signal: Parts, axis: int, size: int, bins: int, norm: str | None
) -> tuple[Node, Node]:
    factor = {"ortho": size**-0.5, "forward": 1 / size}.get(norm or "", 1.0)
    basis = build(aten.cat.default, list(_basis(build, size, bins, factor)))

    def turned(part: Node) -> list[Node]:
        both = build(aten.linear.default, _fitted(build, part, axis, size), basis)
        return [build(aten.slice.Tensor, both, -1, first, first + bins) for first in (0, bins)]

    real, imaginary = turned(signal[0])
    if signal[1] is not None:
        minus, plus = reversed(turned(signal[1]))
        real, imaginary = build(aten.sub.Tensor, real, minus), build(aten.add.Tensor, imaginary, plus)
    return build(aten.transpose.int, real, axis, -1), build(aten.transpose.int, imaginary, axis, -1)


def _fitted(build: Builder, part: Node, axis: int, size: int) -> Node:
    """A dimension as the last one, cut or filled with zeros to `size`."""
    length = shape(part)[axis]
    lines = build(aten.transpose.int, part, axis, -1)
    if size < length:
        return build(aten.slice.Tensor, lines, -1, 0, size)
    return build(aten.constant_pad_nd.default, lines, [0, size - length]) if size > length else lines


def one_dimension(along: Along) -> Callable[[Builder, Node, Parts], Parts]:
    """`torch.fft.fft` and its like."""
    return lambda build, node, signal: along(
        build, signal, argument(node, "dim"), argument(node, "n"), argument(node, "norm")
    )


def dimensions(along: Along, last: Along | None = None) -> Callable[[Builder, Node, Parts], Parts]:
    """`torch.fft.fft2`, `fftn` and their like: one dimension after the other, where the `last` may differ:
    first of all where it gives a spectrum, at the end where it gives a signal."""

    def transform(build: Builder, node: Node, signal: Parts) -> Parts:
        sizes, norm = argument(node, "s"), argument(node, "norm")
        axes = argument(node, "dim")
        if axes is None:
            axes = range(-len(sizes or shape(signal[0])), 0)
        counts: Sequence[int | None] = sizes if sizes is not None else [None] * len(axes)
        steps = [(along, axis, count) for axis, count in zip(axes, counts, strict=True)]
        if last is not None:
            steps[-1] = (last, *steps[-1][1:])
        for step, axis, count in steps if last is not rfft else reversed(steps):
            signal = step(build, signal, axis, count, norm)
        return signal

    return transform


def _basis(build: Builder, size: int, bins: int, factor: float) -> tuple[Node, Node]:
    """factor cos and -factor sin of 2 pi k t / size, [bins, size]. Angles are reduced as integers."""
    time, bin = (build(aten.arange.default, count, dtype=torch.int64) for count in (size, bins))
    turns = build(aten.mul.Tensor, build(aten.unsqueeze.default, bin, 1), time)
    wide = build(aten._to_copy.default, build(aten.remainder.Scalar, turns, size), dtype=torch.float64)
    angles = build(aten.mul.Tensor, wide, 2 * pi / size)

    def scaled(target: Any, by: float) -> Node:
        values = build(aten.mul.Tensor, build(target, angles), by)
        return build(aten._to_copy.default, values, dtype=torch.float32)

    return scaled(aten.cos.default, factor), scaled(aten.sin.default, -factor)


def _back_basis(build: Builder, size: int, bins: int, factor: float) -> tuple[Node, Node]:
    """The same for what is added up to a real signal: a bin of half a spectrum stands for its mirror image,
    too, where it has one."""
    parts = _basis(build, size, bins, factor)
    if bins == size:
        return parts
    mirrored = (size - 1) // 2
    ends = [1, mirrored, bins - 1 - mirrored]
    values = zip(ends, (1.0, 2.0, 1.0), strict=True)
    counts = [build(aten.full.default, [end, 1], value) for end, value in values if end]
    factors = build(aten.cat.default, counts)
    real, imaginary = (build(aten.mul.Tensor, part, factors) for part in parts)
    return real, imaginary
