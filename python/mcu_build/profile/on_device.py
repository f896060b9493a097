"""Cycles of each layer on a board: the core is stopped between layers, where its cycle counter stands still.

A model's run() is a straight line of kernel calls, one for each step of the plan. The image is unchanged: one
hardware breakpoint goes from the end of a call to the end of the next. DWT's counter does not count while the
core is halted (Armv7-M and Armv8-M Architecture Reference Manuals, "DWT"); a halt empties the pipeline, which
costs a few cycles.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcu_build.errors import McuError
from mcu_build.flash import device
from mcu_build.flash.image import LoadImage
from mcu_build.flash.probe import LR, PC, Probe
from mcu_build.layer_names import layer_at
from mcu_build.profile.measure import Executable

_CYCLES = 0xE000_1004


@dataclass(frozen=True)
class LayerCycles:
    """One step of the plan: the path of its module and its line of the model, either possibly empty."""

    name: str
    operator: str
    kernel: str
    macs: int
    cycles: int
    line: str = ""
    shape: tuple[int, ...] = ()


def measure(
    probe: Probe, image: LoadImage, executable: Executable, rows: Sequence[Any], inputs: bytes, timeout: float
) -> tuple[LayerCycles, ...]:
    """The cycles of each layer in one inference over the vector in `inputs`, by the rows of a manifest.

    McuError: status 1 where the core has no cycle counter, 4 and 5 as for a run.
    """
    ends = _ends(executable, [row["kernel"] for row in rows])
    start = executable.run.address
    clock: list[int] = []

    def count_layers() -> None:
        probe.clear_breakpoint(start)
        for end in (*ends, probe.read_register(LR) & ~1):
            clock.append(int.from_bytes(probe.read_memory(_CYCLES, 4), "little"))
            probe.set_breakpoint(end)
            probe.resume()
            probe.wait_halt(timeout)
            probe.clear_breakpoint(end)
            if probe.read_register(PC) != end:
                raise McuError(f"{image.name}: the core did not come to the end of a layer at {end:#010x}")
        clock.append(int.from_bytes(probe.read_memory(_CYCLES, 4), "little"))

    device.run(probe, image, executable.file, inputs, timeout, {start: count_layers})
    if clock[-1] == clock[0]:
        raise McuError(
            f"{executable.core}: its cycle counter stands still",
            "Cores without DWT, and QEMU, count no cycles: `mcu-build profile` counts instructions.",
        )
    taken = [(after - before) % (1 << 32) for before, after in itertools.pairwise(clock)]
    return tuple(
        LayerCycles(
            row["name"],
            row["operator"],
            row["kernel"],
            row["macs"],
            cycles,
            row["layer"],
            tuple(row["shape"]),
        )
        for row, cycles in zip(rows, taken, strict=True)
    )


def _ends(executable: Executable, kernels: Sequence[str]) -> list[int]:
    """Where run() goes on after each call but the last, whose end is that of run()."""
    run = executable.run
    inside = sorted(address for address in executable.code if run.address <= address < run.address + run.size)
    ends: list[int] = []
    for address in inside:
        instruction = executable.code[address]
        if len(ends) < len(kernels) and instruction.target in executable.kernel_entries(kernels[len(ends)]):
            ends.append(address + instruction.size)
    if len(ends) != len(kernels):
        raise McuError(
            f"{executable.file}: run() calls {len(ends)} of {len(kernels)} kernels of the plan",
            "A kernel was inlined, or the image is of another build. Build again.",
        )
    return ends[:-1]


def table(layers: Sequence[LayerCycles], clock: int | None = None) -> str:
    """A row a layer, and their sum; `clock` is what applications run the core at, in Hz."""
    total = sum(layer.cycles for layer in layers)
    names = [layer_at(layer.name, layer.operator, layer.shape, layer.line) for layer in layers]
    width = max(map(len, names))
    rows = [
        f"{name:<{width}}  {layer.kernel:<28} {layer.macs:>12,} MACs {layer.cycles:>12,} cycles "
        f"{layer.cycles / total:>6.1%}"
        for name, layer in zip(names, layers, strict=True)
    ]
    time = f": {1000 * total / clock:,.3f} ms at {clock / 1e6:g} MHz" if clock else ""
    return "\n".join([*rows, f"{total:,} cycles an inference{time}"])
