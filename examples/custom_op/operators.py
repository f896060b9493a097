"""The operator's Python side: what it computes, and the shape of what it returns."""

import torch


@torch.library.custom_op("example::soft_threshold", mutates_args=())
def soft_threshold(x: torch.Tensor, limit: float) -> torch.Tensor:
    """Values move towards zero by `limit`; what is closer becomes zero: sign(x) * max(|x| - limit, 0)."""
    return torch.sign(x) * torch.clamp(torch.abs(x) - limit, min=0.0)


@soft_threshold.register_fake
def _(x: torch.Tensor, limit: float) -> torch.Tensor:
    return torch.empty(x.shape, dtype=x.dtype)


@torch.library.custom_op("example::sign_changes", mutates_args=())
def sign_changes(x: torch.Tensor) -> torch.Tensor:
    """How often the sign changes along each row, in int32."""
    negative = x < 0
    return (negative[:, 1:] != negative[:, :-1]).sum(1, keepdim=True).to(torch.int32)


@sign_changes.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty((x.shape[0], 1), dtype=torch.int32)
