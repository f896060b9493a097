"""The stages that need torch, each behind the cache: a model file in, a program and its vectors out.

Nothing here imports torch unless a stage has to run.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mcu_build import npz
from mcu_build.board import Board, NpuChoice
from mcu_build.cache import Cache, hash_file, hash_text, own_code, own_data, versions
from mcu_build.choices import Io as Io
from mcu_build.custom import Signature, is_custom
from mcu_build.errors import McuError, about
from mcu_build.files import lock, write_atomically
from mcu_build.frontend import op_library
from mcu_build.frontend.dependencies import Dependencies
from mcu_build.frontend.names import check_model
from mcu_build.fronts.options import BuildOptions
from mcu_build.ir.plan import Quantization
from mcu_build.npz import Array
from mcu_build.plan.keep_state import initial_values
from mcu_build.reference_float import KERNEL_SOURCES
from mcu_build.report.quality import verdict
from mcu_build.vectors import sequence_starts

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from mcu_build.ir.program import Program
    from mcu_build.lower.cortex_m import Lowered as LoweredProgram
    from mcu_build.reference import Evaluator

# Vectors made up where the user gave none.
_MADE_UP_VECTORS = 16

# What a model depended on when it was captured last.
_OBSERVED = "observed.json"
# Stands for the model file in texts that are kept: copies of a project share them.
_MODEL = "{model file}"

# What of our own code the results of a stage depend on.
_FRONT_END_CODE = ("frontend", "lower", "quality.py", "layer_names.py")
_LOWER_CODE = ("lower", "plan/operators", "layer_names.py")
_REFERENCE_CODE = (
    "reference.py",
    "reference_float.py",
    "reference_integer.py",
    "reference_stream.py",
    "reference_tosa.py",
    "npu",
    "ir",
    # Floats are computed by the kernels that a plan selects.
    "plan",
    "codegen/model.py",
    "codegen/target.py",
)


class Mark(Protocol):
    """What a stage says of itself."""

    cached: bool


class Progress(Protocol):
    """Where stages are reported."""

    def stage(self, name: str) -> AbstractContextManager[Mark]:
        """Time one stage."""

    def step(self, text: str) -> None:
        """Tell what the stage that runs is doing: it is shown while it runs long, and forgotten."""

    def warn(self, text: str) -> None:
        """Tell the user something that should not be overlooked."""


@dataclass
class _Unseen:
    cached: bool = False


class Silent:
    """Progress of what nobody waits for."""

    @contextmanager
    def stage(self, name: str) -> Iterator[Mark]:
        """Nothing is shown."""
        del name
        yield _Unseen()

    def step(self, text: str) -> None:
        """Nothing is shown."""

    def warn(self, text: str) -> None:
        """Nothing is shown."""


@dataclass(frozen=True)
class Lowered:
    """A program ready to be planned.

    `program` is the .pte; `vectors` an archive of inputs to test with (input_0 ..., labels, float_0 ...),
    absent for a .pte. `key` stands for everything that went into the program, `dependencies` are the files
    among it, and `watched` is what a build system has to watch (frontend.dependencies).
    `borders` is the quantization of each input, then of each output, where lowering told it.
    `operators` says where each operator went (lower.cortex_m.Lowering as plain data); `npu` is the NPU that
    the program is for, `delegates` what was compiled for it, in the program's order. `method` is the
    program's method, where it was asked for. `custom` are the signatures of the user's own operators, and
    `definitions` the files that define them in Python. `data` are .ptd files with weights of the program.
    `quality` (quality.Quality as plain data, one an output) and `layers` (layer_quality.LayerQuality) compare
    the int8 program with the float model; empty for a .pte, whose float model is not known. `state` holds the
    initial values of the program's last inputs, whose new values are its last outputs (frontend/state.py).
    `stream` describes a program that is called step by step (frontend/stream/recordings.py).
    `outputs` are the model's names for its outputs, as far as they are known.
    """

    name: str
    key: str
    program: Path
    vectors: Path | None
    model: Path | None
    quantized: Path | None
    warnings: tuple[str, ...]
    dependencies: tuple[Path, ...]
    borders: tuple[Quantization | None, ...]
    operators: tuple[Mapping[str, str], ...] = ()
    npu: NpuChoice | None = None
    delegates: tuple["LoweredDelegate", ...] = ()
    method: str | None = None
    custom: tuple[Signature, ...] = ()
    definitions: tuple[Path, ...] = ()
    data: tuple[Path, ...] = ()
    quality: tuple[Mapping[str, Any], ...] = ()
    layers: tuple[Mapping[str, Any], ...] = ()
    watched: tuple[str, ...] = ()
    state: Path | None = None
    stream: Mapping[str, Any] | None = None
    outputs: tuple[str, ...] = ()

    @property
    def has_unknown_delegates(self) -> bool:
        """Whether an NPU's delegates of a .pte may be among it, whose meaning is in no TOSA."""
        return self.model is None and self.npu is not None

    def initial_state(self) -> list[Array]:
        """What the state holds before the first call, in the float model's numbers."""
        return npz.numbered(npz.load(self.state), "state") if self.state else []


