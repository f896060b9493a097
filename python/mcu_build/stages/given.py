"""A program (.pte) that somebody else has lowered."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mcu_build.cache import Cache, hash_file, hash_text, own_code
from mcu_build.choices import Io
from mcu_build.custom import Signature, is_custom
from mcu_build.dependencies import FRONT_END_CODE, Dependencies
from mcu_build.errors import McuError
from mcu_build.frontend import op_library
from mcu_build.hardware import NpuChoice
from mcu_build.stages.lowered import Lowered, read_signatures
from mcu_build.vectors import npz

if TYPE_CHECKING:
    from mcu_build.ir.program import Program


def given_program(
    file: Path,
    npu: NpuChoice | None,
    io: Io,
    method: str | None,
    libraries: Sequence[Path],
    data: Sequence[Path],
    cache: Cache,
) -> Lowered:
    """The program `file` as it is. McuError for options that only a model file takes, or no program."""
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
            hash_text("signatures", key, own_code(*FRONT_END_CODE)),
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
        tuple(path.resolve() for path in (file, *libraries, *data)),
        (),
        watched=Dependencies(tuple(path.absolute() for path in (file, *libraries, *data))).watched,
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
    for weights_file in load_weights(data).files:
        is_read = any(key.encode() in payloads for key in weights_file.blobs)
        if not is_read and not names & {weight.key for weight in weights_file.weights}:
            raise McuError(f"{weights_file.path}: {file} takes no weights from it", "Leave --data out.")


def _write_signatures(custom: Sequence[str], libraries: Sequence[Path], folder: Path) -> None:
    op_library.ensure(custom, libraries)
    rows = [asdict(op_library.signature(name)) for name in custom]
    (folder / "custom.json").write_text(json.dumps(rows))
