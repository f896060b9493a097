"""The words that options with a choice take: what they mean is in fronts/options.py."""

from typing import Literal

Io = Literal["float", "int8"]
InputBy = Literal["image", "rows"]
Optimize = Literal["speed", "size", "ram"]
Runtime = Literal["static", "table", "executorch"]
Kernels = Literal["ours", "cmsis-nn", "upstream"]
Compiler = Literal["arm-clang", "arm-gcc"]
Toolchain = Literal[Compiler, "host"]
ConsoleKind = Literal["rtt", "uart", "semihosting", "none"]
Artefact = Literal["tosa"]