@dataclass(frozen=True)
class LoweredDelegate:
    """A delegate: its TOSA, its bytes of fast scratch memory, and Vela's estimates, whole and by layer."""

    tosa: Path
    fast_scratch: int
    estimates: Mapping[str, int]
    layers: tuple[Mapping[str, str | int], ...]


def lowering_core(board: Board) -> str:
    """The core that a program is lowered for.

    Lowering differs only between Helium, which wants the sums of weights beforehand, and all others: boards
    of one kind share a program.
    """
    return "cortex-m55" if board.mve else "cortex-m4"


def quantization_kind(npu: NpuChoice | None) -> str | None:
    """What a model is quantized for. Ethos-U55 and U65 take the same operators and share the result."""
    if npu is None:
        return None
    return "ethos-u85" if npu.kind == "ethos-u85" else "ethos-u55"


def lower_model(
    file: Path,
    board: Board,
    npu: NpuChoice | None,
    options: BuildOptions,
    cache: Cache,
    progress: Progress,
) -> Lowered:
    """Everything up to the program, from whatever kind of file the model is."""
    io, method, libraries, data = options.io, options.method, options.op_library, options.data
    check_model(file)
    op_library.check(libraries)
    if file.suffix == ".pte":
        given = _given_program(file, npu, io, method, libraries, data, cache)
        for warning in given.warnings:
            progress.warn(warning)
        return given
    if method is not None:
        raise McuError(f"{file}: --method: only a .pte has methods to choose from", "Leave it out.")
    if data:
        raise McuError(f"{file}: --data: only a .pte has weights in other files", "Leave it out.")
    key, entry, observed = _quantized(file, quantization_kind(npu), cache, progress, libraries)
    info = json.loads((entry / "info.json").read_text())
    _check_latency(file, info["stream"], options.latency)
    definitions = (*libraries, *([file] if file.suffix == ".py" else []))
    lower_key = hash_text("lower", key, lowering_core(board), repr(npu), io, own_code(*_LOWER_CODE))
    with progress.stage("lower") as mark, about(file):
        lowered, mark.cached = cache.get(
            lower_key, lambda folder: _lower(entry, board, npu, io, definitions, folder)
        )
    details = json.loads((lowered / "lowering.json").read_text())
    kept = tuple(text.replace(_MODEL, str(file)) for text in (*info["warnings"], *details["warnings"]))
    warnings = (*kept, *verdict(file.name, info["quality"], info["layers"]))
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
        borders=tuple(Quantization(**border) if border else None for border in details["borders"]),
        operators=tuple(details["operators"]),
        npu=npu,
        delegates=tuple(
            LoweredDelegate(
                lowered / one["tosa"], one["fast_scratch"], one["estimates"], tuple(one["layers"])
            )
            for one in details["delegates"]
        ),
        custom=read_signatures(details["custom"]),
        definitions=definitions,
        quality=tuple(info["quality"]),
        layers=tuple(info["layers"]),
        state=entry / "state.npz",
        stream=info["stream"],
        outputs=tuple(info["outputs"]),
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


