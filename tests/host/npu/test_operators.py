"""Operators of U55 and U65, bit for bit against the TOSA reference model."""

from functools import partial

import pytest

from tests.support import npu_modules as modules
from tests.support.npu_cases import make
from tests.support.npu_check import check_exact

TARGETS = (
    "ethos-u55-32",
    "ethos-u55-64",
    "ethos-u55-128",
    "ethos-u55-256",
    "ethos-u65-256",
    "ethos-u65-512",
)
NAMES = (
    "starter",
    "large_kernels",
    "many_channels",
    "transposed",
    "linear",
    "pools",
    "arithmetic",
    "activations",
    "movement",
    "reductions",
    "normalizations",
    "upsampling",
    "attention",
)
# Vela or the partitioner refuse the first three with 16 bits. One of the reductions, the variance of random
# inputs of 16 bits, saturates, and a constant proves nothing.
_NARROW_ONLY = ("transposed", "linear", "attention", "reductions")
NAMES_16 = tuple(name for name in NAMES if name not in _NARROW_ONLY)


def _spread(names):
    """Each name on one target, every target in turn."""
    return [(name, TARGETS[index % len(TARGETS)]) for index, name in enumerate(names)]


@pytest.mark.parametrize(("name", "target"), _spread(NAMES))
def test_operators(name, target):
    check_exact(make(getattr(modules, name), target))


@pytest.mark.parametrize("target", ["ethos-u55-32", "ethos-u65-512"])
def test_random_convolutions(target):
    check_exact(make(partial(modules.convolutions, TARGETS.index(target)), target))


@pytest.mark.parametrize(("name", "target"), _spread(("starter", "arithmetic", "activations")))
def test_operators_of_16_bits(name, target):
    check_exact(make(getattr(modules, name), target, bits=16))


def test_one_scale_for_all_channels():
    check_exact(make(partial(modules.convolutions, 3), "ethos-u55-128", per_channel=False))


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NAMES)
def test_all_operators(name, target):
    check_exact(make(getattr(modules, name), target))


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NAMES_16)
def test_all_operators_of_16_bits(name, target):
    check_exact(make(getattr(modules, name), target, bits=16))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 22))
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", ["convolutions", "depthwise"])
def test_many_random_convolutions(name, bits, seed):
    target = TARGETS[seed % len(TARGETS)]
    check_exact(make(partial(getattr(modules, name), seed), target, bits=bits))
