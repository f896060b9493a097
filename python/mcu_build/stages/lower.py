"""A model file in, a program out: all stages up to it, each behind the cache."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcu_build.board import Board
from mcu_build.cache import Cache, hash_text, own_code
from mcu_build.choices import Io
from mcu_build.errors import McuError, about
from mcu_build.frontend import op_library
from mcu_build.frontend.names import check_model
from mcu_build.frontend.session import TOSA
from mcu_build.fronts.options import BuildOptions
from mcu_build.hardware import NpuChoice
from mcu_build.ir.plan import Quantization
from mcu_build.progress import Progress
from mcu_build.quality.verdict import verdict
from mcu_build.stages.front_end import MODEL, quantization_kind, quantized
from mcu_build.stages.given import given_program
from mcu_build.stages.lowered import Lowered, LoweredDelegate, read_signatures
from mcu_build.stages.stream import prove_stream

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from mcu_build.lower.cortex_m import Lowered as LoweredProgram


_LOWER_CODE = ("arithmetic", "lower", "plan/operators", "plan/layouts.py", "layer_names.py")


def lowering_core(board: Board) -> str:
    """The core that a program is lowered for.

    Lowering differs only between Helium, which needs the sums of weights beforehand, and all others: boards
    of one kind share a program.
    """
    return "cortex-m55" if board.mve else "cortex-m4"


def lower_model(
    file: Path,
    board: Board,
    npu: NpuChoice | None,
    options: BuildOptions,
    cache: Cache,
    progress: Progress,
    precision: Mapping[str, str] | None = None,
) -> Lowered:
    """Everything up to the program, from whatever kind of file the model is.

    `precision` stands for what a model.py has.
    """
    io, method, libraries, data = options.io, options.method, options.op_library, options.data
    check_model(file)
    op_library.check(libraries)
    if file.suffix == ".pte":
        program = given_program(file, npu, io, method, libraries, data, cache)
        for warning in program.warnings:
            progress.warn(warning)
        return program
    if method is not None:
        raise McuError(f"{file}: --method: only a .pte has methods to choose from", "Leave it out.")
    if data:
        raise McuError(f"{file}: --data: only a .pte has weights in other files", "Leave it out.")
    model = quantized(file, quantization_kind(npu), cache, progress, libraries, precision)
    entry, observed = model.entry, model.observed
    info = json.loads((entry / "info.json").read_text())
    _check_latency(file, info["stream"], options.latency)
    definitions = (*libraries, *([file] if file.suffix == ".py" else []))
    lower_key = hash_text("lower", model.key, lowering_core(board), repr(npu), io, own_code(*_LOWER_CODE))
    with progress.stage("lower") as mark, about(file):
        lowered, mark.cached = cache.get(
            lower_key, lambda folder: lower_entry(entry, board, npu, io, definitions, folder, model.made)
        )
    details = json.loads((lowered / "lowering.json").read_text())
    kept = tuple(text.replace(MODEL, str(file)) for text in (*info["warnings"], *details["warnings"]))
    warnings = (*kept, *verdict(file.name, info["quality"], info["layers"], info["rounded_inputs_db"]))
    for warning in warnings:
        progress.warn(warning)
    return Lowered(
        name=info["name"],
        key=lower_key,
        program=lowered / "program.pte",
        vectors=entry / "vectors.npz",
        model=entry / "model.pt2",
        quantized=entry / "quantized.pt2",
        warnings=warnings,
        dependencies=observed.files,
        watched=observed.with_files((file.absolute(),)).watched,
        boundaries=tuple(
            Quantization(**boundary) if boundary else None for boundary in details["boundaries"]
        ),
        operators=tuple(details["operators"]),
        npu=npu,
        delegates=tuple(
            LoweredDelegate(
                lowered / delegate["tosa"],
                delegate["fast_scratch"],
                delegate["estimates"],
                tuple(delegate["layers"]),
            )
            for delegate in details["delegates"]
        ),
        custom=read_signatures(details["custom"]),
        definitions=definitions,
        quality=tuple(info["quality"]),
        layers=tuple(info["layers"]),
        state=entry / "state.npz",
        stream=info["stream"],
        outputs=tuple(info["outputs"]),
        place=tuple(info["place"]),
    )


def _check_latency(file: Path, stream: Mapping[str, Any] | None, latency: int | None) -> None:
    """McuError where outputs would be later than is permitted, or an option has nothing to permit."""
    if stream is None:
        if latency:
            raise McuError(f"{file}: --latency: the model has no `stream`", "Leave it out.")
        return
    permitted = stream["latency"] if latency is None else latency
    ahead = stream["ahead"]
    if ahead and ahead["samples"] > permitted:
        raise McuError(
            f"{file}: stream: {ahead['text']}",
            "Pad in front only: F.pad(x, (k - 1, 0)) before a layer without padding. Or let outputs come so "
            f"much later: --latency {ahead['samples']}, or `latency = {ahead['samples']}` in the model file.",
        )


def lower_entry(
    entry: Path,
    board: Board,
    npu: NpuChoice | None,
    io: Io,
    definitions: Sequence[Path],
    folder: Path,
    made: "ExportedProgram | None" = None,
) -> None:
    """Lower quantized.pt2 of `entry`, with info.json, into `folder`: program.pte, lowering.json, TOSA.

    `made` is the program in quantized.pt2, where somebody has it.
    """
    from mcu_build.lower.upstream.quiet import quiet

    with quiet():
        from mcu_build.frontend.store import load_quantized
        from mcu_build.plan.select import operators

    core = lowering_core(board)
    info = json.loads((entry / "info.json").read_text())
    op_library.ensure(info["custom"], definitions)
    signatures = [asdict(op_library.signature(name)) for name in info["custom"]]

    def lower(program: "ExportedProgram") -> tuple["LoweredProgram", Sequence[Any]]:
        return _lowered(program, npu, core, io, frozenset(operators()), entry / TOSA)

    lowered, compiled = lower(made or load_quantized(entry / "quantized.pt2"))
    delegates = []
    for index, delegate in enumerate(compiled):
        name = f"delegate_{index}.tosa"
        (folder / name).write_bytes(delegate.tosa)
        delegates.append(
            {
                "tosa": name,
                "fast_scratch": delegate.fast_scratch,
                "estimates": dict(delegate.estimates),
                "layers": delegate.layers,
            }
        )
    (folder / "program.pte").write_bytes(lowered.pte)
    if info["stream"]:
        recording = lower(load_quantized(entry / "recording.pt2"))
        prove_stream(entry, info, recording, (lowered, compiled), folder)
    details = {
        "warnings": list(lowered.warnings),
        "boundaries": [
            asdict(boundary) if boundary else None for boundary in (*lowered.inputs, *lowered.outputs)
        ],
        "operators": [asdict(row) for row in lowered.operators],
        "delegates": delegates,
        "custom": signatures,
    }
    (folder / "lowering.json").write_text(json.dumps(details))


def _lowered(
    quantized: "ExportedProgram",
    npu: NpuChoice | None,
    core: str,
    io: Io,
    supported: frozenset[str],
    tosa_folder: Path,
) -> tuple["LoweredProgram", Sequence[Any]]:
    """The program of a quantized one, and what was compiled for the NPU."""
    from mcu_build.lower.upstream.quiet import quiet

    if npu is None:
        with quiet():
            from mcu_build.lower.cortex_m import lower

        return lower(quantized, core, io, supported), ()
    with quiet():
        from mcu_build.lower.npu import ethos_u

    made = ethos_u.lower(quantized, npu, core, io, supported, tosa_folder)
    return made.program, made.delegates