def quantized_quality(
    file: Path, npu: NpuChoice | None, cache: Cache, progress: Progress, libraries: Sequence[Path] = ()
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """What int8 does to a model: `quality` and `layers` as `Lowered` has them. Nothing is lowered.

    McuError for a .pte, which holds no float model.
    """
    check_model(file)
    op_library.check(libraries)
    if file.suffix == ".pte":
        raise McuError(f"{file}: a .pte holds no float model to compare with", "Give the model.py or .pt2.")
    _, entry, _ = _quantized(file, quantization_kind(npu), cache, progress, libraries)
    info = json.loads((entry / "info.json").read_text())
    return info["quality"], info["layers"]


def expected_outputs(lowered: Lowered, vectors: Path, cache: Cache, progress: Progress) -> Path:
    """An archive output_0 ... of what the program's Python definitions give for `vectors`.

    With state also state_0 ..., [vectors, elements] in the order of memory: what is kept after each vector.
    """
    code = own_code(*_REFERENCE_CODE), own_data(*KERNEL_SOURCES)
    key = hash_text("expected with state", lowered.key, hash_file(vectors), *code)
    with progress.stage("reference") as mark:
        entry, mark.cached = cache.get(key, lambda folder: _evaluate(lowered, vectors, folder))
    return entry / "expected.npz"


def made_up_vectors(lowered: Lowered, folder: Path) -> Path:
    """Seeded random inputs for a program that came without any."""
    from mcu_build.ir import program

    loaded = program.load(lowered.program, lowered.method, lowered.data)
    dice = np.random.default_rng(0)
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for index, id in enumerate(loaded.inputs[: len(loaded.inputs) - len(loaded.initial)]):
        value = loaded.values[id]
        assert isinstance(value, program.TensorValue)
        shape = (_MADE_UP_VECTORS, *value.shape)
        if value.dtype.numpy_name == "float32":
            arrays[f"input_{index}"] = dice.standard_normal(shape).astype(np.float32)
        else:
            low, high = (-128, 128) if value.dtype.numpy_name == "int8" else (0, 2)
            arrays[f"input_{index}"] = dice.integers(low, high, shape).astype(value.dtype.numpy_name)
    npz.save(folder / "made_up.npz", arrays)
    return folder / "made_up.npz"


def _given_program(
    file: Path,
    npu: NpuChoice | None,
    io: Io,
    method: str | None,
    libraries: Sequence[Path],
    data: Sequence[Path],
    cache: Cache,
) -> Lowered:
    from mcu_build.frontend.names import model_name
    from mcu_build.ir import program

    if io != "float":
        raise McuError(
            f"{file}: --io {io}: the types of a program's inputs and outputs are fixed",
            "Export it with int8 inputs and outputs.",
        )
    loaded = program.load(file, method, data)
    _check_data(file, loaded, data)
    custom = [name for name in loaded.operators if is_custom(name)]
    key = hash_text("given", hash_file(file), method or "", *map(hash_file, (*libraries, *data)))
    signatures: tuple[Signature, ...] = ()
    if custom:
        made, _ = cache.get(
            hash_text("signatures", key, own_code(*_FRONT_END_CODE)),
            lambda folder: _write_signatures(custom, libraries, folder),
        )
        signatures = read_signatures(json.loads((made / "custom.json").read_text()))
    name = f"{model_name(file)}_{method}" if method else model_name(file)
    state = None
    if loaded.initial:
        made, _ = cache.get(
            hash_text("buffers", key, own_code("ir")), lambda folder: _write_initial(loaded, folder)
        )
        state = made / "state.npz"
    return Lowered(
        name,
        key,
        file,
        None,
        None,
        None,
        _without_initial(file, loaded),
        tuple(one.resolve() for one in (file, *libraries, *data)),
        (),
        watched=Dependencies(tuple(one.absolute() for one in (file, *libraries, *data))).watched,
        npu=npu,
        method=method,
        custom=signatures,
        definitions=tuple(libraries),
        data=tuple(data),
        state=state,
    )


def _write_initial(loaded: "Program", folder: Path) -> None:
    """What buffers of a program hold before the first call, zero where it does not tell."""
    from mcu_build.ir.program import TensorValue

    arrays = {}
    for index, (id, data) in enumerate(
        zip(loaded.inputs[-len(loaded.initial) :], loaded.initial, strict=True)
    ):
        value = loaded.values[id]
        assert isinstance(value, TensorValue)
        elements = np.frombuffer(data or bytes(value.nbytes), value.dtype.numpy_name)
        order = np.argsort(value.dim_order)
        arrays[f"state_{index}"] = elements.reshape(value.physical_shape).transpose(tuple(map(int, order)))
    npz.save(folder / "state.npz", arrays)


def _without_initial(file: Path, loaded: "Program") -> tuple[str, ...]:
    count = sum(data is None for data in loaded.initial)
    if not count:
        return ()
    return (
        f"{file}: it does not tell what {count} of {len(loaded.initial)} buffers hold before the first call: "
        "zero is taken. Export it with InitializedMutableBufferPass, which stores their values.",
    )


def _check_data(file: Path, loaded: "Program", data: Sequence[Path]) -> None:
    from mcu_build.ir.program import TensorValue
    from mcu_build.ir.weights import load_weights

    names = {value.name for value in loaded.values if isinstance(value, TensorValue)}
    payloads = b"".join(delegate.payload for delegate in loaded.delegates)
    for one in load_weights(data).files:
        is_read = any(key.encode() in payloads for key in one.blobs)
        if not is_read and not names & {weight.key for weight in one.weights}:
            raise McuError(f"{one.path}: {file} takes no weights from it", "Leave --data out.")


def read_signatures(rows: Sequence[Mapping[str, Any]]) -> tuple[Signature, ...]:
    """Signatures from JSON, where `asdict` has put them."""
    return tuple(
        Signature(
            row["operator"], tuple((name, kind) for name, kind in row["parameters"]), tuple(row["results"])
        )
        for row in rows
    )


def _write_signatures(custom: Sequence[str], libraries: Sequence[Path], folder: Path) -> None:
    op_library.ensure(custom, libraries)
    rows = [asdict(op_library.signature(name)) for name in custom]
    (folder / "custom.json").write_text(json.dumps(rows))


def _quantized(
    file: Path, npu_kind: str | None, cache: Cache, progress: Progress, libraries: Sequence[Path]
) -> tuple[str, Path, Dependencies]:
    """The key and the cache entry of a captured and quantized model, and what it depends on.

    It is found without torch where nothing has changed. What is kept of dependencies is relative to the
    model, and is this file's alone: a copy of the project has its own.
    """
    notes = (
        cache.root
        / "dependencies"
        / hash_text(str(file.resolve()), *(str(library.resolve()) for library in libraries))
    )
    found = _known(file, npu_kind, notes, cache)
    if found is None:
        # What the model depends on is known only at the end: who wants the same meanwhile waits for it.
        with lock(notes, lambda: progress.warn(f"{file}: waiting for another build of it")):
            found = _known(file, npu_kind, notes, cache)
            if found is None:
                key, entry, observed = _run_front_end(file, npu_kind, cache, progress, libraries)
                if observed.settled:
                    kept = json.dumps(observed.document(file.resolve().parent))
                    write_atomically(notes / _OBSERVED, kept.encode())
                return key, entry, observed
    for name in ("capture", "quantize"):
        with progress.stage(name) as mark:
            mark.cached = True
    return found


def _known(
    file: Path, npu_kind: str | None, notes: Path, cache: Cache
) -> tuple[str, Path, Dependencies] | None:
    """The key and the entry of a model that was quantized before, where it still depends on the same."""
    kept = notes / _OBSERVED
    if not kept.is_file():
        return None
    observed = Dependencies.read(json.loads(kept.read_text()), file.resolve().parent)
    if not observed.are_there:
        return None
    key = _front_end_key(file, npu_kind, observed)
    entry = cache.find(key)
    return (key, entry, observed) if entry else None


def _front_end_key(file: Path, npu_kind: str | None, observed: Dependencies) -> str:
    return hash_text(
        "quantized",
        npu_kind or "",
        file.name,
        versions("torch", "torchao", "executorch", "numpy"),
        own_code(*_FRONT_END_CODE),
        observed.key(file.resolve().parent),
    )


def _run_front_end(
    file: Path, npu_kind: str | None, cache: Cache, progress: Progress, libraries: Sequence[Path]
) -> tuple[str, Path, Dependencies]:
    """Capture and quantize. What the model depends on is known only afterwards, and so is the key."""
    import tempfile

    from mcu_build.frontend import session

    cache.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.root) as made:
        folder = Path(made)
        observed = session.run(file, folder, npu_kind, progress, libraries)
        _without_model_file(folder / "info.json", file)
        key = _front_end_key(file, npu_kind, observed)
        if not observed.settled:
            key = hash_text(key, folder.name)  # of use to nobody else
        return key, cache.get(key, lambda entry: _move_all(folder, entry))[0], observed


