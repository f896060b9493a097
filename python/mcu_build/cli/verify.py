"""`mcu-build verify`: what an NPU is given, against the quantized model."""

import tempfile
from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import board_option, debug_option, json_option, npu_option
from mcu_build.cli.output import StageTimes, print_json, print_text
from mcu_build.errors import Exit


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@board_option
@npu_option
@click.option("--vectors", type=click.IntRange(min=2), help="Use only the first N vectors.")
@json_option
@debug_option
def command(
    model: Path, board: str, npu: str | None, vectors: int | None, as_json: bool, debug: bool
) -> Exit:
    """Run each delegate's TOSA in Arm's reference model; compare with the quantized model in PyTorch."""
    del debug
    from mcu_build.api import board_for
    from mcu_build.cache import Cache
    from mcu_build.stages import lower_model
    from mcu_build.verify import document, verify

    times, cache = StageTimes(), Cache()
    chosen = board_for(model, board)
    lowered = lower_model(model, chosen, chosen.choose_npu(npu), "float", cache, times)
    with tempfile.TemporaryDirectory() as folder:
        found = verify(lowered, chosen, vectors, Path(folder), cache, times)
    agrees = all(one.holds for one in found)
    if as_json:
        print_json({**document(found), "stages": times.stages})
    else:
        print_text("\n".join(_line(index, one) for index, one in enumerate(found)))
        print_text("agrees" if agrees else "DOES NOT AGREE: more than one step apart on average, or constant")
    return Exit.OK if agrees else Exit.FIRMWARE


def _line(index: int, one: Any) -> str:
    return (
        f"output {index}: {one.equal:,} of {one.elements:,} values equal, {one.mean_steps:.3f} steps apart "
        f"on average, {one.largest_steps:g} at most{'' if one.varies else '; the same for every vector'}"
    )
