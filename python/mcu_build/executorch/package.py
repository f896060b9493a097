"""Find ExecuTorch's C++ package: the wheel's for this computer, a user's build for a core."""

import importlib.util
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from mcu_build.board import Board
from mcu_build.codegen.executorch_upstream import kernel_name
from mcu_build.errors import Exit, McuError
from mcu_build.resources import data_dir

# The minor version that our adapters and the program's format are written for.
VERSION = "1.5"

# Where an install keeps its CMake package: the wheel, then a build of ExecuTorch.
_CONFIGS = (
    "share/cmake/executorch-config.cmake",
    "lib/cmake/executorch/executorch-config.cmake",
    "lib/cmake/ExecuTorch/executorch-config.cmake",
)
# Folders of headers below an install.
_INCLUDES = ("include", "include/executorch/runtime/core/portable_type/c10")
_KERNELS = ("lib*/libcortex_m_kernels.a", "lib*/libcmsis-nn.a")
_INCLUDE = re.compile(r"#include <(executorch/[^>]+)>")
_PROGRAM_HEADER = "include/executorch/runtime/executor/program.h"


def find(prefix: Path | None, board: Board) -> Path:
    """The install of ExecuTorch for `board`: `prefix`, else the wheel's or one on CMAKE_PREFIX_PATH.

    McuError (status 3) says which version is expected, where it was looked for and how to give it; status 1
    where what `prefix` names is not that.
    """
    if prefix is not None:
        _check(prefix, board)
        return prefix.resolve()
    looked = list(_candidates(board))
    for folder in looked:
        if _config(folder) is not None:
            _check(folder, board)
            return folder.resolve()
    places = ", ".join(map(str, looked)) or "CMAKE_PREFIX_PATH, which is empty"
    raise McuError(
        f"ExecuTorch {VERSION} with its C++ runtime for {board.core}: not found; looked in {places}",
        _hint(board),
        Exit.TOOL_MISSING,
    )


@dataclass(frozen=True)
class Linkage:
    """What an install asks of a build system that has no find_package.

    `includes` are folders below its `prefix`. `library` is a shared library, found again where it lies, or an
    archive.
    """

    prefix: Path
    includes: tuple[str, ...]
    defines: tuple[str, ...]
    library: Path

    @property
    def link_options(self) -> tuple[str, ...]:
        """What stands behind the library in a link."""
        kept = "-Wl,--gc-sections"  # Adapters share sources: what no table names is left out.
        return (kept,) if self.library.suffix == ".a" else (kept, f"-Wl,-rpath,{self.library.parent}")


def linkage(prefix: Path | None, board: Board) -> Linkage:
    """How the install that `find` finds is compiled against and linked. McuError as there."""
    folder = find(prefix, board)
    library = next(file for pattern in _libraries(board) for file in sorted(folder.glob(pattern)))
    # Only a build of PyTorch has the header that c10's would include. The wheel's library was made with the
    # tracer, which members of classes depend on.
    tracer = () if library.suffix == ".a" else ("ET_EVENT_TRACER_ENABLED",)
    return Linkage(folder, _INCLUDES, ("C10_USING_CUSTOM_GENERATED_MACROS", *tracer), library)


def check_kernels(folder: Path, operators: Collection[str] = ()) -> None:
    """McuError where the install in `folder` was built without ExecuTorch's kernels of `operators`."""
    missing = [name for name in _KERNELS if not any(folder.glob(name))]
    if missing:
        raise McuError(
            f"{folder}: --kernels: upstream: ExecuTorch without kernels for Cortex-M: there is no "
            f"{' and no '.join(missing)}",
            "Build it with them, or leave out --kernels upstream.",
            Exit.TOOL_MISSING,
        )
    archives = b"".join(file.read_bytes() for file in folder.glob(_KERNELS[0]))
    lacking = [operator for operator in operators if _symbol(operator) not in archives]
    if lacking:
        raise McuError(
            f"{folder}: --kernels: upstream: its kernels for Cortex-M have no {', '.join(sorted(lacking))}",
            "Build a newer ExecuTorch, or leave out --kernels upstream.",
            Exit.TOOL_MISSING,
        )


def _symbol(operator: str) -> bytes:
    """The name of an operator's kernel as it stands in symbols: behind its length."""
    name = kernel_name(operator)
    return f"{len(name)}{name}".encode()


def wheel() -> Path | None:
    """The folder of the executorch wheel, which carries the C++ runtime for this computer."""
    spec = importlib.util.find_spec("executorch")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def _candidates(board: Board) -> Iterator[Path]:
    if board.is_host:
        folder = wheel()
        if folder is not None:
            yield folder
    yield from (Path(word) for word in os.environ.get("CMAKE_PREFIX_PATH", "").split(os.pathsep) if word)


def _config(folder: Path) -> Path | None:
    return next((folder / name for name in _CONFIGS if (folder / name).is_file()), None)


def _check(folder: Path, board: Board) -> None:
    """McuError where `folder` is no install of the version expected, or has no runtime for `board`."""
    config = _config(folder)
    if config is None:
        raise McuError(
            f"--executorch-prefix: {folder}: no executorch-config.cmake; ExecuTorch {VERSION} is expected, "
            f"looked for {', '.join(_CONFIGS)}",
            _hint(board),
        )
    version = _version(folder, config)
    if version != VERSION:
        raise McuError(
            f"{folder}: ExecuTorch {version or 'older than ' + VERSION}; {VERSION} is expected", _hint(board)
        )
    libraries = [name for pattern in _libraries(board) for name in folder.glob(pattern)]
    if not libraries:
        wanted = " or ".join(_libraries(board))
        raise McuError(
            f"{folder}: ExecuTorch without a C++ runtime for {board.core}: there is no {wanted}",
            _hint(board),
            Exit.TOOL_MISSING,
        )
    missing = [name for name in _headers() if not (folder / "include" / name).is_file()]
    if missing:
        raise McuError(
            f"{folder}: ExecuTorch without {', '.join(missing)} below include/",
            "Build it with EXECUTORCH_BUILD_EXTENSION_DATA_LOADER=ON and install its headers.",
            Exit.TOOL_MISSING,
        )


def _headers() -> list[str]:
    """ExecuTorch's headers that our sources for its runtime include."""
    firmware = data_dir() / "firmware"
    sources = [*(firmware / "executorch").rglob("*.cpp"), *(firmware / "include/mcu/executorch").glob("*.h")]
    return sorted({name for file in sources for name in _INCLUDE.findall(file.read_text())})


def _version(folder: Path, config: Path) -> str | None:
    """'major.minor'. A build of ExecuTorch installs no version file: its headers tell then."""
    for file in config.parent.glob("*[vV]ersion.cmake"):
        stated = re.search(r'PACKAGE_VERSION "(\d+\.\d+)', file.read_text())
        if stated:
            return stated.group(1)
    header = folder / _PROGRAM_HEADER
    # load_method() with a table of operators of its own came with 1.5.
    return VERSION if header.is_file() and "kernel_registry" in header.read_text() else None


def _libraries(board: Board) -> tuple[str, ...]:
    static = "lib*/libexecutorch_core.a"
    return ("lib/libexecutorch.*", static) if board.is_host else (static,)


def _hint(board: Board) -> str:
    if board.is_host:
        return (
            f"python3 -m pip install 'executorch=={VERSION}.*' brings it; or give an install with "
            "--executorch-prefix."
        )
    return (
        f"Give an install of ExecuTorch {VERSION} that was built for this core: --executorch-prefix DIR, or "
        "CMAKE_PREFIX_PATH. docs/executorch.md says how to make one."
    )