def _without_model_file(info: Path, file: Path) -> None:
    """Have warnings not name the model file by its path here."""
    document = json.loads(info.read_text())
    document["warnings"] = [_portable(text, file) for text in document["warnings"]]
    info.write_text(json.dumps(document))


def _portable(text: str, file: Path) -> str:
    return text.replace(str(file), _MODEL).replace(str(file.resolve()), _MODEL)


def _move_all(source: Path, target: Path) -> None:
    for path in source.iterdir():
        path.rename(target / path.name)


def _lower(
    entry: Path, board: Board, npu: NpuChoice | None, io: Io, definitions: Sequence[Path], folder: Path
) -> None:
    from mcu_build.lower.upstream import quiet

    with quiet():
        from mcu_build.frontend.store import load_quantized
        from mcu_build.plan.select import operators

    info = json.loads((entry / "info.json").read_text())
    op_library.ensure(info["custom"], definitions)
    signatures = [asdict(op_library.signature(name)) for name in info["custom"]]
    core = lowering_core(board)
    lowered, made = _lowered(load_quantized(entry / "quantized.pt2"), npu, core, io, frozenset(operators()))
    delegates = []
    for index, one in enumerate(made):
        name = f"delegate_{index}.tosa"
        (folder / name).write_bytes(one.tosa)
        delegates.append(
            {
                "tosa": name,
                "fast_scratch": one.fast_scratch,
                "estimates": dict(one.estimates),
                "layers": one.layers,
            }
        )
    (folder / "program.pte").write_bytes(lowered.pte)
    if info["stream"]:
        recording = _lowered(load_quantized(entry / "recording.pt2"), npu, core, io, frozenset(operators()))
        _prove_stream(entry, info, recording, (lowered, made), folder)
    details = {
        "warnings": list(lowered.warnings),
        "borders": [asdict(border) if border else None for border in (*lowered.inputs, *lowered.outputs)],
        "operators": [asdict(row) for row in lowered.operators],
        "delegates": delegates,
        "custom": signatures,
    }
    (folder / "lowering.json").write_text(json.dumps(details))


