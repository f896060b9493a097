"""Where two forms of a model part, and the part of the model that shows it.

A model goes through forms: the float model, the quantized program, and on an NPU the TOSA of its delegates
and what the NPU's command streams compute; the firmware is the last. Two neighbours are compared by the means
that there are for them: float and quantized in decibels (frontend/layer_quality.py), the firmware exactly
(prove.py), those of an NPU as `verify` does (why_npu.py). Between two that are no neighbours, the first pair
that differs answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from mcu_build.cache import Cache
from mcu_build.errors import Exit, McuError, about
from mcu_build.frontend.names import check_model, model_name
from mcu_build.hardware import NpuChoice
from mcu_build.progress import Progress
from mcu_build.simulate.run import Sim
from mcu_build.stages import pipeline
from mcu_build.stages.front_end import quantization_kind, quantized_quality
from mcu_build.stages.request import Request
from mcu_build.vectors.compare import Mismatch
from mcu_build.verify import prove
from mcu_build.verify.trace import Layer

if TYPE_CHECKING:
    from mcu_build.frontend.extract import Part, Whole

FORMS = ("float", "quantized", "tosa", "npu", "firmware")
_OF_THE_CORE = ("float", "quantized", "firmware")
_FOLDER = "why"


@dataclass(frozen=True)
class Question:
    """What is asked of a request: below `least` dB float and quantized differ; vectors, None for all."""

    request: Request
    least: float
    vectors: int | None
    timeout: float
    sim: Sim | None
    cache: Cache
    progress: Progress


@dataclass(frozen=True)
class Difference:
    """The first layer at which two neighbours differ, its element (unknown: None), and by how much in words.

    `model` is a model file cut down to it, None where the layer is not found in the float model; `layers` are
    those that are in it, 'alone' or 'up to it'; `shows` tells whether it was seen to differ in the same way.
    """

    layer: Layer
    element: Mismatch | None
    text: str
    model: Path | None = None
    layers: str = ""
    shows: bool = False


@dataclass(frozen=True)
class Link:
    """Two neighbours that were compared; no difference: they agree."""

    before: str
    after: str
    difference: Difference | None


def forms(npu: NpuChoice | None) -> Sequence[str]:
    """The forms that there are, in their order."""
    return _OF_THE_CORE if npu is None else FORMS


def why(question: Question, before: str, after: str) -> tuple[Link, ...]:
    """Compare neighbours from one form to the other until two differ: those that were, the last one decides.

    McuError for forms that the model or the board does not have.
    """
    file, npu = question.request.model, question.request.npu
    check_model(file)
    there = forms(npu)
    for form in (before, after):
        if form not in there:
            raise McuError(
                f"{form}: nothing of it is computed on an NPU",
                f"Choose one with --npu, or of {_list(there)}.",
            )
    first, last = sorted((there.index(before), there.index(after)))
    if first == last:
        raise McuError(f"{before} and {after} are one", f"Give two of {_list(there)}.", Exit.USAGE)
    if file.suffix == ".pte" and there[first] == "float":
        raise McuError(f"{file}: a .pte holds no float model", "Give `quantized firmware`, or the model.py.")
    links: list[Link] = []
    for former, other in pairwise(there[first : last + 1]):
        links.append(Link(former, other, _compared(question, former, other)))
        if links[-1].difference:
            break
    return tuple(links)


def _compared(question: Question, before: str, after: str) -> Difference | None:
    if before == "float":
        return _float_against_quantized(question)
    if after == "firmware":
        return _firmware(question)
    from mcu_build.verify.why_npu import compare_delegates

    difference = compare_delegates(
        question.request, after, question.vectors, question.cache, question.progress
    )
    if difference is None:
        return None

    def shows(file: Path) -> bool:
        asked = replace(question.request, model=file)
        return (
            compare_delegates(asked, after, None, question.cache, question.progress, search=False) is not None
        )

    return _cut(question, difference, shows)


def _float_against_quantized(question: Question) -> Difference | None:
    """The first layer in the graph's order whose result has lost too much, at its worst element."""
    request, least = question.request, question.least
    kind = quantization_kind(request.npu)
    libraries = request.options.op_library
    _, layers = quantized_quality(request.model, request.npu, question.cache, question.progress, libraries)
    place = next((at for at, row in enumerate(layers) if row["accumulated_db"] < least), None)
    if place is None:
        return None
    row = layers[place]
    layer = Layer(row["operator"], row["line"], row["name"], tuple(row["shape"]))
    text = f"{row['accumulated_db']:.1f} dB up to here, {row['sqnr_db']:.1f} dB alone"
    with question.progress.stage("quantize"), about(request.model):
        element = _worst_element(request.model, kind, place, question.progress)
    difference = Difference(layer, element, text)

    def shows(file: Path) -> bool:
        quality, _ = quantized_quality(file, request.npu, question.cache, question.progress)
        return any(output["sqnr_db"] < least for output in quality)

    return _cut(question, difference, shows)


