"""What an NPU, and modelling it beside QEMU, costs against the core alone, for one inference.

    python benchmarks/ethos_u.py [--npu ethos-u55-128] [--models digits ds_cnn ...] [--vectors 3]

Instructions are the core's, counted in QEMU; with an NPU "driver" is the part of them that runs it. Cycles
are Vela's estimate. Register accesses and round trips to QEMU are those of the co-simulation, divided by the
vectors; its seconds, start of QEMU aside, are of this machine. Every output is compared first.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import mcu_build
from mcu_build.api import Firmware

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "models"
MODELS = {
    "digits": ROOT / "examples" / "digits" / "model.py",
    **{name: FOLDER / f"{name}.py" for name in ("ds_cnn", "resnet8", "mobilenet_v1_025", "autoencoder")},
}
BOARD = "corstone-300"
COLUMNS = (
    *("model", "on", "instructions", "driver", "cycles (Vela)", "arena", "flash"),
    *("register accesses", "round trips", "bytes through the stub", "s in the model", "s in all"),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--npu", default="ethos-u55-128")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--vectors", type=int, default=3)
    chosen = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    for model in chosen.models:
        for npu in ("none", chosen.npu):
            with tempfile.TemporaryDirectory() as folder:
                firmware = mcu_build.build(MODELS[model], board=BOARD, npu=npu, build_dir=folder)
                print("| " + " | ".join(row(model, npu, firmware, chosen.vectors)) + " |", flush=True)


def row(model: str, npu: str, firmware: Firmware, vectors: int) -> list[str]:
    """One line of the table."""
    proof = firmware.prove(vectors)
    if proof.failure():
        sys.exit(f"{model} on {npu}: {proof.failure()}")
    profile = firmware.profile()
    driver = sum(layer.cost.instructions for layer in profile.layers if layer.kernel == "ethos_u")
    cells = [
        model,
        "the core" if npu == "none" else npu,
        f"{profile.total.instructions:,}",
        f"{driver:,}",
        f"{_cycles(firmware):,}",
        f"{firmware.manifest.memory['arena']:,}",
        f"{firmware.flash:,}",
    ]
    use = proof.outcome.npu
    if use is None:
        return [*cells, "-", "-", "-", "-", f"{proof.outcome.seconds / vectors:.3f}"]
    counts = (use.reads + use.writes, use.round_trips, use.bytes_read + use.bytes_written)
    seconds = (use.seconds / vectors, proof.outcome.seconds / vectors)
    return [*cells, *(f"{n / vectors:,.0f}" for n in counts), *(f"{s:.3f}" for s in seconds)]


def _cycles(firmware: Firmware) -> int:
    npu = firmware.manifest.npu
    return sum(one["cycles"] for one in npu["compiler_estimates"]["delegates"]) if npu else 0


if __name__ == "__main__":
    main()
