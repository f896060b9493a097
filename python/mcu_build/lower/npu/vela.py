"""The edge to Vela, Arm's compiler for Ethos-U, which executorch runs for every delegate: what it was given,
and what it says of the result."""

import contextlib
import csv
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import executorch.backends.arm.ethosu.backend as backend
import numpy as np

from mcu_build.errors import McuError
from mcu_build.lower.assigned import Origin
from mcu_build.lower.npu.proof import find_faults
from mcu_build.lower.npu.tosa_folder import read_from, written_to
from mcu_build.lower.npu.tosa_names import Names, find, noted
from mcu_build.lower.upstream.replaced import replaced

# What Vela counts in its summary, by the name that it has there.
_ESTIMATES = {
    "cycles_total": "cycles",
    "cycles_npu": "cycles_npu",
    "cycles_sram_access": "cycles_sram",
    "cycles_dram_access": "cycles_dram",
    "cycles_on_chip_flash_access": "cycles_on_chip_flash",
    "cycles_off_chip_flash_access": "cycles_off_chip_flash",
    "nn_macs": "macs",
    "sram_total_bytes": "sram_traffic",
    "dram_total_bytes": "dram_traffic",
    "on_chip_flash_total_bytes": "on_chip_flash_traffic",
    "off_chip_flash_total_bytes": "off_chip_flash_traffic",
    "total_npu_encoded_weights": "encoded_weights",
}
# The same for each operation of the NPU: columns of Vela's table of layers.
_LAYER_FLAG = "--verbose-performance"
_LAYER_WORDS = {"Original Operator": "operator", "Name": "tensor"}
_LAYER_ESTIMATES = {
    "Op Cycles": "cycles",
    "NPU": "cycles_npu",
    "SRAM AC": "cycles_sram",
    "DRAM AC": "cycles_dram",
    "OnFlash AC": "cycles_on_chip_flash",
    "OffFlash AC": "cycles_off_chip_flash",
    "MAC Count": "macs",
}
# Used memory stands there in KiB.
_MEMORIES = ("sram", "dram", "on_chip_flash", "off_chip_flash")


@dataclass(frozen=True)
class Compiled:
    """One delegate: its TOSA, what Vela made of it, the bytes of its fast scratch memory.

    `estimates` are the compiler's: cycles, cycles by part, MACs, bytes moved and used by memory. `layers` are
    its operations in order: operator and output as Vela calls them, the model's operator that gives this
    output and its line ("" where they are not known), cycles, cycles by part, MACs.
    """

    tosa: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    fast_scratch: int
    estimates: Mapping[str, int]
    layers: tuple[Mapping[str, Any], ...]


@contextlib.contextmanager
def recorded(tosa_folder: Path | None = None) -> Iterator[list[Compiled]]:
    """Collect what Vela compiles inside the block. McuError where it refuses.

    TOSA that `proven` has left in `tosa_folder` is not made again.
    """
    compiled: list[Compiled] = []
    original = backend.vela_compile

    def compile_and_record(tosa: bytes, flags: list[str], **options: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            options["intermediate_path"] = folder
            result = _compile(original, tosa, [*flags, _LAYER_FLAG], options)
            compiled.append(_read(tosa, result.processed_bytes, Path(folder, "output"), names))
            names.clear()
            return result

    with (
        replaced(backend, "vela_compile", compile_and_record),
        noted() as names,
        read_from(tosa_folder, names),
    ):
        yield compiled


@contextlib.contextmanager
def proven(targets: Sequence[str], tosa_folder: Path | None = None) -> Iterator[dict[str, str]]:
    """Prove what Vela would make for `targets` of each delegate that is lowered inside the block (proof.py).

    Gives the operators that it compiles wrong or refuses, by their name in the float graph, with the reason.
    The delegates themselves come out empty; their TOSA is left in `tosa_folder`.
    """
    problems: dict[str, str] = {}
    original = backend.vela_compile

    def prove(tosa: bytes, *_: Any, **__: Any) -> Any:
        for target in targets:
            for fault in find_faults(tosa, partial(_build, original, target), target):
                if made_from := find(fault.tensor, names):
                    problems.setdefault(made_from.name, fault.why)
        names.clear()
        return backend.VelaCompileResult(b"")

    with replaced(backend, "vela_compile", prove), noted() as names, written_to(tosa_folder, names):
        yield problems


def _build(original: Any, target: str, tosa: bytes) -> tuple[bytes, int]:
    with tempfile.TemporaryDirectory() as folder:
        flags = backend.EthosUCompileSpec(target).compiler_flags
        result = _compile(original, tosa, flags, {"intermediate_path": folder})
        return result.processed_bytes, _fast_scratch(Path(folder, "output"))


def _compile(original: Any, tosa: bytes, flags: list[str], options: dict[str, Any]) -> Any:
    try:
        return original(tosa, [*flags], **options)
    except (Exception, SystemExit) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        hint = "`--npu none` builds the model for the core alone."
        if "not found in Vela config file" in words:
            hint = "npu.options of the board's file has a name that Vela does not know."
        raise McuError(f"Vela: {words}", hint) from error


def _fast_scratch(folder: Path) -> int:
    # Vela stores its strings as Python objects; the numbers beside them are plain.
    with np.load(folder / "out_vela.npz", allow_pickle=False) as archive:
        return int(archive["scratch_fast_size"]) if "scratch_fast_size" in archive.files else 0


def _read(tosa: bytes, payload: bytes, folder: Path, names: Names) -> Compiled:
    (row,) = _table(folder, "*_summary_*.csv")
    estimates = {ours: round(float(row[theirs])) for theirs, ours in _ESTIMATES.items()}
    estimates |= {f"{name}_used": round(1024 * float(row[f"{name}_memory_used"])) for name in _MEMORIES}
    counted = {name: count for name, count in estimates.items() if count}
    return Compiled(tosa, payload, _fast_scratch(folder), counted, tuple(layers_of(folder, names)))


def layers_of(folder: Path, names: Names) -> Iterator[Mapping[str, Any]]:
    """Vela's operations. One whose tensor has no name of ours is of the operator of the one before it."""
    origin = Origin("", "", "")
    for row in _table(folder, "*_per-layer.csv"):
        words = {ours: row[theirs] for theirs, ours in _LAYER_WORDS.items()}
        origin = find(words["tensor"], names) or origin
        yield _layer(row, words, origin)


def _layer(row: Mapping[str, str], words: Mapping[str, str], origin: Origin) -> Mapping[str, Any]:
    origin_words = {"output_of": origin.operator, "layer": origin.layer, "name": origin.module}
    counts = {ours: round(float(row[theirs])) for theirs, ours in _LAYER_ESTIMATES.items()}
    return {**words, **origin_words, "shape": list(origin.shape), **counts}


def _table(folder: Path, pattern: str) -> list[dict[str, str]]:
    (file,) = folder.glob(pattern)
    with file.open() as stream:
        return list(csv.DictReader(stream))
