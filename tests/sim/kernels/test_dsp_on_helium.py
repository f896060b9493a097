"""The kernels for DSP instructions serve a core with Helium too, where Helium's own decline a layer."""

from pathlib import Path

from mcu_build.board import find_board
from mcu_build.plan.compile import Settings, compile_program
from mcu_build.simulate import run
from tests.sim.kernels.convolution_cases import EPILOGUES, cases, differing
from tests.sim.kernels.test_dsp_conv2d import SHAPES
from tests.sim.kernels.test_dsp_depthwise import OTHERS, SQUARE
from tests.sim.kernels.test_dsp_elementwise import KERNELS
from tests.sim.kernels.test_dsp_linear import SIZES, layer
from tests.support.cases import program_of, run_cases, split_outputs
from tests.support.cases_on_board import build_cases


def test_equals_the_reference(tmp_path: Path) -> None:
    made = cases(71, [*SHAPES, *SQUARE, *OTHERS])
    made += [case for name, them in KERNELS.items() if name.startswith("dsp_") for case in them]
    made += [layer(seed, size, EPILOGUES[seed]) for seed, size in enumerate(SIZES[: len(EPILOGUES)])]
    programs = [program_of(case) for case in made]
    plans = [
        compile_program(program, f"case_{index}", Settings(("dsp", "reference")))
        for index, (program, _) in enumerate(programs)
    ]
    assert all(plan.steps[-1].kernel.startswith("dsp_") for plan in plans)
    board = find_board("corstone-300")
    image = build_cases(board, "arm-clang", plans, tmp_path / "board")
    inputs = b"".join(array.tobytes() for _, arrays in programs for array in arrays)
    outputs = split_outputs(run(board, image, inputs, timeout=300).outputs, made)
    (tmp_path / "host").mkdir()
    assert differing(outputs, run_cases(made, tmp_path / "host")) == []
