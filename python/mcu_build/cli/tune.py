"""`mcu-build tune`: which layers to give 16 bits, or to leave in float, for an accuracy."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import budgets, debug_option, json_option
from mcu_build.cli.output import StageTimes, print_json, print_text
from mcu_build.errors import Exit


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@budgets("tune")
@json_option
@debug_option
def command(model: Path, min_sqnr: float | None, max_drop: float | None, as_json: bool, debug: bool) -> Exit:
    """Search which layers need 16 bits or float, on the model's own data, and print the `precision` to write.

    It looks for a model within the budgets: without any, 20 dB, and 2 points where there are labels. Nothing
    is built, nothing is written. Status 6 where none is found.
    """
    del debug
    from mcu_build.cache import Cache
    from mcu_build.frontend.names import check_model
    from mcu_build.frontend.tune import Aim, tune

    check_model(model)
    times = StageTimes()
    with times.stage("tune"):
        found = tune(model, Aim(min_sqnr, max_drop), times.step, Cache())
    if as_json:
        print_json({**asdict(found), "stages": times.stages})
    else:
        print_text(_text(found))
    return Exit.OK if found.met else Exit.BUDGET


def _text(found: Any) -> str:
    from mcu_build.report.tables import render

    rows = [
        (
            _layers(trial),
            f"{trial.sqnr_db:.1f}",
            "" if trial.accuracy is None else f"{trial.accuracy:.1%}",
            f"{trial.float_share:.0%}",
            f"+{trial.extra_flash:,}",
        )
        for trial in found.steps
    ]
    headings = ("not in int8", "dB", "accuracy", "float MACs", "flash")
    lines = [render(headings, rows, {"dB", "accuracy", "float MACs", "flash"})]
    if found.float_accuracy is not None:
        lines.append(f"The float model has {found.float_accuracy:.1%}.")
    if found.chosen.layers:
        lines.append(f"To put into the model file:\n\n    precision = {_python(found.precision)}\n")
    else:
        lines.append("int8 is enough: nothing has to be changed.")
    if not found.met:
        lines.append("That is the best that was found; it is not enough.")
    if found.ended:
        lines.append(f"The search ended after {found.trials} trials; fewer layers may do.")
    return "\n".join(lines)


def _layers(trial: Any) -> str:
    width = "float" if trial.in_float else "int16"
    return f"{width}: {', '.join(trial.layers)}" if trial.layers else "none"


def _python(wishes: dict[str, str]) -> str:
    return "{" + ", ".join(f'"{key}": "{width}"' for key, width in wishes.items()) + "}"
