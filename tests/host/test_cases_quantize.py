"""The boundary between float and integers equals quantized_decomposed exactly."""

import numpy as np
import pytest

from tests.support.cases import CHANNELS_LAST, Case, Out, T, run_cases

SCALES = [(0.0078125, 0), (0.023932, -128), (1.7, 127), (3.1e-4, -1), (1e-9, 5)]


def cases() -> list[Case]:
    dice = np.random.default_rng(1)
    found = []
    for scale, zero_point in SCALES:
        x = (dice.standard_normal((2, 3, 4, 5)) * scale * 90).astype(np.float32)
        x.flat[:6] = [np.inf, -np.inf, 1e30, -1e30, 0.5 * scale, 1.5 * scale]
        for dtype, low, high in (("int8", -128, 127), ("int16", -32768, 32767)):
            found.append(
                Case(
                    "cortex_m::quantize_per_tensor.out",
                    [T(x, CHANNELS_LAST), scale, zero_point, low, high, 1],
                    [Out(x.shape, dtype, CHANNELS_LAST)],
                )
            )
            q = dice.integers(low, high + 1, (7, 3)).astype(dtype)
            found.append(
                Case(
                    "cortex_m::dequantize_per_tensor.out",
                    [T(q), scale, zero_point, low, high, 1],
                    [Out(q.shape, "float32")],
                )
            )
    return found


def expected(case: Case) -> np.ndarray:
    import torch
    from executorch.exir.dialects._ops import ops  # noqa: F401  (registers quantized_decomposed)
    from torch.ao.quantization.fx import _decomposed  # noqa: F401

    tensor, scale, zero_point, low, high, _ = case.arguments
    dtype = getattr(torch, "int8" if high == 127 else "int16")
    name = case.operator.removeprefix("cortex_m::").removesuffix(".out")
    operator = getattr(torch.ops.quantized_decomposed, name)
    return operator(torch.from_numpy(tensor.array), scale, zero_point, low, high, dtype).numpy()


def test_exact(tmp_path):
    listed = cases()
    for case, (output,) in zip(listed, run_cases(listed, tmp_path), strict=True):
        want = expected(case)
        assert np.unique(want).size > 3
        np.testing.assert_array_equal(output, want)


def test_a_wrong_scale_is_noticed(tmp_path):
    case = cases()[0]
    wrong = Case(case.operator, [case.arguments[0], 0.0079, *case.arguments[2:]], case.outputs)
    (output,) = run_cases([wrong], tmp_path)[0]
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(output, expected(case))
