"""`mcu-build compare`: several builds side by side."""

from itertools import product
from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import build_option, debug_option, json_option, several, timeout_option
from mcu_build.cli.output import StageTimes, print_json, print_text
from mcu_build.errors import Exit, McuError


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="MODEL...")
@several("board", "boards")
@several("npu", "npus")
@several("optimize", "optimizes")
@several("toolchain", "toolchains")
@build_option("io")
@build_option("build_dir")
@click.option("--no-run", is_flag=True, help="Sizes alone: neither cycles nor a proof.")
@click.option("--vectors", type=click.IntRange(min=2), help="Prove with the first N vectors only.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page to this file.")
@timeout_option
@json_option
@debug_option
def command(
    models: tuple[Path, ...],
    boards: tuple[str, ...],
    npus: tuple[str, ...],
    optimizes: tuple[str, ...],
    toolchains: tuple[str, ...],
    io: Any,
    build_dir: Path,
    no_run: bool,
    vectors: int | None,
    html: Path | None,
    timeout: float,
    as_json: bool,
    debug: bool,
) -> Exit:
    """Build every combination of models, boards, NPUs and so on, and compare size, time and accuracy.

    MODEL may be a build folder: its sizes are shown as they are. A build that fails is a row with its reason,
    and the others go on. Exit status: 0 where one is done, else that of the first failure; 4: wrong outputs.
    """
    del debug
    from mcu_build import manifest
    from mcu_build.files import write_atomically
    from mcu_build.report import compare

    folders = [model for model in models if (model / manifest.NAME).is_file()]
    given = [model for model in models if model not in folders]
    if not boards and (own := _project_board(given)):
        boards = (own,)
    if given and not boards:
        raise McuError(
            "compare: no --board is given", "Name one or more: -b corstone-300 -b mps2-an386.", Exit.USAGE
        )
    times = StageTimes()
    found = [compare.of_manifest(manifest.require(folder)) for folder in folders]
    choices = list(product(given, boards, npus or (None,), optimizes or ("speed",), toolchains or (None,)))
    for number, (model, board, npu, optimize, toolchain) in enumerate(choices, 1):
        words = " ".join(word for word in (model.name, board, npu, optimize, toolchain) if word)
        times.note(f"{number} of {len(choices)}: {words}")
        options: dict[str, Any] = {"npu": npu, "optimize": optimize, "toolchain": toolchain, "io": io}
        try:
            found.append(_variant(model, board, options, build_dir, not no_run, vectors, timeout, times))
        except McuError as error:
            found.append(compare.of_error(model, board, npu, optimize, toolchain, error))
    if html:
        write_atomically(html, compare.page(found).encode())
    if as_json:
        print_json({**compare.document(found), "stages": times.stages})
    else:
        print_text(compare.table(found))
    if any(one.wrong for one in found):
        return Exit.FIRMWARE
    failed = [one.exit_code for one in found if one.exit_code]
    return Exit(failed[0]) if len(failed) == len(found) else Exit.OK


def _project_board(models: list[Path]) -> str | None:
    """The board of the project that the first model is in."""
    from mcu_build import project

    found = project.find(models[0]) if models and models[0].exists() else None
    board = found.settings(models[0]).get("board") if found else None
    return str(board) if board else None


def _variant(
    model: Path,
    board: str,
    options: dict[str, Any],
    build_dir: Path,
    run: bool,
    vectors: int | None,
    timeout: float,
    times: StageTimes,
) -> Any:
    from mcu_build.api import build
    from mcu_build.report.compare import of_report

    firmware = build(model, board=board, build_dir=build_dir, progress=times, **options)
    report = firmware.report(run=run, limit=vectors, timeout=timeout)
    return of_report(firmware.manifest, report, run)
