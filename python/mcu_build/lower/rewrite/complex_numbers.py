"""Complex numbers as pairs of real ones: rotary embeddings, spectra, weights of type complex64.

Each operator on complex tensors becomes arithmetic on real and imaginary parts; `torch.view_as_real`, `abs`,
`angle`, `real` and `imag` read them. What has no such form is refused by name.

Powers span more than the 48 dB that int8 holds. A spectrum, what is computed from it in complex numbers, and
all from there up to a logarithm, stays in float.
"""

import operator
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Graph, Node

from mcu_build.errors import McuError
from mcu_build.lower.assigned import keep_in_float
from mcu_build.lower.builder import Builder, aten, fake_mode
from mcu_build.lower.lines import source_line
from mcu_build.lower.rewrite import spectral
from mcu_build.lower.rewrite.fold import constants
from mcu_build.lower.rewrite.spectral import Parts

_WHY = "a spectrum spans more than int8 holds"
_HINT = (
    "Write these with real numbers: the two parts as two tensors, or as the last dimension "
    "(torch.view_as_real)."
)
_LOGARITHMS = frozenset({aten.log.default, aten.log2.default, aten.log10.default, aten.log1p.default})


def without_complex(exported: ExportedProgram) -> None:
    """Rewrite every complex number in place. McuError names what else computes with them.

    The constants are left to constant folding.
    """
    rewriting = _Rewriting(exported)
    for node in list(exported.graph.nodes):
        if node.target is aten._assert_tensor_metadata.default and _touches_complex(node):
            exported.graph.erase_node(node)
        elif node.op == "call_function" and (_touches_complex(node) or node.target in _FROM_REAL):
            rewriting.rewrite(node)
    for node in reversed(list(exported.graph.nodes)):
        if node in rewriting.parts and node.op == "call_function" and not node.users:
            exported.graph.erase_node(node)
    _keep_in_float(exported.graph, rewriting.spectra)
    output = exported.graph.output_node()
    is_complex = any(map(_is_complex, output.all_input_nodes)) and not rewriting.refused
    _refuse([*rewriting.refused, *([output] if is_complex else [])])
    exported.graph_module.recompile()


class _Rewriting:
    """The complex nodes met so far, with their parts, and all nodes that are made of spectra."""

    def __init__(self, exported: ExportedProgram) -> None:
        self.exported = exported
        self.mode = fake_mode(exported.graph_module)
        self.constants = {node for node, _ in constants(exported)}
        self.parts: dict[Node, Parts] = {}
        self.spectra: dict[Node, None] = {}
        self.refused: list[Node] = []

    def rewrite(self, node: Node) -> None:
        """Give a node its parts, or replace it where it is real; leave it where it has no rule."""
        rule = _RULES.get(node.target)
        operands = [operand for operand in node.all_input_nodes if _is_complex(operand)]
        if any(operand not in self.parts and operand not in self.constants for operand in operands):
            return
        last = node.prev
        build = Builder(self.exported.graph_module, self.mode, node)
        made = rule(_Operands(self, build), node) if rule else None
        if made is None:
            self.refused.append(node)
            return
        if node.target in _TRANSFORMS or any(operand in self.spectra for operand in operands):
            while last.next is not node:
                last = last.next
                self.spectra[last] = None
            self.spectra[node] = None
        if _is_complex(node):
            self.parts[node] = made if isinstance(made, tuple) else (made, None)
        else:
            result = made[0] if isinstance(made, tuple) else made
            node.replace_all_uses_with(result, propagate_meta=False)
            self.exported.graph.erase_node(node)


class _Operands:
    """What a rule has of its operator: a builder, and the parts of operands."""

    def __init__(self, rewriting: _Rewriting, build: Builder) -> None:
        self._rewriting, self.build = rewriting, build

    def parts(self, value: Any) -> Parts:
        """Real and imaginary part; a real tensor has no imaginary one. Numbers are left as they are."""
        if not isinstance(value, Node) or not _is_complex(value):
            return value, None
        known = self._rewriting.parts
        if value not in known:
            pairs = self.build(aten.view_as_real.default, value)
            real, imaginary = (self.build(aten.select.int, pairs, -1, index) for index in (0, 1))
            return real, imaginary
        return known[value]

    def whole(self, value: Node) -> tuple[Node, Node]:
        """Both parts, zeros where there is no imaginary one."""
        real, imaginary = self.parts(value)
        return real, self.zeros(real) if imaginary is None else imaginary

    def zeros(self, like: Node) -> Node:
        """As many zeros."""
        return self.build(aten.zeros_like.default, like)


