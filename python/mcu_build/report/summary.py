"""A report as plain data, and as a table for a terminal."""

from dataclasses import asdict
from typing import Any

from mcu_build.report.report import Report, Row
from mcu_build.tables import render


def document(report: Report) -> dict[str, Any]:
    """The report as `mcu-build report --json` prints it."""
    profile = report.profile
    return {
        "name": report.name,
        "board": report.board,
        "layers": [asdict(row) for row in report.rows()],
        "instructions": profile.total.instructions if profile else None,
        "cycles": profile.total.cycles if profile else None,
        "milliseconds": report.milliseconds(profile.total.cycles) if profile else None,
        "flash": report.size.flash if report.size else None,
        "ram": report.size.ram if report.size else None,
        "memory": dict(report.memory),
        "arena": [dict(block) for block in report.arena],
        "quality": [dict(output) for output in report.quality],
        "accuracy": asdict(report.accuracy) if report.accuracy else None,
        "metric": asdict(report.metric) if report.metric else None,
        "budgets": [{**asdict(budget), "exceeded": budget.exceeded} for budget in report.budgets],
        "removed": report.removed,
        "npu": report.npu,
        "warnings": list(report.warnings),
        "notes": list(report.notes),
    }


def text(report: Report) -> str:
    """The layers as a table, the totals above it."""
    lines = [f"{report.name} on {report.board} ({report.title})"]
    if report.size:
        lines.append(f"  {report.size.flash['total']:,} bytes of flash, {report.size.ram['total']:,} of RAM")
    if report.total is not None:
        cycles = report.profile.total.cycles if report.profile else None
        milliseconds = report.milliseconds(cycles)
        time = (
            "" if milliseconds is None else f", {milliseconds:,.3f} ms at {(report.clock or 0) / 1e6:g} MHz"
        )
        lines.append(f"  {report.total:,} {report.unit} an inference on the core{time}")
    lines += _npu_total(report)
    if report.accuracy:
        right = report.accuracy.elements - report.accuracy.mismatches
        lines.append(f"  {right:,} of {report.accuracy.elements:,} outputs equal the quantized program's")
    if report.metric:
        lines.append(
            f"  {report.metric.name} {report.metric.device:.4g}, float {report.metric.float_model:.4g}"
        )
    lines += [f"  {note}" for note in report.notes]
    return "\n".join([*lines, "", _table(report)])


def _npu_total(report: Report) -> list[str]:
    """What the NPU adds, as its compiler estimates it; it is no part of the core's figures."""
    cycles = report.npu_cycles
    if report.npu is None or cycles is None:
        return []
    compiler = report.npu["compiler_estimates"]["compiler"]
    return [
        f"  {cycles:,} cycles on {report.npu['name']}, estimated by {compiler}; "
        "no milliseconds: a board's file has no clock of the NPU"
    ]


def _table(report: Report) -> str:
    """The layers; a column that would be empty is left out, and kernels where the terminal is narrow."""
    headings = ("layer", "line", "where", "kernel", "MACs", report.unit, "dB")
    cells = [_cells(row) for row in report.rows()]
    shown = [index for index in range(len(headings)) if any(row[index] for row in cells)]
    rows = [[row[index] for index in shown] for row in cells]
    numbers = {"MACs", report.unit, "dB"}
    return render([headings[index] for index in shown], rows, numbers, optional=("kernel",))


def _cells(row: Row) -> tuple[str, ...]:
    count = row.cycles if row.cycles is not None else row.instructions
    return (
        f"  {row.label}" if row.inner else row.label,
        row.line,
        row.where,
        row.kernel,
        f"{row.macs:,}" if row.macs else "",
        "" if count is None else f"{count:,}",
        "" if row.sqnr_db is None else f"{row.sqnr_db:.1f}",
    )
