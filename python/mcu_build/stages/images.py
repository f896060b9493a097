"""Drive CMake: a generated model in, images out.

The project that CMake is given uses the functions that any user calls. The images link the same archives of
model and kernels, the same start-up objects and the same linker script; they differ in main and in where
console, exit and files lead: RTT or UART, semihosting in the test image, a debug probe in the device image.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mcu_build import process
from mcu_build.board import Board
from mcu_build.cache import hash_text
from mcu_build.codegen.cmake import LINKER_SCRIPT, board_files, project
from mcu_build.codegen.cmsis_nn import CmsisNn
from mcu_build.codegen.target import Toolchain, target
from mcu_build.codegen.toolchain_config import loaded_sections
from mcu_build.errors import McuError
from mcu_build.files import disk_full, not_writable, write_atomically, write_changed
from mcu_build.flash.image import read_image
from mcu_build.flash.uf2 import encode
from mcu_build.ir.plan import Optimize
from mcu_build.resources import data_dir
from mcu_build.stages.kernel_sources import missing_kernels

LOG = "build.log"
_SHOWN_ERRORS = 5
_ERROR = re.compile(r"\berror:|undefined reference|No space left")
# What a user's shell may hold for other projects, and CMake or a compiler would read.
_ENVIRONMENT = {"CFLAGS": "", "CXXFLAGS": "", "ASMFLAGS": "", "LDFLAGS": "", "CMAKE_BUILD_TYPE": ""}


@dataclass(frozen=True)
class BuildInputs:
    """What to compile: the model `name`, generated in `folder`/src. Images are put into `folder`.

    `executorch` is the install of ExecuTorch to link, None for the static runtime. `kernel_sources` hold the
    user's functions, of which `prototypes` are called.
    """

    name: str
    board: Board
    toolchain: Toolchain
    folder: Path
    cmsis_nn: CmsisNn | None = None
    executorch: Path | None = None
    optimize: Optimize = "speed"
    kernel_sources: tuple[Path, ...] = ()
    prototypes: Mapping[str, str] = field(default_factory=dict)


def build(inputs: BuildInputs, step: Callable[[str], None] = lambda text: None) -> dict[str, Path]:
    """Compile and link. Returns the images by kind. `step` receives what is being done.

    `elf` and `map` are of the production image, with `hex`, `bin` and a `bin_<memory>` for each further
    memory that is loaded, where the board is not the host, and `uf2` where its drive takes that; `test_elf`
    and `test_map` are of the test image,
    `device_elf` is the one that a debug probe runs.
    Each is put into place whole, or not at all. McuError names the first mistakes, or the memory that
    overflows; the compiler's own words are in build.log.
    """
    folder = inputs.folder.resolve()
    try:
        return _build(inputs, folder, step)
    except OSError as error:
        raise not_writable(folder, error) from error


def _build(inputs: BuildInputs, folder: Path, step: Callable[[str], None]) -> dict[str, Path]:
    for name, text in board_files(inputs.board, inputs.toolchain, inputs.cmsis_nn, inputs.optimize).items():
        write_changed(folder / "src" / name, text)
    source, tree = folder / "cmake", folder / "cmake" / "build"
    kernel_sources = [str(file.resolve()) for file in inputs.kernel_sources]
    text = project(inputs.name, "../src", inputs.board, kernel_sources)
    write_changed(source / "CMakeLists.txt", text)
    key, stamp = _tree_key(inputs, tree), source / "stamp"
    # No stamp, or another: the last build here was stopped half way, or was made with other tools.
    if not stamp.is_file() or stamp.read_text() != key:
        shutil.rmtree(tree, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    _run_cmake(inputs, source, tree, step)
    stamp.write_text(key)
    return _publish(inputs, tree, folder)


def _tree_key(inputs: BuildInputs, tree: Path) -> str:
    """What a tree of objects stands on besides its sources, which Ninja watches."""
    tools = target(inputs.board, inputs.toolchain)
    compiler = tools.cxx.resolve()
    made = compiler.stat()
    return hash_text(
        str(tree),
        str(data_dir()),
        str(_cmake()),
        str(compiler),
        str(made.st_mtime_ns),
        str(made.st_size),
        str(inputs.executorch),
    )


def _run_cmake(inputs: BuildInputs, source: Path, tree: Path, step: Callable[[str], None]) -> None:
    log = source.parent / LOG
    configure: list[str | Path] = [
        _cmake(),
        *("-S", source, "-B", tree, "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={_ninja()}",
        f"-DCMAKE_TOOLCHAIN_FILE={data_dir() / 'toolchains' / inputs.toolchain}.cmake",
        f"-DMcuBuild_DIR={data_dir() / 'cmake'}",
        *([f"-DMCU_EXECUTORCH_PREFIX={inputs.executorch}"] if inputs.executorch else []),
    ]
    step("CMake configures")
    finished = process.run(configure, env=_ENVIRONMENT)
    log.write_text(finished.stdout + finished.stderr)
    if finished.status != 0:
        raise disk_full(source) or _failure(inputs, finished.stderr, log)
    step("compiling and linking")
    # -k 0: every mistake at once.
    finished = process.run([_ninja(), "-C", tree, "-k", "0"], env=_ENVIRONMENT)
    with log.open("a") as stream:
        stream.write(finished.stdout + finished.stderr)
    if finished.status != 0:
        output = finished.stdout + finished.stderr
        raise (
            missing_kernels(inputs.name, inputs.prototypes, output)
            or _overflow(inputs, output + _without_assertions(inputs, tree, output))
            or disk_full(source)
            or _failure(inputs, output, log)
        )


def _without_assertions(inputs: BuildInputs, tree: Path, output: str) -> str:
    """What the linker says of a memory that is too small when the script's own ASSERTs are out of the way.

    lld stops at an ASSERT and does not come to say by how much a memory overflows.
    """
    if _TOO_SMALL not in output or _OVERFLOW.search(output):
        return ""
    script = inputs.folder / "src" / LINKER_SCRIPT
    whole = script.read_text()
    script.write_text(re.sub(r"^ASSERT.*\n", "", whole, flags=re.MULTILINE))
    try:
        return process.run([_ninja(), "-C", tree, "-k", "0"], env=_ENVIRONMENT).stdout
    finally:
        script.write_text(whole)


def _cmake() -> Path:
    import cmake

    return Path(cmake.CMAKE_BIN_DIR) / "cmake"


def _ninja() -> Path:
    import ninja

    return Path(ninja.BIN_DIR) / "ninja"


def _failure(inputs: BuildInputs, output: str, log: Path) -> McuError:
    """The first mistakes in what a compiler or CMake has printed."""
    lines = list(dict.fromkeys(line.strip() for line in output.splitlines()))
    errors = [line for line in lines if _ERROR.search(line) and "command failed" not in line]
    shown = errors[:_SHOWN_ERRORS] or [line for line in lines if line][-_SHOWN_ERRORS:]
    more = f"\n({len(errors) - len(shown)} more)" if len(errors) > len(shown) else ""
    return McuError(
        f"{inputs.name}: compiling for {inputs.board.id} failed\n" + "\n".join(shown) + more,
        f"Every word of the compiler is in {log}.",
    )


# GNU ld: region `ram' overflowed by 12 bytes; lld: will not fit in region 'ram': overflowed by 12 bytes.
_TOO_SMALL = "is too small for"
_OVERFLOW = re.compile(r"region [`'](\w+)':? overflowed by (\d+) bytes")


def _overflow(inputs: BuildInputs, output: str) -> McuError | None:
    """The memories that are too small, if that is why the link failed."""
    for image, words in _failed_links(output):
        excess: dict[str, int] = {}
        for region, count in _OVERFLOW.findall(words):
            excess[region] = max(excess.get(region, 0), int(count))
        if excess:
            lines = []
            for region, count in excess.items():
                size = inputs.board.memory_named(region).size
                what = inputs.name + ("" if image == "firmware" else f" ({image} image)")
                lines.append(
                    f"{what}: {region}: needs {size + count:,} bytes, {inputs.board.id} has {size:,}"
                )
            return McuError(
                "\n".join(lines), "Use a smaller model or another board. `mcu-build boards` lists them."
            )
    return None


def _failed_links(output: str) -> Iterator[tuple[str, str]]:
    """Name of the image and the linker's words, the production image first."""
    parts = re.split(r"^FAILED: (?:\[code=\d+\] )?", output, flags=re.MULTILINE)[1:]
    for image in ("firmware", "test", "device"):
        yield from ((image, part) for part in parts if part.startswith(f"{image}.elf"))


def _publish(inputs: BuildInputs, tree: Path, folder: Path) -> dict[str, Path]:
    """Put the images into the build folder, each by a rename; drop those of an earlier build."""
    names = {"elf": "firmware.elf", "map": "firmware.map", "test_elf": "test.elf", "test_map": "test.map"}
    memories = list(loaded_sections(inputs.board))
    if memories:
        names |= {"hex": "firmware.hex", "bin": "firmware.bin", "device_elf": "device.elf"}
        further = {f"bin_{memory}": f"firmware-{memory}.bin" for memory in memories[1:]}
        # A board's script has all its memories; a model may leave some empty.
        names |= {kind: name for kind, name in further.items() if (tree / name).stat().st_size}
    for old in folder.glob("firmware*"):
        if old.name not in names.values():
            old.unlink()
    for name in names.values():
        partial = folder / f".{name}.new"
        shutil.copy2(tree / name, partial)
        partial.replace(folder / name)
    if inputs.board.flash.uf2:
        names["uf2"] = "firmware.uf2"
        image = encode(read_image(folder / names["elf"]).segments, inputs.board.flash.uf2.family)
        write_atomically(folder / names["uf2"], image)
    return {kind: inputs.folder / name for kind, name in names.items()}
