"""`mcu-build run`: firmware on inputs of the user's."""

from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import build_options, run_options
from mcu_build.cli.output import print_json, print_text
from mcu_build.cli.via import ViaCommand, chosen_way, on_device_option, via_option
from mcu_build.errors import Exit, McuError
from mcu_build.terminal import StageTimes


@click.command(cls=ViaCommand)
@build_options("run")
@run_options
@on_device_option
@via_option
@click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    help="Archive with input_0 ..., first dimension the vector. Without it: the model's own vectors.",
)
@click.option("--outputs", type=click.Path(path_type=Path), help="Where to write output_0 ....")
def command(
    as_json: bool,
    debug: bool,
    timeout: float,
    sim: Any,
    on_device: bool,
    via: str | None,
    probe: str | None,
    inputs: Path | None,
    outputs: Path | None,
    **options: Any,
) -> Exit:
    """Build, run the firmware over all vectors in one boot, write what it gives.

    MODEL may be an .elf, as CMake makes them: it runs to its end, its UART on stdout, with the NPU beside it.
    """
    del debug
    if options["model"].suffix == ".elf":
        return _show(timeout, inputs or outputs, as_json, **options)
    from mcu_build.preflight import check_command
    from mcu_build.vectors import npz

    way = chosen_way(via, probe, on_device, options["model"], options["board"])
    check_command("build" if way else "run", sim=sim, files=[inputs], written=[outputs], **options)
    from mcu_build.api import build
    from mcu_build.vectors.pack import load_inputs

    times = StageTimes()
    firmware = build(**options, progress=times)
    arrays = load_inputs(inputs, firmware.manifest.inputs, firmware.manifest.stream) if inputs else None
    done = firmware.execute(arrays, timeout=timeout, sim=sim, via=way)
    outcome = done.outcome
    named = {f"output_{index}": array for index, array in enumerate(done.outputs)}
    if outputs:
        npz.save(outputs, named)
    if as_json:
        print_json(
            {
                "vectors": outcome.vectors,
                "outputs": str(outputs) if outputs else {key: array.tolist() for key, array in named.items()},
                "status": outcome.status,
                "console": outcome.console,
                "stack": {"used": outcome.stack_used, "size": outcome.stack_size},
                "stages": times.stages,
            }
        )
        return Exit.OK
    if outcome.console:
        print_text(outcome.console)
    print_text(f"{outcome.vectors} vectors, status {outcome.status}")
    if outputs:
        print_text(f"wrote {outputs}")
        return Exit.OK
    for name, array in named.items():
        print_text(f"{name} {array.dtype}{list(array.shape)}\n{array}")
    return Exit.OK


def _show(timeout: float, archive: Path | None, as_json: bool, **options: Any) -> Exit:
    """Run an image that is there."""
    from mcu_build.api import board_for
    from mcu_build.image.elf import read_elf
    from mcu_build.simulate.outcome import IN_AN_IMAGE
    from mcu_build.simulate.run import show

    model = options["model"]
    if archive or as_json:
        raise McuError(
            f"{model}: --inputs, --outputs and --json are for models",
            "An image has inputs of its own. Give the model's file, or leave them out.",
            Exit.USAGE,
        )
    board = board_for(model, options["board"])
    npu = board.choose_npu(options["npu"])
    read_elf(model)
    status = show(board, model, timeout, npu)
    if status:
        raise McuError(f"{model}: it ended with status {status}", IN_AN_IMAGE, Exit.FIRMWARE)
    return Exit.OK
