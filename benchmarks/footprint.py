"""Flash and RAM of every test model, beside ExecuTorch's own memory plan; what a warm build costs.

    python benchmarks/footprint.py [--boards corstone-300 mps2-an386] [--models digits ds_cnn ...]

Bytes are of the production image, float inputs and outputs, every operator on the core. The last column is
the time of a second, identical build as a share of the first, with an empty cache before it: a ratio of one
run, not a figure to compare between machines.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from mcu_build import process

ROOT = Path(__file__).resolve().parents[1]
MODELS = {file.stem: file for file in sorted((ROOT / "tests" / "models").glob("[a-z]*.py"))}
MODELS["digits"] = ROOT / "examples" / "digits" / "model.py"
COLUMNS = ("model", "board", "flash", "code", "constants", "ram", "arena", "bound", "ExecuTorch", "warm/cold")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--boards", nargs="+", default=["corstone-300", "mps2-an386"])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    chosen = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    for model in chosen.models:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MCU_BUILD_CACHE"] = f"{folder}/cache"
            for board in chosen.boards:
                print("| " + " | ".join(row(model, board, Path(folder))) + " |", flush=True)


def row(model: str, board: str, folder: Path) -> list[str]:
    """One line of the table."""
    cold, document = timed_build(model, board, folder)
    warm, _ = timed_build(model, board, folder)
    memory, flash, ram = document["memory"], document["flash"], document["ram"]
    numbers = (
        flash["total"],
        flash["code"],
        flash["constants"],
        ram["total"],
        memory["arena"],
        memory["lower_bound"],
        memory["executorch"],
    )
    return [model, board, *(f"{number:,}" for number in numbers), f"{warm / cold:.3f}"]


def timed_build(model: str, board: str, folder: Path) -> tuple[float, dict[str, dict[str, int]]]:
    """Seconds of one build as a user runs it, and its JSON."""
    start = time.monotonic()
    finished = process.run(
        [
            *(sys.executable, "-m", "mcu_build"),
            *("--board", board, "--npu", "none", MODELS[model], "--build-dir", folder / "build", "--json"),
        ]
    )
    seconds = time.monotonic() - start
    if finished.status != 0:
        sys.exit(finished.stdout + finished.stderr)
    document: dict[str, dict[str, int]] = json.loads(finished.stdout)
    return seconds, document


if __name__ == "__main__":
    main()