def _lowered(
    quantized: "ExportedProgram", npu: NpuChoice | None, core: str, io: Io, supported: frozenset[str]
) -> tuple["LoweredProgram", Sequence[Any]]:
    """The program of a quantized one, and what was compiled for the NPU."""
    from mcu_build.lower.upstream import quiet

    if npu is None:
        with quiet():
            from mcu_build.lower.cortex_m import lower

        return lower(quantized, core, io, supported), ()
    with quiet():
        from mcu_build.lower import ethos_u

    made = ethos_u.lower(quantized, npu, core, io, supported)
    return made.program, made.delegates


def _prove_stream(
    entry: Path,
    info: Mapping[str, Any],
    whole: tuple["LoweredProgram", Sequence[Any]],
    steps: tuple["LoweredProgram", Sequence[Any]],
    folder: Path,
) -> None:
    """McuError unless the program of a step, called for every step, gives what that of the recording does."""
    from mcu_build import stream_proof
    from mcu_build.ir import program
    from mcu_build.lower.upstream import quiet
    from mcu_build.vectors import quantize

    with quiet():
        from mcu_build.reference import Evaluator
        from mcu_build.reference_tosa import TosaGraph

    def loaded(lowered: "LoweredProgram", file: Path) -> "Program":
        file.write_bytes(lowered.pte)
        return program.load(file)

    def rounded(lowered: "LoweredProgram", inputs: Sequence[Array]) -> list[Array]:
        pairs = zip(inputs, lowered.inputs, strict=False)
        return [quantize(array, border, "int8") if border else array for array, border in pairs]

    of_whole, of_step = loaded(whole[0], folder / "recording.pte"), loaded(steps[0], folder / "program.pte")
    recorded, stepped = (
        Evaluator(each, [TosaGraph(one.tosa) for one in delegates])
        for each, delegates in ((of_whole, whole[1]), (of_step, steps[1]))
    )
    state = npz.numbered(npz.load(entry / "state.npz"), "state")
    initial = initial_values(of_step, state, steps[0].inputs)
    tensors = [of_whole.values[id] for id in of_whole.inputs]
    sizes = [one.shape for one in tensors if isinstance(one, program.TensorValue)]

    def step(given: Sequence[Sequence[Array]]) -> list[list[Array]]:
        inputs = [np.stack(column) for column in zip(*(rounded(steps[0], one) for one in given), strict=True)]
        return list(_stepped(stepped, inputs, np.arange(len(given)) == 0, initial))

    vectors = npz.load(entry / "vectors.npz")
    with quiet():
        stream_proof.prove(
            info["name"],
            lambda inputs: recorded.run(rounded(whole[0], inputs)),
            step,
            vectors,
            info["stream"],
            sizes,
        )


