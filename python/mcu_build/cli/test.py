"""`mcu-build test`: firmware against the quantized program."""

from typing import Any

import rich_click as click

from mcu_build.cli.build import build_first, find
from mcu_build.cli.options import build_options, run_options
from mcu_build.cli.output import StageTimes, print_json, print_text
from mcu_build.errors import Exit, McuError


@click.command()
@build_options
@run_options
@click.option("--vectors", type=click.IntRange(min=2), help="Use only the first N vectors.")
@click.option(
    "--min-accuracy", type=float, help="Fail (status 6) below this share, such as 0.95, on the device."
)
def command(
    as_json: bool,
    debug: bool,
    timeout: float,
    vectors: int | None,
    min_accuracy: float | None,
    **options: Any,
) -> Exit:
    """Build, run the firmware on the model's evaluation data, compare every output exactly."""
    del debug
    from mcu_build.cache import Cache
    from mcu_build.prove import test

    times = StageTimes()
    built = build_first(times, **options)
    proof = test(built, find(options["board"], options["model"]), vectors, timeout, Cache(), times)
    if as_json:
        print_json({**_document(proof), "stages": times.stages})
    else:
        print_text(_text(built, proof))
    if not proof.comparison.outputs_vary:
        raise McuError(
            f"{built.manifest.name}: every vector gives the same outputs: the comparison proves nothing",
            "Give `evaluation` or `calibration` data that the model tells apart; is it trained?",
            Exit.FIRMWARE,
        )
    _check_accuracy(built.manifest.name, proof, min_accuracy)
    return Exit.OK if proof.holds else Exit.FIRMWARE


def _check_accuracy(name: str, proof: Any, minimum: float | None) -> None:
    if minimum is None:
        return
    if proof.accuracy is None:
        raise McuError(f"{name}: --min-accuracy: the model has no labelled `evaluation` data", "Add it.")
    if proof.accuracy.device < minimum:
        raise McuError(
            f"{name}: accuracy on the device is {proof.accuracy.device:.4f}, the least is {minimum}",
            f"int8 PyTorch has {proof.accuracy.int8_model:.4f}, float {proof.accuracy.float_model:.4f}.",
            Exit.BUDGET,
        )


def _document(proof: Any) -> dict[str, Any]:
    compared, accuracy = proof.comparison, proof.accuracy
    return {
        "vectors": compared.vectors,
        "elements": compared.elements,
        "mismatches": compared.mismatches,
        "differing": compared.differing,
        "max_abs_difference": compared.max_abs_difference,
        "outputs_vary": compared.outputs_vary,
        "float_operators": list(proof.inexact),
        "accuracy": {
            "float": accuracy.float_model,
            "int8": accuracy.int8_model,
            "device": accuracy.device,
        }
        if accuracy
        else None,
        "stack": {"used": proof.outcome.stack_used, "size": proof.outcome.stack_size},
        "status": proof.outcome.status,
    }


def _text(built: Any, proof: Any) -> str:
    compared, accuracy, outcome = proof.comparison, proof.accuracy, proof.outcome
    board = built.manifest.board
    qemu = board["run"]["qemu"]
    where = f"QEMU {qemu['machine']}" if qemu else "native"
    lines = [f"{compared.vectors} vectors on {board['id']} ({where})"]
    if proof.made_up:
        lines.append("  vectors    seeded random inputs: the model brings none")
    if accuracy:
        lines.append(
            f"  accuracy   float {accuracy.float_model:.2%}, int8 PyTorch {accuracy.int8_model:.2%}, "
            f"{board['core']} {accuracy.device:.2%}"
        )
    lines.append(f"  outputs    {_verdict(proof)}")
    if compared.first:
        first = compared.first
        lines.append(
            f"  first      vector {first.vector}, output {first.output}{list(first.index)}: "
            f"{first.found:g} instead of {first.expected:g}"
        )
    if outcome.stack_size:
        lines.append(f"  stack      {outcome.stack_used:,} of {outcome.stack_size:,} bytes used")
    return "\n".join(lines)


def _verdict(proof: Any) -> str:
    compared = proof.comparison
    if compared.mismatches:
        return f"WRONG: {compared.mismatches:,} of {compared.elements:,} differ from the quantized program"
    if compared.differing:
        return (
            f"{compared.differing:,} of {compared.elements:,} differ, the most by "
            f"{compared.max_abs_difference:g}: the rounding of float operators ({', '.join(proof.inexact)})"
        )
    return f"all {compared.elements:,} equal the quantized program's exactly"
