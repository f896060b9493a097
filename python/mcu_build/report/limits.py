"""What a report measured beside the budgets of fronts/budgets.py: bars of the page, an error."""

from collections.abc import Mapping
from dataclasses import replace

from mcu_build.errors import Exit, McuError
from mcu_build.report.report import Budget, Report


def limited(report: Report, limits: Mapping[str, float | None], drop: float | None = None) -> Report:
    """The report with a bar for each budget that has a limit; `drop` is the accuracy lost, in points.

    What was not measured is a note, since nothing is held to its limit then.
    """
    bars, notes = [], []
    for name, used, unit in _measured(report, drop):
        limit = limits.get(name)
        if limit is not None and used is None:
            notes.append(f"{name}: not measured, and so not held to its budget of {limit:,g} {unit}.")
        elif limit is not None and used is not None:
            words = f"{name.partition('_')[2].replace('sqnr', 'dB')} budget"
            bars.append(Budget(words, used, limit, unit, least=name.startswith("min_")))
    return replace(report, budgets=(*report.budgets, *bars), notes=(*report.notes, *notes))


def exceeded(report: Report) -> McuError | None:
    """The error (status 6) of the budgets that are not kept."""
    lines = [
        f"{report.name}: {budget.name.removesuffix(' budget')}: {budget.used:,.6g} {budget.unit}, "
        f"the {'least' if budget.least else 'budget'} is {budget.limit or 0:,.6g}"
        for budget in report.budgets
        if budget.exceeded
    ]
    hint = "The page says where flash, RAM and time go, and which layers lose accuracy."
    return McuError("\n".join(lines), hint, Exit.BUDGET) if lines else None


def _measured(report: Report, drop: float | None) -> tuple[tuple[str, float | None, str], ...]:
    size, profile, accuracy = report.size, report.profile, report.accuracy
    worst = min(
        (group["sqnr_db"] for row in report.quality for group in row["groups"] or [row]), default=None
    )
    return (
        ("max_flash", size.flash["total"] if size else None, "bytes"),
        ("max_ram", size.ram["total"] if size else None, "bytes"),
        ("max_instructions", profile.total.instructions if profile else None, "instructions"),
        ("max_cycles", profile.total.cycles if profile else None, "cycles"),
        ("min_accuracy", accuracy.device if accuracy else None, "of 1"),
        ("min_sqnr", worst, "dB"),
        ("max_drop", drop, "points"),
    )
