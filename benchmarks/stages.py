"""Times of the stages beside the number of operators, for large models: benchmarks/large_models.py.

    python benchmarks/stages.py [--board mps2-an386] [--npu NPU] [NAME[=SIZE] ...]

Every model is captured, quantized, lowered, planned and generated from cold, in one process: the time of
importing torch is not among them. Seconds are those of the processor: other load on the machine does not
count. Twice the size should take about twice the time.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time

from large_models import LARGE

from mcu_build.board import find_board
from mcu_build.cache import Cache
from mcu_build.fronts.options import BuildOptions
from mcu_build.stages.lower import lower_model
from mcu_build.stages.planning import plan_program

_MODEL = """
import sys
sys.path.insert(0, {folder!r})
import torch
from large_models import LARGE
torch.manual_seed(0)
made = LARGE[{name!r}]({size})
model, example_inputs, calibration = made.model, made.example_inputs, made.calibration
"""


@dataclass
class _Mark:
    cached: bool = False


@dataclass
class _Times:
    """Seconds of the processor in each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[_Mark]:
        start = process_time()
        yield _Mark()
        self.seconds[name] = process_time() - start

    def step(self, text: str) -> None:
        """Steps are not what is measured."""

    def warn(self, text: str) -> None:
        """Warnings are not what is measured."""


def measured(name: str, size: str, board_name: str, npu_name: str | None) -> str:
    """A row of the table."""
    from mcu_build.codegen.model import generate

    board = find_board(board_name)
    npu = board.choose_npu(npu_name or "none")
    times = _Times()
    with tempfile.TemporaryDirectory() as made:
        file = Path(made) / f"{name}.py"
        file.write_text(_MODEL.format(folder=str(Path(__file__).parent), name=name, size=size))
        options, cache = BuildOptions(board=board.id), Cache(Path(made) / "cache")
        lowered = lower_model(file, board, npu, options, cache, times)
        with times.stage("plan"):
            plan = plan_program(lowered, name, board)
        with times.stage("generate"):
            generate(plan)
    cells = " | ".join(f"{seconds:.1f}" for seconds in times.seconds.values())
    return f"| {name} {size} | {len(plan.steps):,} | {cells} | {sum(times.seconds.values()):.1f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", default="mps2-an386")
    parser.add_argument("--npu")
    parser.add_argument("models", nargs="*", default=list(LARGE), help="NAME or NAME=SIZE")
    given = parser.parse_args()
    print("| model | steps | capture | quantize | lower | plan | generate | all (s) |")
    print("|---|---|---|---|---|---|---|---|")
    for model in given.models:
        name, _, size = model.partition("=")
        print(measured(name, size, given.board, given.npu), flush=True)


if __name__ == "__main__":
    main()
