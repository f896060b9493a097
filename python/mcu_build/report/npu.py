"""What an NPU took of a model, why it did not take the rest, and what its compiler expects."""

from collections.abc import Mapping, Sequence
from typing import Any

from mcu_build.stages import Lowered

_UNITS = {
    "cycles": "cycles of the NPU",
    "macs": "multiplications (MACs)",
    "sram_traffic": "bytes to and from SRAM",
    "dram_traffic": "bytes to and from DRAM",
    "on_chip_flash_traffic": "bytes from on-chip flash",
    "off_chip_flash_traffic": "bytes from off-chip flash",
}
_WHERE = {"npu": "NPU", "int8": "int8 on the core", "float": "float on the core"}


def document(lowered: Lowered, compiler: str) -> dict[str, Any] | None:
    """The facts as plain data; None where there is no NPU. Sizes in bytes, cycles of the NPU's clock."""
    if lowered.npu is None:
        return None
    return {
        "name": lowered.npu.name,
        "system_config": lowered.npu.system_config,
        "memory_mode": lowered.npu.memory_mode,
        "operators": [dict(row) for row in lowered.operators],
        "compiler_estimates": {
            "compiler": compiler,
            "delegates": [dict(one.estimates) for one in lowered.delegates],
        },
    }


def table(facts: Mapping[str, Any]) -> str:
    """A line for every operator of the model, then the compiler's estimates."""
    rows = [row for row in facts["operators"] if row["where"] != "border"]
    cells = [(row["operator"], _WHERE[row["where"]], row["layer"], _why(row)) for row in rows]
    lines = _aligned([("operator", "runs as", "line", "why not on the NPU"), *cells])
    return "\n".join([*lines, *_estimates(facts["compiler_estimates"])])


def _why(row: Mapping[str, str]) -> str:
    return "" if row["where"] == "npu" else row["why"]


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return [f"    {'  '.join(cells)}".rstrip() for cells in padded]


def _estimates(estimates: Mapping[str, Any]) -> list[str]:
    total: dict[str, int] = {}
    for delegate in estimates["delegates"]:
        for name, count in delegate.items():
            total[name] = total.get(name, 0) + count
    if not total:
        return []
    lines = [f"  estimated by {estimates['compiler']}, not measured"]
    return [*lines, *(f"    {count:>14,} {_UNITS[name]}" for name, count in total.items() if name in _UNITS)]