Rule = Callable[[_Operands, Node], Parts | Node | None]


def _each(operands: _Operands, node: Node) -> Parts:
    """Operators that are the same for both parts: moves, sums."""

    def part(index: int) -> Node:
        def of(operand: Node) -> Node:
            return operands.whole(operand)[index] if _is_float(operand) else operand

        args, kwargs = torch.fx.map_arg((node.args, dict(node.kwargs)), of)
        return operands.build(node.target, *args, **kwargs)

    return part(0), part(1)


def _sum(operands: _Operands, node: Node) -> Parts | None:
    """Sums and differences; a number is added to the real part."""
    if any(isinstance(argument, complex) for argument in node.args):
        return None
    first, second = node.args[:2]
    numbers = [part for part in (first, second) if not isinstance(part, Node)]
    if not numbers:
        return _each(operands, node)
    real, imaginary = operands.whole(first)
    return operands.build(node.target, real, second, **node.kwargs), imaginary


def _bilinear(product: Callable[[Builder, Node, Any, Any], Node], first: Any, second: Any) -> Rule:
    """Products: (a + ib)(c + id) = ac - bd + i(ad + bc). `first` and `second` pick the factors."""

    def rule(operands: _Operands, node: Node) -> Parts | None:
        left, other = first(node), second(node)
        if isinstance(left, complex) or isinstance(other, complex) or left is None:
            return None

        def times(a: Any, b: Any) -> Node | None:
            return None if a is None or b is None else product(operands.build, node, a, b)

        (a, b), (c, d) = operands.parts(left), operands.parts(other)
        real = _added(operands.build, aten.sub.Tensor, times(a, c), times(b, d))
        return real, _added(operands.build, aten.add.Tensor, times(a, d), times(b, c))

    return rule


def _added(build: Builder, target: Any, first: Node | None, second: Node | None) -> Any:
    if first is None or second is None:
        return second if first is None else first
    return build(target, first, second)


def _plain(build: Builder, node: Node, a: Any, b: Any) -> Node:
    return build(node.target, a, b)


_multiply = _bilinear(_plain, lambda node: node.args[0], lambda node: node.args[1])


def _factors(node: Node, index: int) -> Any:
    """The operands of an einsum of two."""
    operands: Any = node.args[1]
    return operands[index] if len(operands) == 2 else None


def _einsum(operands: _Operands, node: Node) -> Parts | None:
    if len(node.args[1]) == 1:
        return _each(operands, node)
    return _products_of_einsum(operands, node)


_products_of_einsum = _bilinear(
    lambda build, node, a, b: build(node.target, node.args[0], [a, b]),
    lambda node: _factors(node, 0),
    lambda node: _factors(node, 1),
)


def _square(operands: _Operands, node: Node) -> Parts | None:
    if len(node.args) > 1 and node.args[1] != 2:
        return None
    (a, b), build = operands.whole(node.args[0]), operands.build
    real = build(aten.sub.Tensor, build(aten.mul.Tensor, a, a), build(aten.mul.Tensor, b, b))
    return real, build(aten.mul.Tensor, build(aten.mul.Tensor, a, b), 2.0)


def _divide(operands: _Operands, node: Node) -> Parts | None:
    """By a real number, or times the conjugate over its square."""
    first, second, build = node.args[0], node.args[1], operands.build
    if isinstance(first, complex) or isinstance(second, complex) or not isinstance(first, Node):
        return None
    (a, b), (c, d) = operands.parts(first), operands.parts(second)
    if d is not None:
        norm = _power(build, c, d)
        real = _added(
            build, aten.add.Tensor, build(aten.mul.Tensor, a, c), b and build(aten.mul.Tensor, b, d)
        )
        minus = build(aten.mul.Tensor, a, d)
        imaginary = build(aten.sub.Tensor, build(aten.mul.Tensor, b, c), minus) if b else _minus(build, minus)
        return build(aten.div.Tensor, real, norm), build(aten.div.Tensor, imaginary, norm)
    return build(node.target, a, c), b and build(node.target, b, c)


