"""Operators, bit for bit against the TOSA reference model."""

from functools import partial

import pytest

from mcu_build.npu.config import CONFIGS
from tests.support import npu_modules as modules
from tests.support.npu_cases import make
from tests.support.npu_check import check_exact
from tests.support.npu_operators import OPERATORS, SAMPLE, SAMPLE_U85, build, is_delegated
from tests.support.npu_proof import COLUMNS, prove

ALL = tuple(CONFIGS)
U85 = tuple(name for name in ALL if "u85" in name)
SEEDS = 2
# One of each kind in every run.
QUICK = ("ethos-u55-128", "ethos-u65-512", "ethos-u85-256")


@pytest.mark.parametrize(
    "target", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ALL]
)
def test_a_sample_of_the_operators(target):
    check_exact(make(partial(build, SAMPLE, 0, 1), target))


@pytest.mark.parametrize("target", U85)
def test_a_sample_of_what_u85_alone_takes(target):
    check_exact(make(partial(build, SAMPLE_U85, 0, 1), target))


@pytest.mark.parametrize("target", QUICK)
def test_operators_of_16_bits(target):
    check_exact(
        make(partial(build, "conv2d depthwise_conv add mul sigmoid avg_pool2d", 0, 1), target, bits=16)
    )


def test_one_scale_for_all_channels():
    check_exact(make(partial(modules.convolutions, 3, 2), "ethos-u55-128", per_channel=False))


@pytest.mark.slow
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator(name, bits, column):
    proof = prove(name, column, SEEDS, bits)
    assert proof.mismatches == 0
    if bits == 8 and is_delegated(name, column):
        assert proof.cases, proof
    elif not proof.cases:
        # Not all have a lowering to 16 bits. Why there is no case must be known.
        assert proof.left or proof.problem
    else:
        assert bits == 16 or proof.left


@pytest.mark.slow
@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("name", ["large_kernels", "many_channels"])
def test_large_layers(name, target):
    check_exact(make(getattr(modules, name), target))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 22))
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", ["convolutions", "depthwise"])
def test_many_random_convolutions(name, bits, seed):
    for target in (ALL[seed % 6], U85[seed % 5]):
        check_exact(make(partial(getattr(modules, name), seed), target, bits=bits))
