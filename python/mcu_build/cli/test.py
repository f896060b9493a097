"""`mcu-build test`: firmware against the quantized program."""

from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import build_options, run_options
from mcu_build.cli.output import end_json, end_text, print_text
from mcu_build.cli.via import ViaCommand, chosen_way, on_device_option, via_option
from mcu_build.errors import Exit
from mcu_build.layer_names import output_name
from mcu_build.quality.verdict import lines as quality_lines
from mcu_build.terminal import StageTimes

# Layers that a text names where it is not known which one is wrong.
_LISTED = 5


@click.command(cls=ViaCommand)
@build_options("test")
@run_options
@on_device_option
@via_option
@click.option("--vectors", type=click.IntRange(min=2), help="Use only the first N vectors.")
@click.option(
    "--image",
    type=click.Path(path_type=Path),
    help="A test image that another build system has made of MODEL: nothing is built.",
)
def command(
    as_json: bool,
    debug: bool,
    timeout: float,
    sim: Any,
    on_device: bool,
    via: str | None,
    probe: str | None,
    vectors: int | None,
    image: Path | None,
    min_accuracy: float | None,
    min_sqnr: float | None,
    max_drop: float | None,
    **options: Any,
) -> Exit:
    """Build, run the firmware on the model's evaluation data, compare every output exactly."""
    del debug
    from mcu_build.preflight import check_command

    way = chosen_way(via, probe, on_device, options["model"], options["board"])
    check_command("build" if way else "run", sim=sim, **options)
    from mcu_build.api import build

    times = StageTimes()
    firmware = build(image=image, **options, progress=times)
    proof = firmware.prove(vectors, timeout=timeout, sim=sim, via=way)
    error = proof.failure(min_accuracy, min_sqnr, max_drop)
    if proof.is_much_worse:
        times.warn(
            f"{_drop(proof)} the float model's; "
            "`mcu-build accuracy` lists what each layer loses, `mcu-build tune` finds what to leave in float"
        )
    if as_json:
        return end_json({**document(proof), "stages": times.stages}, error)
    print_text(text(firmware.built, proof, f"via {way}" if way else where(firmware.board, sim)))
    return end_text(error)


def document(proof: Any) -> dict[str, Any]:
    """A proof as --json prints it."""
    compared, accuracy = proof.comparison, proof.accuracy
    return {
        "vectors": compared.vectors,
        "elements": compared.elements,
        "mismatches": compared.mismatches,
        "differing": compared.differing,
        "max_abs_difference": compared.max_abs_difference,
        "outputs_vary": compared.outputs_vary,
        "state": {"elements": proof.state.elements, "mismatches": proof.state.mismatches}
        if proof.state
        else None,
        "float_operators": list(proof.float_operators),
        "suspects": [_layer(layer) for layer in proof.suspects],
        "accuracy": {
            "float": accuracy.float_model,
            "int8": accuracy.int8_model,
            "device": accuracy.device,
        }
        if accuracy
        else None,
        "metric": {
            "name": proof.metric.name,
            "float": proof.metric.float_model,
            "int8": proof.metric.int8_model,
            "device": proof.metric.device,
        }
        if proof.metric
        else None,
        "quality": list(proof.quality),
        "astray": proof.astray,
        "stack": {"used": proof.outcome.stack_used, "size": proof.outcome.stack_size},
        "cycles": _cycles(proof),
        "npu": _npu(proof),
        "delegates": "stream" if proof.streams else "tosa" if proof.outcome.npu else None,
        "status": proof.outcome.status,
    }


def _drop(proof: Any) -> str:
    """'accuracy on the device is 5.0 points below', 'mae on the device is 12.0 % above' for errors."""
    name = proof.metric.name if proof.metric else "accuracy"
    if proof.drop == float("inf"):
        return f"{name} on the device is {proof.metric.device:.4g}, and not 0 as"
    below = "points below" if not proof.metric or proof.metric.higher else "% above"
    return f"{name} on the device is {proof.drop:.1f} {below}"


def _layer(layer: Any) -> dict[str, Any]:
    shape = list(layer.shape)
    return {"name": layer.name, "operator": layer.operator, "shape": shape, "layer": layer.line}


