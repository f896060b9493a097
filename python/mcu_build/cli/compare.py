"""`mcu-build compare`: several builds side by side."""

from itertools import product
from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import build_option, debug_option, json_option, several, timeout_option
from mcu_build.cli.output import print_json, print_text
from mcu_build.errors import Exit, McuError
from mcu_build.terminal import StageTimes

# What a comparison may have several of, in the order of its columns.
_VARIED = ("board", "npu", "optimize", "toolchain")


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="MODEL...")
@several("board", "boards")
@several("npu", "npus")
@several("optimize", "optimizes")
@several("toolchain", "toolchains")
@build_option("io", default=None, show_default=False)
@build_option("build_dir", default=None, show_default=False)
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
    build_dir: Path | None,
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
    from mcu_build.files import write_atomically
    from mcu_build.fronts import project
    from mcu_build.report import compare
    from mcu_build.stages import manifest

    folders = [model for model in models if model.is_dir() and manifest.is_begun(model)]
    files = [project.resolve(model) for model in models if model not in folders]
    variants = [compare.of_manifest(manifest.require(folder)) for folder in folders]
    common = {name: value for name, value in (("io", io), ("build_dir", build_dir)) if value}
    choices = [
        project.settled(model, {**common, "model": model, **_chosen(words)})
        for model in files
        for words in product(boards or (None,), npus or (None,), optimizes or (None,), toolchains or (None,))
    ]
    if missing := [choice["model"] for choice in choices if not choice["model"].exists()]:
        raise McuError(
            f"{missing[0]}: no such model or build folder",
            "Give models, or folders that `mcu-build build` has written, such as build/kws/corstone-300.",
            Exit.USAGE,
        )
    if any(not choice.get("board") for choice in choices):
        raise McuError(
            "compare: no --board is given", "Name one or more: -b corstone-300 -b mps2-an386.", Exit.USAGE
        )
    times = StageTimes()
    for number, choice in enumerate(choices, 1):
        words = [str(choice[name]) for name in _VARIED if choice.get(name)]
        times.note(f"{number} of {len(choices)}: {' '.join([choice['model'].name, *words])}")
        try:
            variants.append(_variant(choice, not no_run, vectors, timeout, times))
        except McuError as error:
            npu, optimize, toolchain = choice.get("npu"), choice.get("optimize"), choice.get("toolchain")
            variants.append(
                compare.of_error(choice["model"], choice["board"], npu, optimize or "speed", toolchain, error)
            )
    if html:
        write_atomically(html, compare.page(variants).encode())
    if as_json:
        print_json({**compare.document(variants), "stages": times.stages})
    else:
        print_text(compare.table(variants))
    if any(variant.wrong for variant in variants):
        return Exit.FIRMWARE
    failed = [variant.exit_code for variant in variants if variant.exit_code]
    return Exit(failed[0]) if len(failed) == len(variants) else Exit.OK


def _chosen(words: tuple[str | None, ...]) -> dict[str, str]:
    """What is given for this row, by the names of options."""
    return {name: word for name, word in zip(_VARIED, words, strict=True) if word}


def _variant(
    choice: dict[str, Any], run: bool, vectors: int | None, timeout: float, times: StageTimes
) -> Any:
    from mcu_build.api import build
    from mcu_build.report.compare import of_report

    firmware = build(**choice, progress=times)
    report = firmware.report(run=run, vectors=vectors, timeout=timeout)
    return of_report(firmware.manifest, report, run)
