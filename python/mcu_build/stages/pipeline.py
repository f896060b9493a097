"""Model and board → build folder. What the verbs build, run and test stand on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcu_build.board import Board
from mcu_build.cache import Cache, hash_file, hash_text, own_code, own_data, versions
from mcu_build.codegen.slot import FIRST_PROGRAM
from mcu_build.codegen.table_model import first_slot
from mcu_build.codegen.toolchain_config import ToolchainConfig, kernel_files, toolchain_config
from mcu_build.errors import Exit, McuError
from mcu_build.files import lock, write_atomically, write_changed
from mcu_build.frontend.names import check_name
from mcu_build.ir.plan import Plan
from mcu_build.progress import Progress
from mcu_build.resources import data_dir
from mcu_build.stages import manifest as manifests
from mcu_build.stages import table_build
from mcu_build.stages.kernel_sources import check_kernels, check_sources, prototypes, with_headers
from mcu_build.stages.lower import lower_model
from mcu_build.stages.lowered import Lowered, npu_document
from mcu_build.stages.manifest import Manifest
from mcu_build.stages.planning import all_steps, plan_for
from mcu_build.stages.request import Request


@dataclass(frozen=True)
class Built:
    """A build folder with its manifest, and the program that it was made from.

    `request` is what was asked for; None where another build system has made the image.
    """

    folder: Path
    manifest: Manifest
    lowered: Lowered
    request: Request | None = None


def build(request: Request, cache: Cache, progress: Progress) -> Built:
    """Make firmware, or find that it is made already."""
    check_sources(request.options.kernel_sources)
    lowered = lowered_for(request, cache, progress)
    folder = request.folder(lowered.name)
    key = _key(request, lowered)
    # Who builds the same at the same time waits, and finds it made.
    with lock(folder, lambda: progress.warn(f"{folder}: waiting for another build of it")):
        manifest = manifests.read(folder)
        if not (manifest and manifest.key == key and manifest.is_whole(folder)):
            return Built(folder, _make(request, lowered, folder, key, progress), lowered, request)
    for name in ("plan", "build"):
        with progress.stage(name) as mark:
            mark.cached = True
    return Built(folder, manifest, lowered, request)


def lowered_for(request: Request, cache: Cache, progress: Progress) -> Lowered:
    """The request's program, ready to be planned."""
    lowered = lower_model(
        request.model,
        request.board,
        request.npu,
        request.options,
        cache,
        progress,
        precision=request.precision,
    )
    if request.loads_as_given and lowered.initial_state():
        raise McuError(
            f"{request.model}: --kernels upstream: the model keeps state from call to call, for which "
            "ExecuTorch has no kernels of Cortex-M",
            "Leave out --kernels: ours carry state, under ExecuTorch's runtime, too.",
        )
    return lowered


def _key(request: Request, lowered: Lowered) -> str:
    return hash_text(
        "build",
        lowered.key,
        lowered.name,
        repr(request.npu),
        " ".join(request.options.emit),
        _executorch_key(request),
        _table_key(request),
        request.options.optimize,
        request.board.model_dump_json(),
        request.toolchain,
        request.cmsis_nn.key if request.cmsis_nn else "",
        *(str(file) for file in request.options.kernel_sources),
        *(hash_file(file) for file in with_headers(request.options.kernel_sources)),
        own_code(),
        own_data("firmware", "cmake", "toolchains"),
    )


def _table_key(request: Request) -> str:
    options = request.options
    if options.runtime != "table":
        return ""
    programs = [hash_file(file) for file in options.ops_from if file.is_file()]
    slots = request.slots, options.reserve_ram, options.reserve_scratch
    return hash_text("table", repr(slots), *programs)


def _executorch_key(request: Request) -> str:
    options = request.executorch
    if options is None:
        return ""
    from mcu_build.executorch.package import find

    programs = [hash_file(file) for file in options.ops_from if file.is_file()]
    return hash_text(repr(options), str(find(options.prefix, request.board)), *programs)


