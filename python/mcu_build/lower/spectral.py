"""Spectra of real signals without complex numbers: `torch.stft`, `torch.fft.rfft` and `torch.fft.fft`.

A spectrum is a product with cosines and sines that are constants: a convolution over a signal's frames, or a
linear layer. What reads it (abs, angle, real, imag, view_as_real) becomes arithmetic on its two parts.

Powers span more than the 48 dB that int8 holds. A spectrum, and all that is computed from it up to a
logarithm, stays in float.
"""

from collections.abc import Callable, Iterable
from math import pi
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Graph, Node

from mcu_build.errors import McuError
from mcu_build.lower.assigned import keep_in_float
from mcu_build.lower.builder import Builder, aten, fake_mode, shape
from mcu_build.lower.lines import source_line

_WHY = "a spectrum spans more than int8 holds"
_HINT = (
    "Read a spectrum with abs(), angle(), .real, .imag or torch.view_as_real() right behind torch.stft, "
    "torch.fft.rfft or torch.fft.fft of a real signal."
)
_LOGARITHMS = frozenset({aten.log.default, aten.log2.default, aten.log10.default, aten.log1p.default})
# Real and imaginary part.
Parts = tuple[Node, Node]


def without_complex(exported: ExportedProgram) -> None:
    """Rewrite every spectrum in place. McuError names what else computes with complex numbers.

    The constants are left to constant folding.
    """
    graph, mode = exported.graph, fake_mode(exported.graph_module)
    for node in list(graph.nodes):
        transform = _TRANSFORMS.get(node.target) if node.op == "call_function" else None
        if transform is None or not _is_served(node):
            continue
        before = set(graph.nodes)
        _rewrite(exported, mode, node, transform)
        _keep_in_float(graph, [made for made in graph.nodes if made not in before])
    _refuse_complex(graph)
    exported.graph_module.recompile()


def _is_served(node: Node) -> bool:
    operand = node.args[0]
    is_real = isinstance(operand, Node) and not operand.meta["val"].is_complex()
    return is_real and all(user.target in _READERS for user in node.users if node.meta["val"].is_complex())


def _rewrite(
    exported: ExportedProgram, mode: Any, node: Node, transform: Callable[[Builder, Node], Parts]
) -> None:
    build = Builder(exported.graph_module, mode, node)
    parts = transform(build, node)
    if node.meta["val"].is_complex():
        for user in list(node.users):
            reader = Builder(exported.graph_module, mode, user)
            _replace(user, _READERS[user.target](reader, *parts))
        exported.graph.erase_node(node)
    else:
        _replace(node, _as_real(build, *parts))


def _replace(node: Node, made: Node) -> None:
    node.replace_all_uses_with(made, propagate_meta=False)
    node.graph.erase_node(node)


def _argument(node: Node, name: str) -> Any:
    """An argument by name, the schema's default where it is not given."""
    for index, argument in enumerate(node.target._schema.arguments):
        if argument.name == name:
            given = node.args[index] if index < len(node.args) else None
            value = node.kwargs.get(name, given)
            return argument.default_value if value is None else value
    raise KeyError(name)


def _stft(build: Builder, node: Node) -> Parts:
    """Frames of the signal times a windowed basis, as a convolution: [signals, bins, frames]."""
    signal, size = node.args[:2]
    assert isinstance(signal, Node) and isinstance(size, int)
    hop = _argument(node, "hop_length") or size // 4
    bins = size if _argument(node, "onesided") is False else size // 2 + 1
    factor = size**-0.5 if _argument(node, "normalized") else 1.0
    window = _window(build, _argument(node, "window"), _argument(node, "win_length") or size, size)
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


def _window(build: Builder, window: Node | None, length: int, size: int) -> Node | None:
    """The window in the middle of a frame of `size`; all ones where none is given."""
    if length == size:
        return window
    before = (size - length) // 2
    ones = window if window is not None else build(aten.ones.default, [length])
    return build(aten.constant_pad_nd.default, ones, [before, size - length - before])


