"""docs/performance.md from the figures in benchmarks/results.

.venv/bin/python benchmarks/page.py             # writes it
.venv/bin/python benchmarks/page.py --print     # prints it
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "mlperf_tiny"), str(HERE)]

from figures import INSTRUCTIONS, MODELS  # noqa: E402
from layers import cliffs, ratios  # noqa: E402

RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "performance.md"
CORES = ("cortex-m55", "cortex-m33", "cortex-m7", "cortex-m4", "cortex-m3", "cortex-m0")
WORST = 15
NAMES = {
    "kws": "KWS: keyword spotting, DS-CNN",
    "vww": "VWW: person or none, MobileNet 0.25 on 96x96",
    "ic": "IC: image classification, ResNet8",
    "ad": "AD: anomalies in sound, autoencoder",
    "mobilenet_v2_035": "MobileNetV2 0.35 on 96x96",
    "mobilenet_v3_small_05": "MobileNetV3-Small 0.5 on 96x96",
    "efficientnet_lite0": "EfficientNet-Lite0 on 96x96",
    "mcunet_like": "as MCUNet, on 176x176",
    "bc_resnet": "as BC-ResNet-1: keyword spotting",
    "tcn": "temporal convolutions, 8 sensors",
    "tiny_vit": "vision transformer, 32x32",
}
# One curve of each of these is drawn.
PLOTS = ("1x1 in", "3x3 in", "depthwise 3x3")

HEAD = """# Performance

How many instructions a net takes, how many cycles those come to, and how much memory. Instructions are
counted exactly, in QEMU ([profiling.md](profiling.md)). Cycles are modelled from them
([cycles.md](cycles.md)), without waits for memory. Nothing on this page was measured on a board. Inputs and
outputs are int8; weights are random, so that nothing is skipped.

This page is written by `benchmarks/page.py` from `benchmarks/results`. To repeat the figures:

    .venv/bin/python benchmarks/nets.py --write                   # eleven nets
    .venv/bin/python benchmarks/layers.py --write                 # some 150 layers
    .venv/bin/python benchmarks/mlperf_tiny/run.py --write        # four nets, every core, both compilers
    .venv/bin/python benchmarks/mlperf_tiny/run.py --check        # fails where anything has grown by 1 %
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_nets(), *_mlperf_tiny(), *_layers()])