def _worst_element(file: Path, npu_kind: str | None, place: int, progress: Progress) -> Mismatch:
    """The element of a layer, by its place among all, that is furthest from the float model's."""
    import numpy as np

    from mcu_build.frontend import session
    from mcu_build.frontend.layer_quality import quality_by_node, read_values

    quantized = session.quantized_again(file, npu_kind, progress)
    name = list(quality_by_node(quantized.converted, quantized.floats))[place].name
    wanted, actual = (value.numpy() for value in read_values(quantized.converted, quantized.floats, name))
    vector, *index = np.unravel_index(int(np.abs(wanted - actual).argmax()), wanted.shape)
    at = (vector, *index)
    return Mismatch(int(vector), 0, tuple(int(i) for i in index), float(wanted[at]), float(actual[at]))


def _firmware(question: Question) -> Difference | None:
    proof = _proof(question, question.request)
    if not proof.comparison.mismatches:
        return None
    compared = proof.comparison
    text = f"{compared.mismatches:,} of {compared.elements:,} outputs differ"
    if len(proof.suspects) != 1:
        return Difference(Layer("", ""), compared.first, f"{text}; the first layer cannot be determined")

    def shows(file: Path) -> bool:
        return bool(_proof(question, replace(question.request, model=file)).comparison.mismatches)

    return _cut(question, Difference(proof.suspects[0], proof.element, text), shows)


def _proof(question: Question, request: Request) -> prove.Proof:
    built = pipeline.build(request, question.cache, question.progress)
    return prove.test(
        built,
        request.board,
        question.vectors,
        question.timeout,
        question.cache,
        question.progress,
        question.sim,
    )


def _cut(question: Question, difference: Difference, shows: Callable[[Path], bool]) -> Difference:
    """With a model file: of the layer alone where that differs in the same way, else of all up to it."""
    request = question.request
    if request.model.suffix == ".pte":
        return difference
    from mcu_build.frontend import op_library, session

    with question.progress.stage("cut"), about(request.model):
        op_library.load(request.options.op_library)
        whole = session.whole(request.model)
        layer = difference.layer
        node = whole.like(layer.name, layer.operator, layer.line, layer.shape)
    if node is None:
        return difference
    folder = request.folder(model_name(request.model)) / _FOLDER
    for layers, part in (("alone", whole.alone(node)), ("up to it", whole.up_to(node))):
        file = _written(question, whole, part, folder, f"{layer}, {layers}, of {request.model.name}.")
        question.progress.step(f"trying {file}")
        if found_again := shows(file):
            break
    return replace(difference, model=file, layers=layers, shows=found_again)


def _written(question: Question, whole: "Whole", part: "Part", folder: Path, text: str) -> Path:
    from mcu_build.lower.upstream.quiet import quiet

    name = f"{model_name(question.request.model)}_part"
    with quiet(), about(question.request.model):
        return whole.write(part, folder, name, text)


def _list(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
