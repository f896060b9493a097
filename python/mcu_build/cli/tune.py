"""`mcu-build tune`: which layers have 16 bits or float for an accuracy, or 4 for flash."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import budgets, build_option, debug_option, json_option, projected
from mcu_build.cli.output import StageTimes, print_json, print_text
from mcu_build.errors import Exit, McuError


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@build_option("board", default="host", help="A board's name, or a .toml file, for --max-flash.")
@build_option("npu")
@build_option("optimize")
@budgets("tune")
@json_option
@debug_option
@projected
def command(
    model: Path,
    board: str,
    npu: str | None,
    optimize: Any,
    max_flash: int | None,
    min_sqnr: float | None,
    max_drop: float | None,
    as_json: bool,
    debug: bool,
) -> Exit:
    """Search which layers need 16 bits or float, on the model's own data, and print the `precision` to write.

    It looks for a model within the budgets: without any, 20 dB, and 2 points where there are labels. Where
    the image for --board has more than --max-flash, it looks for layers whose weights have 4 bits instead,
    and builds each step. Nothing is written. Status 6 where none is found.
    """
    del debug
    from mcu_build.cache import Cache
    from mcu_build.frontend.names import check_model
    from mcu_build.frontend.tune import Aim, tune

    check_model(model)
    times, aim = StageTimes(), Aim(min_sqnr, max_drop)
    with times.stage("tune"):
        found = None
        if max_flash is not None:
            found = _for_flash(model, max_flash, aim, times, board=board, npu=npu, optimize=optimize)
        if found is None:
            found = tune(model, aim, times.step, Cache())
    if as_json:
        print_json({**asdict(found), "stages": times.stages})
    else:
        print_text(_text(found))
    return Exit.OK if found.met else Exit.BUDGET


def _for_flash(model: Path, most: int, aim: Any, times: StageTimes, **options: Any) -> Any:
    """The layers whose weights have 4 bits; None where the image fits without any."""
    from mcu_build.api import priced
    from mcu_build.cache import Cache
    from mcu_build.frontend.tune_flash import tune_flash

    if options["board"] == "host":
        raise McuError("--max-flash: host has no flash", "Name the board: --board nrf52840-dk.", Exit.USAGE)
    found = tune_flash(model, most, aim, priced(model, **options), times.step, Cache())
    fits = (found.chosen.flash or 0) <= most
    return None if fits and not found.chosen.layers else found


def _text(found: Any) -> str:
    from mcu_build.report.tables import render

    is_built = any(trial.in_int4 for trial in found.steps)
    costs = ("flash", "kilocycles") if is_built else ("float MACs", "flash")
    rows = [
        (
            _layers(trial),
            f"{trial.sqnr_db:.1f}",
            "" if trial.accuracy is None else f"{trial.accuracy:.1%}",
            *(_price(trial) if is_built else _more(trial)),
        )
        for trial in found.steps
    ]
    lines = [render(("not in int8", "dB", "accuracy", *costs), rows, {"dB", "accuracy", *costs})]
    if found.float_accuracy is not None:
        lines.append(f"The float model has {found.float_accuracy:.1%}.")
    if found.chosen.layers:
        lines.append(f"To put into the model file:\n\n    precision = {_python(found.precision)}\n")
    else:
        lines.append(
            "int8 is enough: nothing has to be changed." if found.met else "No layer can be changed."
        )
    if not found.met:
        lines.append("That is the best that was found; it is not enough.")
    if found.ended:
        lines.append(f"The search ended after {found.trials} trials; fewer layers may do.")
    return "\n".join(lines)


def _more(trial: Any) -> tuple[str, str]:
    return f"{trial.float_share:.0%}", f"+{trial.extra_flash:,}"


def _price(trial: Any) -> tuple[str, str]:
    flash = "does not link" if trial.flash is None else f"{trial.flash:,}"
    return flash, "" if trial.cycles is None else f"{trial.cycles / 1000:,.0f}"


def _layers(trial: Any) -> str:
    width = "float" if trial.in_float else "int4" if trial.in_int4 else "int16"
    return f"{width}: {', '.join(trial.layers)}" if trial.layers else "none"


def _python(wishes: dict[str, str]) -> str:
    return "{" + ", ".join(f'"{key}": "{width}"' for key, width in wishes.items()) + "}"
