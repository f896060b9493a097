"""Whole nets: instructions, modelled cycles, flash and RAM; int8 inputs and outputs, random weights.

    .venv/bin/python benchmarks/nets.py                        # all on Cortex-M55 and Cortex-M4
    .venv/bin/python benchmarks/nets.py --nets kws tcn --boards corstone-300 --write
    .venv/bin/python benchmarks/nets.py --boards corstone-300 --cmsis-nn DIR --write  # docs/cmsis-nn.md

The four of MLPerf Tiny; MobileNetV2 0.35, MobileNetV3-Small 0.5 and EfficientNet-Lite0 on 96x96; and four
written for this: nets as MCUNet and BC-ResNet, a temporal convolutional net, a small vision transformer.
--write keeps them in benchmarks/results/nets.json.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "mlperf_tiny"))

from run import TIMEOUT, Quiet  # noqa: E402

from mcu_build.board import find_board  # noqa: E402
from mcu_build.cache import Cache  # noqa: E402
from mcu_build.errors import McuError  # noqa: E402
from mcu_build.fronts.options import BuildOptions  # noqa: E402
from mcu_build.profile.measure import profile  # noqa: E402
from mcu_build.stages.pipeline import build  # noqa: E402
from mcu_build.stages.request import request_on  # noqa: E402
from mcu_build.verify.prove import own_inputs  # noqa: E402

RESULTS = HERE / "results" / "nets.json"
NETS: Mapping[str, Path] = {
    **{name: HERE / "mlperf_tiny" / "models" / f"{name}.py" for name in ("kws", "vww", "ic", "ad")},
    "mobilenet_v2_035": HERE.parent / "tests" / "models" / "mobilenet_v2_035.py",
    **{
        name: HERE / "nets_models" / f"{name}.py"
        for name in (
            *("mobilenet_v3_small_05", "efficientnet_lite0", "mcunet_like"),
            *("bc_resnet", "tcn", "tiny_vit"),
        )
    },
}


def measure(net: str, board_name: str, toolchain: Any, folder: Path, cmsis_nn: Path | None) -> dict[str, Any]:
    """One net on one board, on CMSIS-NN where its folder is given. McuError where that fails."""
    own = HERE / "mlperf_tiny" / f"{board_name}.toml"
    board, cache = find_board(str(own) if own.is_file() else board_name), Cache()
    options = BuildOptions(
        board=board.id,
        npu="none",
        io="int8",
        toolchain=toolchain,
        kernels="cmsis-nn" if cmsis_nn else "ours",
        cmsis_nn=cmsis_nn,
        build_dir=folder,
    )
    built = build(request_on(board, NETS[net], options), cache, Quiet())
    found = profile(built, board, own_inputs(built), TIMEOUT, cache)
    memory = built.manifest.memory
    return {
        "core": board.core,
        "macs": found.macs,
        "instructions": found.total.instructions,
        "cycles": found.total.cycles,
        "arena": memory["arena"],
        "constants": memory["constants"],
        "flash": built.manifest.flash["total"],
        "dearest": [
            [kernel.name, kernel.cost.cycles, kernel.macs]
            for kernel in sorted(found.kernels, key=lambda kernel: -(kernel.cost.cycles or 0))[:5]
        ],
    }


def main() -> int:
    """Measure what was asked for."""
    options = _options()
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    failed = 0
    for net in options.nets:
        for board in options.boards:
            key = f"{net}/{board}/{options.toolchain}{'/cmsis-nn' if options.cmsis_nn else ''}"
            try:
                row = measure(net, board, options.toolchain, options.build_dir, options.cmsis_nn)
            except McuError as error:
                failed += 1
                print(f"{key:<42} {error.message.splitlines()[0]}", file=sys.stderr)
                continue
            kept[key] = row
            print(
                f"{key:<42} {row['instructions']:>12,} instructions {row['cycles']:>12,} cycles, modelled "
                f"{row['cycles'] / row['macs']:.3f} a MAC; flash {row['flash']:,}, arena {row['arena']:,}"
            )
            if options.write:
                RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS), metavar="NET")
    parser.add_argument("--boards", nargs="+", default=["corstone-300", "mps2-an386"], metavar="BOARD")
    parser.add_argument("--toolchain", default="arm-clang")
    parser.add_argument("--cmsis-nn", type=Path, metavar="DIR", help="with CMSIS-NN's kernels")
    parser.add_argument("--build-dir", type=Path, default=Path("build/nets"))
    parser.add_argument("--write", action="store_true", help="keep the figures")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
