"""MLPerf Tiny's four nets on every simulated board with both compilers: instructions, RAM, flash, start-up.

    python benchmarks/mlperf_tiny/run.py [--boards ...] [--models ...] [--toolchains ...] [--write | --check]
    python benchmarks/mlperf_tiny/run.py --boards corstone-300 --toolchains arm-clang --optimize size --write

Prints the tables of what was measured; what fails is printed, and makes the exit status 1. --write puts it,
together with what was measured before, into benchmarks/results/mlperf_tiny.json; benchmarks/page.py makes
docs/performance.md and a table of docs/optimize.md of that. --check compares with it and exits with 1 where
anything has grown by more than 1 %.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from figures import MODELS
from tables import document

from mcu_build.board import find_board
from mcu_build.cache import Cache
from mcu_build.errors import McuError
from mcu_build.fronts.options import BuildOptions
from mcu_build.profile.measure import profile
from mcu_build.stages.pipeline import build
from mcu_build.stages.request import request_on
from mcu_build.verify.prove import own_inputs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TABLE = ROOT / "benchmarks" / "results" / "mlperf_tiny.json"
BOARDS = ("corstone-300", "mps2-an505", "mps2-an500", "mps2-an386", "mps2-an385", "microbit", "cortex-m0")
TOOLCHAINS = ("arm-clang", "arm-gcc")
TIMEOUT = 300.0
# What may not grow, and by how much.
WATCHED = ("instructions", "arena", "flash", "startup")
TOLERANCE = 0.01

Result = Mapping[str, Any]


@dataclass
class _Mark:
    cached: bool = False


@dataclass
class Quiet:
    """Progress without a word; warnings are those of the models, which the tests know."""

    mark: _Mark = field(default_factory=_Mark)

    @contextmanager
    def stage(self, name: str) -> Iterator[_Mark]:
        """Nothing is printed."""
        yield self.mark

    def step(self, text: str) -> None:
        """Nothing is printed."""

    def warn(self, text: str) -> None:
        """Nothing is printed."""


def measure(model: str, board_name: str, toolchain: Any, build_root: Path, optimize: Any = "speed") -> Result:
    """One row of the table; {"error": ...} where the model is too large for the board."""
    own = HERE / f"{board_name}.toml"
    board, cache = find_board(str(own) if own.is_file() else board_name), Cache()
    options = BuildOptions(
        board=board.id,
        npu="none",
        io="int8",
        optimize=optimize,
        toolchain=toolchain,
        build_dir=build_root,
    )
    request = request_on(board, HERE / "models" / f"{model}.py", options)
    try:
        built = build(request, cache, Quiet())
    except McuError as error:
        text = error.message.splitlines()[0]
        if not re.search(r"needs [\d,]+ bytes", text):
            raise
        return {"error": text}
    found = profile(built, board, own_inputs(built), TIMEOUT, cache)
    manifest = built.manifest
    return {
        "core": board.core,
        "instructions": found.total.instructions,
        "vector_instructions": found.total.vector_instructions,
        "cycles": found.total.cycles,
        "macs": found.macs,
        "arena": manifest.memory["arena"],
        "flash": manifest.flash["total"] - manifest.memory["constants"],
        "startup": found.startup.instructions,
        "kernels": {kernel.name: [kernel.cost.instructions, kernel.macs] for kernel in found.kernels},
    }


def grown(key: str, now: Result, before: Result | None) -> Iterator[str]:
    """What is worse than in the committed table, in words."""
    if before is None:
        yield f"{key}: not in {TABLE.name}; run with --write"
    elif "error" in now:
        if "error" not in before:
            yield f"{key}: {now['error']}"
    elif "error" not in before:
        for what in WATCHED:
            if now[what] > before[what] * (1 + TOLERANCE):
                yield f"{key}: {what}: {now[what]:,}, the table has {before[what]:,}"


def main() -> int:
    """Measure what was asked for."""
    options = _options()
    results: dict[str, Result] = {}
    wrong: list[str] = []
    # Boards inside models: a model is captured and quantized once.
    for model in options.models:
        for board in options.boards:
            for toolchain in options.toolchains:
                key = f"{model}/{board}/{toolchain}"
                try:
                    results[key] = measure(model, board, toolchain, options.build_dir, options.optimize)
                except McuError as error:
                    wrong.append(f"{key}: {error.message.splitlines()[0]}")
                    print(wrong[-1], file=sys.stderr)
                    continue
                count = results[key].get("instructions")
                text = f"{count:>14,}" if count else results[key]["error"]
                print(f"{key:<32} {text}", file=sys.stderr)
    committed = json.loads(TABLE.read_text())["results"] if TABLE.is_file() else {}
    print(document(results))
    results = {f"{key}/{options.optimize}".removesuffix("/speed"): row for key, row in results.items()}
    if options.write:
        merged = {**committed, **results}
        ordered = {key: merged[key] for key in sorted(merged)}
        TABLE.write_text(json.dumps({"schema": 1, "results": ordered}, indent=1) + "\n")
    if options.check:
        worse = [line for key, now in results.items() for line in grown(key, now, committed.get(key))]
        print("\n".join(worse), file=sys.stderr)
        wrong += worse
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, values in (("models", MODELS), ("boards", BOARDS), ("toolchains", TOOLCHAINS)):
        parser.add_argument(
            f"--{name}", nargs="+", choices=values, default=values, metavar="NAME", help=", ".join(values)
        )
    parser.add_argument("--optimize", choices=("speed", "size"), default="speed")
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="where build folders go")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help=f"update {TABLE.name}")
    what.add_argument("--check", action="store_true", help=f"fail where anything grew beside {TABLE.name}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