def _minus(build: Builder, node: Node) -> Node:
    return build(aten.neg.default, node)


def _power(build: Builder, real: Node, imaginary: Node) -> Node:
    squares = (build(aten.mul.Tensor, part, part) for part in (real, imaginary))
    return build(aten.add.Tensor, *squares)


def _magnitude(operands: _Operands, node: Node) -> Node:
    return operands.build(aten.sqrt.default, _power(operands.build, *operands.whole(node.args[0])))


def _angle(operands: _Operands, node: Node) -> Node:
    real, imaginary = operands.whole(node.args[0])
    return operands.build(aten.atan2.default, imaginary, real)


def _conjugate(operands: _Operands, node: Node) -> Parts:
    real, imaginary = operands.parts(node.args[0])
    return real, imaginary and _minus(operands.build, imaginary)


def _as_real(operands: _Operands, node: Node) -> Node:
    return operands.build(aten.stack.default, list(operands.whole(node.args[0])), -1)


def _as_complex(operands: _Operands, node: Node) -> Parts:
    real, imaginary = (operands.build(aten.select.int, node.args[0], -1, index) for index in (0, 1))
    return real, imaginary


def _polar(operands: _Operands, node: Node) -> Parts:
    return _turned(operands.build, node.args[0], node.args[1])


def _exponential(operands: _Operands, node: Node) -> Parts:
    real, imaginary = operands.whole(node.args[0])
    return _turned(operands.build, operands.build(aten.exp.default, real), imaginary)


def _turned(build: Builder, size: Any, angle: Any) -> Parts:
    real, imaginary = (
        build(aten.mul.Tensor, size, build(turn, angle)) for turn in (aten.cos.default, aten.sin.default)
    )
    return real, imaginary


def _converted(operands: _Operands, node: Node) -> Parts | Node:
    """From real to complex, or the other way."""
    real, imaginary = operands.parts(node.args[0])
    if not _is_complex(node):
        return real
    return real, imaginary


def _filled(operands: _Operands, node: Node) -> Parts | None:
    """A new tensor, of zeros or ones, like a complex one."""
    real, _ = operands.parts(node.args[0])
    return operands.build(node.target, real, *node.args[1:]), None


def _signal(transform: Callable[[Builder, Node, Parts], Parts | Node]) -> Rule:
    return lambda operands, node: transform(operands.build, node, operands.parts(node.args[0]))


def _stft(operands: _Operands, node: Node) -> Parts | Node | None:
    signal = node.args[0]
    if _is_complex(signal):
        return None
    parts = spectral.stft(operands.build, node, signal)
    return parts if _is_complex(node) else operands.build(aten.stack.default, list(parts), -1)


