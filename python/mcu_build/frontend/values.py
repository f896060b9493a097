"""What a user's value is, in the words of an error message."""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def described(tensors: "Sequence[torch.Tensor]") -> str:
    """Types and shapes of tensors, for a message."""
    return ", ".join(f"{dtype_name(tensor)}{list(tensor.shape)}" for tensor in tensors)


def dtype_name(tensor: "torch.Tensor") -> str:
    """The element type without its module: float32."""
    return str(tensor.dtype).removeprefix("torch.")


def not_dense(tensor: "torch.Tensor") -> str:
    """What a tensor is that is no plain array of numbers, for a message; empty for those that are."""
    import torch

    if tensor.is_nested:
        return "a nested tensor"
    if tensor.layout != torch.strided:
        return f"a {tensor.layout} tensor"
    if type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        return f"a {type(tensor).__name__}"
    return ""


def kind_of(value: Any) -> str:
    """What a value is, for a message: a tensor with its shape, a class by name, else its type."""
    import torch

    if isinstance(value, torch.Tensor):
        return f"a tensor {described((value,))}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    if inspect.isfunction(value):
        return f"the function {value.__name__}"
    return f"of type {type(value).__name__}"
