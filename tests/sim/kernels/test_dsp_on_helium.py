"""The kernels for DSP instructions serve a core with Helium too, where Helium's own decline a layer."""

from pathlib import Path

from mcu_build.board import find_board
from mcu_build.plan.compile import Settings, compile_program
from tests.sim.kernels.convolution_cases import EPILOGUES, cases, differing
from tests.sim.kernels.test_dsp_conv2d import SHAPES
from tests.sim.kernels.test_dsp_depthwise import OTHERS, SQUARE
from tests.sim.kernels.test_dsp_elementwise import KERNELS
from tests.sim.kernels.test_dsp_linear import SIZES, layer
from tests.support.cases import inputs_of, program_of, run_cases, split_outputs
from tests.support.tables.core import run_tables_on


def test_equals_the_reference(tmp_path: Path) -> None:
    made = cases(71, [*SHAPES, *SQUARE, *OTHERS])
    made += [case for name, them in KERNELS.items() if name.startswith("dsp_") for case in them]
    made += [layer(seed, size, EPILOGUES[seed]) for seed, size in enumerate(SIZES[: len(EPILOGUES)])]
    plans = [
        compile_program(program_of(case)[0], f"case_{index}", Settings(("dsp", "reference")))
        for index, case in enumerate(made)
    ]
    assert all(plan.steps[-1].kernel.startswith("dsp_") for plan in plans)
    outputs = run_tables_on(find_board("corstone-300"), plans, [inputs_of(made)])
    (tmp_path / "host").mkdir()
    assert differing(split_outputs(outputs, made), run_cases(made, tmp_path / "host")) == []
