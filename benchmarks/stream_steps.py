"""What a step of a stream takes beside the whole recording: the table of docs/stream.md.

    .venv/bin/python benchmarks/stream_steps.py --write    # all: results/stream_steps.json, docs/stream.md
    .venv/bin/python benchmarks/stream_steps.py --nets tcn
    .venv/bin/python benchmarks/stream_steps.py --page     # docs/stream.md again, from the results

Instructions are counted in QEMU. Channels that never matter are left out of the whole recording's net alone.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from stream_nets import SHAPES, model_file  # noqa: E402

import mcu_build  # noqa: E402

RESULTS = HERE / "results" / "stream_steps.json"
PAGE = HERE.parent / "docs" / "stream.md"
NETS = {
    "tcn": "three dilated blocks of 16 channels, 64 frames",
    "long": "two blocks of 32 channels, dilations of 16 and 32, 128 frames",
    "separable": "three separable blocks of 32 channels, kernels of 5, 64 frames",
    "strided": "the same with strides of 2, 2 and 1",
    "spectrogram": "2-D DS-CNN of 24 channels, strides of 2, 64 frames of 20",
}
BOARDS = {"mps2-an386": "Cortex-M4", "corstone-300": "Cortex-M55"}
_BEGIN, _END = "<!-- Written by benchmarks/stream_steps.py. -->", "<!-- End of what it writes. -->"


def measure(name: str, board: str, folder: Path) -> dict[str, int]:
    """Instructions and MACs of the whole recording and of a step, and how many steps it has."""
    counts = {}
    for kind in ("whole", "step"):
        file = folder / f"{name}_{kind}.py"
        file.write_text(model_file(str(HERE), name, kind == "step"))
        built = mcu_build.build(file, board=board, npu="none", build_dir=folder)
        profile = built.profile()
        counts[kind], counts[f"{kind}_macs"] = profile.total.instructions, profile.macs
        if kind == "step":
            assert built.manifest.stream is not None
            counts["hops"] = SHAPES[name][2] // built.manifest.stream["hop"]
    return counts


def ratio(row: Mapping[str, int]) -> float:
    """Of all steps of a recording to the whole."""
    return row["hops"] * row["step"] / row["whole"]


def table(results: Mapping[str, Mapping[str, Mapping[str, int]]]) -> str:
    """What docs/stream.md shows of them."""
    lines = [f"| net, recording | {' | '.join(BOARDS.values())} |", "|---" * (1 + len(BOARDS)) + "|"]
    for name, rows in results.items():
        cells = [f"{rows[board]['step']:,}, {ratio(rows[board]):.2f} times" for board in BOARDS]
        lines.append(f"| {NETS[name]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def page(text: str, results: Mapping[str, Any]) -> str:
    """The text of docs/stream.md with the table of these results."""
    before, _, rest = text.partition(_BEGIN)
    return before + _BEGIN + "\n" + table(results) + _END + rest.partition(_END)[2]


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument(
        "--write", action="store_true", help="to results/stream_steps.json and docs/stream.md"
    )
    parser.add_argument("--page", action="store_true", help="write docs/stream.md from the results")
    parser.add_argument("--build-dir", type=Path, default=Path("build/stream_steps"))
    options = parser.parse_args()
    options.build_dir.mkdir(parents=True, exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in [] if options.page else options.nets:
        results[name] = {board: measure(name, board, options.build_dir) for board in BOARDS}
        print(name, {BOARDS[board]: round(ratio(row), 3) for board, row in results[name].items()}, flush=True)
    results = {name: results[name] for name in NETS if name in results}
    if options.write:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if options.write or options.page:
        PAGE.write_text(page(PAGE.read_text(), results))


if __name__ == "__main__":
    main()
