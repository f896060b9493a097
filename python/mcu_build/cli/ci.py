"""`mcu-build ci`: what a CI job does with models."""

import json
from pathlib import Path

import rich_click as click

from mcu_build.cli.options import build_option, debug_option, json_option, size_type
from mcu_build.cli.output import StageTimes, print_json, print_text
from mcu_build.errors import Exit


@click.command(context_settings={"auto_envvar_prefix": "MCU"})
@click.argument("models", nargs=-1, required=True, envvar="MCU_MODELS")
@click.option(
    "--board", "boards", multiple=True, required=True, metavar="B", help="May be given several times."
)
@build_option("npu")
@click.option("--base", metavar="COMMIT", help="Measure this commit too, and report the differences.")
@click.option("--max-flash", type=size_type, help="Fail (status 6) above this many bytes, such as 64K.")
@click.option("--max-ram", type=size_type, help="Fail (status 6) above this many bytes.")
@click.option("--max-instructions", type=click.IntRange(min=0), help="Fail (status 6) above this many.")
@click.option("--max-cycles", type=click.IntRange(min=0), help="Fail (status 6) above this many, modelled.")
@click.option("--min-accuracy", type=float, help="Fail (status 6) below this share, such as 0.95.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("mcu-build-report"),
    show_default=True,
    help="Folder for report.md, report.json and images/.",
)
@json_option
@debug_option
def command(
    models: tuple[str, ...],
    boards: tuple[str, ...],
    npu: str | None,
    base: str | None,
    max_flash: int | None,
    max_ram: int | None,
    max_instructions: int | None,
    max_cycles: int | None,
    min_accuracy: float | None,
    output: Path,
    as_json: bool,
    debug: bool,
) -> Exit:
    """Build, prove and measure MODELS on boards, in QEMU, and in the FVP where it is installed.

    Leaves with the status of the first failure, after all have been tried. Every option may come from the
    environment instead: MCU_MODELS, MCU_BOARDS, MCU_NPU, MCU_BASE, MCU_MAX_FLASH and so on.
    """
    del debug
    from mcu_build import ci
    from mcu_build.files import write_atomically

    limits = ci.Limits(max_flash, max_ram, max_instructions, min_accuracy, max_cycles)
    results = ci.check([Path(model) for model in models], boards, npu, limits, base, output, StageTimes())
    text, document = ci.markdown(results), ci.document(results)
    write_atomically(output / "report.md", text.encode())
    write_atomically(output / "report.json", json.dumps({"schema": 1, **document}, indent=2).encode())
    if as_json:
        print_json(document)
    else:
        print_text(text)
    return ci.status(results)
