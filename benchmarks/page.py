"""docs/performance.md and a table of docs/optimize.md from the figures in benchmarks/results.

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
from layers import BOUND, cliffs, load_store_bound, ratios  # noqa: E402

RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "performance.md"
OPTIMIZE_PAGE = HERE.parent / "docs" / "optimize.md"
BEGIN, END = "<!-- benchmarks/page.py writes from here -->", "<!-- to here -->"
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
OPTIMIZED = "/size"  # ends the keys of nets that were built for size
CMSIS_NN = "/cmsis-nn"  # ends the keys of nets that were counted with its kernels
# One curve of each of these is drawn.
PLOTS = ("1x1 in", "3x3 in", "depthwise 3x3")

HEAD = """# Performance

How long do known nets take, and how much memory? This page has the figures of eleven nets, of MLPerf Tiny's
four on six cores, and of single layers. For a model of your own, see [report.md](report.md).

- *Instructions* are counted exactly, in QEMU ([profiling.md](profiling.md)).
- *Cycles* are modelled from them, without waits for memory ([cycles.md](cycles.md)). Divide them by your
  chip's clock for a time.
- A *MAC* is a multiply-accumulate of the model, and "a MAC" in a heading means cycles for each of them.

Nothing here was measured on a board. Inputs and outputs are int8. Weights are random, so that no channel is
left out. All figures are of November 2026.

`benchmarks/page.py` writes this page from `benchmarks/results`. To repeat the figures:

    .venv/bin/python benchmarks/nets.py --write                   # eleven nets
    .venv/bin/python benchmarks/nets.py --boards corstone-300 --cmsis-nn DIR --write
    .venv/bin/python benchmarks/layers.py --write                 # the single layers
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
        own = [key for key, row in rows.items() if row["core"] == core and not key.endswith(CMSIS_NN)]
        own.sort(key=lambda key: nets.index(key.split("/")[0]))
        lines = [_net(rows[key], rows.get(key + CMSIS_NN), NAMES[key.split("/")[0]]) for key in own]
        headings = ["net", "MACs", "instructions", "cycles", "a MAC", "flash", "RAM"]
        if any(key + CMSIS_NN in rows for key in own):
            headings += ["*CMSIS-NN*", "*times*"]
        yield f"{_core(core)}, clang. Millions of MACs, instructions and modelled cycles; bytes:\n"
        yield _markdown(headings, [line[: len(headings)] for line in lines])
    yield (
        "Flash is the whole image, weights included. RAM is the model's arena, without the stack.\n"
        "In italics, million modelled cycles of the same program with CMSIS-NN's kernels, compiled by clang\n"
        "([cmsis-nn.md](cmsis-nn.md)), and how many times ours that is. What CMSIS-NN has no kernel for is\n"
        "ours there, too.\n"
    )


def _net(row: Mapping[str, Any], cmsis_nn: Mapping[str, Any] | None, name: str) -> list[str]:
    """The line of a net."""
    return [
        name,
        f"{row['macs'] / 1e6:.2f}",
        f"{row['instructions'] / 1e6:.3f}",
        f"{row['cycles'] / 1e6:.3f}",
        f"{row['cycles'] / row['macs']:.2f}",
        f"{row['flash']:,}",
        f"{row['arena']:,}",
        f"*{cmsis_nn['cycles'] / 1e6:.3f}*" if cmsis_nn else "-",
        f"*{cmsis_nn['cycles'] / row['cycles']:.2f}*" if cmsis_nn else "-",
    ]


