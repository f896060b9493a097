"""What every exported format is made of: a model's sources with the kernels that they call, and data about
it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from posixpath import normpath

from mcu_build.codegen.header import Port
from mcu_build.codegen.toolchain_config import ToolchainConfig, kernel_files
from mcu_build.export.vectors import Vectors
from mcu_build.image.stack import Stack
from mcu_build.resources import data_dir
from mcu_build.stages.kernel_sources import SUFFIXES

# What Arduino's and PlatformIO's cores compile with; a user's own operators are C++20 (std::span).
STANDARD = "gnu++17"
STANDARD_OF_OPERATORS = "gnu++20"
_FLAGS = ("-fno-exceptions", "-fno-rtti", "-ffunction-sections", "-fdata-sections", "-ffp-contract=off")

# What projects turn into errors, and our sources do. Compilers that do not know a name say nothing.
_WARNINGS = (
    "pragmas",
    "unknown-warning-option",
    "pedantic",
    "c++20-extensions",
    "cast-align",
    "useless-cast",
    "float-equal",
    "sign-conversion",
    "switch-default",
    "effc++",
)
_QUIET = "".join(f'#pragma GCC diagnostic ignored "-W{name}"\n' for name in _WARNINGS)
# Whatever the options of a build system that takes no advice.
PROLOGUE = f"""\
#if defined(__GNUC__)
// Warnings of a project that asks for more than -Wall -Wextra.
{_QUIET}#endif
// Results are those of the program's definition: one rounding for each operation.
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
// Kernels in assembly take all registers: too few are left without optimization, or for size before GCC 12.
#if !defined(__OPTIMIZE__) || (defined(__OPTIMIZE_SIZE__) && __GNUC__ < 12)
#pragma GCC optimize("O2")
#endif
#endif

"""
# What a compiler defines for a core that has the instructions of a folder's kernels.
_FEATURES = {"mve": "__ARM_FEATURE_MVE", "dsp": "__ARM_FEATURE_DSP", "thumb2": "__thumb2__"}
# An NPU's driver reaches it as the application says; in one of Zephyr's, as Zephyr does.
_DRIVER = "drivers/ethos_u"
_BUS = """\
#pragma once

#if defined(__ZEPHYR__)
#include "bus_zephyr.h"
#else
#include "bus_application.h"
#endif
"""
_DEFAULTS = """\
#ifndef MCU_NPU_BASE
#define MCU_NPU_BASE {base:#010x}
#endif
#ifndef MCU_NPU_IRQ
#define MCU_NPU_IRQ {irq}
#endif

"""
_INCLUDE = re.compile(r'^(\s*#\s*include\s*)"([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Sizes:
    """Bytes: of RAM for the arena, an NPU's fast memory and state, of flash for constants and code.

    `stack` is what the model's functions need with all that they call. Code and stack are those of the
    board's compiler.
    """

    arena: int
    fast: int
    state: int
    constants: int
    code: int
    stack: Stack


@dataclass(frozen=True)
class Npu:
    """The NPU that a model is for: its name, where its registers are, its interrupt."""

    name: str
    base: int
    irq: int


@dataclass(frozen=True)
class Contents:
    """A model to be exported.

    `headers` are the public ones by name, the model's first, `sources` the C++ to compile, `internal` the
    headers that only they include: texts by path below one folder, which is the include folder of all.
    `archive` is the library that the board's compiler makes of them. `test` holds C sources by name:
    self-test and vectors. `machine` are the board's options for core and calling convention, `flags` the
    others, `core` is its name, `fpu` "none", "single" or "double", `features` "mve" and "dsp". `ports` are
    inputs, then outputs.
    """

    name: str
    version: str
    core: str
    fpu: str
    features: frozenset[str]
    machine: tuple[str, ...]
    flags: tuple[str, ...]
    compiler: str
    npu: Npu | None
    headers: Mapping[str, str]
    sources: Mapping[str, str]
    internal: Mapping[str, str]
    test: Mapping[str, str]
    vectors: Vectors
    sizes: Sizes
    ports: tuple[Port, ...]
    license: str
    archive: bytes = field(repr=False)

    @property
    def input(self) -> Port:
        """The first input."""
        return self.ports[0]

    @property
    def output(self) -> Port:
        """The first output."""
        return self.ports[len(self.vectors.inputs)]

    @property
    def tree(self) -> dict[str, str]:
        """All below the include folder: header, sources and what they include."""
        return {**self.headers, **self.sources, **self.internal}


def compile_flags(standard: str) -> tuple[str, ...]:
    """Options to compile the sources with, but for the machine's and the level of optimization."""
    return (f"-std={standard}", *_FLAGS)


