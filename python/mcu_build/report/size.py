"""Where flash and RAM go, as plain data, as tables for a person, and as a budget's verdict."""

from dataclasses import asdict
from typing import Any

from mcu_build.errors import Exit, McuError
from mcu_build.image.size import FLASH, RAM, Size
from mcu_build.tables import render


def document(size: Size) -> dict[str, Any]:
    """The measure as `mcu-build size --json` prints it."""
    return asdict(size)


def table(size: Size, symbols: int) -> str:
    """The measure as tables for a person, with the `symbols` largest rows."""
    regions = [
        (region.name, f"{region.used:,}", f"{region.size:,}", f"{100 * region.used / region.size:.1f} %")
        for region in size.regions
    ]
    totals = [
        (f"{name} {part}", f"{count:,}")
        for name, parts in (("flash", size.flash), ("ram", size.ram))
        for part, count in parts.items()
    ]
    rest = size.symbols[symbols:]
    shown = size.symbols[:symbols]
    largest = [(row.name, str(row.kind), row.region, f"{row.size:,}", row.source) for row in shown]
    if rest:
        largest.append((f"{len(rest)} more", "", "", f"{sum(row.size for row in rest):,}", ""))
    tables = [
        render(("memory", "used", "size", "share"), regions, {"used", "size", "share"}) if regions else "",
        render(("part", "bytes"), totals, {"bytes"}),
        render(("symbol", "kind", "memory", "bytes", "object"), largest, {"bytes"}) if shown else "",
    ]
    return "\n".join(table for table in tables if table)


def over_budget(name: str, size: Size, max_flash: int | None, max_ram: int | None) -> McuError | None:
    """The error (status 6) where an image takes more than it may, which names its largest parts."""
    measures = (("flash", size.flash["total"], max_flash, FLASH), ("RAM", size.ram["total"], max_ram, RAM))
    lines, hints = [], []
    for kind, used, limit, parts in measures:
        if limit is not None and used > limit:
            largest = [f"{row.name} {row.size:,}" for row in size.symbols if row.kind in parts][:3]
            lines.append(f"{name}: {kind}: {used:,} bytes, the budget is {limit:,}")
            hints.append(f"The largest in {kind}: {', '.join(largest)}.")
    return McuError("\n".join(lines), " ".join(hints), Exit.BUDGET) if lines else None
