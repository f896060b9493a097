"""Instructions that single operator calls take on a board's simulated core: many cases in one image."""

from collections.abc import Sequence

from mcu_build.board import find_board
from mcu_build.cache import Cache
from mcu_build.codegen.kernel_set import KernelSet
from mcu_build.image.elf import Symbol
from mcu_build.profile.measure import Executable, count, read
from mcu_build.resources import data_dir
from tests.support.cases import Case, inputs_of
from tests.support.cases_on_board import plans_on
from tests.support.tables.core import linked_for
from tests.support.tables.host import packed


class _Cases(Executable):
    """The runner of plans that are data; each is an inference."""

    @property
    def run(self) -> Symbol:
        return self.symbol("cases_run")


def counts_on(board_id: str, cases: Sequence[Case]) -> list[int]:
    """Instructions of each case."""
    board, plans = find_board(board_id), plans_on(board_id, cases)
    kernels = KernelSet.of(step for plan in plans for step in plan.steps)
    image = read(linked_for(board, kernels), "cases", board.core)
    executable = _Cases(image.file, image.name, image.core, image.image, image.code)
    inputs = packed(plans, kernels, [inputs_of(cases)])
    counted = count(executable, board, inputs, 300, Cache(data_dir() / "build" / "test-kernels"))
    entries = [executable.kernel_entries(plan.steps[-1].kernel) for plan in plans]
    return [
        sum(next(span for span in spans if not own.isdisjoint(span.counts)).counts.values())
        for spans, own in zip(counted.inferences, entries, strict=True)
    ]
