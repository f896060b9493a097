"""`mcu-build accuracy`: what int8 does to a model, layer by layer."""

from pathlib import Path

import rich_click as click

from mcu_build.cli.options import budgets, build_option, debug_option, json_option, projected
from mcu_build.cli.output import end_json, end_text, print_text
from mcu_build.errors import Exit
from mcu_build.terminal import StageTimes


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@build_option("board", default="host", help="A board's name, or a .toml file, for --npu.")
@build_option("npu")
@build_option("op_library")
@budgets("accuracy")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with a picture to this file.",
)
@json_option
@debug_option
@projected
def command(
    model: Path,
    board: str,
    npu: str | None,
    op_library: tuple[Path, ...],
    min_sqnr: float | None,
    html: Path | None,
    as_json: bool,
    debug: bool,
) -> Exit:
    """Compare the int8 program with the float model: by output, and by layer.

    For each layer: what it loses alone, given the float model's values; what its rounded weights alone lose;
    what has been lost up to here. Nothing is built.
    """
    del debug
    from mcu_build.api import board_for
    from mcu_build.cache import Cache
    from mcu_build.files import write_atomically
    from mcu_build.quality.verdict import lines, table, too_noisy
    from mcu_build.report.accuracy_page import page
    from mcu_build.stages.front_end import quantized_quality

    times = StageTimes()
    chosen = board_for(model, board)
    quality, layers = quantized_quality(model, chosen.choose_npu(npu), Cache(), times, op_library)
    if html:
        write_atomically(html, page(model.stem, quality, layers).encode())
    error = None if min_sqnr is None else too_noisy(model.stem, quality, min_sqnr)
    if as_json:
        return end_json(
            {"quality": quality, "layers": layers, "html": _path(html), "stages": times.stages}, error
        )
    print_text("int8 against float: " + "\n  ".join(lines(quality)))
    print_text(table(layers))
    if html:
        print_text(f"page: {html}")
    return end_text(error)


def _path(file: Path | None) -> str | None:
    return str(file) if file else None
