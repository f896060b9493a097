"""Run a built image over vectors and judge it: what the verbs run and test do."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcu_build.board import Board
from mcu_build.cache import Cache
from mcu_build.custom import is_custom
from mcu_build.errors import Exit, McuError
from mcu_build.flash.image import LoadImage
from mcu_build.flash.via import Via
from mcu_build.layer_names import output_name
from mcu_build.progress import Progress
from mcu_build.quality.metrics import OWN, Metric, is_higher_better, named
from mcu_build.quality.sqnr import MOST_DROP, astray, judge
from mcu_build.quality.verdict import too_noisy
from mcu_build.simulate.outcome import Outcome
from mcu_build.simulate.run import Sim, check_simulator
from mcu_build.simulate.run import run as simulate
from mcu_build.stages.pipeline import Built
from mcu_build.stages.reference import expected_outputs, made_up_vectors
from mcu_build.vectors import npz
from mcu_build.vectors import pack as vectors
from mcu_build.vectors.compare import Comparison, Mismatch, accuracy, compare, custom_allowance, vary
from mcu_build.vectors.npz import Array
from mcu_build.vectors.pack import sequence_starts
from mcu_build.verify.trace import Layer, first_difference, suspects

if TYPE_CHECKING:
    from mcu_build.flash.probe import Probe
    from mcu_build.profile.on_device import LayerCycles

_LABELS = "Add `evaluation`, pairs of inputs and label, to the model's file (docs/model-file.md)."
_TUNE = "`mcu-build accuracy` lists what each layer loses, `mcu-build tune` finds what to leave in float."
_SAME_HINT = (
    "Give `evaluation` or `calibration` data that the model answers differently, and load trained weights: "
    "an untrained model has one class for all inputs. Returning its scores beside the class shows more."
)
_LOST_HINT = (
    "The float model's outputs vary, by less than a step of int8. Load trained weights, give typical "
    "`calibration` data, or set `activation_bits = 16` in the model file."
)


@dataclass(frozen=True)
class Accuracy:
    """Shares of vectors whose largest output is the label's."""

    float_model: float
    int8_model: float
    device: float


