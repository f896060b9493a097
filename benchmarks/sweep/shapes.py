"""The layers that are swept: about 150, of the shapes that nets have and benchmarks leave out.

`code` makes the module, in the words of model_text(); `shape` is of each of its inputs. Layers with one
`curve` differ in `at` alone; of these, those whose `at` is a power of two are the curve of the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """One layer of the sweep."""

    name: str
    family: str
    code: str
    shape: tuple[int, ...]
    inputs: int = 1
    curve: str = ""
    at: int = 0


def layers() -> Sequence[Layer]:
    """All of them."""
    parts = (_pointwise, _dense, _stems, _depthwise, _grouped, _transposed, _conv1d, _linear, _rest)
    return [layer for part in parts for layer in part()]


def _conv(inputs: int, outputs: int, kernel: int, **options: object) -> str:
    padding = options.pop("padding", kernel // 2)
    more = "".join(f", {key}={value}" for key, value in options.items())
    return f"nn.Conv2d({inputs}, {outputs}, {kernel}, padding={padding}{more})"


def _pointwise() -> Iterator[Layer]:
    for inputs in (8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 112, 128):
        name = f"pointwise_{inputs}_to_32"
        yield Layer(name, "1x1", _conv(inputs, 32, 1), (1, inputs, 12, 12), curve="1x1 in", at=inputs)
    for outputs in (8, 12, 16, 20, 24, 32, 56, 60, 64, 100, 128):
        name = f"pointwise_of_64_to_{outputs}"
        yield Layer(name, "1x1", _conv(64, outputs, 1), (1, 64, 12, 12), curve="1x1 out", at=outputs)
    for height, width in ((1, 1), (3, 3), (5, 9), (7, 7), (25, 5)):
        name = f"pointwise_32_to_32_of_{height}x{width}"
        yield Layer(name, "1x1", _conv(32, 32, 1), (1, 32, height, width))
    for channels in (24, 64):
        name = f"pointwise_{channels}_stride_2"
        yield Layer(name, "1x1", _conv(channels, channels, 1, stride=2), (1, channels, 12, 12))


def _dense() -> Iterator[Layer]:
    for inputs in (4, 8, 12, 16, 24, 32, 48, 64, 96):
        name = f"conv3x3_{inputs}_to_16"
        yield Layer(name, "3x3", _conv(inputs, 16, 3), (1, inputs, 12, 12), curve="3x3 in", at=inputs)
    for outputs in (8, 12, 16, 20, 24, 32, 40, 60, 64):
        name = f"conv3x3_of_32_to_{outputs}"
        yield Layer(name, "3x3", _conv(32, outputs, 3), (1, 32, 12, 12), curve="3x3 out", at=outputs)
    for height, width in ((3, 3), (5, 9), (7, 7)):
        name = f"conv3x3_16_to_16_of_{height}x{width}"
        yield Layer(name, "3x3", _conv(16, 16, 3), (1, 16, height, width))
    for channels in (12, 32):
        name = f"conv3x3_{channels}_stride_2"
        yield Layer(name, "3x3", _conv(channels, channels, 3, stride=2), (1, channels, 13, 13))
    yield Layer("conv3x3_16_dilated", "3x3", _conv(16, 16, 3, padding=2, dilation=2), (1, 16, 12, 12))
    yield Layer("conv3x3_16_unpadded", "3x3", _conv(16, 16, 3, padding=0), (1, 16, 12, 12))
    for channels in (12, 16, 32):
        name = f"conv5x5_{channels}"
        yield Layer(name, "5x5", _conv(channels, 16, 5), (1, channels, 12, 12))
    yield Layer("conv7x7_8", "5x5", _conv(8, 16, 7), (1, 8, 12, 12))
    yield Layer("conv1x7_16", "5x5", "nn.Conv2d(16, 16, (1, 7), padding=(0, 3))", (1, 16, 12, 12))
    yield Layer("conv7x1_16", "5x5", "nn.Conv2d(16, 16, (7, 1), padding=(3, 0))", (1, 16, 12, 12))


def _stems() -> Iterator[Layer]:
    for inputs in (1, 3):
        for kernel, stride, outputs in ((3, 1, 8), (3, 2, 16), (5, 2, 24), (7, 2, 16), (1, 1, 8)):
            name = f"stem_{inputs}_to_{outputs}_of_{kernel}x{kernel}_stride_{stride}"
            yield Layer(name, "stem", _conv(inputs, outputs, kernel, stride=stride), (1, inputs, 32, 32))
    yield Layer("stem_1_to_64_of_10x4", "stem", "nn.Conv2d(1, 64, (10, 4), 2, (5, 1))", (1, 1, 49, 10))


def _depthwise() -> Iterator[Layer]:
    for channels in (3, 8, 12, 16, 24, 32, 40, 64, 96):
        name = f"depthwise3x3_{channels}"
        code = _conv(channels, channels, 3, groups=channels)
        yield Layer(name, "depthwise", code, (1, channels, 12, 12), curve="depthwise 3x3", at=channels)
    for kernel in (3, 5, 7):
        for stride, side in ((1, 7), (2, 12)) if kernel > 3 else ((1, 7), (2, 12), (2, 13)):
            name = f"depthwise{kernel}x{kernel}_24_stride_{stride}_of_{side}"
            code = _conv(24, 24, kernel, stride=stride, groups=24)
            yield Layer(name, "depthwise", code, (1, 24, side, side))
    for kernel in (5, 7):
        code = _conv(40, 40, kernel, groups=40)
        yield Layer(f"depthwise{kernel}x{kernel}_40", "depthwise", code, (1, 40, 12, 12))
    for multiplier in (2, 4):
        code = _conv(16, 16 * multiplier, 3, groups=16)
        yield Layer(f"depthwise3x3_16_times_{multiplier}", "depthwise", code, (1, 16, 12, 12))
    code = _conv(16, 16, 3, padding=2, dilation=2, groups=16)
    yield Layer("depthwise3x3_16_dilated", "depthwise", code, (1, 16, 12, 12))


def _grouped() -> Iterator[Layer]:
    for each in (2, 4, 8, 16):
        for kernel in (1, 3):
            name = f"grouped{kernel}x{kernel}_32_of_{each}"
            yield Layer(name, "grouped", _conv(32, 32, kernel, groups=32 // each), (1, 32, 12, 12))


def _transposed() -> Iterator[Layer]:
    for kernel, stride, padding, channels in (
        (2, 2, 0, 16),
        (2, 2, 0, 24),
        (3, 2, 1, 16),
        (4, 2, 1, 16),
        (4, 2, 1, 24),
        (3, 1, 1, 16),
    ):
        name = f"transposed{kernel}x{kernel}_{channels}_stride_{stride}"
        code = f"nn.ConvTranspose2d({channels}, {channels}, {kernel}, {stride}, {padding})"
        yield Layer(name, "transposed", code, (1, channels, 8, 8))


def _conv1d() -> Iterator[Layer]:
    for channels, kernel in ((16, 3), (24, 3), (32, 3), (40, 3), (64, 3), (32, 5), (32, 7), (32, 9), (12, 9)):
        code = f"nn.Conv1d({channels}, {channels}, {kernel}, padding={kernel // 2})"
        curve = "conv1d 3" if kernel == 3 else ""
        yield Layer(f"conv1d_{channels}_of_{kernel}", "conv1d", code, (1, channels, 50), 1, curve, channels)
    for channels, kernel in ((24, 3), (32, 9), (64, 15)):
        code = f"nn.Conv1d({channels}, {channels}, {kernel}, padding={kernel // 2}, groups={channels})"
        yield Layer(f"depthwise1d_{channels}_of_{kernel}", "depthwise", code, (1, channels, 50))
    yield Layer("conv1d_32_stride_2", "conv1d", "nn.Conv1d(32, 32, 3, 2, 1)", (1, 32, 50))


def _linear() -> Iterator[Layer]:
    for inputs, outputs in (
        (16, 10),
        (50, 10),
        (64, 2),
        (64, 12),
        (64, 64),
        (100, 30),
        (128, 128),
        (640, 32),
    ):
        name = f"linear_{inputs}_to_{outputs}"
        yield Layer(name, "linear", f"nn.Linear({inputs}, {outputs})", (1, inputs))
    for rows, inputs, outputs in ((24, 64, 48), (8, 30, 10), (2, 64, 64), (50, 96, 96)):
        name = f"linear_{rows}_rows_of_{inputs}"
        yield Layer(name, "linear", f"nn.Linear({inputs}, {outputs})", (1, rows, inputs))


def _rest() -> Iterator[Layer]:
    image = (1, 24, 12, 12)
    for kernel, stride in ((2, 2), (3, 1), (3, 2), (5, 1)):
        yield Layer(
            f"average{kernel}x{kernel}_stride_{stride}", "pool", f"nn.AvgPool2d({kernel}, {stride})", image
        )
        yield Layer(
            f"maximum{kernel}x{kernel}_stride_{stride}", "pool", f"nn.MaxPool2d({kernel}, {stride})", image
        )
    yield Layer("maximum3x3_ceiling", "pool", "nn.MaxPool2d(3, 2, ceil_mode=True)", image)
    yield Layer("average_of_all", "pool", "nn.AdaptiveAvgPool2d(1)", image)
    for operation in ("add", "mul", "sub"):
        for channels in (16, 21):
            name = f"{operation}_{channels}"
            yield Layer(name, "elementwise", f"Binary(torch.{operation})", (1, channels, 12, 12), inputs=2)
    for name in ("ReLU6", "Sigmoid", "Tanh", "Hardswish", "GELU", "SiLU", "LeakyReLU"):
        yield Layer(f"table_{name.lower()}", "elementwise", f"nn.{name}()", image)
    for length in (10, 64, 100):
        yield Layer(f"softmax_{length}", "softmax", "nn.Softmax(-1)", (1, 24, length))
    for side in (16, 30, 64):
        yield Layer(f"matmul_{side}", "matmul", "Binary(torch.matmul)", (2, side, side), inputs=2)
    for length in (32, 48, 96):
        yield Layer(f"layer_norm_{length}", "norm", f"nn.LayerNorm({length})", (1, 24, length))
    yield Layer("nearest_2", "resize", "nn.Upsample(scale_factor=2)", image)
    yield Layer("bilinear_2", "resize", "nn.Upsample(scale_factor=2, mode='bilinear')", image)


def model_text(chosen: Sequence[Layer], bits: int = 8) -> str:
    """A model file in which each of `chosen` is a module of its own name, side by side."""
    lines = [
        '"""Layers side by side, written by benchmarks/layers.py."""',
        "",
        "import torch",
        "from torch import nn",
        "",
        "",
        "class Binary(nn.Module):",
        "    def __init__(self, operation):",
        "        super().__init__()",
        "        self.operation = operation",
        "",
        "    def forward(self, a, b):",
        "        return self.operation(a, b)",
        "",
        "",
        "class Sweep(nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        *(f"        self.{layer.name} = {layer.code}" for layer in chosen),
        "",
        "    def forward(self, *x):",
    ]
    shapes: list[tuple[int, ...]] = []
    calls = []
    for layer in chosen:
        first = len(shapes)
        shapes += [layer.shape] * layer.inputs
        operands = ", ".join(f"x[{first + i}]" for i in range(layer.inputs))
        calls.append(f"self.{layer.name}({operands})")
    lines += [
        f"        return ({', '.join(calls)},)",
        "",
        "",
        "torch.manual_seed(0)",
        f"_SHAPES = {shapes}",
        "model = Sweep().eval()",
        "calibration = [tuple(torch.randn(shape) for shape in _SHAPES) for _ in range(2)]",
        "example_inputs = calibration[0]",
        *(["activation_bits = 16"] if bits == 16 else []),
        "",
    ]
    return "\n".join(lines)
