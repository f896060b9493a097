"""`mcu-build fit`: RAM against cycles, and what fits."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import rich_click as click

from mcu_build.cli.options import build_options
from mcu_build.cli.output import StageTimes, end_json, end_text, print_text
from mcu_build.errors import Exit, McuError

if TYPE_CHECKING:
    from mcu_build.report.fitting import Fitting


@click.command()
@build_options("fit")
@click.option("--measure", is_flag=True, help="Build each plan, and count it in the simulator.")
def command(as_json: bool, debug: bool, measure: bool, **options: Any) -> Exit:
    """How little RAM a model can do with, and what that costs: layers run row by row.

    The arena holds what layers hand to one another. The plan marked * is what `build` takes for this board,
    or for --ram. Nothing is built without --measure.
    """
    del debug
    from mcu_build.api import build, fit
    from mcu_build.report.fitting import table

    progress = StageTimes()
    found = fit(**options, progress=progress)
    cycles: list[int | None] = []
    for one in found if measure else ():
        made = build(**{**options, "ram": one.arena}, progress=progress)
        cycles.append(made.profile().total.cycles)
    chosen = next((index for index, one in enumerate(found) if one.fits), None)
    error = None if chosen is not None else _refusal(found[-1])
    if as_json:
        rows = [{**asdict(one), "measured_cycles": None} for one in found]
        for row, measured in zip(rows, cycles, strict=False):
            row["measured_cycles"] = measured
        return end_json({"plans": rows, "chosen": chosen}, error)
    print_text(table(found, cycles, chosen))
    return end_text(error)


def _refusal(nearest: "Fitting") -> McuError:
    return McuError(
        f"no plan fits: the nearest takes {nearest.arena:,} bytes",
        f"{nearest.fullest} Make the images of that layer smaller, or take a board with more RAM.",
        Exit.BUDGET,
    )