def _cycles(proof: Any) -> dict[str, int] | None:
    """Cycles of an inference, where the core counts them."""
    cycles = proof.outcome.cycles
    return {"min": cycles[0], "max": cycles[1]} if cycles else None


def _npu(proof: Any) -> dict[str, Any] | None:
    """What the NPU's simulation took."""
    use = proof.outcome.npu
    return {**vars(use), "seconds": round(use.seconds, 3)} if use else None


def where(board: Any, sim: Any) -> str:
    """What images for a board run in."""
    from mcu_build.simulate.run import simulator

    if board.is_host:
        return "native"
    return "FVP" if simulator(board, sim) == "fvp" else f"QEMU {board.run.qemu.machine}"


def text(built: Any, proof: Any, where: str) -> str:
    """A proof in a few lines."""
    compared, accuracy, outcome = proof.comparison, proof.accuracy, proof.outcome
    board = built.manifest.board
    lines = [f"{compared.vectors} vectors on {board['id']} ({where})"]
    if proof.made_up:
        lines.append("  vectors    seeded random inputs: the model brings none")
    if accuracy:
        lines.append(
            f"  accuracy   float {accuracy.float_model:.2%}, int8 PyTorch {accuracy.int8_model:.2%}, "
            f"{board['core']} {accuracy.device:.2%}"
        )
    if metric := proof.metric:
        lines.append(
            f"  {metric.name:<10} float {metric.float_model:.4g}, int8 PyTorch {metric.int8_model:.4g}, "
            f"{board['core']} {metric.device:.4g}"
        )
    lines.append(f"  outputs    {_verdict(proof)}")
    if proof.streams:
        lines.append(
            "  delegates  a .pte has no TOSA: what was right of them is what our model of the NPU gives, "
            "so this proves the core's part"
        )
    if proof.state:
        kept = proof.state
        text = f"all {kept.elements:,} equal"
        if kept.mismatches:
            text = f"WRONG: {kept.mismatches:,} of {kept.elements:,} differ from"
        lines.append(f"  state      {text} the quantized program's, after each call")
    lines += [f"  quality    against float {text}" for text in quality_lines(proof.quality)]
    if compared.first:
        first = compared.first
        lines.append(
            f"  first      vector {first.vector}, {output_name(first.output, proof.outputs)}"
            f"{list(first.index)}: {first.found:g} instead of {first.expected:g}"
        )
        lines += _suspects(proof)
    if outcome.stack_size:
        lines.append(f"  stack      {outcome.stack_used:,} of {outcome.stack_size:,} bytes used")
    if outcome.cycles:
        lines.append("  cycles     {:,} to {:,} an inference".format(*outcome.cycles))
    if outcome.npu:
        use, count, name = outcome.npu, compared.vectors, built.manifest.npu["name"]
        trips = f", {use.round_trips / count:.0f} round trips to QEMU" if use.round_trips else ""
        lines.append(
            f"  npu        {name}, modelled; for an inference {use.seconds / count:.3f} s, "
            f"{(use.reads + use.writes) / count:.0f} register accesses{trips}"
        )
    return "\n".join(lines)


def _suspects(proof: Any) -> list[str]:
    """Which layer is wrong, or which ones may be."""
    if len(proof.suspects) == 1:
        return [f"  layer      {proof.suspects[0]} is the first that differs"]
    listed = ", ".join(map(str, proof.suspects[:_LISTED]))
    more = len(proof.suspects) - _LISTED
    return [f"  layers     one of {listed}{f' and {more} more' if more > 0 else ''}"] if listed else []


def _verdict(proof: Any) -> str:
    compared = proof.comparison
    if compared.mismatches:
        return f"WRONG: {compared.mismatches:,} of {compared.elements:,} differ from the quantized program"
    if compared.differing:
        return (
            f"{compared.differing:,} of {compared.elements:,} differ, the most by "
            f"{compared.max_abs_difference:g}: rounding of your own operators ({', '.join(proof.inexact)})"
        )
    return f"all {compared.elements:,} equal the quantized program's exactly"
