"""The user's own CMSIS-NN: where its headers and its archive lie."""

from dataclasses import dataclass
from pathlib import Path

from mcu_build.cache import hash_file
from mcu_build.errors import Exit, McuError

_HEADER = "arm_nnfunctions.h"
_ARCHIVE = "libcmsis-nn.a"
_HINT = (
    "--cmsis-nn DIR is a folder that holds both, at any depth: an install of ExecuTorch for Cortex-M, or a "
    "build of CMSIS-NN for this core with its headers."
)


@dataclass(frozen=True)
class CmsisNn:
    """An installed CMSIS-NN: the folder with arm_nnfunctions.h, and the archive."""

    include: Path
    archive: Path

    @property
    def key(self) -> str:
        """Changes with the archive and with the library's own headers."""
        headers = sorted(self.include.rglob("*.h"))
        return " ".join(hash_file(file) for file in (self.archive, *headers))


def find_cmsis_nn(folder: Path | None) -> CmsisNn:
    """The library in `folder`. McuError (status 3) says what is missing and where it was looked for."""
    if folder is None:
        raise McuError("--kernels: cmsis-nn: there is no --cmsis-nn DIR", _HINT, Exit.TOOL_MISSING)
    files = {name: _shallowest(folder, name) for name in (_HEADER, _ARCHIVE)}
    missing = [name for name, file in files.items() if file is None]
    if missing:
        raise McuError(
            f"--cmsis-nn: {folder}: {' and '.join(missing)}: in neither it nor the folders below",
            _HINT,
            Exit.TOOL_MISSING,
        )
    header, archive = (file.resolve() for file in files.values() if file)
    return CmsisNn(header.parent, archive)


def _shallowest(folder: Path, name: str) -> Path | None:
    return min(folder.rglob(name), key=lambda file: (len(file.parts), file), default=None)