@dataclass(frozen=True)
class Generated:
    """Files that `generate` has written. `sources` are to be compiled, and `kernels` are stems of ours.

    `runtime` are sources below firmware/executorch: what stands between ExecuTorch's runtime and the kernels.
    `slots`, `name=address`, is a symbol that the link of a production image defines. `second_image` is the
    first program of a model that is MCUboot's second image.
    """

    name: str
    files: tuple[Path, ...]
    sources: tuple[Path, ...]
    kernels: tuple[str, ...]
    dependencies: tuple[Path, ...]
    config: ToolchainConfig
    runtime: tuple[str, ...] = ()
    slots: str = ""
    second_image: Path | None = None

    def compiled(self, operators: Sequence[Path]) -> tuple[Path, ...]:
        """Every source to compile: the model's, its kernels', and those of a user's operators."""
        kernels = (file for stem in self.kernels for file in kernel_files(stem, self.config.kernel_folders))
        runtime = (data_dir() / "firmware" / "executorch" / source for source in self.runtime)
        return (*self.sources, *operators, *kernels, *runtime)


@dataclass(frozen=True)
class Sources:
    """A model's plan and its C++ by file name, with what of ours it calls, as `Generated` has it.

    `first_slot` is what a slot holds of the program; empty where there are none in flash.
    """

    plan: Plan
    texts: Mapping[str, str]
    kernels: tuple[str, ...]
    runtime: tuple[str, ...] = ()
    slots: str = ""
    first_slot: bytes = b""

    def write_first_slot(self, folder: Path) -> tuple[Path, ...]:
        """Its file below `folder`; none without slots in flash."""
        if not self.slots:
            return ()
        file = folder / FIRST_PROGRAM
        if not file.is_file() or file.read_bytes() != self.first_slot:
            write_atomically(file, self.first_slot)
        return (file,)


def generate(request: Request, name: str | None, output: Path, cache: Cache, progress: Progress) -> Generated:
    """Write a model's C++ into `output`, with board.cmake and depends.txt, touching only what differs."""
    from mcu_build.codegen.cmake import board_files

    check_sources(request.options.kernel_sources)
    if name:
        check_name(name)
    lowered = lowered_for(request, cache, progress)
    with progress.stage("plan"):
        made = model_sources(request, lowered, name or lowered.name)
        _warn_of_weights(made.plan, request, progress)
        texts = {
            **made.texts,
            **board_files(request.linked, request.toolchain, request.cmsis_nn, request.options.optimize),
            "depends.txt": "".join(f"{line}\n" for line in _watched(request, lowered)),
        }
        for file, text in texts.items():
            write_changed(output / file, text)
        slots = made.write_first_slot(output)
    files = (*(output / file for file in texts), *slots)
    sources = tuple(file for file in files if file.suffix == ".cpp")
    config = toolchain_config(request.linked, request.toolchain, request.cmsis_nn, request.options.optimize)
    second = slots[0] if slots and request.slots and request.slots.single else None
    return Generated(
        made.plan.name,
        files,
        sources,
        made.kernels,
        lowered.dependencies,
        config,
        made.runtime,
        made.slots,
        second,
    )


def _watched(request: Request, lowered: Lowered) -> tuple[str, ...]:
    """What a build system has to watch: what the model depends on, and files that options name."""
    options = request.options
    named = (*options.ops_from, *((options.program_key,) if options.program_key else ()))
    return (*lowered.watched, *(str(file.absolute()) for file in named))


def _warn_of_weights(plan: Plan, request: Request, progress: Progress) -> None:
    from mcu_build.plan.memory.fit import weights_line

    if request.executorch is None and (line := weights_line(plan, request.board)):
        progress.warn(line)


