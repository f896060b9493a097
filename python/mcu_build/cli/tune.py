"""`mcu-build tune`: which layers have 16 bits or float for an accuracy, or 4 for flash."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import budgets, build_option, debug_option, json_option, projected
from mcu_build.cli.output import print_json, print_text
from mcu_build.errors import Exit, McuError
from mcu_build.terminal import StageTimes


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@build_option("board", default="host", help="A board's name, or a .toml file: steps are priced on it.")
@build_option("npu")
@build_option("optimize")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the chosen precision to this file, JSON.",
)
@budgets("tune")
@json_option
@debug_option
@projected
def command(
    model: Path,
    board: str,
    npu: str | None,
    optimize: Any,
    out: Path | None,
    max_flash: int | None,
    max_ram: int | None,
    min_sqnr: float | None,
    max_drop: float | None,
    as_json: bool,
    debug: bool,
) -> Exit:
    """Search which layers need 16 bits or float, on the model's own data, and print the `precision` to write.

    It looks for a model within the budgets: without any, 20 dB, and 2 points where there are labels. With
    --board each step is built for its flash, RAM and cycles, and layers get bits only where --max-ram is
    kept. Where the image has more than --max-flash, it looks for layers whose weights have 4 bits instead.
    Status 6 where none is found.
    """
    del debug
    from mcu_build.cache import Cache
    from mcu_build.files import write_atomically
    from mcu_build.frontend.names import check_model
    from mcu_build.frontend.tune import Aim, tune

    check_model(model)
    times, aim = StageTimes(), Aim(min_sqnr, max_drop)
    images = _images(model, max_flash, max_ram, board=board, npu=npu, optimize=optimize)
    with times.stage("tune"):
        tuned = None
        if max_flash is not None:
            tuned = _for_flash(model, max_flash, max_ram, aim, times, images)
        if tuned is None:
            tuned = tune(model, aim, times.step, Cache(), images, max_ram)
    if out is not None:
        write_atomically(out, (json.dumps(dict(tuned.precision), indent=2) + "\n").encode())
    if as_json:
        print_json({**asdict(tuned), "stages": times.stages})
    else:
        print_text(_text(tuned))
        first = tuned.steps[0].ram
        if max_ram is not None and first is not None and first > max_ram:
            hint = f"`mcu-build fit {model} --board {board}` lists plans that take less"
            print_text(f"int8 takes {first:,} bytes of RAM, more than {max_ram:,}: {hint}.")
    return Exit.OK if tuned.met else Exit.BUDGET


def _images(model: Path, max_flash: int | None, max_ram: int | None, **options: Any) -> Any:
    """What prices images for the board; None for the host, whose memory is no price."""
    from mcu_build.api import priced

    if options["board"] != "host":
        return priced(model, **options)
    for flag, limit in (("--max-flash", max_flash), ("--max-ram", max_ram)):
        if limit is not None:
            raise McuError(
                f"{flag}: the host's memory is no price", "Name the board: --board nrf52840-dk.", Exit.USAGE
            )
    return None


def _for_flash(model: Path, most: int, max_ram: int | None, aim: Any, times: StageTimes, images: Any) -> Any:
    """The layers whose weights have 4 bits; None where the image fits without any."""
    from mcu_build.cache import Cache
    from mcu_build.frontend.tune_flash import tune_flash

    tuned = tune_flash(model, most, aim, images, times.step, Cache(), max_ram)
    fits = (tuned.chosen.flash or 0) <= most
    return None if fits and not tuned.chosen.layers else tuned


def _text(tuned: Any) -> str:
    from mcu_build.report.fitting import as_python
    from mcu_build.tables import render

    is_built = any(trial.flash for trial in tuned.steps)
    costs = ("flash", "RAM", "kilocycles") if is_built else ("float MACs", "flash")
    rows = [
        (
            _layers(trial),
            f"{trial.sqnr_db:.1f}",
            "" if trial.accuracy is None else f"{trial.accuracy:.1%}",
            *(_price(trial) if is_built else _more(trial)),
        )
        for trial in tuned.steps
    ]
    lines = [render(("not in int8", "dB", "accuracy", *costs), rows, {"dB", "accuracy", *costs})]
    if tuned.float_accuracy is not None:
        lines.append(f"The float model has {tuned.float_accuracy:.1%}.")
    if tuned.chosen.layers:
        lines.append(f"To put into the model file:\n\n    {as_python(tuned.precision)}\n")
    else:
        lines.append(
            "int8 is enough: nothing has to be changed." if tuned.met else "No layer can be changed."
        )
    if not tuned.met:
        lines.append("That is the best that was found; it is not enough.")
    if tuned.ended:
        lines.append(f"The search ended after {tuned.trials} trials; fewer layers may do.")
    return "\n".join(lines)


def _more(trial: Any) -> tuple[str, str]:
    return f"{trial.float_share:.0%}", f"+{trial.extra_flash:,}"


def _price(trial: Any) -> tuple[str, str, str]:
    if trial.flash is None:
        return "does not fit", "", ""
    return f"{trial.flash:,}", f"{trial.ram:,}", "" if trial.cycles is None else f"{trial.cycles / 1000:,.0f}"


def _layers(trial: Any) -> str:
    width = "float" if trial.in_float else "int4" if trial.in_int4 else "int16"
    return f"{width}: {', '.join(trial.layers)}" if trial.layers else "none"
