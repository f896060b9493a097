"""Helium's convolutions equal the reference kernel bit for bit, on the simulated core."""

from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.convolution_cases import (
    PLAIN,
    STAGES,
    Shape,
    case,
    cases,
    differing,
    share_that_varies,
    with_weight_changed,
)
from tests.support.cases import run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

BOARD = "corstone-300"

POINTWISE = {
    kernel: [
        Shape((1, 5, 5), channels, 12),
        Shape((2, 3, 1), channels, 7),  # the last pixels' tile spans rows
        Shape((1, 1, 4), channels, 16),
    ]
    for kernel, channels in (
        *((f"mve_tiles_1x1_{channels}_s8", channels) for channels in (8, 16, 32, 64, 128, 256)),
        ("mve_pointwise_s8", 48),
    )
}
SQUARE = {
    f"mve_tiles_3x3_{prefix}{channels}_": [
        Shape((1, 9, 10), channels, 8, (3, 3), (stride, stride)),
        Shape((2, 7, 11), channels, 5, (3, 3), (stride, stride), (1, 1)),
        Shape((1, 5, 8), channels, 4, (3, 3), (stride, stride), (0, 2)),
    ]
    for prefix, stride, channels in (
        *(("", 1, channels) for channels in (3, 8, 16, 32, 64)),
        *(("stride_2_", 2, 3), ("stride_2_", 2, 16), ("stride_2_", 2, 32)),
    )
}
STRIDED = {
    f"mve_tiles_1x1_stride_2_{channels}_": [
        Shape((1, 9, 9), channels, 8, stride=(2, 2)),
        Shape((2, 6, 8), channels, 7, stride=(2, 2)),
    ]
    for channels in (16, 32)
}
PATCHES = {
    "mve_conv_patches_16": [
        Shape((1, 9, 9), 1, 8, (3, 3), padding=(1, 1)),
        Shape((1, 9, 9), 1, 8, (3, 3), (2, 3)),
    ],
    "mve_conv_patches_32": [
        Shape((1, 2, 1), 17, 5),
        Shape((1, 9, 9), 3, 8, (3, 3), (2, 1), (1, 1)),
        Shape((1, 9, 3), 3, 17, (3, 3), padding=(1, 1)),
    ],
    "mve_conv_patches_48": [
        Shape((1, 9, 8), 6, 3, (2, 3), (4, 5), (0, 1)),
        Shape((1, 9, 9), 5, 6, (3, 3), padding=(2, 2), dilation=(2, 2)),
        Shape((1, 20, 9), 1, 0, (10, 4), (2, 2), (4, 1), copies=20),
    ],
    "mve_conv_patches_s8": [
        Shape((1, 1, 1), 49, 5),
        Shape((1, 1, 2), 64, 8),
        Shape((2, 2, 2), 20, 6, (2, 2), padding=(1, 1)),
        Shape((1, 4, 5), 9, 6, (3, 3), padding=(1, 1)),
        Shape((1, 20, 1), 12, 33, (5, 1), (2, 1), (4, 0), (2, 1)),
        Shape((3, 3, 3), 19, 2, (3, 3), (3, 3)),
        Shape((1, 9, 8), 9, 3, (2, 3), (4, 5), (0, 1)),
    ],
}
KERNELS = {**POINTWISE, **SQUARE, **STRIDED, **PATCHES}


@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
@pytest.mark.parametrize(
    "group", [POINTWISE, SQUARE, STRIDED, PATCHES], ids=["pointwise", "square", "strided", "patches"]
)
def test_equals_the_reference(group: dict[str, list[Shape]], toolchain: Toolchain, tmp_path: Path) -> None:
    made = cases(31, [shape for shapes in group.values() for shape in shapes], extra=2)
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(BOARD, made, tmp_path / "board", toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
def test_general_kernels_serve_every_shape_where_size_counts(toolchain: Toolchain, tmp_path: Path) -> None:
    made = cases(37, [shapes[0] for shapes in KERNELS.values()])
    kernels = {plan.steps[-1].kernel for plan in plans_on(BOARD, made, optimize="size")}
    assert kernels == {"mve_pointwise_s8", "mve_conv_patches_s8"}
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(BOARD, made, tmp_path / "board", toolchain, optimize="size"), wanted) == []


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_kernel_is_the_one_for_the_shape(kernel: str) -> None:
    for plan in plans_on(BOARD, [case(np.random.default_rng(1), shape, PLAIN) for shape in KERNELS[kernel]]):
        assert plan.steps[-1].kernel.startswith(kernel)


def test_one_other_weight_is_noticed(tmp_path: Path) -> None:
    given = case(np.random.default_rng(3), Shape((1, 9, 9), 64, 12), STAGES[2])
    outputs = run_cases_on(BOARD, [given, with_weight_changed(given)], tmp_path)
    assert differing(outputs[:1], outputs[1:]) == [0]


def test_a_shift_to_the_left_goes_elsewhere() -> None:
    given = case(np.random.default_rng(4), Shape((1, 5, 5), 64, 12), PLAIN)
    arguments = list(given.arguments)
    arguments[9].array[3] = 1
    (plan,) = plans_on(BOARD, [given])
    assert not any(step.kernel.startswith("mve_") for step in plan.steps)
