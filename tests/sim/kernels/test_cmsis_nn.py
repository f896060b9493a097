"""CMSIS-NN in place of our kernels, by a stand-in for the library: how it is called, found and refused.

tests/support/cmsis_nn says what the stand-in does. The library itself is not here (docs/cmsis-nn.md).
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.codegen.cmsis_nn import CmsisNn, find_cmsis_nn
from mcu_build.codegen.target import target
from mcu_build.errors import McuError
from mcu_build.resources import data_dir
from tests.sim.kernels.convolution_cases import EPILOGUES, Shape, cases, differing, share_that_varies
from tests.sim.kernels.test_dsp_linear import layer
from tests.sim.kernels.test_mve_elementwise import average, every_pair, short_sum
from tests.support.cases import CHANNELS_LAST, Case, Out, T, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on
from tests.support.cli import mcu_build

BOARD = "mps2-an386"
NAMED = ("conv2d", "depthwise_conv2d", "linear", "add", "mul", "avg_pool2d", "max_pool2d")
SHAPES = [
    Shape((1, 5, 5), 64, 12),
    Shape((2, 7, 5), 3, 8, (3, 3), (2, 1), (1, 1)),
    Shape((1, 9, 9), 5, 3, (2, 3), (1, 2), (0, 1), dilation=(2, 1)),
    Shape((1, 1, 20), 4, 5, (1, 7), (1, 3), (0, 3)),
    Shape((1, 6, 5), 8, 0, (3, 3), padding=(1, 1), copies=1),
    Shape((1, 6, 5), 3, 0, (2, 2), copies=4),
    Shape((1, 20, 9), 1, 0, (10, 4), (2, 2), (4, 1), copies=20),
]


def product() -> Case:
    """All pairs of values multiplied."""
    values = np.arange(-128, 128).astype(np.int8)
    operands = T(np.repeat(values, 256)), T(np.tile(values, 256))
    arguments = [operands[0], -3, operands[1], 20, 5, 1518500250, -7]
    return Case("cortex_m::quantized_mul.out", arguments, [Out((65536,), "int8")])


def maximum() -> Case:
    """The largest of overlapping windows, clamped."""
    x = np.random.default_rng(8).integers(-128, 128, (1, 6, 9, 8)).astype(np.int8)
    windows = [[3, 2], [2, 2], [1, 1], [1, 1], False]
    arguments = [T(x, CHANNELS_LAST), *windows, 4, 4, -100, 90]
    return Case("cortex_m::quantized_max_pool2d.out", arguments, [Out((1, 6, 5, 5), "int8", CHANNELS_LAST)])


def every_operator() -> list[Case]:
    """Cases of every operator that CMSIS-NN serves."""
    made = [*cases(81, SHAPES), every_pair((25, 1 << 30, 0), (-128, 1676959986, -2), (-128, 1190280823, -17))]
    made += [
        layer(seed, size, EPILOGUES[seed]) for seed, size in enumerate([(1, 64, 12), (3, 17, 5), (2, 8, 1)])
    ]
    # Windows of an even number of pixels have ties.
    windows = (((1, 5, 9, 8), (3, 3), (0, 0)), ((1, 4, 8, 8), (2, 2), (0, 0)), ((1, 4, 9, 8), (3, 3), (1, 1)))
    made += [average(*window) for window in windows]
    return [*made, short_sum(33), product(), maximum()]


def library(folder: Path, *defines: str, board: str = BOARD) -> CmsisNn:
    """The stand-in, compiled for a board as a user's CMSIS-NN would be, and found."""
    stand_in, firmware = data_dir() / "tests/support/cmsis_nn", data_dir() / "firmware"
    options = target(find_board(board), "arm-gcc")
    names = ("conv2d", "depthwise_conv2d", "linear", "add", "mul", "pool")
    sources = [stand_in / "stand_in.cpp", *(firmware / "kernels/reference" / f"{n}.cpp" for n in names)]
    (folder / "include").mkdir(parents=True)
    (folder / "lib").mkdir()
    (folder / "include/arm_nnfunctions.h").write_bytes((stand_in / "arm_nnfunctions.h").read_bytes())
    flags = [*options.compile_options, f"-I{firmware / 'include'}", f"-I{folder / 'include'}", *defines]
    compiled = process.run([options.cxx, *flags, "-c", *sources], cwd=folder)
    assert compiled.status == 0, compiled.stderr
    objects = sorted(folder.glob("*.o"))
    process.run([options.archiver, "rcs", folder / "lib/libcmsis-nn.a", *objects], cwd=folder)
    return find_cmsis_nn(folder)


