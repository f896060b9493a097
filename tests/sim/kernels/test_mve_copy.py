"""Helium's copy moves bytes that overlap either way as memmove does."""

from pathlib import Path

import pytest

from mcu_build.board import find_board
from mcu_build.codegen.target import Toolchain
from mcu_build.resources import data_dir
from mcu_build.simulate import run
from tests.support.image import build_image, expected, fake_model, vector

# Every length to 70 at every distance to 40 either way, beside memmove on the same bytes.
BEFORE = """
#include <cstring>
#include "SOURCE"
static bool copies() {
    unsigned char ours[200], theirs[200];
    for (int bytes = 0; bytes <= 70; ++bytes) {
        for (int distance = -40; distance <= 40; ++distance) {
            for (int i = 0; i < 200; ++i) ours[i] = theirs[i] = static_cast<unsigned char>(7 * i);
            mcu::kernels::copy(mcu::kernels::CopyParams{bytes}, ours + 60, ours + 60 + distance);
            std::memmove(theirs + 60 + distance SHIFT, theirs + 60, static_cast<unsigned>(bytes));
            if (std::memcmp(ours, theirs, 200) != 0) return false;
        }
    }
    return true;
}
"""


@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
@pytest.mark.parametrize("shift", ["", "+ 1"])
def test_copies_as_memmove(toolchain: Toolchain, shift: str, tmp_path: Path) -> None:
    before = BEFORE.replace("SOURCE", str(data_dir() / "firmware/kernels/mve/copy.cpp"))
    model = fake_model("corrupt = !copies();", before.replace("SHIFT", shift))
    board = find_board("corstone-300")
    image = build_image(tmp_path, board, toolchain, model)
    right = run(board, image, vector(5), 60).outputs == expected(vector(5))
    assert right == (shift == "")
