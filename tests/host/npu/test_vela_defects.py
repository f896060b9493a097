"""Where Vela 5.1 compiles wrong streams, or none: the model follows the stream, so that it shows them.

When one of these fails, Vela has been mended: move the case to test_operators.py.
"""

import pytest

from mcu_build.npu.commands import decode
from tests.support import npu_modules as modules
from tests.support.npu_cases import make
from tests.support.npu_check import mismatches


def _values(case, name: str) -> list[int]:
    return [i.value for i in decode(case.payload.stream, case.product) if i.command.name == name]


def test_a_depth_multiplier_loses_the_left_padding():
    case = make(modules.padded_depth_multiplier, "ethos-u55-128")
    # Padding of 2 on both sides comes out as 0 on the left and 4 on the right.
    assert set(_values(case, "SET_IFM_PAD_LEFT")) == {0}
    assert max(_values(case, "SET_IFM_PAD_RIGHT")) == 4
    assert mismatches(case, 0)[0] > 0


def test_a_negated_constant_is_broadcast_over_a_map_of_another_shape():
    case = make(modules.least_of_last_dimension, "ethos-u55-128")
    # The second operand of the last subtraction has 6 columns, and the broadcast reads the first alone.
    assert _values(case, "SET_IFM2_WIDTH0_M1")[-1] == 5
    assert _values(case, "SET_IFM2_BROADCAST")[-1] == 0b110
    assert mismatches(case, 0)[0] > 0


def test_an_output_that_is_read_again_is_lost():
    with pytest.raises(AssertionError, match="lost or reordered outputs"):
        make(modules.enlarged_twice, "ethos-u55-128")


def test_linear_layers_of_16_bits_read_a_map_of_another_shape_on_u85():
    case = make(modules.two_linear_layers, "ethos-u85-256", bits=16)
    # Four rows of output, an input cut after two: the tile below has no address.
    assert _values(case, "SET_OFM_HEIGHT_M1")[0] == 3
    assert _values(case, "SET_IFM_HEIGHT0_M1")[0] == 1
    assert _values(case, "SET_IFM_BASE2")[0] == 0
    assert mismatches(case, 0)[0] > 0


def test_a_convolution_of_16_bits_that_is_read_as_16_and_as_32_is_refused():
    with pytest.raises(RuntimeError, match="could not run on NPU"):
        make(modules.residual, "ethos-u55-128", bits=16)