@dataclass(frozen=True)
class Proof:
    """What a test found.

    `float_operators` names the operators that compute floats on the core, `inexact` those among them that
    are the user's own: their Python and their C++ may round differently. Where outputs are wrong, `suspects`
    are the layers that may be: one where it is known which one is the first that differs, at its `element`.
    `state` compares what is kept from call to call, after each; None where nothing is.
    `quality` compares the firmware with the float model, an output each: quality.Quality as plain data.
    `astray` is an output that is ruined and was not in the int8 program in PyTorch, with that program's
    decibels and its own: what the program was lowered to means something else. None where there is none.
    `streams`: an NPU's delegates came without TOSA, and are compared with our model of the NPU alone.
    `outputs` are the model's names for its outputs, as far as they are known.
    """

    name: str
    comparison: Comparison
    state: Comparison | None
    accuracy: Accuracy | None
    outcome: Outcome
    float_operators: tuple[str, ...]
    inexact: tuple[str, ...]
    made_up: bool
    quality: tuple[Mapping[str, Any], ...] = ()
    astray: tuple[int, float, float] | None = None
    suspects: tuple[Layer, ...] = ()
    element: Mismatch | None = None
    metric: Metric | None = None
    streams: bool = False
    outputs: tuple[str, ...] = ()
    floats_vary: bool = False

    def failure(
        self, min_accuracy: float | None = None, min_sqnr: float | None = None, max_drop: float | None = None
    ) -> McuError | None:
        """Why the test has failed, if it has: outputs are wrong, or prove nothing, or too inaccurate.

        `min_accuracy` is a share, `min_sqnr` in dB, `max_drop` in points of accuracy below the float model.
        """
        compared = self.comparison
        if compared.mismatches:
            return self._wrong()
        if self.state and self.state.first:
            first = self.state.first
            return McuError(
                f"{self.name}: {self.state.mismatches:,} of {self.state.elements:,} elements of state are "
                f"wrong; the first is element {first.index[0]} of buffer {first.output} after vector "
                f"{first.vector}, {first.found:g} instead of {first.expected:g}",
                "The outputs are right so far: a longer sequence would show it. Please report the model.",
                Exit.FIRMWARE,
            )
        if self.astray:
            index, program, firmware = self.astray
            return McuError(
                f"{self.name}: {output_name(index, self.outputs)} has {firmware:.1f} dB against the float "
                f"model, and {program:.1f} dB in PyTorch: the int8 program was lowered to something else",
                "`mcu-build why` finds the layer. Write it with other operators, or keep it in float by "
                "`precision`; `--npu none` leaves an NPU out. Please report the model.",
                Exit.FIRMWARE,
            )
        if not compared.outputs_vary:
            return McuError(
                f"{self.name}: every vector gives the same outputs: the comparison proves nothing",
                _LOST_HINT if self.floats_vary else _SAME_HINT,
                Exit.FIRMWARE,
            )
        noisy = None if min_sqnr is None else too_noisy(self.name, self.quality, min_sqnr)
        return noisy or self._inaccuracy(min_accuracy, max_drop)

    def _wrong(self) -> McuError:
        """What differs, where and by how much, and what to do about the layer that it comes from."""
        compared, own = self.comparison, [layer for layer in self.suspects if is_custom(layer.operator)]
        parts = [f"{self.name}: {compared.mismatches:,} of {compared.elements:,} outputs are wrong"]
        if first := compared.first:
            element = f"{output_name(first.output, self.outputs)}{list(first.index)}"
            parts.append(
                f"the first is {element} of vector {first.vector}, {first.found:g} instead of "
                f"{first.expected:g}; the largest difference is {compared.max_abs_difference:g}"
            )
        if len(self.suspects) == 1:
            parts.append(f"the first layer that differs is {self.suspects[0]}")
        if own:
            hint = f"Compare the C++ of {own[0].operator} with its definition in Python."
        else:
            hint = (
                "Firmware and the quantized program disagree there. Write the layer with other operators, "
                "or try --optimize size or another --toolchain, which choose other code. Please report the "
                "model."
            )
        return McuError("; ".join(parts), hint, Exit.FIRMWARE)

    @property
    def drop(self) -> float:
        """Points of accuracy or of the metric that the device has lost; 0 without labels."""
        if self.metric:
            return self.metric.drop
        return 100 * (self.accuracy.float_model - self.accuracy.device) if self.accuracy else 0.0

    @property
    def is_much_worse(self) -> bool:
        """Whether a user has to be warned of `drop`."""
        return self.metric.is_much_worse if self.metric else self.drop > MOST_DROP

    def _inaccuracy(self, least: float | None, most_drop: float | None) -> McuError | None:
        if least is None and most_drop is None:
            return None
        if self.metric and least is None and most_drop is not None:
            if self.drop <= most_drop:
                return None
            problem = (
                f"{self.metric.name} on the device is {self.metric.device:.4g}, that of the float model "
                f"{self.metric.float_model:.4g}: {self.drop:.2f} {_unit(self.metric)} worse, the most is "
                f"{most_drop:g}"
            )
            return McuError(f"{self.name}: {problem}", _TUNE, Exit.BUDGET)
        if self.accuracy is None:
            option = "--max-drop" if least is None else "--min-accuracy"
            return McuError(f"{self.name}: {option}: the model has no labelled `evaluation` data", _LABELS)
        message = (
            f"int8 PyTorch has {self.accuracy.int8_model:.4f}, float {self.accuracy.float_model:.4f}. {_TUNE}"
        )
        if least is not None and self.accuracy.device < least:
            problem = f"accuracy on the device is {self.accuracy.device:.4f}, the least is {least}"
            return McuError(f"{self.name}: {problem}", message, Exit.BUDGET)
        if most_drop is not None and self.drop > most_drop:
            problem = f"accuracy on the device drops by {self.drop:.2f} points, the most is {most_drop:g}"
            return McuError(f"{self.name}: {problem}", message, Exit.BUDGET)
        return None


def run(
    built: Built,
    board: Board,
    inputs: list[Array],
    timeout: float,
    sim: Sim | None = None,
    via: Via | None = None,
    starts: Array | None = None,
) -> tuple[list[Array], Outcome]:
    """The firmware's outputs for `inputs`, arrays [vectors, ...] as the ports take them.

    It runs in a simulator, or on the board that `via` leads to. `starts` tells which vectors begin a
    sequence, for a model with state; without it all are one.
    """
    manifest = built.manifest
    if starts is None or not manifest.memory.get("state"):
        starts = vectors.one_sequence(inputs, manifest.memory)
    packed = vectors.pack(inputs, manifest.inputs, starts)
    if via is not None:
        outcome = _on_device(built, board, packed, timeout, via)
    else:
        image = manifest.path(built.folder, "test_elf")
        outcome = simulate(board, image, packed, timeout, (), sim, built.lowered.npu)
    count, row = len(inputs[0]), vectors.row_bytes(manifest.outputs) + manifest.memory.get("state", 0)
    if outcome.vectors != count or len(outcome.outputs) != count * row:
        raise McuError(
            f"{manifest.name}: the image took {outcome.vectors} vectors of {count} and gave "
            f"{len(outcome.outputs):,} bytes, not {count * row:,}: "
            "its inputs and outputs are not the model's",
            "Give --image an image of this model.",
            Exit.FIRMWARE,
        )
    return vectors.unpack(outcome.outputs, count, manifest.outputs), outcome


