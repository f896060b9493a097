"""Feature maps: layouts and tiles against their addresses' formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcu_build.npu.commands import CommandError
from mcu_build.npu.feature_map import FeatureMap, read, write
from mcu_build.npu.memory import HostMemory

_TILE = 1 << 16


def _address(fm, y, x, c):
    """The formula of the layouts, one element at a time."""
    right = x >= fm.width0
    height = fm.height1 if right else fm.height0
    below = y >= height
    x, y = x - fm.width0 * right, y - height * below
    base = fm.bases[right + 2 * below]
    size = fm.dtype.itemsize
    if fm.brick:
        return base + c // 16 * fm.stride_c + y * fm.stride_y + (16 * x + c % 16) * size
    return base + y * fm.stride_y + x * fm.stride_x + c * size


@st.composite
def _maps(draw):
    height, width, depth = (draw(st.integers(1, n)) for n in (6, 6, 36))
    dtype = np.dtype(draw(st.sampled_from(["<i1", "<u1", "<i2", "<i4"])))
    brick = draw(st.booleans())
    gap = draw(st.integers(0, 5)) * dtype.itemsize
    stride_x = 16 * dtype.itemsize if brick else depth * dtype.itemsize + gap
    stride_y = stride_x * width + gap
    fm = FeatureMap(
        bases=tuple(_TILE * (1 + tile) for tile in range(4)),
        height0=draw(st.integers(1, height + 1)),
        height1=draw(st.integers(1, height + 1)),
        width0=draw(st.integers(1, width + 1)),
        stride_y=stride_y,
        stride_x=stride_x,
        stride_c=stride_y * height + gap if brick else dtype.itemsize,
        brick=brick,
        dtype=dtype,
        zero_point=0,
        name="IFM",
    )
    return fm, (height, width, depth)


@given(_maps())
@settings(deadline=None)
def test_layouts_and_tiles(drawn):
    fm, shape = drawn
    rng = np.random.default_rng(sum(shape))
    memory = bytearray(rng.bytes(6 * _TILE))
    values = read(fm, HostMemory([(0, memory)]), *shape)
    for y, x, c in np.ndindex(shape):
        stored = np.frombuffer(memory, fm.dtype, 1, _address(fm, y, x, c))[0]
        assert values[y, x, c] == stored


@given(_maps())
@settings(deadline=None)
def test_a_write_changes_its_elements_and_no_others(drawn):
    fm, shape = drawn
    rng = np.random.default_rng(sum(shape))
    before = rng.bytes(6 * _TILE)
    memory, expected = bytearray(before), bytearray(before)
    values = rng.integers(0, 100, shape).astype(fm.dtype)
    write(fm, HostMemory([(0, memory)]), values)
    for place in np.ndindex(shape):
        address = _address(fm, *place)
        expected[address : address + fm.dtype.itemsize] = values[place].tobytes()
    assert memory == expected


def test_a_negative_stride_runs_backwards():
    memory = bytearray(range(64))
    fm = FeatureMap((40, 0, 0, 0), 3, 3, 2, -8, 2, 1, False, np.dtype("<u1"), 0, "OFM")
    assert read(fm, HostMemory([(0, memory)]), 3, 2, 1)[..., 0].tolist() == [[40, 42], [32, 34], [24, 26]]


def test_a_map_that_no_memory_holds_is_refused():
    fm = FeatureMap((0, 0, 0, 0), 65536, 1, 65536, 0, 0, 0, False, np.dtype("<u1"), 0, "IFM")
    with pytest.raises(CommandError, match="IFM of 65536x65536x65536"):
        read(fm, HostMemory([(0, bytearray(16))]), 65536, 65536, 65536)


def test_three_tiles_on_top_of_each_other():
    memory = bytearray(range(64))
    fm = FeatureMap((40, 20, 0, 0), 1, 3, 1, 4, 2, 1, False, np.dtype("<u1"), 0, "IFM", stacked=True)
    values = read(fm, HostMemory([(0, memory)]), 5, 2, 1)[..., 0]
    assert values.tolist() == [[40, 42], [20, 22], [24, 26], [0, 2], [4, 6]]
