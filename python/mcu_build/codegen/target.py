"""Board + toolchain → compiler, options and sources: the one place where CMake, Bazel and SCons get them."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mcu_build import process
from mcu_build.board import Board
from mcu_build.choices import Toolchain as Toolchain
from mcu_build.codegen.cmsis_nn import CmsisNn
from mcu_build.errors import Exit, McuError
from mcu_build.hardware import SetupStep
from mcu_build.ir.plan import DUAL_ISSUE, Optimize
from mcu_build.resources import data_dir

# A test image reaches its files through semihosting, a device image through any debug probe.
Image = Literal["test", "device", "production"]

GCC_HINT = "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib"
CLANG_HINT = "apt-get install clang-19 lld-19 llvm-19"
HOST_HINT = "apt-get install g++"

_ARMV6_M = ("cortex-m0", "cortex-m0plus")

# Newest that our tests run with first.
_CLANG_SUFFIXES = ("-19", "-20", "-21", "-18", "")

_COMMON = (
    "-std=c++20",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
    # A linker script that does not know these sections would make room for them.
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    # Results are those of the program's definition, one rounding for each operation.
    "-ffp-contract=off",
    # Nothing reads errno: sqrt and rint become instructions, with the same results.
    "-fno-math-errno",
    "-Wall",
    "-Wextra",
    "-Werror",
)


_SEMIHOSTING = ("platform/semihosting/semihosting.cpp", "platform/semihosting/bkpt.cpp")
_CYCLES = "platform/cortex_m/cycles.cpp"


@dataclass(frozen=True)
class Target:
    """How to compile and link for a board.

    A link is `cxx *link_options objects... *libraries`, with `-T` and the script of codegen/linker.py where
    the board is not the host. `machine_options` and `machine_link_options` are those among them on which all
    objects of an image have to agree: the core and its calling convention. `kernel_folders` are folders of
    firmware/kernels, in the order to look for a kernel.
    """

    toolchain: Toolchain
    cxx: Path
    archiver: Path
    objcopy: Path
    compile_options: tuple[str, ...]
    machine_options: tuple[str, ...]
    link_options: tuple[str, ...]
    machine_link_options: tuple[str, ...]
    libraries: tuple[str, ...]
    defines: tuple[str, ...]
    kernel_folders: tuple[str, ...]


def target(
    board: Board,
    toolchain: Toolchain,
    cmsis_nn: CmsisNn | None = None,
    optimize: Optimize = "speed",
) -> Target:
    """Tools and options for `board`. McuError: status 3 a tool is missing, 1 the two do not match.

    With `cmsis_nn` its headers are found, its archive is linked and its kernels come first.
    """
    flags = _target(board, toolchain, optimize)
    if cmsis_nn is None:
        return flags
    return replace(
        flags,
        compile_options=(*flags.compile_options, f"-isystem{cmsis_nn.include}"),
        libraries=(str(cmsis_nn.archive), *flags.libraries),
        kernel_folders=kernel_folders(board, cmsis_nn),
    )


def _target(board: Board, toolchain: Toolchain, optimize: Optimize) -> Target:
    if board.is_host != (toolchain == "host"):
        hint = "Leave --toolchain out." if board.is_host else "Use arm-clang or arm-gcc."
        raise McuError(f"--toolchain: {toolchain} cannot build for {board.id}", hint)
    if toolchain == "host":
        return _host(board, optimize_option(toolchain, optimize))
    level = optimize_option(toolchain, optimize)
    return _clang(board, level) if toolchain == "arm-clang" else _gcc(board, level)


def optimize_option(toolchain: Toolchain, optimize: Optimize) -> str:
    """The compiler's -O. gcc 12 knows -Oz, but its code is no smaller than that of -Os."""
    if optimize != "size":
        return "-O2"
    return "-Oz" if toolchain == "arm-clang" else "-Os"


def default_toolchain(board: Board) -> Toolchain:
    """arm-clang where it is installed, else arm-gcc; host for the host."""
    if board.is_host:
        return "host"
    return "arm-clang" if _clang_suffix() is not None else "arm-gcc"


def platform_sources(board: Board, image: Image) -> tuple[str, ...]:
    """Sources of the platform for an image, relative to firmware/."""
    if board.is_host:
        return ("platform/host/host.cpp",)
    core = tuple(f"platform/cortex_m/{name}.cpp" for name in ("vectors", "startup", "fault"))
    if image == "test":
        return (*core, *_SEMIHOSTING, "platform/semihosting/no_cycles.cpp")
    # Simulators have no such DMA: the core copies there.
    core = (*core, *_dma_driver(board))
    if image == "device":
        return (*core, _SEMIHOSTING[0], "platform/semihosting/probe.cpp", _CYCLES)
    more = _SEMIHOSTING[1:] if board.console == "semihosting" else ()
    # An application may print; models, which test images prove, use no memory but their own.
    stdio = "platform/cortex_m/stdio.cpp"
    console = f"platform/console/{_console(board)}.cpp"
    return (*core, stdio, _CYCLES, "platform/console/halt.cpp", console, *more)


