"""A model and a board → an exported folder: generated, compiled to know its sizes, and written."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from mcu_build import __version__
from mcu_build.cache import Cache
from mcu_build.codegen.header import arena_size, ports
from mcu_build.codegen.target import machine_options, optimize_option
from mcu_build.codegen.toolchain_config import toolchain_config
from mcu_build.custom import is_custom
from mcu_build.errors import Exit, McuError
from mcu_build.export import arduino, cmsis_pack, folder, lib, platformio, stm32cube, zephyr
from mcu_build.export.compiled import compiled, compiler_name
from mcu_build.export.contents import (
    STANDARD,
    STANDARD_OF_OPERATORS,
    Contents,
    Npu,
    Sizes,
    compile_flags,
    npu_header,
    self_contained,
)
from mcu_build.export.selftest import selftest
from mcu_build.export.vectors import Vectors, chosen
from mcu_build.files import write_atomically
from mcu_build.frontend.names import check_name
from mcu_build.fronts.options import BuildOptions
from mcu_build.plan.describe import describe
from mcu_build.plan.memory.fit import constant_bytes
from mcu_build.progress import Progress
from mcu_build.resources import data_dir
from mcu_build.stages import pipeline
from mcu_build.stages.kernel_sources import check_sources, with_headers
from mcu_build.stages.lowered import Lowered
from mcu_build.stages.pipeline import Built, Sources
from mcu_build.stages.request import Request
from mcu_build.vectors.compare import custom_allowance
from mcu_build.vectors.pack import sequence_starts
from mcu_build.verify import prove

Format = Literal["folder", "lib", "arduino", "platformio", "cmsis-pack", "zephyr", "stm32cube"]
# Whose chips have no Ethos-U.
_WITHOUT_NPU = {"arduino": "no board of Arduino's", "stm32cube": "no STM32"}
FORMATS: Mapping[Format, Callable[[Contents], dict[str, bytes]]] = MappingProxyType(
    {
        "folder": folder.files,
        "lib": lib.files,
        "arduino": arduino.files,
        "platformio": platformio.files,
        "cmsis-pack": cmsis_pack.files,
        "zephyr": zephyr.files,
        "stm32cube": stm32cube.files,
    }
)
MANIFEST = "manifest.json"
# As the formats' own manifests have it, by semver.org.
_VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")
# Enough to find some with different outputs.
_CANDIDATES = 64


@dataclass(frozen=True)
class Exported:
    """A folder that was written, and what its manifest.json says."""

    folder: Path
    manifest: Mapping[str, Any]


def export(
    request: Request,
    name: str | None,
    output: Path,
    format: Format,
    version: str,
    cache: Cache,
    progress: Progress,
) -> Exported:
    """Write the model into the folder `output`. McuError where it cannot be, or something else is there."""
    _check_npu(request, format)
    if name:
        check_name(name)
    if not _VERSION.fullmatch(version):
        raise McuError(f"--version {version}: not a version", "Write 1.2.3, or 1.2.3-rc.1.", Exit.USAGE)
    _own_files(output)
    contents = gathered(request, name, version, cache, progress)
    manifest = write(contents, request, format, output)
    if not contents.vectors.vary:
        progress.warn(f"{contents.name}: the self-test proves little: every vector gives the same outputs")
    return Exported(output, manifest)


def gathered(request: Request, name: str | None, version: str, cache: Cache, progress: Progress) -> Contents:
    """What all formats are made of: the model's sources, compiled, and vectors to prove it with."""
    lowered = pipeline.lowered_for(request, cache, progress)
    with progress.stage("plan"):
        made = pipeline.model_sources(request, lowered, name or lowered.name)
    with tempfile.TemporaryDirectory() as scratch:
        vectors = _vectors(request, lowered, made, Path(scratch), cache, progress)
        with progress.stage("build"):
            return collect(request, made, vectors, version, Path(scratch))


def check_options(options: BuildOptions, format: str) -> None:
    """McuError: no export has what `options` ask for."""
    if format not in get_args(Format):
        raise McuError(
            f"--format: {format!r} is none of {', '.join(get_args(Format))}", "folder is the plainest."
        )
    check_sources(options.kernel_sources)
    if options.runtime != "static":
        raise McuError(
            f"export: --runtime {options.runtime}: only the static runtime stands alone",
            "Leave it out.",
            Exit.USAGE,
        )
    if options.kernels == "cmsis-nn":
        raise McuError(
            "export: --kernels cmsis-nn: an export does not contain CMSIS-NN", "Leave it out.", Exit.USAGE
        )


def _check_npu(request: Request, format: str) -> None:
    if request.npu and format in _WITHOUT_NPU:
        raise McuError(
            f"export: --format {format}: {_WITHOUT_NPU[format]} has an Ethos-U ({request.npu.name})",
            "Add --npu none for the core alone, or take --format folder, which any build system compiles.",
        )


def _own_files(output: Path) -> set[str]:
    """The files of an earlier export there. McuError where the folder holds something else."""
    there = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        reason = "cannot be written" if there.is_dir() else "not a folder"
        raise McuError(f"{there}: {reason}", "Name a new folder, or an empty one.")
    if there != output:
        return set()
    try:
        manifest = json.loads((output / MANIFEST).read_text())
        # Other programs have files of this name.
        files = manifest["files"] if manifest["mcu_build"] else {}
        return {str(path) for path in files} | {MANIFEST}
    except (OSError, ValueError, KeyError, TypeError) as error:
        if any(output.iterdir()):
            raise McuError(
                f"{output}: holds something else than an export", "Name a new folder, or an empty one."
            ) from error
        return set()