def self_contained(
    name: str,
    texts: Mapping[str, str],
    kernels: Iterable[str],
    config: ToolchainConfig,
    operators: Mapping[str, str],
    npu: Npu | None,
) -> tuple[dict[str, str], dict[str, str]]:
    """Sources and internal headers of a model with its kernels and its NPU's driver: texts by path.

    The kernels get a namespace and a folder of the model's own, so that two exported models, made by
    different versions or with different options, can be in one application. `operators` are a user's own
    files by path.
    """
    firmware = data_dir() / "firmware"
    prologue = PROLOGUE + _core_check(name, config)
    internal = {path: text for path, text in operators.items() if not path.endswith(SUFFIXES)}
    sources = {path: text for path, text in operators.items() if path not in internal}
    sources |= {file: prologue + text for file, text in texts.items() if file.endswith(".cpp")}
    for stem in kernels:
        for file in kernel_files(stem, config.kernel_folders):
            sources[file.relative_to(firmware).as_posix()] = prologue + file.read_text()
    if npu is not None:
        internal[f"{_DRIVER}/bus.h"] = _BUS
        defaults = _DEFAULTS.format(base=npu.base, irq=npu.irq)
        application = f"{_DRIVER}/application.cpp"
        sources[application] = PROLOGUE + defaults + (firmware / application).read_text()
    waiting = {**sources, **internal}
    while waiting:
        path, text = waiting.popitem()
        for include in _included(firmware, path, text):
            if include not in internal:
                internal[include] = waiting[include] = (_place(firmware, include)).read_text()
    return (
        {path: _owned(text, name) for path, text in sorted(sources.items())},
        {_owned(path, name): _owned(text, name) for path, text in sorted(internal.items())},
    )


def _core_check(name: str, config: ToolchainConfig) -> str:
    """Options for another core are an error in words, before the assembler knows no instruction."""
    macros = [macro for folder, macro in _FEATURES.items() if folder in config.kernel_folders]
    if not macros:
        return ""
    missing = " || ".join(f"!defined({macro})" for macro in macros)
    options = " ".join(word for word in config.machine_options if word.startswith("-m"))
    return f'#if {missing}\n#error "{name} is for another core: compile it with {options}"\n#endif\n\n'


def _included(firmware: Path, path: str, text: str) -> list[str]:
    """Paths of headers of ours that a text includes, as the exported folder has them."""
    beside = PurePosixPath(path).parent
    headers = []
    for _, name in _INCLUDE.findall(text):
        for candidate in (normpath(f"{beside}/{name}"), name):
            if _place(firmware, candidate).is_file():
                headers.append(candidate)
                break
    return headers


def _place(firmware: Path, path: str) -> Path:
    """The file of ours behind a path of the exported folder."""
    return firmware / path if path.startswith(("kernels/", "drivers/")) else firmware / "include" / path


def npu_header(name: str) -> str:
    """What an application gives the NPU's driver of a model: the header <name>_npu.h."""
    return _owned((data_dir() / "firmware" / "include" / "mcu" / "npu.h").read_text(), name)


def _owned(text: str, name: str) -> str:
    """A source, or a path, with kernels and an NPU's driver under names of the model's own."""
    for ours, own in (
        ("mcu/kernels/", f"{name}_kernels/"),
        ("mcu::kernels", f"{name}_kernels"),
        ("mcu/drivers/", f"{name}_drivers/"),
        ("mcu::ethos_u", f"{name}_ethos_u"),
        ("mcu/cache.h", f"{name}_cache.h"),
        ("mcu::cache", f"{name}_cache"),
        ("mcu/dma.h", f"{name}_dma.h"),
        ("mcu/npu.h", f"{name}_npu.h"),
        ("mcu_npu_", f"{name}_npu_"),
        ("MCU_NPU_H", f"{name.upper()}_NPU_H"),
    ):
        text = text.replace(ours, own)
    return text
