"""The decoder of weight streams, against Vela's encoder."""

import numpy as np
import pytest
from ethosu import mlw_codec
from hypothesis import given, settings
from hypothesis import strategies as st

from mcu_build.npu.commands import CommandError
from mcu_build.npu.weight_stream import decode

_DRAWS = {
    "uniform": lambda rng, n: rng.integers(-255, 256, n),
    "normal": lambda rng, n: np.clip(np.rint(rng.normal(0, 20, n)), -255, 255),
    "few": lambda rng, n: rng.choice([-3, 0, 7], n),
    "palette": lambda rng, n: rng.choice(rng.integers(-100, 100, 30), n),
    "sparse": lambda rng, n: np.where(rng.random(n) < 0.9, 0, rng.integers(-127, 128, n)),
    "zero": lambda rng, n: np.zeros(n),
    "changing": lambda rng, n: np.where(np.arange(n) < n // 2, 0, rng.integers(-127, 128, n)),
}


@pytest.mark.parametrize("count", [1, 7, 100, 5000, 70000])
@pytest.mark.parametrize("draw", _DRAWS)
def test_what_vela_encodes_is_decoded(draw, count):
    weights = _DRAWS[draw](np.random.default_rng(count), count).astype(int).tolist()
    stream = bytes(mlw_codec.encode(weights))
    assert decode(stream, count).tolist() == weights


def test_a_stream_that_is_too_short_is_refused():
    stream = bytes(mlw_codec.encode(list(range(100))))
    with pytest.raises(CommandError, match="100 weights, 101 are wanted"):
        decode(stream, 101)
    with pytest.raises(CommandError, match="in the middle of a slice"):
        decode(stream[:20], 100)


@given(st.binary(max_size=300), st.integers(1, 2000))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_decoded_or_refused(data, wanted):
    try:
        assert len(decode(data, wanted)) == wanted
    except CommandError as error:
        assert str(error).startswith("the weight stream")