def _dma_driver(board: Board) -> tuple[str, ...]:
    """The source of the driver of the board's DMA, where it is one of ours."""
    if board.dma is None or board.dma.base is None:
        return ()
    return (f"platform/dma/{board.dma.driver.replace('-', '_')}.cpp",)


def _console(board: Board) -> str:
    """The source of a production image's console."""
    if board.console == "uart" and board.uart is not None:
        return board.uart.kind.replace("-", "_")
    return "semihosting_console" if board.console == "semihosting" else board.console


def kernel_folders(board: Board, cmsis_nn: CmsisNn | None = None) -> tuple[str, ...]:
    """Folders of firmware/kernels for the board's core, best first, and DUAL_ISSUE where it has that."""
    plain = not (board.dsp or board.is_host)
    own = (
        ("cmsis_nn", cmsis_nn is not None),
        ("npu", board.npu is not None),
        ("mve", board.mve),
        ("dsp", board.dsp),
        (DUAL_ISSUE, board.core == "cortex-m7"),
        ("thumb2", plain and board.core not in _ARMV6_M),
        ("thumb", plain),
    )
    return (*(folder for folder, has in own if has), "reference")


def machine_options(board: Board) -> tuple[str, ...]:
    """-mcpu and its company; both compilers take the floating-point unit from the core's name."""
    cpu: str = board.core
    if board.core == "cortex-m7" and board.fpu == "single":
        cpu += "+nofp.dp"
    if board.core == "cortex-m33" and not board.dsp:
        cpu += "+nodsp"
    if board.core in ("cortex-m55", "cortex-m85"):
        # Vectors of floats flush denormals to zero: a compiler that makes them of loops changes results.
        cpu += "+nomve.fp" if board.mve else "+nomve"
    return (f"-mcpu={cpu}", "-mthumb", f"-mfloat-abi={'soft' if board.fpu == 'none' else 'hard'}")


def _gcc_machine(board: Board) -> tuple[str, ...]:
    # gcc 12 does not know the Cortex-M85, which runs what is compiled for the Cortex-M55.
    cpu, *others = machine_options(board)
    return (cpu.replace("cortex-m85", "cortex-m55"), *others)


def _host(board: Board, level: str) -> Target:
    return Target(
        toolchain="host",
        cxx=_first(("g++", "clang++", "c++"), HOST_HINT),
        archiver=_first(("ar",), HOST_HINT),
        objcopy=_first(("objcopy",), HOST_HINT),
        compile_options=(*_COMMON, level, _prefix_map()),
        machine_options=(),
        link_options=(),
        machine_link_options=(),
        libraries=(),
        defines=(),
        kernel_folders=kernel_folders(board),
    )


def _gcc_names(tool: str) -> tuple[str, str]:
    """A tool of GCC for Arm, as distributions and as Zephyr's SDK call it."""
    return f"arm-none-eabi-{tool}", f"arm-zephyr-eabi-{tool}"


def _gcc(board: Board, level: str) -> Target:
    machine = _gcc_machine(board)
    return Target(
        toolchain="arm-gcc",
        cxx=_first(_gcc_names("g++"), GCC_HINT),
        archiver=_first(_gcc_names("ar"), GCC_HINT),
        objcopy=_first(_gcc_names("objcopy"), GCC_HINT),
        compile_options=(*machine, *_COMMON, level, _prefix_map()),
        machine_options=machine,
        link_options=(*machine, *_link_options(), "-Wl,--build-id=none"),
        machine_link_options=machine,
        libraries=("-lm", "-lc", "-lgcc"),
        defines=_defines(board),
        kernel_folders=kernel_folders(board),
    )