def _rfft(build: Builder, node: Node) -> Parts:
    """Half of the spectrum along one dimension."""
    return _fft(build, node, lambda size: size // 2 + 1)


def _full_fft(build: Builder, node: Node) -> Parts:
    """All of the spectrum along one dimension."""
    return _fft(build, node, lambda size: size)


def _fft(build: Builder, node: Node, bins_of: Callable[[int], int]) -> Parts:
    signal, axis, norm = node.args[0], _argument(node, "dim"), _argument(node, "norm")
    assert isinstance(signal, Node)
    length = shape(signal)[axis]
    size = _argument(node, "n") or length
    factor = {"ortho": size**-0.5, "forward": 1 / size}.get(norm, 1.0)
    lines = build(aten.transpose.int, signal, axis, -1)
    if size < length:
        lines = build(aten.slice.Tensor, lines, -1, 0, size)
    elif size > length:
        lines = build(aten.constant_pad_nd.default, lines, [0, size - length])
    bins = bins_of(size)
    basis = build(aten.cat.default, list(_basis(build, size, bins, factor)))
    both = build(aten.linear.default, lines, basis)
    parts = (build(aten.slice.Tensor, both, -1, first, first + bins) for first in (0, bins))
    real, imaginary = (build(aten.transpose.int, part, axis, -1) for part in parts)
    return real, imaginary


def _basis(build: Builder, size: int, bins: int, factor: float) -> Parts:
    """factor cos and -factor sin of 2 pi k t / size, [bins, size]. Angles are reduced as integers."""
    time, bin = (build(aten.arange.default, count, dtype=torch.int64) for count in (size, bins))
    turns = build(aten.mul.Tensor, build(aten.unsqueeze.default, bin, 1), time)
    wide = build(aten._to_copy.default, build(aten.remainder.Scalar, turns, size), dtype=torch.float64)
    angles = build(aten.mul.Tensor, wide, 2 * pi / size)

    def scaled(target: Any, by: float) -> Node:
        values = build(aten.mul.Tensor, build(target, angles), by)
        return build(aten._to_copy.default, values, dtype=torch.float32)

    return scaled(aten.cos.default, factor), scaled(aten.sin.default, -factor)


def _magnitude(build: Builder, real: Node, imaginary: Node) -> Node:
    squares = (build(aten.mul.Tensor, part, part) for part in (real, imaginary))
    return build(aten.sqrt.default, build(aten.add.Tensor, *squares))


def _angle(build: Builder, real: Node, imaginary: Node) -> Node:
    return build(aten.atan2.default, imaginary, real)


def _as_real(build: Builder, real: Node, imaginary: Node) -> Node:
    return build(aten.stack.default, [real, imaginary], -1)


_TRANSFORMS: dict[Any, Callable[[Builder, Node], Parts]] = {
    aten.stft.default: _stft,
    aten.fft_rfft.default: _rfft,
    aten.fft_fft.default: _full_fft,
}
_READERS: dict[Any, Callable[[Builder, Node, Node], Node]] = {
    aten.abs.default: _magnitude,
    aten.angle.default: _angle,
    aten.real.default: lambda build, real, imaginary: build(aten.alias.default, real),
    aten.imag.default: lambda build, real, imaginary: build(aten.alias.default, imaginary),
    aten.view_as_real.default: _as_real,
}


def _keep_in_float(graph: Graph, made: Iterable[Node]) -> None:
    """Mark what was made, and what lies between it and a logarithm."""
    computed = set(made)
    for node in graph.nodes:
        if computed.intersection(node.all_input_nodes):
            computed.add(node)
    needed: set[Node] = set()
    for node in reversed(graph.nodes):
        if node.target in _LOGARITHMS or needed.intersection(node.users):
            needed.add(node)
    for node in (*made, *computed & needed):
        if node.op == "call_function":
            keep_in_float(node, _WHY)


def _refuse_complex(graph: Graph) -> None:
    """McuError that names every operator on complex numbers."""
    lines: dict[str, None] = {}
    for node in graph.nodes:
        if node.op == "call_function" and any(map(_is_complex, (node, *node.all_input_nodes))):
            place = source_line(node)
            at = f" at {place}" if place else ""
            lines[f"{node.target}{at}: firmware has no complex numbers"] = None
    if lines:
        raise McuError("\n".join(lines), _HINT)


def _is_complex(node: Node) -> bool:
    values = node.meta.get("val")
    listed = values if isinstance(values, list | tuple) else [values]
    return any(isinstance(value, torch.Tensor) and value.is_complex() for value in listed)
