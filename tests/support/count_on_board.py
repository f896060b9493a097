"""Instructions that single operator calls take on a board's simulated core: many cases in one image."""

from collections.abc import Sequence
from pathlib import Path

from mcu_build.board import find_board
from mcu_build.cache import Cache
from mcu_build.image.elf import Symbol
from mcu_build.profile.measure import Executable, count, read
from mcu_build.resources import data_dir
from tests.support.cases import Case, program_of
from tests.support.cases_on_board import build_cases, plans_on


class _Cases(Executable):
    """An image of cases, whose run() is C++."""

    @property
    def run(self) -> Symbol:
        return self.symbol("_ZN5cases3runEv")


def counts_on(board_id: str, cases: Sequence[Case], folder: Path) -> list[int]:
    """Instructions of each case. `folder` is for the build (tmp_path)."""
    board, plans = find_board(board_id), plans_on(board_id, cases)
    image = read(build_cases(board, "arm-clang", plans, folder), "cases", board.core)
    executable = _Cases(image.file, image.name, image.core, image.image, image.code)
    inputs = b"".join(array.tobytes() for case in cases for array in program_of(case)[1])
    counted = count(executable, board, inputs, 300, Cache(data_dir() / "build" / "test-kernels"))
    spans = iter(counted.inferences[0])
    entries = [executable.kernel_entries(plan.steps[-1].kernel) for plan in plans]
    # The call of a kernel, without what poisons memory before it.
    return [
        next(sum(span.counts.values()) for span in spans if not own.isdisjoint(span.counts))
        for own in entries
    ]
