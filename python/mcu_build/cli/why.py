"""`mcu-build why`: the first layer at which two forms of a model differ."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import build_options, run_options
from mcu_build.cli.output import print_json, print_text
from mcu_build.errors import Exit
from mcu_build.quality.sqnr import LEAST_SQNR_DB
from mcu_build.terminal import StageTimes

_FORM = click.Choice(["float", "quantized", "tosa", "npu", "firmware"])


@click.command()
@build_options("why")
@run_options
@click.argument("before", type=_FORM, default="float")
@click.argument("after", type=_FORM, default="firmware")
@click.option("--vectors", type=click.IntRange(min=2), help="Use only the first N vectors.")
@click.option(
    "--least",
    type=float,
    metavar="DB",
    default=LEAST_SQNR_DB,
    show_default=True,
    help="A layer of the quantized program with less than this against float differs.",
)
def command(
    as_json: bool,
    debug: bool,
    timeout: float,
    sim: Any,
    before: str,
    after: str,
    vectors: int | None,
    least: float,
    **options: Any,
) -> Exit:
    """Compare two forms of MODEL: float, quantized, tosa, npu (with an NPU), firmware.

    Neighbours are compared one after the other until two differ. Then the first layer and element that differ
    are printed, and written as a model file that shows the difference. Status 4 where two differ.
    """
    del debug
    from mcu_build.cache import Cache
    from mcu_build.failures import reported
    from mcu_build.fronts.options import BuildOptions
    from mcu_build.preflight import check_command
    from mcu_build.stages.request import request_for
    from mcu_build.verify.why import Question, why

    check_command("run" if "firmware" in (before, after) else "build", sim=sim, **options)
    times = StageTimes()
    request = request_for(options["model"], BuildOptions.of(**_without_model(options)))
    with reported():
        question = Question(request, least, vectors, timeout, sim, Cache(), times)
        links = why(question, before, after)
    if as_json:
        print_json({"links": [_document(link) for link in links], "stages": times.stages})
    else:
        print_text("\n".join(line for link in links for line in _text(link)))
    return Exit.FIRMWARE if links[-1].difference else Exit.OK


def _without_model(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "model"}


def _document(link: Any) -> dict[str, Any]:
    difference = link.difference
    if difference is None:
        return asdict(link)
    return {**asdict(link), "difference": {**asdict(difference), "model": _path(difference.model)}}


def _path(file: Path | None) -> str | None:
    return str(file) if file else None


def _text(link: Any) -> list[str]:
    difference = link.difference
    if difference is None:
        return [f"{link.before} and {link.after} agree"]
    lines = [f"{link.before} and {link.after} differ: {difference.text}"]
    if difference.layer.operator:
        lines.append(f"  layer      {difference.layer} is the first")
    if element := difference.element:
        place = f"{list(element.index)} of vector {element.vector}"
        lines.append(f"  element    {place}: {element.found:g} instead of {element.expected:g}")
    if difference.model:
        seen = "differs in the same way" if difference.shows else "does not differ when it is tried alone"
        part = "this layer alone" if difference.layers == "alone" else "the model up to this layer"
        lines.append(f"  model      {difference.model}: {part}; it {seen}")
    return lines