def _results(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def _core(name: str) -> str:
    return name.replace("cortex-m", "Cortex-M").replace("plus", "+")


def _nets() -> Iterator[str]:
    rows, nets = _results("nets"), list(NAMES)
    yield "## Whole nets\n"
    for core in dict.fromkeys(row["core"] for row in rows.values()):
        lines = [
            [
                NAMES[key.split("/")[0]],
                f"{row['macs'] / 1e6:.2f}",
                f"{row['instructions'] / 1e6:.3f}",
                f"{row['cycles'] / 1e6:.3f}",
                f"{row['cycles'] / row['macs']:.2f}",
                f"{row['flash']:,}",
                f"{row['arena']:,}",
            ]
            for key, row in sorted(rows.items(), key=lambda item: nets.index(item[0].split("/")[0]))
            if row["core"] == core
        ]
        yield f"{_core(core)}, clang. Millions of MACs, instructions and modelled cycles; bytes:\n"
        yield _markdown(["net", "MACs", "instructions", "cycles", "a MAC", "flash", "RAM"], lines)
    yield (
        "Flash is the whole image, weights included. RAM is the model's arena; the stack comes on top.\n"
        "With CMSIS-NN's kernels the four nets of MLPerf Tiny were counted, in instructions (below); the\n"
        "others were not, so there is no such comparison of them in cycles.\n"
    )


def _mlperf_tiny() -> Iterator[str]:
    results = _results("mlperf_tiny")["results"]
    yield "## MLPerf Tiny on every core\n"
    yield (
        "Million instructions for one inference, the better of clang and gcc. Below a core stands the best\n"
        "that was measured with CMSIS-NN. Kernels of DSP cores are chosen for cycles, not for instructions.\n"
    )
    lines: list[list[str]] = []
    for core in CORES:
        own = [_best(results, model, core, "instructions") for model in MODELS]
        lines.append([_core(core), *(f"{value / 1e6:.3f}" if value else "-" for value in own)])
        others = [row for name, row in INSTRUCTIONS.get(core, {}).items() if "CMSIS-NN" in name]
        if others:
            cells = [f"*{min(row[i] for row in others):g}*" for i in range(len(MODELS))]
            lines.append(["*CMSIS-NN*", *cells])
    yield _markdown(["", *(model.upper() for model in MODELS)], lines)
    yield "Million modelled cycles, the better of both.\n"
    lines = []
    for core in CORES:
        own = [_best(results, model, core, "cycles") for model in MODELS]
        lines.append([_core(core), *(f"{value / 1e6:.3f}" if value else "-" for value in own)])
    yield _markdown(["", *(model.upper() for model in MODELS)], lines)
    yield "Bytes of the smaller of both images: the arena, and flash without the model's constants.\n"
    lines = []
    for core in CORES:
        for what in ("arena", "flash"):
            values = [_best(results, model, core, what) for model in MODELS]
            lines.append([_core(core), what, *(f"{value:,}" if value else "-" for value in values)])
    yield _markdown(["", "", *(model.upper() for model in MODELS)], lines)


def _best(results: Mapping[str, Any], model: str, core: str, what: str) -> int | None:
    found = [
        row[what]
        for key, row in results.items()
        if key.startswith(f"{model}/") and row.get("core") == core and row.get(what)
    ]
    return min(found, default=None)


def _layers() -> Iterator[str]:
    found = _results("layers")
    yield "## Layer by layer\n"
    yield (
        "A layer of 24 channels should cost little more for each multiply-accumulate than one of 16 or 32.\n"
        "Where it does, there is a cliff. So it is above the goal of its family or, where an output has few\n"
        "products, above 1.5 times what to requantize it takes at least. `benchmarks/layers.py` prints all\n"
        "layers; here are curves, and the worst of each core.\n"
    )
    for core, rows in found.items():
        measured = {name: row for name, row in rows.items() if "error" not in row}
        flagged = sorted(cliffs(core, rows), key=lambda item: -item[1])
        yield f"### {_core(core)}\n"
        summary = f"{len(measured)} layers, {len({name for name, _, _ in flagged})} of them cliffs"
        unbuilt = len(rows) - len(measured)
        yield summary + (f"; {unbuilt} could not be built.\n" if unbuilt else ".\n")
        for curve in PLOTS:
            yield from _plot(curve, measured)
        lines = []
        for name, times, of in flagged[:WORST]:
            row = rows[name]
            each = f"{row['instructions'] / row['units']:.2f}"
            lines.append([f"`{name}`", each, f"{row['cycles'] / row['units']:.2f}", f"{times:.1f}", of])
        if lines:
            yield _markdown(["worst layers", "instructions", "cycles", "times", "of"], lines)
        slow = sorted(
            (row["cycles"] / row["units"], name) for name, row in measured.items() if not row["macs"]
        )
        lines = [[f"`{name}`", f"{cost:.2f}"] for cost, name in reversed(slow[-5:])]
        if lines:
            yield "Without multiplications, cycles for an element of the output:\n"
            yield _markdown(["dearest", "cycles"], lines)


def _plot(curve: str, rows: Mapping[str, Any]) -> Iterator[str]:
    """Cycles for a multiply-accumulate over channels, as a bar for each."""
    points = sorted((row["at"], name) for name, row in rows.items() if row["curve"] == curve)
    if not points:
        return
    above = ratios(rows)
    highest = max(rows[name]["cycles"] / rows[name]["units"] for _, name in points)
    lines = []
    for at, name in points:
        cost = rows[name]["cycles"] / rows[name]["units"]
        times = f"{above[name]:.2f} of the curve" if above.get(name, 1) > 1.005 else ""
        lines.append(
            f"    {at:>4}  {cost:6.3f}  {'█' * max(1, round(40 * cost / highest)):<40}  {times}".rstrip()
        )
    yield f"Convolution {curve.replace(' in', ', channels in')}, cycles a MAC:\n"
    yield "\n".join(lines) + "\n"


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def main() -> None:
    """Write, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--print", action="store_true", help="to standard output")
    if parser.parse_args().print:
        print(page())
    else:
        PAGE.write_text(page())


if __name__ == "__main__":
    main()