_FFT, _IFFT = spectral.fft, spectral.ifft
_TRANSFORMS: dict[Any, Rule] = {
    aten.stft.default: _stft,
    aten.istft.default: lambda operands, node: (
        None if _is_complex(node) else spectral.istft(operands.build, node, operands.parts(node.args[0]))
    ),
    aten.fft_rfft.default: _signal(spectral.one_dimension(spectral.rfft)),
    aten.fft_irfft.default: _signal(spectral.one_dimension(spectral.irfft)),
    aten.fft_fft.default: _signal(spectral.one_dimension(_FFT)),
    aten.fft_ifft.default: _signal(spectral.one_dimension(_IFFT)),
    aten.fft_fft2.default: _signal(spectral.dimensions(_FFT)),
    aten.fft_fftn.default: _signal(spectral.dimensions(_FFT)),
    aten.fft_ifft2.default: _signal(spectral.dimensions(_IFFT)),
    aten.fft_ifftn.default: _signal(spectral.dimensions(_IFFT)),
    aten.fft_rfft2.default: _signal(spectral.dimensions(_FFT, spectral.rfft)),
    aten.fft_rfftn.default: _signal(spectral.dimensions(_FFT, spectral.rfft)),
    aten.fft_irfft2.default: _signal(spectral.dimensions(_IFFT, spectral.irfft)),
    aten.fft_irfftn.default: _signal(spectral.dimensions(_IFFT, spectral.irfft)),
}
# Give two real parts in one tensor where they are asked to.
_FROM_REAL = frozenset({aten.stft.default})
_EACH = (
    aten.view.default, aten.reshape.default, aten._unsafe_view.default, aten.flatten.using_ints,
    aten.unflatten.int, aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims, aten.unsqueeze.default,
    aten.permute.default, aten.transpose.int, aten.t.default,
    aten.mT.default, aten.numpy_T.default, aten.movedim.int,
    aten.expand.default, aten.expand_as.default, aten.slice.Tensor, aten.select.int, aten.cat.default,
    aten.stack.default, aten.clone.default, aten.contiguous.default, aten.alias.default, aten.detach.default,
    aten.detach_.default, aten.lift_fresh_copy.default, aten.copy.default, aten.slice_scatter.default,
    aten.select_scatter.default, aten.flip.default, aten.roll.default, aten.repeat.default,
    aten.index_select.default, aten.index.Tensor, aten.gather.default, aten.sum.default,
    aten.sum.dim_IntList, aten.mean.default, aten.mean.dim, aten.cumsum.default, aten.neg.default,
    aten.constant_pad_nd.default, aten.split.Tensor, aten.split_with_sizes.default, aten.chunk.default,
    aten.unbind.int, aten.unfold.default, aten.fft_fftshift.default, aten.fft_ifftshift.default,
    operator.getitem,
)  # fmt: skip
_RULES: dict[Any, Rule] = {
    **_TRANSFORMS,
    **dict.fromkeys(_EACH, _each),
    **dict.fromkeys((aten.add.Tensor, aten.sub.Tensor), _sum),
    **dict.fromkeys(
        (aten.mul.Tensor, aten.mul.Scalar, aten.matmul.default, aten.mm.default, aten.bmm.default), _multiply
    ),
    aten.einsum.default: _einsum,
    **dict.fromkeys((aten.square.default, aten.pow.Tensor_Scalar), _square),
    **dict.fromkeys((aten.div.Tensor, aten.div.Scalar), _divide),
    **dict.fromkeys((aten.conj.default, aten._conj.default, aten.conj_physical.default), _conjugate),
    **dict.fromkeys((aten.resolve_conj.default, aten.resolve_neg.default), _converted),
    **dict.fromkeys(
        (aten.to.dtype, aten._to_copy.default, aten.type_as.default, aten.real.default), _converted
    ),
    aten.imag.default: lambda operands, node: operands.whole(node.args[0])[1],
    **dict.fromkeys((aten.zeros_like.default, aten.ones_like.default), _filled),
    aten.abs.default: _magnitude,
    aten.angle.default: _angle,
    aten.view_as_real.default: _as_real,
    aten.view_as_complex.default: _as_complex,
    aten.complex.default: lambda operands, node: (node.args[0], node.args[1]),
    aten.polar.default: _polar,
    aten.exp.default: _exponential,
}


def _keep_in_float(graph: Graph, made: Iterable[Node]) -> None:
    """Mark what was made, and what lies between it and a logarithm."""
    there = set(graph.nodes)
    spectra = [node for node in made if node in there]
    computed = set(spectra)
    for node in graph.nodes:
        if computed.intersection(node.all_input_nodes):
            computed.add(node)
    needed: set[Node] = set()
    for node in reversed(graph.nodes):
        if node.target in _LOGARITHMS or needed.intersection(node.users):
            needed.add(node)
    for node in (*spectra, *computed & needed):
        if node.op == "call_function":
            keep_in_float(node, _WHY)


def _refuse(nodes: Iterable[Node]) -> None:
    """McuError that names every operator that has no rule, and outputs."""
    lines: dict[str, None] = {}
    for node in nodes:
        place = source_line(node)
        at = f" at {place}" if place else ""
        name = "an output" if node.op == "output" else str(node.target)
        lines[f"{name}{at}: firmware has no complex numbers"] = None
    if lines:
        raise McuError("\n".join(lines), _HINT)


def _touches_complex(node: Node) -> bool:
    return any(map(_is_complex, (node, *node.all_input_nodes)))


def _tensors(node: Node) -> list[torch.Tensor]:
    values = node.meta.get("val")
    listed = values if isinstance(values, list | tuple) else [values]
    return [value for value in listed if isinstance(value, torch.Tensor)]


def _is_complex(node: Any) -> bool:
    return isinstance(node, Node) and any(value.is_complex() for value in _tensors(node))


def _is_float(node: Node) -> bool:
    return any(value.is_floating_point() or value.is_complex() for value in _tensors(node))
