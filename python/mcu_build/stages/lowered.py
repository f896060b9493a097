"""What the stages give: a program ready to be planned, with all that is known of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcu_build.custom import Signature
from mcu_build.hardware import NpuChoice
from mcu_build.ir.plan import Quantization
from mcu_build.vectors import npz
from mcu_build.vectors.npz import Array


@dataclass(frozen=True)
class Lowered:
    """A program ready to be planned.

    `program` is the .pte; `vectors` an archive of inputs to test with (input_0 ..., labels, float_0 ...),
    absent for a .pte. `key` stands for everything that went into the program, `dependencies` are the files
    among it, and `watched` is what a build system has to watch (frontend.dependencies).
    `boundaries` is the quantization of each input, then of each output, where lowering reports it.
    `operators` says where each operator went (lower.rows.Lowering as plain data); `npu` is the NPU that
    the program is for, `delegates` what was compiled for it, in the program's order. `method` is the
    program's method, where it was asked for. `custom` are the signatures of the user's own operators, and
    `definitions` the files that define them in Python. `data` are .ptd files with weights of the program.
    `quality` (quality.Quality as plain data, one an output) and `layers` (layer_quality.LayerQuality) compare
    the int8 program with the float model; empty for a .pte, whose float model is not known. `state` holds the
    initial values of the program's last inputs, whose new values are its last outputs (frontend/state.py).
    `stream` describes a program that is called step by step (frontend/stream/recordings.py).
    `outputs` are the model's names for its outputs, as far as they are known. `place` names memories for
    layers (plan/memory/memories.py).
    """

    name: str
    key: str
    program: Path
    vectors: Path | None
    model: Path | None
    quantized: Path | None
    warnings: tuple[str, ...]
    dependencies: tuple[Path, ...]
    boundaries: tuple[Quantization | None, ...]
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
    place: tuple[str, ...] = ()

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


def read_signatures(rows: Sequence[Mapping[str, Any]]) -> tuple[Signature, ...]:
    """Signatures from JSON, where `asdict` has put them."""
    return tuple(
        Signature(
            row["operator"], tuple((name, kind) for name, kind in row["parameters"]), tuple(row["results"])
        )
        for row in rows
    )


def npu_document(lowered: Lowered, compiler: str) -> dict[str, Any] | None:
    """What an NPU took of a program, as plain data; None without one. Sizes in bytes, cycles of its clock."""
    if lowered.npu is None:
        return None
    return {
        "name": lowered.npu.name,
        "system_config": lowered.npu.system_config,
        "memory_mode": lowered.npu.memory_mode,
        "operators": [dict(row) for row in lowered.operators],
        "compiler_estimates": {
            "compiler": compiler,
            "delegates": [
                {**delegate.estimates, "layers": [dict(layer) for layer in delegate.layers]}
                for delegate in lowered.delegates
            ],
        },
    }
