"""The pipeline in steps for build systems that keep and move files themselves: Bazel's actions.

A step reads the files that it was given and writes those that it was asked for, nothing else: no cache, no
home. A model that reads more than was declared is refused, so that results may be shared between machines.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mcu_build.board import Board
from mcu_build.cache import Cache
from mcu_build.codegen.cmake import LINKER_SCRIPT, SLOT_SCRIPT, slot_script
from mcu_build.codegen.linker import linker_script
from mcu_build.errors import McuError
from mcu_build.files import write_atomically, write_changed
from mcu_build.hardware import NpuChoice
from mcu_build.ir.plan import Plan, Quantization
from mcu_build.progress import Progress
from mcu_build.stages import manifest as manifests
from mcu_build.stages.lowered import Lowered, LoweredDelegate, read_signatures
from mcu_build.stages.pipeline import Built, lowered_for, model_sources, planned_manifest
from mcu_build.stages.request import Request
from mcu_build.vectors.pack import load_inputs
from mcu_build.verify.prove import Proof, expectation, test

_LOWERED = "lowered.json"
# Options of the link of a production image with program slots.
_SLOTS = "slots.txt"
_DEFINITIONS = "definitions"
_STATE = "state.npz"
# What a model says of itself where something is not beside it.
_UNDECLARED = {
    "ModuleNotFoundError": "A module of the workspace has to be among the `deps` of the target.",
    "FileNotFoundError": "A file that it reads has to be among the `data` of the target.",
}


@dataclass(frozen=True)
class Declared:
    """A model as a target declares it, by its `name` in C++.

    `files` are all that it may read, by their place in the workspace; `request.model` is one of these places.
    """

    name: str
    request: Request
    files: Mapping[str, Path]


def generate(declared: Declared, sources: Path, program: Path, progress: Progress) -> None:
    """Write a model's C++ into the folder `sources`, its program and what tests need into `program`."""
    from mcu_build.codegen.model import CMAKE_CONFIG

    sources, program = sources.absolute(), program.absolute()
    with _workspace(declared.files) as (workspace, cache):
        request = declared.request
        try:
            lowered = lowered_for(request, cache, progress)
        except McuError as error:
            hints = [hint for name, hint in _UNDECLARED.items() if name in error.message]
            raise McuError(error.message, " ".join([error.hint, *hints]), error.exit_code) from error
        _check_declared(declared, lowered, workspace)
        with progress.stage("plan"):
            made = model_sources(request, lowered, declared.name)
        for name, text in made.texts.items():
            if name != CMAKE_CONFIG:
                write_changed(sources / name, text)
        if made.slots:
            write_changed(sources / LINKER_SCRIPT, linker_script(request.linked))
            # Bazel has to have each file that a rule declares.
            write_changed(sources / SLOT_SCRIPT, "".join(slot_script(request.linked).values()))
            write_changed(sources / _SLOTS, f"-Wl,--defsym={made.slots}\n")
            made.write_first_slot(sources)
        _keep(declared, lowered, made.plan, program)


def expect(program: Path, inputs: Path | None, vectors: int | None, output: Path, progress: Progress) -> None:
    """Evaluate a program's Python definitions into the folder `output`: for its own inputs, or those given.

    `vectors` is how many of them, from the first on; None: all.
    """
    with _built(program, inputs) as built:
        expectation(built, vectors, Cache(output.absolute()), progress)


def test_image(
    program: Path,
    inputs: Path | None,
    vectors: int | None,
    expected: Path,
    image: Path,
    board: Board,
    timeout: float,
    progress: Progress,
) -> tuple[Built, Proof]:
    """Run a test image, and compare it with what `expect` wrote into the folder `expected`."""
    with _built(program, inputs) as built:
        whole = replace(
            built, manifest=replace(built.manifest, artefacts={"test_elf": str(image.absolute())})
        )
        return whole, test(whole, board, vectors, timeout, _Expected(expected.absolute()), progress)


def over_budget(
    program: Path,
    inputs: Path | None,
    image: Path,
    board: Board,
    timeout: float,
    max_instructions: int | None,
    max_cycles: int | None,
) -> McuError | None:
    """The error of a test image whose inference costs more than it may, counted in the simulator."""
    from mcu_build.profile.budget import over_budget
    from mcu_build.profile.measure import profile
    from mcu_build.verify.prove import own_inputs

    with _built(program, inputs) as built:
        whole = replace(
            built, manifest=replace(built.manifest, artefacts={"test_elf": str(image.absolute())})
        )
        measured = profile(whole, board, own_inputs(whole), timeout, Cache(built.folder / "cache"))
        kernel = measured.kernels[0].name if measured.kernels else None
        total = measured.total
        return over_budget(
            measured.name, total.instructions, total.cycles, max_instructions, max_cycles, kernel
        )