def model_sources(request: Request, lowered: Lowered, name: str) -> Sources:
    """The C++ of a program for a build system of the user's, with what of ours has to be compiled for it."""
    from mcu_build.codegen import executorch
    from mcu_build.codegen.executorch import runtime_kernels, runtime_sources, slot_symbol
    from mcu_build.codegen.model import kernel_sources
    from mcu_build.stages.executorch_measure import estimated

    options, board = request.executorch, request.board
    check_memories(request)
    plan = plan_for(request, lowered, name)
    check_kernels(plan, request.options.kernel_sources)
    if options is None:
        if (table := table_build.deployment(plan, request)) is not None:
            texts = table_build.sources(plan, table, board)
            first = first_slot(plan, table) if table.slots else b""
            return Sources(
                plan, texts, table.kernels.sources, slots=table.slot_symbol(plan), first_slot=first
            )
        return Sources(plan, _sources(plan, board), kernel_sources(plan))
    texts, deployed = estimated(plan, all_steps(plan, request), lowered, options, board)
    first = executorch.first_slot(deployed) if deployed.slots else b""
    return Sources(
        plan, texts, runtime_kernels(deployed), runtime_sources(deployed), slot_symbol(deployed), first
    )


def check_memories(request: Request) -> None:
    """McuError (status 2) where options name memories that the board's linker script does not have."""
    from mcu_build.codegen.linker import other_constants

    options, place = request.options, request.linked.placement
    if place is None or not (options.arena or options.constants):
        return
    hint = "List it below [placement] in a board file."
    if options.runtime != "static":
        raise McuError(
            "--arena: --constants: build systems link models of this runtime where the board has them",
            hint,
            Exit.USAGE,
        )
    loaded = (place.constants, *other_constants(request.linked))
    for name in options.constants:
        if name not in loaded:
            raise McuError(
                f"--constants: {name}: the linker script of {request.linked.id} loads nothing there",
                hint,
                Exit.USAGE,
            )


def _make(request: Request, lowered: Lowered, folder: Path, key: str, progress: Progress) -> Manifest:
    from mcu_build.image.size import measure
    from mcu_build.plan.describe import describe
    from mcu_build.stages.images import BuildInputs
    from mcu_build.stages.images import build as build_images

    with progress.stage("plan"):
        plan = plan_for(request, lowered, lowered.name)
        check_kernels(plan, request.options.kernel_sources)
        _warn_of_weights(plan, request, progress)
        deployed = table_build.deployment(plan, request)
        sources: Mapping[str, str] = {}
        if deployed is not None:
            sources = table_build.sources(plan, deployed, request.board)
        elif request.executorch is None:
            sources = _sources(plan, request.board)
        described = describe(plan)
        described["memory"] |= table_build.memory(plan, deployed) if deployed else {}
        (folder / manifests.NAME).unlink(missing_ok=True)
        write_atomically(folder / "plan.json", json.dumps(described, indent=1).encode())
        kept = _stage_files(lowered, request.options.emit)
        for kind, file in kept.items():
            write_atomically(folder / kind, file.read_bytes())
    if request.executorch is None:
        for name, text in sources.items():
            write_changed(folder / "src" / name, text)
        with progress.stage("build"):
            images = build_images(
                BuildInputs(
                    lowered.name,
                    request.board,
                    request.toolchain,
                    folder,
                    request.cmsis_nn,
                    optimize=request.options.optimize,
                    kernel_sources=request.options.kernel_sources,
                    prototypes=prototypes(plan),
                ),
                progress.step,
            )
    else:
        from mcu_build.stages.executorch_measure import build_measured

        images, described["memory"] = build_measured(
            plan,
            all_steps(plan, request),
            lowered,
            request.executorch,
            request.board,
            request.toolchain,
            folder,
            progress,
            request.options.kernel_sources,
        )
    if deployed is not None and deployed.slots:
        images["program_slot"] = folder / FIRST_PROGRAM
        write_atomically(images["program_slot"], first_slot(plan, deployed))
    artefacts = {
        **{kind: str(path.relative_to(folder)) for kind, path in images.items()},
        "header": f"src/{lowered.name}.h",
        "plan": "plan.json",
        **{Path(name).stem: name for name in kept},
    }
    if request.executorch is None:
        described["memory"]["stack_needed"] = _stack(folder / artefacts["elf"], lowered.name, request.board)
    size = measure(folder / artefacts["elf"], folder / artefacts["map"], request.board)
    manifest = replace(
        planned_manifest(request, lowered, described),
        key=key,
        artefacts=artefacts,
        hashes={kind: hash_file(folder / name) for kind, name in artefacts.items()},
        flash=size.flash,
        ram=size.ram,
    )
    manifests.write(manifest, folder)
    return manifest