def _mlperf_tiny() -> Iterator[str]:
    results = _results("mlperf_tiny")["results"]
    yield "## MLPerf Tiny on every core\n"
    yield (
        "Million instructions for one inference, by clang or gcc, whichever is better. In italics, the best\n"
        "with CMSIS-NN's kernels ([cmsis-nn.md](cmsis-nn.md)); they were counted in instructions alone. Our\n"
        "kernels for DSP cores are chosen for the fewest cycles, which is not the fewest instructions.\n"
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
    yield "Million modelled cycles, by clang or gcc, whichever is better.\n"
    lines = []
    for core in CORES:
        own = [_best(results, model, core, "cycles") for model in MODELS]
        lines.append([_core(core), *(f"{value / 1e6:.3f}" if value else "-" for value in own)])
    yield _markdown(["", *(model.upper() for model in MODELS)], lines)
    yield "Bytes, by clang or gcc, whichever is less: the arena, and flash without the model's constants.\n"
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
        if key.startswith(f"{model}/")
        and row.get("core") == core
        and row.get(what)
        and not key.endswith(OPTIMIZED)
    ]
    return min(found, default=None)


def optimize_page() -> str:
    """docs/optimize.md with the figures of today between its marks."""
    before, rest = OPTIMIZE_PAGE.read_text().split(BEGIN)
    _, behind = rest.split(END)
    results = _results("mlperf_tiny")["results"]
    lines = []
    for what in ("instructions", "cycles", "flash", "arena"):
        for optimize in ("", OPTIMIZED):
            rows = [results[f"{model}/corstone-300/arm-clang{optimize}"] for model in MODELS]
            unit = 1e6 if what in ("instructions", "cycles") else 1
            cells = [f"{row[what] / unit:.3f}" if unit > 1 else f"{row[what]:,}" for row in rows]
            lines.append([f"{what}, {optimize.strip('/') or 'speed'}", *cells])
    table = _markdown(["", *(model.upper() for model in MODELS)], lines)
    return f"{before}{BEGIN}\n\n{table}\n{END}{behind}"


def _layers() -> Iterator[str]:
    found = _results("layers")
    yield "## Layer by layer\n"
    yield (
        "Are there layers that are slow for their size? A layer of 24 channels should take little more\n"
        "for each MAC than one of 16 or 32. If it takes much more, this page calls it a cliff. The same\n"
        "goes for a layer above the goal of its family (the column *of*; *times* is how far above), and for\n"
        "one whose outputs have few products each, if it takes over 1.5 times what requantizing them takes\n"
        "at least. `benchmarks/layers.py` prints all layers; here are some curves, and the worst layers of\n"
        "each core.\n"
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
        worst = [item for item in flagged if item[2] != BOUND]
        if worst:
            headings = ["worst layers", "instructions", "cycles", "times", "of"]
            yield _markdown(headings, [_worst(rows[item[0]], *item) for item in worst[:WORST]])
        yield (
            "Pools, additions and other layers that multiply little: cycles for an element of the output,\n"
            "and how many times that is of what to load the inputs and to store the outputs takes. More\n"
            "than 1.5 is a cliff here, although most of these layers have arithmetic that takes longer.\n"
        )
        yield _markdown(["layer", "cycles", "times"], list(_moving(core, measured)))


def _worst(row: Mapping[str, Any], name: str, times: float, of: str) -> list[str]:
    """A layer's line among the worst ones."""
    each = (f"{row[what] / row['units']:.2f}" for what in ("instructions", "cycles"))
    return [f"`{name}`", *each, f"{times:.1f}", of]


def _moving(core: str, rows: Mapping[str, Any]) -> Iterator[list[str]]:
    """The lines of layers that have no bound but that of loads and stores, the worst first."""
    bounds = {name: bound for name, row in rows.items() if (bound := load_store_bound(core, dict(row)))}
    for name in sorted(bounds, key=lambda name: -rows[name]["cycles"] / bounds[name]):
        cycles = rows[name]["cycles"]
        yield [f"`{name}`", f"{cycles / rows[name]['outputs']:.2f}", f"{cycles / bounds[name]:.1f}"]


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
        OPTIMIZE_PAGE.write_text(optimize_page())


if __name__ == "__main__":
    main()
