"""What a program's Python definitions give for vectors, behind the cache."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcu_build.cache import Cache, hash_file, hash_text, own_code, own_data
from mcu_build.errors import McuError
from mcu_build.frontend import op_library
from mcu_build.oracle.float_kernels import KERNEL_SOURCES
from mcu_build.plan.keep_state import initial_values
from mcu_build.progress import Progress
from mcu_build.stages.lowered import Lowered
from mcu_build.vectors import npz
from mcu_build.vectors.npz import Array
from mcu_build.vectors.pack import sequence_starts

if TYPE_CHECKING:
    from mcu_build.oracle.reference import Evaluator


# Vectors made up where the user gave none.
_MADE_UP_VECTORS = 16

_REFERENCE_CODE = (
    "arithmetic",
    "oracle",
    "lower/npu/tosa_reference.py",
    "npu",
    "ir",
    # Floats are computed by the kernels that a plan selects.
    "plan",
    "codegen/model.py",
    "codegen/target.py",
)


def expected_outputs(lowered: Lowered, vectors: Path, cache: Cache, progress: Progress) -> Path:
    """An archive output_0 ... of what the program's Python definitions give for `vectors`.

    With state also state_0 ..., [vectors, elements] in memory order: what is kept after each vector.
    """
    code = own_code(*_REFERENCE_CODE), own_data(*KERNEL_SOURCES)
    key = hash_text("expected with state", lowered.key, hash_file(vectors), *code)
    with progress.stage("reference") as mark:
        entry, mark.cached = cache.get(key, lambda folder: evaluate_program(lowered, vectors, folder))
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


def evaluate_program(lowered: Lowered, vectors: Path, folder: Path) -> None:
    """Write expected.npz, as `expected_outputs` tells."""
    from mcu_build.ir import program
    from mcu_build.lower.upstream.quiet import quiet

    loaded = program.load(lowered.program, lowered.method, lowered.data)
    archive = npz.load(vectors)
    inputs, starts = npz.numbered(archive, "input"), sequence_starts(archive)
    initial = initial_values(loaded, lowered.initial_state(), lowered.boundaries[: len(loaded.inputs)])
    op_library.ensure([signature.operator for signature in lowered.custom], lowered.definitions)
    with quiet():
        from mcu_build.oracle.command_streams import delegates_of
        from mcu_build.oracle.reference import Evaluator

        with _given(lowered):
            evaluator = Evaluator(
                loaded, delegates_of(loaded, [delegate.tosa for delegate in lowered.delegates])
            )
            rows = list(outputs_by_step(evaluator, inputs, starts, initial))
    count = len(rows[0]) - len(initial)
    arrays = {f"output_{k}": np.stack([row[k] for row in rows]) for k in range(count)}
    for k, id in enumerate(loaded.inputs[len(loaded.inputs) - len(initial) :]):
        tensor = loaded.values[id]
        assert isinstance(tensor, program.TensorValue)
        kept = [row[count + k].transpose(tensor.dim_order).reshape(-1) for row in rows]
        arrays[f"state_{k}"] = np.stack(kept)
    npz.save(folder / "expected.npz", arrays)


def outputs_by_step(
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
