"""The cycle model against silicon: renders tables of docs/cycles.md and cycle-model.md.

    .venv/bin/python benchmarks/cycle_errors.py             # prints them
    .venv/bin/python benchmarks/cycle_errors.py --write     # into the pages

Each row is public code with a public figure of cycles: counted in QEMU as `mcu-build profile` counts,
modelled, and kept as its counts by operation. The code itself is others' and is not here.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mcu_build.profile.cores import CORES
from mcu_build.profile.operations import Operation

HERE = Path(__file__).resolve().parent
DATA = HERE / "results" / "cycle_errors.json"
DOCS = HERE.parent / "docs"
BEGIN, END = "<!-- benchmarks/cycle_errors.py writes from here -->", "<!-- to here -->"
# Cores whose cycles are a sum over instructions, whatever their order: computed anew from the counts.
ADDITIVE = ("cortex-m0", "cortex-m0plus", "cortex-m23")

Row = Mapping[str, Any]


def rows() -> Sequence[Row]:
    """What was measured."""
    found: Sequence[Row] = json.loads(DATA.read_text())["rows"]
    return found


def error(row: Row) -> float:
    """Percent that the model is above silicon."""
    return float(100 * (row["modelled"] / row["silicon"] - 1))


def additive(row: Row) -> float:
    """Cycles of `row` from its counts, on one of the ADDITIVE cores."""
    core = CORES[row["core"]]
    total: float = row["overhead"]
    for name, count in row["operations"].items():
        total += core.timing(Operation(name)).issue * count
    for name, count in row["registers"].items():
        total += core.timing(Operation(name)).per_register * count
    for name, count in row["taken"].items():
        total += core.taken.get(Operation(name), 0) * count
    return total


def groups() -> Iterator[tuple[str, str, Sequence[Row]]]:
    """Core, use (held out, fit, left out) and rows of each line of the first table."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows():
        found.setdefault((_shown(row), row["use"]), []).append(row)
    for (core, use), members in sorted(found.items()):
        yield core, use, members


def _shown(row: Row) -> str:
    """Cortex-M55's rows are of three instruction sets."""
    kinds = {"(MVE)": ", Helium", "(DSP)": ", DSP", "(REF)": ", scalar C"}
    return row["core"] + next((text for end, text in kinds.items() if row["name"].endswith(end)), "")


def by_core() -> str:
    """The table by core: mean and largest error of each group."""
    lines = ["| core | | figures | mean error | worst |", "|---|---|---|---|---|"]
    for core, use, members in groups():
        errors = [abs(error(row)) for row in members]
        mean = sum(errors) / len(errors)
        lines.append(f"| {core} | {use} | {len(errors)} | {mean:.1f} % | {max(errors):.1f} % |")
    return "\n".join(lines) + "\n"


def by_code() -> str:
    """The table with every figure."""
    lines = ["| core | code | | silicon | modelled | error |", "|---|---|---|---|---|---|"]
    for row in sorted(rows(), key=_place):
        lines.append(
            f"| {row['core']} | {row['group']}: {row['name']} | {row['use']} | {row['silicon']:,} "
            f"| {row['modelled']:,} | {error(row):+.1f} % |"
        )
    return "\n".join(lines) + "\n"


def _place(row: Row) -> tuple[str, str]:
    return _shown(row), row["group"]


def pages() -> dict[Path, str]:
    """The pages with their tables as they are now."""
    tables = {DOCS / "cycles.md": by_core(), DOCS / "cycle-model.md": by_code()}
    return {file: _with(file.read_text(), table) for file, table in tables.items()}


def _with(text: str, table: str) -> str:
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table}\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Print, or write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="into the pages")
    if parser.parse_args().write:
        for file, text in pages().items():
            file.write_text(text)
    else:
        print(by_core(), by_code(), sep="\n")


if __name__ == "__main__":
    main()
