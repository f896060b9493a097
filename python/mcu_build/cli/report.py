"""`mcu-build report`: a build seen at a glance."""

import json
from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import build_options, run_options
from mcu_build.cli.output import end_json, end_text, print_text
from mcu_build.errors import Exit, McuError
from mcu_build.fronts.budgets import BUDGETS
from mcu_build.terminal import StageTimes

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@build_options("report")
@run_options
@click.option("--html", type=_FILE, help="Write the page to this file; else report.html in the build folder.")
@click.option("--trace", type=_FILE, help="Write the inference over time for chrome://tracing or Perfetto.")
@click.option("--model-explorer", type=_FILE, help="Write the plan as a graph for Google's Model Explorer.")
@click.option("--no-run", is_flag=True, help="Only what the build tells: neither cycles nor a proof.")
@click.option("--vectors", type=click.IntRange(min=2), help="Prove with the first N vectors only.")
def command(
    as_json: bool,
    debug: bool,
    timeout: float,
    sim: Any,
    html: Path | None,
    trace: Path | None,
    model_explorer: Path | None,
    no_run: bool,
    vectors: int | None,
    **options: Any,
) -> Exit:
    """Build MODEL, run it, and write one page: layers, time, memory, accuracy. It loads nothing."""
    del debug
    from mcu_build.preflight import check_command

    check_command("build", written=[html, trace, model_explorer], **options)
    from mcu_build.api import build
    from mcu_build.files import write_atomically
    from mcu_build.report import exports
    from mcu_build.report.limits import exceeded
    from mcu_build.report.page import page
    from mcu_build.report.summary import document, text

    times = StageTimes()
    budgets = {budget.name: options.pop(budget.name) for budget in BUDGETS if "report" in budget.verbs}
    firmware = build(**options, progress=times)
    report = firmware.report(run=not no_run, budgets=budgets, vectors=vectors, timeout=timeout, sim=sim)
    file = html or firmware.folder / "report.html"
    write_atomically(file, page(report).encode())
    if trace:
        write_atomically(trace, json.dumps(exports.trace(report)).encode())
    if model_explorer:
        write_atomically(model_explorer, json.dumps(exports.model_explorer(report)).encode())
    error = _wrong(report) or exceeded(report)
    if as_json:
        return end_json({**document(report), "html": str(file), "stages": times.stages}, error)
    print_text(text(report))
    print_text(f"page: {file}")
    return end_text(error)


def _wrong(report: Any) -> McuError | None:
    if not report.accuracy or not report.accuracy.mismatches:
        return None
    return McuError(
        f"{report.name}: {report.accuracy.mismatches:,} outputs are wrong",
        "`mcu-build test` names the first layer that differs.",
        Exit.FIRMWARE,
    )
