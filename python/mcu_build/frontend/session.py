"""Run a model file once, and keep all that later stages need of it.

Everything that needs the user's objects happens here, in one process: capture, calibration, the float
model's outputs for the evaluation data. What comes after starts from files.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice, tee
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mcu_build.dependencies import Dependencies
from mcu_build.errors import McuError, about
from mcu_build.frontend import op_library
from mcu_build.frontend.captured import Captured, Inputs, Label, capture_file
from mcu_build.frontend.evaluation import (
    answers_of,
    first_inputs,
    float_vectors,
    numpy_of,
    quality_of,
    rounded_inputs_db,
    stepper_of,
    steps_of,
)
from mcu_build.frontend.names import model_name
from mcu_build.frontend.widen import Judged, better_alone, warning, widened
from mcu_build.recorder import without_folders
from mcu_build.vectors import npz

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from mcu_build.frontend.extract import Whole
    from mcu_build.frontend.quantize import Quantized

# The folder that has the TOSA of an NPU's delegates, in the one that `run` writes.
TOSA = "tosa"


class _Progress(Protocol):
    def stage(self, name: str) -> Any: ...
    def step(self, text: str) -> None: ...


def run(
    file: Path,
    folder: Path,
    npu_kind: str | None,
    progress: _Progress,
    libraries: Sequence[Path] = (),
    wishes: Mapping[str, str] | None = None,
) -> tuple[Dependencies, "ExportedProgram"]:
    """Write model.pt2, quantized.pt2, vectors.npz, info.json and an NPU's TOSA to `folder`.

    `npu_kind` ('ethos-u55', ...) is the NPU to quantize for, None the core alone. `libraries` define custom
    operators. `wishes` stand for `precision` of the model file.

    Returns what `file` depends on, itself included, and the program of quantized.pt2. No path of this machine
    is written.
    """
    with progress.stage("capture"):
        libraries_read = op_library.load(libraries)
        captured = capture_file(file, wishes)
        from mcu_build.frontend.capture import names_of_outputs

        if captured.stream:
            _check_stream(file, captured)
    with progress.stage("quantize"):
        data = _Data(file, captured)
        with about(file):
            judged = _judged(file, data, npu_kind, progress, folder / TOSA, wishes is None)
        quantized, quality = judged.quantized, judged.quality
        vectors = data.vectors | {f"int8_{index}": array for index, array in enumerate(judged.answers)}
        observed = captured.dependencies().with_files([file.resolve(), *libraries_read])
        progress.step("comparing layers")
        for program in (captured.exported, quantized.program):
            _shorten_traces(program, file.resolve().parent)
        rounded_db = rounded_inputs_db(captured, vectors, quality)
        layers = quantized.layers()
        stream = None
        if captured.stream:
            progress.step("cutting into steps")
            stream, made, vectors = _streamed(file, captured, quantized.program, vectors, data.labels, folder)
        info = {
            "name": model_name(file),
            "warnings": captured.warnings,
            "outputs": names_of_outputs(captured.exported),
            "custom": op_library.custom_operators(captured.exported),
            "quality": [asdict(output) for output in quality],
            "rounded_inputs_db": rounded_db,
            "layers": [asdict(layer) for layer in layers],
            "stream": stream,
            "place": captured.place,
        }
        program, state = made if stream else (quantized.program, captured.state)
        _write(folder, captured.exported, program, state, vectors, info)
    return observed, program


def quantized_again(file: Path, npu_kind: str | None, progress: _Progress) -> "Quantized":
    """What `run` quantizes, with its graph and the float model's values; nothing is written."""
    return _judged(file, _Data(file, capture_file(file)), npu_kind, progress).quantized


def whole(file: Path) -> "Whole":
    """The float program of a model, to take parts out of, with its first vectors."""
    from mcu_build.frontend.extract import Whole

    captured = capture_file(file)
    return Whole(captured.exported, first_inputs(captured, float_vectors(file, captured, [])))


def _write(
    folder: Path,
    exported: "ExportedProgram",
    quantized: "ExportedProgram",
    state: Inputs,
    vectors: dict[str, npz.Array],
    info: dict[str, Any],
) -> None:
    from mcu_build.frontend.store import save

    save(exported, folder / "model.pt2")
    save(quantized, folder / "quantized.pt2")
    npz.save(folder / "vectors.npz", vectors)
    npz.save(folder / "state.npz", {f"state_{i}": numpy_of(value) for i, value in enumerate(state)})
    (folder / "info.json").write_text(json.dumps(info))


def _streamed(
    file: Path,
    captured: Captured,
    quantized: "ExportedProgram",
    vectors: dict[str, npz.Array],
    labels: Sequence[Any],
    folder: Path,
) -> tuple[dict[str, Any], tuple["ExportedProgram", Inputs], dict[str, npz.Array]]:
    """The quantized program step by step: what it is, the program with its first state, and its vectors.

    The program over whole recordings is kept as recording.pt2, to be compared with.
    """
    from mcu_build.frontend.capture import names_of_outputs
    from mcu_build.frontend.store import save
    from mcu_build.frontend.stream import recordings, to_stream
    from mcu_build.lower.upstream.quiet import quiet

    save(quantized, folder / "recording.pt2")
    examples = [inputs for _, inputs in islice(steps_of(vectors), 2)]
    if len(examples) == 1:
        examples.append(tuple(tensor.flip(0) + 1 for tensor in examples[0]))
    with about(file), quiet():
        made = to_stream(quantized, captured.stream, examples)
    cut = recordings.cut(file, vectors, labels, made, captured.stream)
    described = recordings.describe(
        made, captured.stream, captured.latency, names_of_outputs(captured.exported)
    )
    return described, (made.program, made.state), cut