class _Expected(Cache):
    """What `expect` wrote: nothing is made anew."""

    def get(self, key: str, produce: Callable[[Path], None]) -> tuple[Path, bool]:
        entry = self.find(key)
        if entry is None:
            raise McuError(f"{self.root}: expected outputs of another program, or for other vectors")
        return entry, True


@contextlib.contextmanager
def _workspace(files: Mapping[str, Path]) -> Iterator[tuple[Path, Cache]]:
    """A folder with copies of `files`, which becomes the current one: links would lead out of it."""
    with tempfile.TemporaryDirectory(prefix="mcu-") as made:
        workspace = Path(made).resolve() / "workspace"
        for place, file in files.items():
            target = workspace / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        with contextlib.chdir(workspace):
            yield workspace, Cache(Path(made) / "cache")


def _check_declared(declared: Declared, lowered: Lowered, workspace: Path) -> None:
    undeclared = [str(file) for file in lowered.dependencies if not file.is_relative_to(workspace)]
    if undeclared:
        raise McuError(
            f"{declared.request.model}: it reads what its target does not declare: {', '.join(undeclared)}",
            "Declare files in `data` and modules in `deps`, and read them from beside the model file.",
        )


def _keep(declared: Declared, lowered: Lowered, plan: Plan, folder: Path) -> None:
    from mcu_build.plan.describe import describe

    if lowered.custom:
        # Whoever evaluates the program has to run what defines its operators.
        for place, file in declared.files.items():
            write_atomically(folder / _DEFINITIONS / place, file.read_bytes())
    write_atomically(folder / "program.pte", lowered.program.read_bytes())
    if lowered.vectors:
        write_atomically(folder / "vectors.npz", lowered.vectors.read_bytes())
    if lowered.state:
        write_atomically(folder / _STATE, lowered.state.read_bytes())
    for delegate in lowered.delegates:
        write_atomically(folder / delegate.tosa.name, delegate.tosa.read_bytes())
    weights = [f"data_{index}.ptd" for index in range(len(lowered.data))]
    for name, file in zip(weights, lowered.data, strict=True):
        write_atomically(folder / name, file.read_bytes())
    kept = {
        "key": lowered.key,
        "method": lowered.method,
        "boundaries": [asdict(boundary) if boundary else None for boundary in lowered.boundaries],
        "data": weights,
        "npu": asdict(lowered.npu) if lowered.npu else None,
        "delegates": [{**asdict(delegate), "tosa": delegate.tosa.name} for delegate in lowered.delegates],
        "custom": [asdict(signature) for signature in lowered.custom],
        "definitions": [str(file) for file in lowered.definitions] if lowered.custom else [],
    }
    write_atomically(folder / _LOWERED, json.dumps(kept, indent=1).encode())
    planned = planned_manifest(declared.request, lowered, describe(plan))
    manifests.write(replace(planned, name=plan.name), folder)


@contextlib.contextmanager
def _built(program: Path, inputs: Path | None) -> Iterator[Built]:
    """The folder that `generate` wrote, as what is built in a folder that goes away again."""
    manifest = manifests.require(program)
    if inputs:
        load_inputs(inputs, manifest.inputs)
    kept: dict[str, Any] = json.loads((program / _LOWERED).read_text())
    own, state = program / "vectors.npz", program / _STATE
    lowered = Lowered(
        name=manifest.name,
        key=kept["key"],
        program=program / "program.pte",
        vectors=inputs or (own if own.is_file() else None),
        model=None,
        quantized=None,
        warnings=manifest.warnings,
        dependencies=(),
        boundaries=tuple(Quantization(**boundary) if boundary else None for boundary in kept["boundaries"]),
        npu=NpuChoice(**kept["npu"]) if kept["npu"] else None,
        delegates=tuple(
            LoweredDelegate(**{**delegate, "tosa": program / delegate["tosa"]})
            for delegate in kept["delegates"]
        ),
        method=kept["method"],
        data=tuple(program / name for name in kept["data"]),
        state=state if state.is_file() else None,
        stream=manifest.stream,
        custom=read_signatures(kept["custom"]),
        definitions=tuple(program / _DEFINITIONS / place for place in kept["definitions"]),
    )
    with tempfile.TemporaryDirectory(prefix="mcu-") as folder:
        yield Built(Path(folder), manifest, lowered)
