"""Board + compiler → all that a build system needs to know of them, for CMake, Bazel and SCons alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcu_build.board import Board
from mcu_build.codegen.cmsis_nn import CmsisNn
from mcu_build.codegen.linker import other_constants
from mcu_build.codegen.target import Image, Toolchain, platform_sources, target
from mcu_build.errors import McuError
from mcu_build.ir.plan import Optimize
from mcu_build.resources import data_dir

# Options of a C++ compiler that a C compiler refuses.
_CXX_ONLY = ("-std=c++", "-fno-rtti", "-fno-threadsafe-statics")


@dataclass(frozen=True)
class ToolchainConfig:
    """How images for a board are compiled, linked and run. Sources are relative to firmware/.

    A link is `cxx *link_options objects... *libraries`, with `-T` and the linker script where the board is
    not the host; the machine's options are those among them on which all objects of an image have to agree.
    Warnings stand apart: they are for our own sources, not for a user's. `binaries` are a
    memory and the output sections that are loaded into it, that of the vectors first; none for the host,
    whose system loads programs. The run commands stand before the name of an image; they are empty where that
    is a program, or has no simulator.
    """

    board: str
    toolchain: Toolchain
    cxx: str
    archiver: str
    objcopy: str
    compile_options: tuple[str, ...]
    machine_options: tuple[str, ...]
    warning_options: tuple[str, ...]
    defines: tuple[str, ...]
    link_options: tuple[str, ...]
    machine_link_options: tuple[str, ...]
    libraries: tuple[str, ...]
    kernel_folders: tuple[str, ...]
    production_sources: tuple[str, ...]
    test_sources: tuple[str, ...]
    device_sources: tuple[str, ...]
    binaries: Mapping[str, tuple[str, ...]]
    run_command: tuple[str, ...]
    run_test_command: tuple[str, ...]

    @property
    def cc(self) -> str:
        """The C compiler beside the C++ compiler."""
        cxx = Path(self.cxx)
        return str(cxx.with_name(cxx.name.replace("clang++", "clang").replace("g++", "gcc")))


def toolchain_config(
    board: Board,
    toolchain: Toolchain,
    cmsis_nn: CmsisNn | None = None,
    optimize: Optimize = "speed",
) -> ToolchainConfig:
    """How a board is built with a compiler. McuError: status 3 a tool is missing, 1 the two do not match."""
    tools = target(board, toolchain, cmsis_nn, optimize)
    return ToolchainConfig(
        board=board.id,
        toolchain=tools.toolchain,
        cxx=str(tools.cxx),
        archiver=str(tools.archiver),
        objcopy=str(tools.objcopy),
        compile_options=tuple(option for option in tools.compile_options if not _is_warning(option)),
        machine_options=tools.machine_options,
        warning_options=tuple(filter(_is_warning, tools.compile_options)),
        defines=tools.defines,
        link_options=tools.link_options,
        machine_link_options=tools.machine_link_options,
        libraries=tools.libraries,
        kernel_folders=tools.kernel_folders,
        production_sources=platform_sources(board, "production"),
        test_sources=platform_sources(board, "test"),
        device_sources=platform_sources(board, "device"),
        binaries=loaded_sections(board),
        run_command=_run_command(board, "production"),
        run_test_command=_run_command(board, "test"),
    )


def loaded_sections(board: Board) -> dict[str, tuple[str, ...]]:
    """Output sections of the linker script by the memory that they are loaded into: one .bin file for each.

    The memory that holds the vectors comes first. Nothing for the host: its system loads programs.
    """
    if board.placement is None:
        return {}
    place = board.placement
    memories: dict[str, tuple[str, ...]] = {}
    fixed = ((block.name, board.memory_at(block.origin)) for block in board.fixed)
    for section, memory in (
        (".vectors", place.vectors),
        *((f".fixed_{name}", memory.name) for name, memory in fixed if memory is not None),
        (".text", place.code),
        (".init_array", place.code),
        (".data", place.code),
        (".constants", place.constants),
        *((f".constants_{memory}", memory) for memory in other_constants(board)),
    ):
        memories[memory] = (*memories.get(memory, ()), section)
    return memories


def kernel_files(stem: str, folders: Sequence[str]) -> list[Path]:
    """The source of a kernel in the first of `folders` that has it, with its driver. McuError: none has."""
    firmware = data_dir() / "firmware"
    places = (firmware / "kernels" / folder / f"{stem}.cpp" for folder in folders)
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise McuError(
            f"there is no kernel source {stem}.cpp in {', '.join(folders)}", "Install mcu-build again."
        )
    driver = firmware / "drivers" / stem / f"{stem}.cpp"
    return [file, *([driver] if driver.is_file() else [])]


def is_cxx_only(option: str) -> bool:
    """Whether a C compiler refuses an option."""
    return option.startswith(_CXX_ONLY)


def _run_command(board: Board, image: Image) -> tuple[str, ...]:
    if board.run.qemu is None:
        return ()
    cpu = ["-cpu", board.run.qemu.cpu] if board.run.qemu.cpu else []
    semihosting = ["-semihosting-config", "enable=on,target=native"] if image == "test" else []
    machine = ["qemu-system-arm", "-machine", board.run.qemu.machine, *cpu, *semihosting]
    return (*machine, "-display", "none", "-monitor", "none", "-serial", "stdio", "-kernel")


def _is_warning(option: str) -> bool:
    return option.startswith("-W") and not option.startswith("-Wl,")
