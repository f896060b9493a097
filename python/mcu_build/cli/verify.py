"""`mcu-build verify`: what an NPU is given, against the quantized model."""

import tempfile
from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import build_option, debug_option, json_option, projected
from mcu_build.cli.output import print_json, print_text
from mcu_build.errors import Exit
from mcu_build.layer_names import output_name
from mcu_build.terminal import StageTimes


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@build_option("board")
@build_option("npu")
@click.option("--vectors", type=click.IntRange(min=2), help="Use only the first N vectors.")
@json_option
@debug_option
@projected
def command(
    model: Path, board: str, npu: str | None, vectors: int | None, as_json: bool, debug: bool
) -> Exit:
    """Compare what an NPU is given with the quantized model, without a core.

    Each delegate's TOSA runs in Arm's reference model, and is compared with PyTorch; its command stream runs
    in the model of the NPU, and must equal TOSA exactly.
    """
    del debug
    from mcu_build.api import board_for
    from mcu_build.cache import Cache
    from mcu_build.frontend.names import check_model, model_name
    from mcu_build.fronts.options import BuildOptions
    from mcu_build.stages.lower import lower_model
    from mcu_build.verify.tosa import document, nothing_to_verify, verify

    times, cache = StageTimes(), Cache()
    chosen = board_for(model, board)
    used = chosen.choose_npu(npu)
    if used is None:
        check_model(model)
        raise nothing_to_verify(model_name(model))
    lowered = lower_model(model, chosen, used, BuildOptions.of(board=board), cache, times)
    with tempfile.TemporaryDirectory() as folder:
        verdict = verify(lowered, chosen, vectors, Path(folder), cache, times)
    if as_json:
        print_json({**document(verdict), "stages": times.stages})
    else:
        print_text("\n".join(_text(verdict)))
    return Exit.OK if verdict.agrees else Exit.FIRMWARE


def _text(verdict: Any) -> list[str]:
    return [
        *(_line(output_name(index, verdict.names), output) for index, output in enumerate(verdict.outputs)),
        *(_stream_line(index, delegate) for index, delegate in enumerate(verdict.delegates)),
        "agrees" if verdict.agrees else "DOES NOT AGREE: wrong, too many steps apart on average, or constant",
    ]


def _stream_line(index: int, stream: Any) -> str:
    wrong = (
        f"{stream.mismatches:,} of {stream.elements:,} values differ from"
        if stream.mismatches
        else (f"all {stream.elements:,} values equal")
    )
    constant = "" if stream.varies else "; the same for every vector"
    return f"delegate {index}: its command stream in the model of {stream.npu}: {wrong} TOSA's{constant}"


def _line(name: str, agreement: Any) -> str:
    still = "" if agreement.varies else "; the same for every vector"
    return (
        f"{name}: {agreement.equal:,} of {agreement.elements:,} values equal, "
        f"{agreement.mean_steps:.3f} steps apart on average, {agreement.largest_steps:g} at most{still}"
    )
