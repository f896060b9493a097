"""Operators that have no kernel on purpose: why, and what to write instead."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LeftOut:
    """Why operators are left out, and a hint."""

    why: str
    hint: str


_ELSE = "Write these lines with other operators; docs/operators.md lists those that have a kernel."
_TRAINING = LeftOut("a gradient", "Export the model for inference: model.eval(), and no call of backward().")
_RANDOM = LeftOut(
    "random numbers, which no comparison could check",
    "Make the random numbers in the application and pass them in as an input, or call model.eval().",
)
_DYNAMIC = LeftOut(
    "its result's size depends on values, and memory is planned at build time",
    "Keep the size: torch.where(mask, x, 0) instead of x[mask], topk with a fixed k instead of nonzero.",
)
_NUMBER = LeftOut(
    "a tensor's value as a number of Python",
    "Keep it a tensor: x * y.sum() instead of x * y.sum().item(), torch.where instead of `if`.",
)
_COMPLEX = LeftOut(
    "complex numbers",
    "Take real parts: torch.stft and torch.fft.rfft are served where abs(), view_as_real(), .real or .imag "
    "follows.",
)
_SHAPE = LeftOut("shapes are fixed, so export answers it", "Export with fixed shapes.")
_RESIZE = LeftOut("a tensor's memory is planned at build time", "Make a new tensor with F.pad or a slice.")

# By the name of the operator without its overload.
LEFT_OUT: dict[str, LeftOut] = {
    **dict.fromkeys(
        (
            "_adaptive_avg_pool2d_backward",
            "avg_pool2d_backward",
            "convolution_backward",
            "embedding_dense_backward",
            "max_pool2d_with_indices_backward",
            "native_group_norm_backward",
            "native_layer_norm_backward",
        ),
        _TRAINING,
    ),
    **dict.fromkeys(
        (
            *("bernoulli", "exponential", "multinomial", "normal", "rand", "rand_like", "randint"),
            *("randint_like", "randn", "randn_like", "randperm", "rrelu_with_noise", "uniform"),
        ),
        _RANDOM,
    ),
    **dict.fromkeys(("bincount", "masked_select", "nonzero", "_unique2", "unique_dim"), _DYNAMIC),
    "_local_scalar_dense": _NUMBER,
    **dict.fromkeys(("_fft_c2c", "_fft_c2r", "_fft_r2c", "complex", "view_as_complex"), _COMPLEX),
    **dict.fromkeys(
        ("sym_is_contiguous", "sym_numel", "sym_size", "sym_storage_offset", "sym_stride"), _SHAPE
    ),
    "resize_": _RESIZE,
}


def left_out(operator: str) -> LeftOut | None:
    """What is known of 'aten::rand.out', None for an operator that is just not there."""
    return LEFT_OUT.get(operator.partition("::")[2].partition(".")[0])


def no_kernel(missing: Mapping[str, str]) -> tuple[str, str]:
    """A message for operators without a kernel (each with 'file:line', or nothing), and a hint for all."""
    lines, hints = [], dict[str, None]()
    for operator, where in missing.items():
        known = left_out(operator)
        reason = f" ({known.why})" if known else ""
        lines.append(f"{where or 'the model'}: {operator}: there is no kernel for this operator{reason}")
        if known:
            hints[known.hint] = None
    return "\n".join(lines), " ".join(hints) or _ELSE