def _clang(board: Board, level: str) -> Target:
    suffix = _clang_suffix()
    if suffix is None:
        raise McuError("clang++ with ld.lld: not found on PATH", CLANG_HINT, Exit.TOOL_MISSING)
    machine = ("--target=arm-none-eabi", *machine_options(board))
    gcc = _first(("arm-none-eabi-g++",), GCC_HINT)
    # clang knows nothing of where a distribution keeps newlib; gcc does, for each variant of the core.
    includes = tuple(f"-isystem{folder}" for folder in _gcc_includes(gcc, board))
    agreed = (*machine, "-nostdlibinc", *includes)
    machine_link_options = (
        *machine,
        f"--ld-path={_first((f'ld.lld{suffix}',), CLANG_HINT)}",
        "-nostdlib",
        # An application's -nostartfiles says nothing more, which is no error of its.
        "-Wno-unused-command-line-argument",
    )
    return Target(
        toolchain="arm-clang",
        cxx=_first((f"clang++{suffix}",), CLANG_HINT),
        archiver=_first((f"llvm-ar{suffix}", "arm-none-eabi-ar"), CLANG_HINT),
        objcopy=_first((f"llvm-objcopy{suffix}", "arm-none-eabi-objcopy"), CLANG_HINT),
        compile_options=(*agreed, *_COMMON, level, _prefix_map()),
        machine_options=agreed,
        link_options=(*machine_link_options, *_link_options()),
        machine_link_options=machine_link_options,
        libraries=tuple(str(_gcc_file(gcc, board, name)) for name in ("libm.a", "libc.a", "libgcc.a")),
        defines=_defines(board),
        kernel_folders=kernel_folders(board),
    )


def _link_options() -> tuple[str, ...]:
    return ("-nostdlib", "-Wl,--gc-sections", "-Wl,--fatal-warnings")


def _defines(board: Board) -> tuple[str, ...]:
    npu, uart = board.npu, board.uart
    return (
        f"MCU_INTERRUPTS={board.interrupts}",
        *((f"MCU_UART_BASE={uart.base:#010x}", f"MCU_UART_DIVIDER={uart.divider:#x}") if uart else ()),
        *((f"MCU_SETUP={_setup(board.setup)}",) if board.setup else ()),
        *((f"MCU_NPU_BASE={board.npu_address:#010x}", f"MCU_NPU_IRQ={npu.irq}") if npu else ()),
        *_dma_defines(board),
    )


def _dma_defines(board: Board) -> Iterator[str]:
    """Where the registers of the board's DMA are, and where it sees memories that the core has elsewhere."""
    if board.dma is None or board.dma.base is None:
        return
    yield f"MCU_DMA_BASE={board.dma.base:#010x}"
    views = [
        f"{{{board.address(memory.name):#x},{memory.size:#x},{memory.dma_alias:#x}}}"
        for memory in board.memory
        if memory.dma_alias is not None
    ]
    if views:
        yield f"MCU_DMA_VIEWS={','.join(views)}"


def _setup(steps: Iterable[SetupStep]) -> str:
    """Initializers of the steps of firmware/platform/cortex_m/setup.h."""
    rows = ((step.address, step.width, *step.masks, step.wait) for step in steps)
    return ",".join("{" + ",".join(f"{number:#x}" for number in row) + "}" for row in rows)


def _prefix_map() -> str:
    return f"-ffile-prefix-map={data_dir() / 'firmware'}=firmware"


def _clang_suffix() -> str | None:
    return next(
        (
            suffix
            for suffix in _CLANG_SUFFIXES
            if shutil.which(f"clang++{suffix}") and shutil.which(f"ld.lld{suffix}")
        ),
        None,
    )


def _first(names: tuple[str, ...], hint: str) -> Path:
    program = next((path for name in names if (path := shutil.which(name))), None)
    if program is None:
        raise McuError(f"{' or '.join(names)}: not found on PATH", hint, Exit.TOOL_MISSING)
    return Path(program)


def _gcc_file(gcc: Path, board: Board, name: str) -> Path:
    answer = process.run([gcc, *_gcc_machine(board), f"-print-file-name={name}"]).stdout.strip()
    path = Path(answer)
    if not path.is_absolute():  # gcc repeats the bare name where it has no such file
        raise McuError(f"{gcc.name}: has no {name} for {board.core}", GCC_HINT, Exit.TOOL_MISSING)
    return path.resolve()


def _gcc_includes(gcc: Path, board: Board) -> tuple[str, ...]:
    """Folders of the C++ and C headers, without the compiler's own."""
    # The compiler's own lie beside its libgcc; clang brings the like.
    folders = tuple(
        folder
        for folder in include_folders(gcc, _gcc_machine(board))
        if Path(folder).name not in ("include", "include-fixed") or (Path(folder) / "newlib.h").is_file()
    )
    if not any((Path(folder) / "cstddef").is_file() for folder in folders):
        raise McuError(f"{gcc.name}: has no C++ headers", GCC_HINT, Exit.TOOL_MISSING)
    return folders


def include_folders(cxx: Path, options: Sequence[str]) -> tuple[str, ...]:
    """Where a compiler looks for headers by itself, in its order: real paths."""
    answer = process.run([cxx, *options, "-E", "-v", "-x", "c++", "/dev/null"]).stderr
    listed = answer.partition("#include <...> search starts here:")[2].partition("End of search list")[0]
    return tuple(str(Path(line.strip()).resolve()) for line in listed.splitlines() if line.strip())
