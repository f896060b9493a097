"""The Python definitions of cortex_m::* as functions of a test case."""

from collections.abc import Callable, Sequence

import numpy as np

from tests.support.cases import CHANNELS_LAST, Case, Out, T

Expected = Callable[[Case], np.ndarray]


def definition(case: Case) -> np.ndarray:
    """What executorch.backends.cortex_m.ops.operators gives for the call, in the model's dimensions."""
    # The operators register on import of the passes; importing the operators first is a circle.
    import executorch.backends.cortex_m.passes  # noqa: F401
    import torch

    name = case.operator.removeprefix("cortex_m::").removesuffix(".out")
    arguments = [as_torch(a) if isinstance(a, T) else a for a in case.arguments]
    return getattr(torch.ops.cortex_m, name)(*arguments).numpy()


def as_torch(tensor: T) -> object:
    """The torch tensor with the same values and the same memory layout, where torch has a name for it."""
    import torch

    found = torch.from_numpy(np.ascontiguousarray(tensor.array))
    return found.to(memory_format=torch.channels_last) if tensor.dim_order == CHANNELS_LAST else found


def with_output(
    operator: str,
    arguments: Sequence[object],
    dim_order: tuple[int, ...] | None = None,
    expected: Expected = definition,
) -> Case:
    """The case of an operator whose output has the shape and type that the definition gives it."""
    case = Case(f"cortex_m::{operator}.out", list(arguments), [])
    result = expected(case)
    return Case(case.operator, case.arguments, [Out(result.shape, str(result.dtype), dim_order)])


def integers(dice: np.random.Generator, shape: Sequence[int], dtype: str = "int8") -> np.ndarray:
    """Random integers over the whole range of the type, both ends included."""
    limits = np.iinfo(dtype)
    found = dice.integers(limits.min, limits.max, tuple(shape), endpoint=True, dtype=dtype)
    found.reshape(-1)[: min(2, found.size)] = [limits.min, limits.max][: found.size]
    return found


def differing(
    cases: Sequence[Case], outputs: Sequence[Sequence[np.ndarray]], expected: Expected = definition
) -> list[int]:
    """Indices of the cases whose output is not, element by element and in type, what the definition gives."""
    return [
        index
        for index, (case, (output,)) in enumerate(zip(cases, outputs, strict=True))
        if not same(output, expected(case))
    ]


def same(output: np.ndarray, want: np.ndarray) -> bool:
    """Equal in type, shape and every element (a NaN equals a NaN)."""
    return (
        output.dtype == want.dtype
        and output.shape == want.shape
        and np.array_equal(output, want, equal_nan=output.dtype.kind == "f")
    )


def share_that_varies(outputs: Sequence[Sequence[np.ndarray]]) -> float:
    """The share of outputs, single elements aside, that are not one value throughout."""
    counted = [output for (output,) in outputs if output.size > 1]
    return sum(np.unique(output).size > 1 for output in counted) / len(counted)
