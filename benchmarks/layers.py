"""About 150 layers, several in one image: instructions and modelled cycles for each MAC, and cliffs.

    .venv/bin/python benchmarks/layers.py                              # Cortex-M55
    .venv/bin/python benchmarks/layers.py --boards mps2-an386 --families depthwise grouped
    .venv/bin/python benchmarks/layers.py --write                      # into benchmarks/results/layers.json

Layers without multiplications are given for each element of their output. A layer is a cliff where it takes
more than its family's goal, or more than LIMIT times the curve through its neighbours of 16, 32, 64 and 128
channels. Where an output has few products, the goal is OTHERS times what to requantize it and to multiply
takes at least (`least`). Pools and what else only moves or maps elements may take OTHERS times what to load
its inputs and to store its outputs takes, each once (`load_store_bound`).
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "mlperf_tiny"), str(HERE)]

from run import TIMEOUT, Quiet  # noqa: E402
from sweep.shapes import Layer, layers, model_text  # noqa: E402

from mcu_build.board import find_board  # noqa: E402
from mcu_build.cache import Cache  # noqa: E402
from mcu_build.errors import McuError  # noqa: E402
from mcu_build.fronts.options import BuildOptions  # noqa: E402
from mcu_build.plan import choice  # noqa: E402
from mcu_build.profile.measure import profile  # noqa: E402
from mcu_build.stages.pipeline import build  # noqa: E402
from mcu_build.stages.request import request_on  # noqa: E402
from mcu_build.verify.prove import own_inputs  # noqa: E402

RESULTS = HERE / "results" / "layers.json"
# Cycles for a multiply-accumulate that no kernel can undercut: Helium's product of 16 bytes holds its pipe
# for two cycles, the DSP extension's SMLAD of two takes one, a product alone one, and on M0 an addition
# with it.
BOUNDS: Mapping[str, float] = {
    "cortex-m55": 0.125,
    "cortex-m85": 0.125,
    "cortex-m7": 0.5,
    "cortex-m4": 0.5,
    "cortex-m33": 0.5,
    "cortex-m3": 1.0,
    "cortex-m0": 2.0,
    "cortex-m0plus": 2.0,
}
# How far above the curve of its neighbours a layer may be.
LIMIT: Mapping[str, float] = {"cortex-m55": 1.2, "cortex-m4": 1.3, "cortex-m33": 1.3, "cortex-m7": 1.3}
OTHERS = 1.5
# Instructions for a multiply-accumulate, by family.
HELIUM = {"stem": 0.35, "depthwise": 0.75, "grouped": 1.0, "transposed": 0.3}
DSP = {"stem": 1.6, "depthwise": 2.6, "grouped": 2.0}
GOALS: Mapping[str, Mapping[str, float]] = {
    "cortex-m55": HELIUM,
    "cortex-m4": DSP,
    "cortex-m33": DSP,
    "cortex-m7": DSP,
}
# Bytes that a core loads or stores in a cycle, and the families that have no other bound.
MOVED: Mapping[str, int] = {"cortex-m55": 8, "cortex-m4": 4, "cortex-m33": 4, "cortex-m7": 8}
MOVING = ("pool", "elementwise", "softmax", "norm", "resize")
BOUND = "load-store bound"
# Instructions to requantize an output. Helium: bias, multiplier, addend, shift, narrowing and store of four.
# DSP: multiplier with addend, shift, saturation, store.
REQUANTIZED: Mapping[str, float] = {
    "cortex-m55": 6 / 4,
    "cortex-m4": 4,
    "cortex-m33": 4,
    "cortex-m7": 4,
}
Row = dict[str, Any]


def measure(
    board_name: str, chosen: Sequence[Layer], toolchain: Any, folder: Path, bits: int = 8
) -> dict[str, Row]:
    """Each layer's counts; {"error": ...} where it cannot be built."""
    own = HERE / "mlperf_tiny" / f"{board_name}.toml"
    board, cache = find_board(str(own) if own.is_file() else board_name), Cache()
    model = folder / f"sweep_{chosen[0].family.replace('x', '_')}.py"
    model.parent.mkdir(parents=True, exist_ok=True)
    model.write_text(model_text(chosen, bits))
    options = BuildOptions(
        board=board.id, npu="none", io="int8", toolchain=toolchain, build_dir=folder / "build"
    )
    request = request_on(board, model, options)
    try:
        # Each layer is measured as if it were the whole net: its kernel is worth any code.
        with mock.patch.object(choice, "BYTES", math.inf):
            built = build(request, cache, Quiet())
        found = profile(built, board, own_inputs(built), TIMEOUT, cache)
    except McuError as error:
        if len(chosen) == 1:
            return {chosen[0].name: {"family": chosen[0].family, "error": error.message.splitlines()[0]}}
        # One of them: halves, to tell which.
        middle = len(chosen) // 2
        parts = (chosen[:middle], chosen[middle:])
        return {
            name: row
            for part in parts
            for name, row in measure(board_name, part, toolchain, folder, bits).items()
        }
    rows: dict[str, Row] = {}
    for layer in chosen:
        steps = [step for step in found.layers if layer.name in step.name.partition(" ")[0].split(".")]
        macs = sum(step.macs for step in steps)
        shape = max((step.shape for step in steps), key=math.prod, default=())
        units = macs or math.prod(shape)
        rows[layer.name] = {
            "family": layer.family,
            "curve": layer.curve,
            "at": layer.at,
            "macs": macs,
            "units": units,
            "outputs": math.prod(shape),
            "moved": layer.inputs * math.prod(layer.shape) + math.prod(shape),
            "instructions": sum(step.cost.instructions for step in steps),
            "cycles": sum(step.cost.cycles or 0 for step in steps),
            "kernels": [step.kernel for step in steps],
        }
    return rows