@contextmanager
def _programmed(built: Built, board: Board, via: Via) -> Iterator[tuple["Probe", LoadImage, Path]]:
    """The board that holds the build's device image, with that image and its file."""
    from mcu_build.flash import image, probe
    from mcu_build.flash.via import doing, opened

    if "device_elf" not in built.manifest.artefacts:
        raise McuError(
            f"--on-device: {built.manifest.name}: there is no device image for {board.id}",
            "For the host: leave out --on-device. For a board: `mcu-build build`, or DEVICE_TEST in CMake.",
        )
    file = built.manifest.path(built.folder, "device_elf")
    loaded = image.read_image(file)
    image.check(loaded, board)
    with opened(via, board) as link:
        with doing(f"writing {loaded.name}"):
            probe.program(link, loaded)
        with doing(f"running {loaded.name}"):
            yield link, loaded, file


def _on_device(built: Built, board: Board, inputs: bytes, timeout: float, via: Via) -> Outcome:
    from mcu_build.flash import device

    with _programmed(built, board, via) as (probe, image, file):
        return device.run(probe, image, file, inputs, timeout)


def layer_cycles(
    built: Built, board: Board, inputs: list[Array], timeout: float, via: Via
) -> tuple["LayerCycles", ...]:
    """Cycles of each layer on the board that `via` leads to, for the first vector of `inputs`."""
    from mcu_build.profile import on_device
    from mcu_build.profile.measure import read

    manifest = built.manifest
    if manifest.calls:
        raise McuError(
            f"{manifest.name}: layers run row by row, in loops: the core stops between none",
            "Profile it in the simulator, or build with more --ram (docs/memory.md).",
        )
    first = [array[:1] for array in inputs]
    packed = vectors.pack(first, manifest.inputs, vectors.one_sequence(first, manifest.memory))
    with _programmed(built, board, via) as (probe, image, file):
        executable = read(file, manifest.name, board.core)
        return on_device.measure(probe, image, executable, manifest.operators, packed, timeout)


def own_starts(built: Built) -> Array | None:
    """Which of the vectors that the model brings begin a sequence; None for made-up ones."""
    own = archive(built)
    return sequence_starts(own) if own else None


def own_inputs(built: Built) -> list[Array]:
    """The vectors that the model brings, else made-up ones, as the ports take them."""
    archive = npz.load(built.lowered.vectors or made_up_vectors(built.lowered, built.folder))
    return vectors.quantized(npz.numbered(archive, "input"), built.manifest.inputs)


def test(
    built: Built,
    board: Board,
    limit: int | None,
    timeout: float,
    cache: Cache,
    progress: Progress,
    sim: Sim | None = None,
    via: Via | None = None,
) -> Proof:
    """Compare the firmware with the program's Python definitions over the model's own vectors."""
    if via is None:
        check_simulator(board, sim, built.lowered.npu)
    inputs, wanted = _expectation(built, limit, cache, progress)
    expected, kept = npz.numbered(wanted, "output"), npz.numbered(wanted, "state")
    own, starts = archive(built), own_starts(built)
    starts = None if starts is None else starts[:limit]
    with progress.stage("device" if via else "simulate"):
        actual, outcome = run(built, board, inputs, timeout, sim, via, starts)
    real = [vectors.dequantized(*pair) for pair in zip(actual, built.manifest.outputs, strict=True)]
    in_float = _float_operators(built)
    inexact = tuple(name for name in in_float if is_custom(name))
    steps = [port["scale"] for port in built.manifest.outputs]
    allowed = custom_allowance(expected, steps) if inexact else [0.0] * len(expected)
    compared = compare(expected, actual, allowed)
    layers, element = _suspects(built, compared, inputs, timeout, progress, sim, via)
    state = None
    if kept and not inexact:
        memory = built.manifest.memory
        places = (built.manifest.outputs, kept, memory["state_offsets"], memory["state_rings"])
        states = vectors.unpack_state(outcome.outputs, len(inputs[0]), *places)
        state = compare(kept, states, [0.0] * len(kept))
    return Proof(
        name=built.manifest.name,
        comparison=compared,
        state=state,
        accuracy=_accuracy(own, expected, actual, limit),
        outcome=outcome,
        float_operators=in_float,
        inexact=inexact,
        made_up=built.lowered.vectors is None,
        quality=_quality(built, own, real, limit),
        astray=_astray(own, real),
        suspects=layers,
        element=element,
        metric=_metric(built, own, expected, actual, limit),
        streams=built.lowered.has_unknown_delegates
        and any(row["where"] == "npu" for row in built.manifest.operators),
        outputs=built.lowered.outputs,
        floats_vary=vary([array[:limit] for array in npz.numbered(own, "float")]),
    )