@pytest.mark.parametrize(("board", "defines"), [(BOARD, ()), ("corstone-300", ("-DSUMS=1",))])
def test_every_operator_is_called_as_the_library_wants(
    board: str, defines: tuple[str, ...], tmp_path: Path
) -> None:
    found, made = library(tmp_path / "nn", *defines, board=board), every_operator()
    kernels = [plan.steps[0].kernel for plan in plans_on(board, made, found)]
    assert {f"cmsis_nn_{name}_s8" for name in NAMED} == {k for k in kernels if k.startswith("cmsis_nn")}
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(board, made, "arm-gcc", found), wanted) == []
    assert share_that_varies(wanted) > 0.9


def test_a_library_with_a_mistake_is_noticed(tmp_path: Path) -> None:
    found, made = library(tmp_path / "nn", "-DMISTAKE=1"), every_operator()
    served = [
        index for index, plan in enumerate(plans_on(BOARD, made, found)) if plan.steps[0].source == "cmsis_nn"
    ]
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(BOARD, made, "arm-gcc", found), wanted) == served


def test_a_library_that_wants_more_than_was_planned_ends_in_a_fault(tmp_path: Path) -> None:
    found = library(tmp_path / "nn", "-DGREEDY=1")
    with pytest.raises(McuError) as caught:
        run_cases_on(BOARD, cases(82, SHAPES[1:2])[:1], "arm-gcc", found)
    assert caught.value.exit_code == 4


def test_nothing_overlaps_what_the_library_reads(tmp_path: Path) -> None:
    made = every_operator()
    named = CmsisNn(tmp_path, tmp_path / "libcmsis-nn.a")
    plans = [plan for plan in plans_on(BOARD, made, named) if plan.steps[0].source == "cmsis_nn"]
    assert len(plans) > len(made) // 2
    for plan in plans:
        (step,) = plan.steps
        places = sorted(
            (plan.offset(id), plan.offset(id) + plan.tensors[id].nbytes)
            for id in {*step.reads, *step.writes}
            if not plan.owner(id).is_constant
        )
        assert all(end <= start for (_, end), (start, _) in pairwise(places))


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    model = tmp_path / "model.pte"
    model.touch()
    words = ["build", "--board", BOARD, model, "--build-dir", tmp_path]
    result = mcu_build(*words, "--kernels", "cmsis-nn")
    assert (result.status, result.out) == (3, "") and "there is no --cmsis-nn DIR" in result.err
    (tmp_path / "arm_nnfunctions.h").touch()
    result = mcu_build(*words, "--kernels", "cmsis-nn", "--cmsis-nn", tmp_path)
    assert result.status == 3 and f"{tmp_path}: libcmsis-nn.a: in neither" in result.err
    result = mcu_build(*words, "--cmsis-nn", tmp_path)
    assert result.status == 2 and "Add --kernels cmsis-nn" in result.err
    result = mcu_build(*words, "--kernels", "cmsis-nn", "--runtime", "executorch")
    assert result.status == 2 and "Leave out --runtime" in result.err
    assert {file.name for file in tmp_path.iterdir()} == {"arm_nnfunctions.h", model.name}