def ratios(rows: Mapping[str, Row]) -> dict[str, float]:
    """How many times the curve of its neighbours a layer takes in cycles, where it has one."""
    found: dict[str, float] = {}
    for name, row in rows.items():
        expected = _expected(row, rows) if row.get("curve") else None
        if expected:
            found[name] = row["cycles"] / row["units"] / expected
    return found


def _expected(row: Row, rows: Mapping[str, Row]) -> float | None:
    """Cycles a unit on the line through the neighbours that are powers of two, in logarithms."""
    anchors = sorted(
        (other["at"], other["cycles"] / other["units"])
        for other in rows.values()
        if other.get("curve") == row["curve"] and other["at"].bit_count() == 1 and other["at"] >= 16
    )
    below = [anchor for anchor in anchors if anchor[0] <= row["at"]]
    above = [anchor for anchor in anchors if anchor[0] >= row["at"]]
    if not below or not above:
        return None
    (x0, y0), (x1, y1) = below[-1], above[0]
    part = math.log(row["at"] / x0) / math.log(x1 / x0) if x1 > x0 else 0.0
    return math.exp((1 - part) * math.log(y0) + part * math.log(y1))


def least(core: str, products: float) -> float:
    """Instructions that an output of so many products takes on any kernel, beside loads.

    Helium multiplies four lanes, or 16 bytes into a sum, of which two are moved at once; DSP two at once.
    """
    if core == "cortex-m55":
        return REQUANTIZED[core] + min(products / 4, math.ceil(products / 16) + 1 / 2)
    return REQUANTIZED[core] + math.ceil(products / 2)


def goal_of(core: str, row: Row) -> float | None:
    """Instructions for a multiply-accumulate that a layer may take, where its family has a goal."""
    goal = GOALS.get(core, {}).get(row["family"])
    if goal is None or "error" in row:
        return None
    products = row["macs"] / row["outputs"]
    return max(goal, OTHERS * least(core, products) / products)


def load_store_bound(core: str, row: Row) -> float | None:
    """Cycles to load the inputs of a layer and to store its outputs, where it has no other bound."""
    return row["moved"] / MOVED[core] if core in MOVED and row["family"] in MOVING else None


def cliffs(core: str, rows: Mapping[str, Row]) -> Iterator[tuple[str, float, str]]:
    """Layers above the curve or above the goal: name, how many times, of what."""
    limit = LIMIT.get(core, OTHERS)
    above = ratios(rows)
    for name, row in rows.items():
        if above.get(name, 0) > limit:
            yield name, above[name], "the curve of its neighbours"
        goal = goal_of(core, row)
        if goal and row["instructions"] / row["units"] > goal:
            yield name, row["instructions"] / row["units"] / goal, f"{goal:.3g} instructions"
        bound = None if "error" in row else load_store_bound(core, row)
        if bound and row["cycles"] > OTHERS * bound:
            yield name, row["cycles"] / bound, BOUND


def table(core: str, rows: Mapping[str, Row]) -> str:
    """All layers of a core as text."""
    above = ratios(rows)
    flagged = {name for name, _, _ in cliffs(core, rows)}
    bound = BOUNDS.get(core, 1.0)
    lines = [f"{core}: bound {bound:g} cycles a MAC", ""]
    lines.append(f"{'layer':<38} {'units':>9} {'instr':>8} {'cycles':>8} {'bound':>6} {'curve':>6}")
    for name, row in rows.items():
        if "error" in row:
            lines.append(f"{name:<38} {row['error']}")
            continue
        cycles = row["cycles"] / row["units"]
        times = f"{cycles / bound:.1f}" if row["macs"] else "-"
        curve = f"{above[name]:.2f}" if name in above else "-"
        lines.append(
            f"{name:<38} {row['units']:>9,} {row['instructions'] / row['units']:>8.3f} {cycles:>8.3f} "
            f"{times:>6} {curve:>6}{'  cliff' if name in flagged else ''}"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Sweep what was asked for."""
    options = _options()
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for board in options.boards:
        rows: dict[str, Row] = {}
        core = "cortex-m0" if board == "cortex-m0" else find_board(board).core
        for family in options.families:
            chosen = [layer for layer in layers() if layer.family == family]
            rows |= measure(board, chosen, options.toolchain, options.build_dir, options.bits)
            print(f"{board}: {family}: {len(chosen)} layers", file=sys.stderr)
            kept[core] = {**kept.get(core, {}), **rows}
            if options.write and options.bits == 8:
                RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
        print(table(core, rows))
        print("".join(f"cliff: {name}: {times:.2f} times {of}\n" for name, times, of in cliffs(core, rows)))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    families = list(dict.fromkeys(layer.family for layer in layers()))
    parser.add_argument("--boards", nargs="+", default=["corstone-300"], metavar="BOARD")
    parser.add_argument("--families", nargs="+", default=families, choices=families, metavar="FAMILY")
    parser.add_argument("--toolchain", default="arm-clang")
    parser.add_argument("--bits", type=int, default=8, choices=(8, 16), help="of activations")
    parser.add_argument("--build-dir", type=Path, default=Path("build/sweep"))
    parser.add_argument("--write", action="store_true", help="keep the figures, those of 8 bits")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
