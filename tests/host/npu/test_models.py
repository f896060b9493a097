"""Whole models, bit for bit, and how long the model of the NPU takes for them."""

import time
from functools import partial

import pytest

from mcu_build.npu import weights
from tests.support import npu_modules as modules
from tests.support.npu_cases import make
from tests.support.npu_check import check_exact, modelled

NAMES = ("autoencoder", "resnet8", "unet", "mobilenet_v1_025", "mobilenet_v2_035", "transformer")


def _seconds(case) -> float:
    """Of a first run, weights decoded anew."""
    weights.decode.cache_clear()
    start = time.process_time()
    modelled(case, 0)
    return time.process_time() - start


def test_ds_cnn():
    case = make(partial(modules.zoo, "ds_cnn"), "ethos-u55-128")
    check_exact(case)
    assert _seconds(case) < 1


@pytest.mark.slow
@pytest.mark.parametrize("target", ["ethos-u55-256", "ethos-u65-512"])
@pytest.mark.parametrize("name", NAMES)
def test_models(name, target):
    check_exact(make(partial(modules.zoo, name), target))


@pytest.mark.slow
def test_mobilenet_v2():
    case = make(modules.mobilenet_v2, "ethos-u55-128")
    check_exact(case)
    assert _seconds(case) < 20
