"""`mcu-build fit`: RAM, flash and cycles, and what fits."""

from dataclasses import asdict
from typing import Any

import rich_click as click

from mcu_build.cli.options import SIZE, build_options
from mcu_build.cli.output import end_json, end_text, print_text
from mcu_build.errors import Exit
from mcu_build.terminal import StageTimes


class _Count(click.ParamType[int]):
    """A number, or thousands as 500k, millions as 5M."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> int:
        text = str(value)
        factor = {"k": 1000, "K": 1000, "M": 1_000_000}.get(text[-1:], 1)
        digits = text[:-1] if factor > 1 else text
        if not digits.isdecimal():
            self.fail(f"{text!r} is not a number such as 5000000, 500k or 5M", param, context)
        return int(digits) * factor


@click.command()
@build_options("fit")
@click.option("--flash", type=SIZE, metavar="BYTES", help="Bytes that code and constants may take.")
@click.option("--cycles", type=_Count(), metavar="N", help="Modelled cycles that an inference may take.")
@click.option(
    "--int4-sqnr",
    type=float,
    metavar="DB",
    help="Weights may have 4 bits where so many decibels are left, if no image is small enough for --flash.",
)
@click.option("--measure", is_flag=True, help="Build each plan, and count it in the simulator.")
def command(
    as_json: bool,
    debug: bool,
    measure: bool,
    flash: int | None,
    cycles: int | None,
    int4_sqnr: float | None,
    **options: Any,
) -> Exit:
    """How little RAM a model can do with, and what that costs: layers run row by row.

    The arena holds what layers hand to one another. The plan marked * is what `build` takes for this board,
    or for --ram. With --flash or --cycles, each plan is built and counted: * is the quickest that keeps all
    limits, with --cycles the one with the smallest arena. Else nothing is built without --measure. With
    --flash and --int4-sqnr, weights of 4 bits are tried where no image is small enough in int8.
    """
    del debug
    if int4_sqnr is not None and flash is None:
        raise click.UsageError("--int4-sqnr: it says what --flash may cost; there is none")
    from mcu_build.preflight import check_command

    if measure or flash is not None or cycles is not None:
        check_command("profile", **options)
    from mcu_build.api import fit
    from mcu_build.frontend.names import model_name
    from mcu_build.report.fitting import Limits, choose, refusal, table, to_keep

    limits: Any = {"flash": flash, "cycles": cycles, "int4_sqnr": int4_sqnr}
    fittings = fit(**options, measure=measure, **limits, progress=StageTimes())
    chosen = choose(fittings, Limits(flash, cycles))
    error = refusal(fittings, Limits(flash, cycles)) if chosen is None else None
    if as_json:
        return end_json({"plans": [asdict(fitting) for fitting in fittings], "chosen": chosen}, error)
    print_text(table(fittings, chosen))
    if chosen is not None:
        print_text(to_keep(model_name(options["model"]), options["model"], fittings[chosen]))
    return end_text(error)
