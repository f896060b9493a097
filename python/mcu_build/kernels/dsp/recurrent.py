"""Recurrent layers by firmware/kernels/dsp."""

from dataclasses import replace

import numpy as np

from mcu_build.ir.calls.int8 import Gru, Lstm, Rnn
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context
from mcu_build.kernels.dsp.packing import rows_in_fours
from mcu_build.kernels.dsp.requantize import array


def layer(context: Context, step: Step, call: Lstm | Gru | Rnn) -> Step | None:
    """Constant weights without a pair of rows that 16 bits do not hold (-128 beside a negative one).

    Of int16, dsp/recurrent_s16.cpp takes the program's weights.
    """
    if call.dtype is not DType.I8:
        return None
    packed = {}
    for id in (call.input_weights, call.hidden_weights):
        weights = array(context, id, np.int8)
        if weights is None:
            return None
        try:
            packed[id] = rows_in_fours(weights)
        except OverflowError:
            return None
    constants = {
        id: context.constant("packed_weights", DType.I32, (len(words) // 4,), words)
        for id, words in packed.items()
    }
    return replace(
        step,
        kernel=f"dsp_{call.kernel}",
        source="dsp_recurrent",
        arguments=tuple(id if id is None else constants.get(id, id) for id in call.arguments),
    )
