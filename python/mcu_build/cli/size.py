"""`mcu-build size`: where flash and RAM go."""

from typing import Any

import rich_click as click

from mcu_build.cli.options import build_options
from mcu_build.cli.output import end_json, end_text, print_text
from mcu_build.errors import Exit
from mcu_build.terminal import StageTimes


@click.command()
@build_options("size")
@click.option("--symbols", type=int, default=20, show_default=True, help="How many of the largest to show.")
def command(
    as_json: bool, debug: bool, symbols: int, max_flash: int | None, max_ram: int | None, **options: Any
) -> Exit:
    """Build, then measure the image by region and by symbol. Rows add up to the size of the image.

    MODEL may be an .elf with its .map beside it, as CMake makes them.
    """
    del debug
    from mcu_build.api import board_for, build
    from mcu_build.image.size import measure
    from mcu_build.report import size
    from mcu_build.report.npu import estimates

    model, npu, memory, gone = options["model"], None, None, None
    if model.suffix == ".elf":
        measured = measure(model, model.with_suffix(".map"), board_for(model, options["board"]))
    else:
        built = build(**options, progress=StageTimes())
        measured, npu, memory = built.size(), built.manifest.npu, built.manifest.memory
        gone = built.manifest.removed
    error = size.over_budget(model.stem, measured, max_flash, max_ram)
    if as_json:
        document = {**size.document(measured), "npu": npu, "memory": memory, "removed": gone}
        return end_json(document, error)
    print_text(size.table(measured, symbols))
    if memory and "lower_bound" in memory:
        least = f"No other arrangement of these steps needs less than {memory['lower_bound']:,} bytes."
        print_text(f"{memory['peak']} {least}")
    if gone:
        from mcu_build.report.removed import sentence

        print_text(f"Removed: {sentence(gone)}.")
    if npu:
        print_text("\n".join(estimates(npu)))
    return end_text(error)
