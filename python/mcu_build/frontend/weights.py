"""Numbers that no firmware can hold: weights of other types and places, NaN and infinity."""

from pathlib import Path
from typing import TYPE_CHECKING

from mcu_build.errors import McuError
from mcu_build.frontend.values import dtype_name, not_dense

if TYPE_CHECKING:
    import torch


def check_weights(path: Path, model: "torch.nn.Module") -> None:
    """McuError for parameters and buffers that no firmware can hold."""
    import torch

    wrong = []
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin):
            continue
        problem = _wrong_weight(tensor, is_parameter=isinstance(tensor, torch.nn.Parameter))
        if problem:
            wrong.append((name, *problem))
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if isinstance(value, torch.Tensor) and (kind := not_dense(value)):
                full = f"{name}.{key}" if name else key
                wrong.append((full, kind, f"Use dense tensors: `{_dense(value)}`."))
    if wrong:
        name, what, hint = wrong[0]
        others = f" (and {len(wrong) - 1} more like it)" if len(wrong) > 1 else ""
        raise McuError(f"{path}: model: {name}: {what}{others}", hint)


def _wrong_weight(tensor: "torch.Tensor", is_parameter: bool) -> tuple[str, str] | None:
    """What is wrong with a weight, and the hint; None where nothing is."""
    dtype = dtype_name(tensor)
    if tensor.is_meta:
        return "on the meta device, without values", "Make the model on the CPU and load its weights into it."
    kind = not_dense(tensor)
    if kind or tensor.device.type != "cpu":
        return (
            f"{kind or 'a tensor'} on {tensor.device}",
            f"Use dense tensors on the CPU: `{_dense(tensor)}.cpu()`.",
        )
    if tensor.is_quantized:
        return f"of type {dtype}, quantized already", "Give the float model: mcu-build quantizes it."
    if tensor.is_floating_point() and dtype != "float32" and (is_parameter or dtype != "float64"):
        return f"of type {dtype}", "Firmware computes in int8 and float32: give `model.float()`."
    if tensor.is_floating_point():
        return wrong_number(tensor, infinite=is_parameter)
    return None


def _dense(tensor: "torch.Tensor") -> str:
    return ".to_padded_tensor(0.0)" if tensor.is_nested else ".to_dense()"


def wrong_number(tensor: "torch.Tensor", infinite: bool) -> tuple[str, str] | None:
    """The first NaN of a tensor, or the first infinite number, and how many there are."""
    import torch

    for bad, word in ((tensor.isnan(), "NaN"), (tensor.isinf() & infinite, "infinite")):
        if bad.any():
            places = torch.nonzero(bad)
            where = f" at {places[0].tolist()}" if tensor.dim() else ""
            count = f"{len(places):,} of {tensor.numel():,} numbers" if tensor.numel() > 1 else "it"
            verb = "are" if len(places) > 1 else "is"
            return (
                f"{count} {verb} {word}, the first{where}",
                "Look for where training or loading went wrong.",
            )
    return None