@contextmanager
def _given(lowered: Lowered) -> Iterator[None]:
    """McuError with the file's name where the operators of a given program cannot take its own arguments."""
    try:
        yield
    except McuError:
        raise
    except Exception as error:
        if lowered.model is not None:
            raise
        reason = str(error).split("\n")[0]
        raise McuError(
            f"{lowered.program}: damaged, or of another version: {type(error).__name__}: {reason}",
            "Export the program again with executorch 1.5.1.",
        ) from error


def _evaluate(lowered: Lowered, vectors: Path, folder: Path) -> None:
    from mcu_build.ir import program
    from mcu_build.lower.upstream import quiet

    loaded = program.load(lowered.program, lowered.method, lowered.data)
    archive = npz.load(vectors)
    inputs, starts = npz.numbered(archive, "input"), sequence_starts(archive)
    initial = initial_values(loaded, lowered.initial_state(), lowered.borders[: len(loaded.inputs)])
    op_library.ensure([signature.operator for signature in lowered.custom], lowered.definitions)
    with quiet():
        from mcu_build.reference import Evaluator
        from mcu_build.reference_stream import delegates_of

        with _given(lowered):
            evaluator = Evaluator(loaded, delegates_of(loaded, [one.tosa for one in lowered.delegates]))
            rows = list(_stepped(evaluator, inputs, starts, initial))
    count = len(rows[0]) - len(initial)
    arrays = {f"output_{k}": np.stack([row[k] for row in rows]) for k in range(count)}
    for k, id in enumerate(loaded.inputs[len(loaded.inputs) - len(initial) :]):
        tensor = loaded.values[id]
        assert isinstance(tensor, program.TensorValue)
        kept = [row[count + k].transpose(tensor.dim_order).reshape(-1) for row in rows]
        arrays[f"state_{k}"] = np.stack(kept)
    npz.save(folder / "expected.npz", arrays)


def _stepped(
    evaluator: "Evaluator", inputs: Sequence[Array], starts: Array, initial: Sequence[Array]
) -> Iterator[list[Array]]:
    """The outputs for one vector after the other, then the state, carried on within each sequence."""
    state = initial
    for index in range(len(starts)):
        met = initial if starts[index] else state
        row = evaluator.run([*(array[index] for array in inputs), *met])
        count = len(row) - len(initial)
        yield row
        state = row[count:]


__all__ = ["Io", "Lowered", "Progress", "expected_outputs", "lower_model", "made_up_vectors"]
