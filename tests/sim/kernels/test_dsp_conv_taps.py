"""Dilated, grouped and transposed convolutions with SMLAD equal the reference bit for bit."""

import re
from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.host.kernels.test_convolution import convolutions, depthwise, transposed
from tests.sim.kernels.convolution_cases import (
    EPILOGUES,
    Shape,
    case,
    cases,
    differing,
    share_that_varies,
    with_weight_changed,
)
from tests.support.cases import Case, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

BOARD = "mps2-an386"
SHAPES = [
    Shape((1, 9, 11), 16, 12, (3, 3), padding=(2, 2), dilation=(2, 2)),
    Shape((2, 7, 8), 5, 6, (2, 3), (2, 1), (1, 0), (3, 2)),
    Shape((1, 12, 9), 8, 0, (3, 3), padding=(1, 1), copies=2),
    Shape((1, 8, 9), 3, 0, (3, 3), (2, 2), (1, 1), copies=1),
    Shape((1, 14, 6), 2, 0, (5, 1), (1, 1), (4, 0), (2, 1), copies=3),
]


GROUPED = [
    *SHAPES,
    Shape((1, 6, 7), 16, 0, (3, 3), padding=(1, 1), copies=2),
    Shape((1, 5, 5), 3, 0, copies=4),
]


def served() -> list[Case]:
    """Those that no other kernel takes, but that some groups are plain convolutions as one."""
    found = [*convolutions(), *depthwise(), *transposed()]
    plans = plans_on(BOARD, found)
    taken = [any(step.source == "dsp_conv_taps" for step in plan.steps) for plan in plans]
    return [*cases(52, GROUPED), *(one for one, is_taken in zip(found, taken, strict=True) if is_taken)]


@pytest.mark.parametrize(("board", "toolchain"), [(BOARD, "arm-clang"), ("mps2-an505", "arm-gcc")])
def test_equals_the_reference(board: str, toolchain: Toolchain, tmp_path: Path) -> None:
    made = served()
    plans = plans_on(board, made)
    sources = [step.source for plan in plans for step in plan.steps]
    # Of small groups one is quicker as a plain convolution, three are row by row.
    assert set(sources) == {"dsp_conv_taps", "dsp_conv2d", "dsp_depthwise_rows"}
    assert sources.count("dsp_conv2d") == len(EPILOGUES)
    cores = {step.core.name for plan in plans for step in plan.steps if step.core}
    epilogues = {re.sub(r"tile_[\d_]+(or_none_)?", "", name) for name in cores}
    assert {"plain", "half_away", "half_away_clamps", "numbered", "half_away_numbered"} <= epilogues
    assert sum("transpose" in one.operator for one in made) > 20
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(board, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


def test_one_other_weight_is_noticed() -> None:
    given = case(np.random.default_rng(3), SHAPES[0], EPILOGUES[2])
    outputs = run_cases_on(BOARD, [given, with_weight_changed(given)])
    assert differing(outputs[:1], outputs[1:]) == [0]