def _stack(elf: Path, name: str, board: Board) -> int | None:
    """Bytes of stack that a run of the model needs; None where that cannot be determined."""
    from mcu_build.image.decode import disassemble
    from mcu_build.image.elf import read_elf
    from mcu_build.image.stack import stack_needed

    if board.is_host:
        return None
    return stack_needed(read_elf(elf), disassemble(elf), [f"{name}_run"]).size


def planned_manifest(request: Request, lowered: Lowered, described: Mapping[str, Any]) -> Manifest:
    """A manifest as far as the plan goes: without artefacts and their sizes."""
    return Manifest(
        name=lowered.name,
        board=request.board.model_dump(),
        toolchain=request.toolchain,
        io=request.options.io,
        optimize=request.options.optimize,
        key="",
        program_key=lowered.key,
        artefacts={},
        hashes={},
        flash={},
        ram={},
        memory=described["memory"],
        inputs=tuple(described["inputs"]),
        outputs=tuple(described["outputs"]),
        operators=tuple(described["operators"]),
        calls=tuple(described["calls"]),
        removed=described["removed"],
        warnings=lowered.warnings,
        npu=npu_document(lowered, versions("ethos-u-vela")),
        stream=lowered.stream,
    )


def adopt(request: Request, image: Path, cache: Cache, progress: Progress) -> Built:
    """What another build system has made of a model: `image` is the test image. Nothing is compiled.

    The image may run the program under either runtime: its inputs and outputs are the same.
    """
    from mcu_build.plan.describe import describe

    lowered = lowered_for(request, cache, progress)
    with progress.stage("plan"):
        plan = plan_for(request, lowered, lowered.name)
    planned = planned_manifest(request, lowered, describe(plan))
    manifest = replace(planned, artefacts={"test_elf": str(image.resolve())})
    return Built(request.folder(lowered.name), manifest, lowered)


def _sources(plan: Plan, board: Board) -> dict[str, str]:
    """The C++ of a model for the static runtime. McuError where it does not fit the board."""
    from mcu_build.codegen.model import generate
    from mcu_build.plan.memory.fit import check_fit

    check_fit(plan, board)
    return generate(plan)


def _stage_files(lowered: Lowered, emit: Sequence[str]) -> dict[str, Path]:
    """Artefacts of the earlier stages that are kept in the build folder, by their name there."""
    files: dict[str, Path | None] = {
        "model.pt2": lowered.model,
        "quantized.pt2": lowered.quantized,
        "program.pte": lowered.program,
    }
    if "tosa" in emit:
        files |= {delegate.tosa.name: delegate.tosa for delegate in lowered.delegates}
    files |= {f"data_{index}.ptd": file for index, file in enumerate(lowered.data)}
    return {name: file for name, file in files.items() if file}


def summary(built: Built) -> dict[str, Any]:
    """A build as --json tells it."""
    manifest = built.manifest
    return {
        "name": manifest.name,
        "board": manifest.board["id"],
        "artefacts": {kind: str(built.folder / name) for kind, name in manifest.artefacts.items()},
        "flash": dict(manifest.flash),
        "ram": {**manifest.ram, "state": manifest.memory.get("state", 0)},
        "memory": dict(manifest.memory),
        "inputs": list(manifest.inputs),
        "outputs": list(manifest.outputs),
        "operators": list(manifest.operators),
        "removed": manifest.removed,
        "warnings": list(manifest.warnings),
        "npu": manifest.npu,
        "quality": list(built.lowered.quality),
        "stream": manifest.stream,
    }
