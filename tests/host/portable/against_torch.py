"""Calls of portable operators with what PyTorch computes for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tests.support.cases import Case, Out, T, run_cases

# Overloads whose name does not follow from that of their `.out` form.
_FUNCTIONAL = {
    "median.dim_values": "median.dim",
    "sum.IntList_out": "sum.dim_IntList",
    "mean.out": "mean.dim",
    "max.dim_max": "max.dim",
    "min.dim_min": "min.dim",
    "max.unary_out": "max.default",
    "min.unary_out": "min.default",
    "mean.dtype_out": "mean.default",
    "var.out": "var.dim",
    "prod.int_out": "prod.dim_int",
    "all.out": "all.dim",
    "any.all_out": "any.default",
    "any.out": "any.dim",
    "div.out_mode": "div.Tensor_mode",
    "div.Scalar_mode_out": "div.Scalar_mode",
    "where.self_out": "where.self",
    "topk.values": "topk.default",
    "sort.values": "sort.default",
    "sort.values_stable": "sort.stable",
    "scatter_reduce.two_out": "scatter_reduce.two",
    "_native_batch_norm_legit.no_stats_out": "_native_batch_norm_legit.no_stats",
}
_TENSOR_FORM = {"add", "sub", "mul", "div", "bitwise_and", "bitwise_or", "bitwise_xor"}


@dataclass(frozen=True, eq=False)
class Checked:
    """A call, what PyTorch gives for it, and how far a float may be from that (0 for exact)."""

    case: Case
    expected: tuple[np.ndarray, ...]
    relative: float = 0.0
    absolute: float = 0.0


def call(
    operator: str,
    *arguments: object,
    order: tuple[int, ...] | None = None,
    relative: float = 0.0,
    absolute: float = 0.0,
    like: torch.Tensor | tuple[torch.Tensor, ...] | None = None,
    used: Sequence[bool] = (True,) * 16,
) -> Checked:
    """The `.out` operator on `arguments` (as in its schema, outputs left out).

    `order` is the memory layout of the outputs. `like` is the expected result where PyTorch has no
    function of that name to ask.
    """
    result = _ask(operator, arguments) if like is None else like
    arrays = [tensor.numpy() for tensor in _flat(result)]
    outputs = [
        Out(array.shape, str(array.dtype), order if array.ndim == len(order or ()) else None, read)
        for array, read in zip(arrays, used, strict=False)
    ]
    expected = tuple(array for array, read in zip(arrays, used, strict=False) if read)
    return Checked(Case(operator, list(arguments), outputs), expected, relative, absolute)


def _ask(operator: str, arguments: Sequence[object]) -> object:
    overload = functional(operator)
    values = {a.name: _torch(v) for a, v in zip(overload._schema.arguments, arguments, strict=False)}
    keywords = {a.name for a in overload._schema.arguments if a.kwarg_only}
    positional = [value for name, value in values.items() if name not in keywords]
    return overload(*positional, **{name: values[name] for name in keywords & values.keys()})


def functional(operator: str):
    """The overload that returns what the `.out` operator writes."""
    name = operator.removeprefix("aten::")
    base, overload = name.split(".")
    if name in _FUNCTIONAL:
        base, overload = _FUNCTIONAL[name].split(".")
    elif overload == "out":
        overload = "Tensor" if base in _TENSOR_FORM else "default"
    else:
        overload = overload.removesuffix("_out")
    return getattr(getattr(torch.ops.aten, base), overload)


def _torch(argument: object) -> object:
    if isinstance(argument, T):
        return torch.from_numpy(np.ascontiguousarray(argument.array))
    if isinstance(argument, list | tuple):
        return [_torch(item) for item in argument]
    return argument


def _flat(result: object) -> list[torch.Tensor]:
    return [result.contiguous()] if isinstance(result, torch.Tensor) else [t.contiguous() for t in result]


def compare(listed: Sequence[Checked], folder: Path) -> None:
    """Run every case and compare every output."""
    for checked, outputs in zip(listed, run_cases([c.case for c in listed], folder), strict=True):
        for output, expected in zip(outputs, checked.expected, strict=True):
            same(checked, output, expected)


def same(checked: Checked, output: np.ndarray, expected: np.ndarray) -> None:
    """Integers, booleans and moved elements are equal; computed floats within the case's tolerance."""
    about = f"{checked.case.operator} {[_brief(argument) for argument in checked.case.arguments]}"
    assert output.dtype == expected.dtype, about
    if output.dtype == np.float32 and (checked.relative or checked.absolute):
        np.testing.assert_allclose(
            output, expected, rtol=checked.relative, atol=checked.absolute, err_msg=about
        )
    else:
        np.testing.assert_array_equal(output, expected, err_msg=about)


def _brief(argument: object) -> object:
    if isinstance(argument, list):
        return [_brief(item) for item in argument]
    if isinstance(argument, T):
        return f"{argument.array.dtype}{argument.array.shape}{argument.dim_order or ''}"
    return argument


def differs(wrong: Case, checked: Checked, folder: Path) -> bool:
    """Whether the outputs of `wrong` fail the comparison that `checked` has to pass: a negative control."""
    (outputs,) = run_cases([wrong], folder)
    try:
        for output, expected in zip(outputs, checked.expected, strict=True):
            same(checked, output, expected)
    except AssertionError:
        return True
    return False
