"""Run single operator calls on a board's simulated core, with the kernels that a build for it would take.

A case is data: its plan and its inputs. One image with the kernels that the cases of a test call runs them
all; it is kept, so that a further case costs no compiler.
"""

from collections.abc import Sequence

import numpy as np

from mcu_build.board import find_board
from mcu_build.codegen.cmsis_nn import CmsisNn
from mcu_build.codegen.target import Toolchain, kernel_folders
from mcu_build.ir.plan import Optimize, Plan
from mcu_build.plan.compile import Settings, compile_program
from tests.support.cases import Case, inputs_of, program_of, split_outputs
from tests.support.tables.core import run_tables_on


def plans_on(
    board_id: str,
    cases: Sequence[Case],
    cmsis_nn: CmsisNn | None = None,
    optimize: Optimize = "speed",
) -> list[Plan]:
    """The plan of each case for a board: which kernels serve it there."""
    folders = kernel_folders(find_board(board_id), cmsis_nn)
    return [
        compile_program(program_of(case)[0], f"case_{index}", Settings(folders, optimize=optimize))
        for index, case in enumerate(cases)
    ]


def run_cases_on(
    board_id: str,
    cases: Sequence[Case],
    toolchain: Toolchain = "arm-clang",
    cmsis_nn: CmsisNn | None = None,
    optimize: Optimize = "speed",
) -> list[list[np.ndarray]]:
    """The used outputs of every case, in the model's dimensions."""
    plans = plans_on(board_id, cases, cmsis_nn, optimize)
    outputs = run_tables_on(find_board(board_id), plans, [inputs_of(cases)], toolchain, cmsis_nn, optimize)
    return split_outputs(outputs, cases)