def _vectors(
    request: Request, lowered: Lowered, made: Sources, scratch: Path, cache: Cache, progress: Progress
) -> Vectors:
    manifest = pipeline.planned_manifest(request, lowered, describe(made.plan))
    built = Built(scratch, manifest, lowered, request)
    inputs, expected = prove.expectation(built, _CANDIDATES, cache, progress)
    starts = None
    if made.plan.initial_state:
        starts = sequence_starts(prove.archive(built) or {"input_0": inputs[0]})
    is_inexact = any(is_custom(row["name"]) for row in manifest.operators if row["where"] == "float")
    steps = [port["scale"] for port in manifest.outputs]
    allowed = custom_allowance(expected, steps) if is_inexact else [0.0] * len(expected)
    return chosen(inputs, expected, manifest.inputs, manifest.outputs, starts, allowed)


def write(contents: Contents, request: Request, format: Format, output: Path) -> dict[str, Any]:
    """Write what a format is made of, in place of an earlier export. Returns the manifest."""
    old = _own_files(output)
    files = {**FORMATS[format](contents), "LICENSE": contents.license.encode()}
    manifest = _manifest(request, format, contents, files)
    files[MANIFEST] = (json.dumps(manifest, indent=2) + "\n").encode()
    for path in old - set(files):
        (output / path).unlink(missing_ok=True)
    for path, data in files.items():
        write_atomically(output / path, data)
    return manifest


def collect(request: Request, made: Sources, vectors: Vectors, version: str, scratch: Path) -> Contents:
    """What an export of a model's sources is made of; they are compiled in the folder `scratch`."""
    board, plan, name = request.board, made.plan, made.plan.name
    config = toolchain_config(board, request.toolchain, None, request.options.optimize)
    npu = _npu(request) if "ethos_u" in made.kernels else None
    sources, internal = self_contained(
        name, made.texts, made.kernels, config, _operators(request.options.kernel_sources), npu
    )
    headers = {f"{name}.h": made.texts[f"{name}.h"]}
    headers |= {f"{name}_npu.h": npu_header(name)} if npu else {}
    flags = compile_flags(STANDARD_OF_OPERATORS if request.options.kernel_sources else STANDARD)
    options = (*flags, optimize_option(request.toolchain, request.options.optimize))
    built = compiled(name, {**headers, **sources, **internal}, options, config, scratch)
    inputs_and_outputs = tuple(ports(plan))
    return Contents(
        name=name,
        version=version,
        core=board.core,
        fpu=board.fpu,
        features=frozenset(word for word, has in (("mve", board.mve), ("dsp", board.dsp)) if has),
        machine=() if board.is_host else machine_options(board),
        flags=flags,
        compiler=compiler_name(config),
        npu=npu,
        headers=headers,
        sources=sources,
        internal=internal,
        archive=built.archive,
        test=selftest(name, inputs_and_outputs, vectors, bool(plan.initial_state)),
        vectors=vectors,
        sizes=Sizes(
            arena_size(plan),
            plan.fast_size,
            len(plan.initial_state),
            constants := constant_bytes(plan),
            # Not on the host, of which nothing is loaded.
            max(built.loaded - constants, 0),
            built.stack,
        ),
        ports=inputs_and_outputs,
        license=(data_dir() / "LICENSE").read_text(),
    )


def _npu(request: Request) -> Npu:
    assert request.npu is not None and request.board.npu is not None, "a plan for an NPU"
    return Npu(request.npu.name, request.board.npu_address, request.board.npu.irq)


def _operators(kernel_sources: Sequence[Path]) -> dict[str, str]:
    """A user's sources and their headers, by path in the export."""
    files = with_headers(kernel_sources)
    if not files:
        return {}
    base = os.path.commonpath([file.parent for file in files])
    return {f"operators/{file.relative_to(base).as_posix()}": file.read_text() for file in files}


def _manifest(
    request: Request, format: Format, contents: Contents, files: Mapping[str, bytes]
) -> dict[str, Any]:
    sizes, header = contents.sizes, f"{contents.name}.h"
    return {
        "schema": 1,
        "mcu_build": __version__,
        "name": contents.name,
        "version": contents.version,
        "format": format,
        "board": request.board.id,
        "core": contents.core,
        "npu": contents.npu.name if contents.npu else None,
        "io": request.options.io,
        "compiler": contents.compiler,
        "machine_options": list(contents.machine),
        "compile_options": list(contents.flags),
        "include_folders": sorted({str(Path(path).parent) for path in files if Path(path).name == header}),
        "sources": [path for path in files if path.endswith(".cpp")],
        "ram": {"arena": sizes.arena, "fast": sizes.fast, "state": sizes.state},
        "flash": {"constants": sizes.constants, "code": sizes.code},
        "stack": sizes.stack.size,
        "vectors": contents.vectors.count,
        "files": {path: hashlib.sha256(data).hexdigest() for path, data in sorted(files.items())},
    }