def _check_stream(file: Path, captured: Captured) -> None:
    """McuError where a model has no steps, before anything is calibrated."""
    from mcu_build.frontend.stream import check_stream
    from mcu_build.lower.upstream.quiet import quiet

    if captured.state:
        raise McuError(
            f"{file}: stream: the model keeps state itself, in buffers that `forward` writes",
            "A model that is trained on whole recordings has none: leave `stream` or the buffers out.",
        )
    with about(file), quiet():
        check_stream(captured.exported, captured.stream)


def _shorten_traces(program: "ExportedProgram", base: Path) -> None:
    """Stack traces without the place of the project: copies of it share what is kept."""
    import torch

    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                if trace := node.meta.get("stack_trace"):
                    node.meta["stack_trace"] = without_folders(trace, base)


class _Data:
    """Evaluation data, drawn when calibration data are through: a file may draw both from one generator."""

    def __init__(self, file: Path, captured: Captured) -> None:
        self.captured = captured
        self.vectors: dict[str, npz.Array] = {}
        self.labels: list[Label] = []
        self._file = file

    def examples(self) -> "Iterable[Inputs]":
        """The inputs of one call after the other."""
        if not self.vectors:
            self.vectors.update(float_vectors(self._file, self.captured, self.labels))
        return first_inputs(self.captured, self.vectors)

    def judged(self, quantized: "Quantized", wide: Collection[str] = ()) -> Judged:
        """A program that was quantized over calibration data, over these."""
        answers = answers_of(self.captured, quantized.program, self.vectors)
        return Judged(quantized, answers, quality_of(self.captured, answers, self.vectors), wide)


def _judged(
    file: Path,
    data: _Data,
    npu_kind: str | None,
    progress: _Progress,
    tosa_folder: Path | None = None,
    may_widen: bool = True,
) -> Judged:
    """The program with its quality. `may_widen`: 16 bits, on the core, where int8 ruins an output."""
    captured = data.captured
    calibration = _counted(calibration_calls(captured), progress)
    if npu_kind is None:
        int8, taken = _for_core(data, calibration, progress, may_widen)
        if taken is not int8:
            captured.warnings.append(warning(str(file), captured.exported, int8, taken))
        return taken
    calibration, again = tee(calibration)
    judged = data.judged(_for_npu(data, calibration, npu_kind, progress, tosa_folder))
    if may_widen and not judged.is_enough:
        progress.step("for the core alone, to compare")
        _, alone = _for_core(data, again, progress, may_widen)
        captured.warnings.extend(better_alone(str(file), judged, alone))
    return judged


def _for_core(
    data: _Data, calibration: "Iterable[Inputs]", progress: _Progress, may_widen: bool
) -> tuple[Judged, Judged]:
    """The program in int8, and that which is taken."""
    from mcu_build.frontend.quantize import quantize_layers
    from mcu_build.lower.annotate.given import has_scales

    exported, examples = data.captured.exported, data.examples
    calibration, again = tee(calibration)
    int8 = data.judged(quantize_layers(exported, calibration, examples))
    if not may_widen or int8.is_enough or data.captured.stream or has_scales(exported):
        return int8, int8
    items = list(again)

    def attempt(wide: Collection[str]) -> Judged:
        progress.step(f"16 bits for {len(wide)} operators")
        return data.judged(quantize_layers(exported, items, examples, in_int16=wide), wide)

    return int8, widened(exported, int8, attempt)


def _for_npu(
    data: _Data,
    calibration: "Iterable[Inputs]",
    npu_kind: str,
    progress: _Progress,
    tosa_folder: Path | None,
) -> "Quantized":
    from mcu_build.lower.annotate.given import is_marked
    from mcu_build.lower.upstream.quiet import quiet

    exported = data.captured.exported
    if is_marked(exported):
        raise McuError(
            "the model is quantized already: its scales are kept by the kernels of the core only",
            "Give --npu none, or the float model.",
        )
    with quiet():
        from mcu_build.frontend.quantize_npu import quantize_for_npu

    bits = data.captured.activation_bits
    return quantize_for_npu(exported, calibration, npu_kind, bits, data.examples, progress.step, tosa_folder)


def _counted(items: "Iterable[Inputs]", progress: _Progress) -> "Iterator[Inputs]":
    for number, item in enumerate(items, 1):
        progress.step(f"calibration item {number}")
        yield item
    progress.step("rounding")


def calibration_calls(captured: Captured) -> "Iterable[Inputs]":
    """The inputs of every call, with the state that it meets."""
    from mcu_build.frontend.state import with_state

    return with_state(captured.calibration, stepper_of(captured))
