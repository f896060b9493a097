"""What an NPU took of a model, why it did not take the rest, and what its compiler expects."""

from collections.abc import Mapping
from typing import Any

from mcu_build.layer_names import layer_name
from mcu_build.tables import render

# Where the compiler counts cycles and bytes, and its words for them.
_PARTS = {
    "npu": "NPU",
    "sram": "SRAM",
    "dram": "DRAM",
    "on_chip_flash": "on-chip flash",
    "off_chip_flash": "off-chip flash",
}
_WHERE = {
    "npu": "NPU",
    "int8": "int8 on the core",
    "int16": "int16 on the core",
    "float": "float on the core",
}


def table(npu: Mapping[str, Any]) -> str:
    """A line for every operator of the model, then the compiler's estimates. Empty for a given program."""
    rows = [row for row in npu["operators"] if row["where"] != "boundary"]
    cells = [(_name(row), _WHERE[row["where"]], row["layer"], _why(row)) for row in rows]
    headings = ("layer", "runs as", "line", "why not on the NPU")
    lines = render(headings, cells).splitlines() if rows else []
    return "\n".join([*(f"    {line}" for line in lines), *estimates(npu)])


def estimates(npu: Mapping[str, Any]) -> list[str]:
    """The compiler's estimates of one inference, all delegates together, in a few lines."""
    delegates = npu["compiler_estimates"]["delegates"]
    if not delegates:
        return []

    def total(name: str) -> int:
        counts = [delegate.get(name, 0) for delegate in delegates]
        # Delegates work in the same SRAM one after the other.
        return max(counts) if name == "sram_used" else sum(counts)

    def by_part(name: str) -> str:
        counts = {words: total(name.format(part)) for part, words in _PARTS.items()}
        return ", ".join(f"{words} {count:,}" for words, count in counts.items() if count)

    return [
        f"  estimated by {npu['compiler_estimates']['compiler']}, not measured",
        f"    cycles       {total('cycles'):,}  ({by_part('cycles_{}')}; parts overlap)",
        f"    MACs         {total('macs'):,}",
        f"    bytes moved  {by_part('{}_traffic')}",
        f"    bytes used   {by_part('{}_used')}",
    ]


def layer_rows(npu: Mapping[str, Any]) -> list[list[str]]:
    """The compiler's estimates by operation of the NPU, under a row of headings; empty without any."""
    layers = [
        (index, layer)
        for index, delegate in enumerate(npu["compiler_estimates"]["delegates"])
        for layer in delegate["layers"]
    ]
    if not layers:
        return []
    parts = [part for part in _PARTS if any(layer[f"cycles_{part}"] for _, layer in layers)]
    headings = [
        "delegate",
        "operation",
        "layer",
        "line",
        "cycles",
        *(_PARTS[part] for part in parts),
        "MACs",
    ]
    names = ["cycles", *(f"cycles_{part}" for part in parts), "macs"]
    return [
        headings,
        *(
            [
                str(index),
                layer["operator"],
                layer_name(layer["name"], layer["output_of"] or layer["tensor"], layer["shape"]),
                layer["layer"],
                *(f"{layer[name]:,}" for name in names),
            ]
            for index, layer in layers
        ),
    ]


def _name(row: Mapping[str, Any]) -> str:
    return layer_name(row["name"], row["operator"], row["shape"])


def _why(row: Mapping[str, str]) -> str:
    return "" if row["where"] == "npu" else row["why"]
