"""Operators of U85, bit for bit against the TOSA reference model."""

from functools import partial

import pytest

from tests.support import npu_modules as modules
from tests.support.npu_cases import make
from tests.support.npu_check import check_exact
from tests.support.npu_modules import starter, u85_only

TARGETS = ("ethos-u85-128", "ethos-u85-256", "ethos-u85-512", "ethos-u85-1024", "ethos-u85-2048")
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
    "u85_only",
)
# Vela refuses transposed convolutions of 16 bits and compiles linear layers of 16 bits wrong
# (test_vela_defects.py); the variance of random 16-bit inputs is constant.
NAMES_16 = tuple(n for n in NAMES if n not in ("transposed", "linear", "attention", "reductions", "u85_only"))


@pytest.mark.parametrize("target", TARGETS)
def test_starter(target):
    check_exact(make(starter, target))


def test_operators_of_u85_alone():
    check_exact(make(u85_only, "ethos-u85-256"))


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NAMES)
def test_all_operators(name, target):
    check_exact(make(getattr(modules, name), target))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES_16)
def test_all_operators_of_16_bits(name):
    check_exact(make(getattr(modules, name), "ethos-u85-256", bits=16))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30, 40))
@pytest.mark.parametrize("name", ["convolutions", "depthwise"])
def test_many_random_convolutions(name, seed):
    check_exact(make(partial(getattr(modules, name), seed), TARGETS[seed % len(TARGETS)]))
