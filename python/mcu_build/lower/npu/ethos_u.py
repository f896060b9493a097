"""Quantized ExportedProgram → program.pte with delegates for an Ethos-U, and what the NPU did not take."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from executorch.backends.arm.ethosu import EthosUCompileSpec
from torch.export import ExportedProgram

from mcu_build.errors import McuError
from mcu_build.hardware import NpuChoice
from mcu_build.lower.cortex_m import Lowered, finish, to_cortex_m
from mcu_build.lower.npu.partition import Partitioner
from mcu_build.lower.npu.vela import Compiled, recorded
from mcu_build.lower.npu.vela_defects import mended_passes
from mcu_build.lower.upstream.quiet import quiet


@dataclass(frozen=True)
class LoweredForNpu:
    """A program, and what was compiled for each of its delegates, in the program's order."""

    program: Lowered
    delegates: tuple[Compiled, ...]


def lower(
    quantized: ExportedProgram,
    npu: NpuChoice,
    core: str,
    io: Literal["float", "int8"] = "float",
    supported: Collection[str] | None = None,
    tosa_folder: Path | None = None,
) -> LoweredForNpu:
    """Lower what `quantize_for_npu` gave: delegates for `npu`, the rest as cortex_m.lower does.

    TOSA of delegates that it left in `tosa_folder` is not made again.

    McuError as there, and where Vela refuses a delegate.
    """
    spec = EthosUCompileSpec(npu.name, npu.system_config, npu.memory_mode)
    with quiet(), mended_passes(), recorded(tosa_folder) as compiled:
        graph = to_cortex_m(quantized, core, Partitioner(spec))
    program = finish(graph, io, supported)
    return LoweredForNpu(program, _in_order(program, compiled))


def _in_order(program: Lowered, compiled: Collection[Compiled]) -> tuple[Compiled, ...]:
    from mcu_build.ir.program import parse

    by_payload = {delegate.payload: delegate for delegate in compiled}
    try:
        return tuple(by_payload[delegate.payload] for delegate in parse(program.pte).delegates)
    except KeyError:
        raise McuError(
            "a delegate of the program is not what Vela has compiled", "Please report the model."
        ) from None