def expectation(
    built: Built, limit: int | None, cache: Cache, progress: Progress
) -> tuple[list[Array], list[Array]]:
    """The model's own vectors, and what the program's Python definitions give for them."""
    inputs, wanted = _expectation(built, limit, cache, progress)
    return inputs, npz.numbered(wanted, "output")


def _expectation(
    built: Built, limit: int | None, cache: Cache, progress: Progress
) -> tuple[list[Array], Mapping[str, Array]]:
    """Likewise, as the archive that `expected_outputs` makes."""
    inputs = [array[:limit] for array in own_inputs(built)]
    chosen = built.folder / f"vectors-{len(inputs[0])}.npz"
    own = archive(built)
    numbers = {"sequence": own["sequence"][:limit]} if "sequence" in own else {}
    npz.save(chosen, {f"input_{i}": array for i, array in enumerate(inputs)} | numbers)
    return inputs, npz.load(expected_outputs(built.lowered, chosen, cache, progress))


def archive(built: Built) -> dict[str, Array]:
    """The vectors that the model brings, with labels and the float model's outputs; empty without any."""
    return npz.load(built.lowered.vectors) if built.lowered.vectors else {}


def _suspects(
    built: Built,
    compared: Comparison,
    inputs: list[Array],
    timeout: float,
    progress: Progress,
    sim: Sim | None,
    via: Via | None,
) -> tuple[tuple[Layer, ...], Mismatch | None]:
    """The first layer that differs for the first vector that does, and where; else all layers, and None."""
    if compared.first is None or not compared.mismatches:
        return (), None
    vector = compared.first.vector
    layer = None
    # What a vector gives depends on those before it where the model keeps state.
    if via is None and not built.manifest.memory.get("state"):
        with progress.stage("trace"):
            layer = first_difference(built, [array[vector : vector + 1] for array in inputs], timeout, sim)
    if layer is None:
        return suspects(built), None
    element = layer.element or compared.first
    return (layer.layer,), replace(element, vector=vector)


def _float_operators(built: Built) -> tuple[str, ...]:
    """Float operators that compute, rather than move, in order of first use."""
    rows = [row for row in built.manifest.operators if row["where"] == "float"]
    return tuple(dict.fromkeys(str(row["operator"]) for row in rows))


def _quality(
    built: Built, archive: Mapping[str, Array], real: Sequence[Array], limit: int | None
) -> tuple[Mapping[str, Any], ...]:
    """The firmware against the float model, where that is known."""
    floats = npz.numbered(archive, "float")
    if not floats:
        return ()
    judged = judge([array[:limit] for array in floats], real, built.lowered.outputs)
    return tuple(asdict(quality) for quality in judged)


def _astray(archive: Mapping[str, Array], real: Sequence[Array]) -> tuple[int, float, float] | None:
    """The first output that is not the int8 program's in PyTorch, over the vectors for which it is known."""
    answers = npz.numbered(archive, "int8")
    return astray(npz.numbered(archive, "float"), answers, real) if answers else None


def _accuracy(
    archive: Mapping[str, Array], expected: list[Array], actual: list[Array], limit: int | None
) -> Accuracy | None:
    if "labels" not in archive:
        return None
    labels = archive["labels"][:limit]
    if (labels == vectors.UNLABELLED).all():
        return None
    return Accuracy(
        float_model=accuracy(archive["float_0"][:limit], labels),
        int8_model=accuracy(expected[0], labels),
        device=accuracy(actual[0], labels),
    )


def _metric(
    built: Built, archive: Mapping[str, Array], expected: list[Array], actual: list[Array], limit: int | None
) -> Metric | None:
    """The model file's own measure, over the vectors that have labels."""
    if "metric" not in archive:
        return None
    name, vectors_with = str(archive["metric"]), archive["target_vectors"]
    chosen = vectors_with[vectors_with < len(actual[0])]
    if not len(chosen):
        return None
    if name != OWN:
        measure = named(name)
    else:
        from mcu_build.frontend.model_file import own_metric

        assert built.request is not None
        measure = own_metric(built.request.model)
    targets, ports = archive["targets"][: len(chosen)], built.manifest.outputs

    def of(outputs: list[Array]) -> float:
        pairs = zip(outputs, ports, strict=True)
        return measure([vectors.dequantized(array, port)[chosen] for array, port in pairs], targets)

    floats = [array[:limit][chosen] for array in npz.numbered(archive, "float")]
    shown = "metric" if name == OWN else name
    return Metric(shown, measure(floats, targets), of(expected), of(actual), is_higher_better(name))


def _unit(metric: Metric) -> str:
    return "points" if metric.higher else "%"
