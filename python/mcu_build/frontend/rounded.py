"""Weights that were rounded by torchao's `quantize_`, or by PyTorch's eager quantization, before we see them.

int8 weights with a scale for each output of a linear layer are kept to the bit: the layer computes with what
they stand for, behind the marker that PT2E's programs have (lower/annotate/given.py). Others are taken for
the floats that they stand for, and named. What has no such floats is refused.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcu_build.errors import McuError

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

_EAGER = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")
_UNFINISHED = "torchao.quantization.qat"
_LISTED = 3


def keep_rounded(path: Path, model: "torch.nn.Module") -> tuple[str, ...]:
    """Replace rounded weights in `model` by ones that can be captured; what is not as it was, in words.

    McuError for modules of eager quantization or of a training that is not finished, and for tensors that
    cannot be read.
    """
    import torch

    _refuse(path, model)
    anew, dynamic = [], []
    for name, module in list(model.named_modules()):
        for key, tensor in list(module._parameters.items()):
            if tensor is None or not _is_rounded(tensor):
                continue
            full = f"{name}.{key}" if name else key
            try:
                floats = tensor.dequantize().detach().to(torch.float32)
            except Exception as error:
                hint = "Give the float model: mcu-build quantizes it."
                raise McuError(
                    f"{path}: model: {full}: {type(tensor).__name__} cannot be read", hint
                ) from error
            if _is_dynamic(tensor):
                dynamic.append(name)
            module._parameters[key] = torch.nn.Parameter(floats, requires_grad=False)
            scales = _scales(module, key, tensor)
            if scales is None:
                anew.append(f"{full} ({_form(tensor)})")
            else:
                torch.nn.utils.parametrize.register_parametrization(module, key, _marked(scales), unsafe=True)
    return tuple(_warnings(path, anew, dynamic))


def saved_rounded(exported: "ExportedProgram") -> tuple[str, ...]:
    """The weights of a saved program that torchao's `quantize_` has rounded: they are folded into floats."""
    return tuple(name for name, tensor in exported.state_dict.items() if _is_rounded(tensor))


def warn_saved(path: Path, names: Sequence[str]) -> str:
    """What becomes of them, in words."""
    return (
        f"{path}: torchao has rounded {_listed(list(names))}: rounded anew from what that stands for. Give "
        "the model.py: there int8 weights with one scale for each output are kept to the bit."
    )


def _warnings(path: Path, anew: list[str], dynamic: list[str]) -> "list[str]":
    warnings = []
    if anew:
        warnings.append(
            f"{path}: rounded by torchao as no kernel has it, so rounded anew from what it stands for: "
            f"{_listed(anew)}. int8 weights with one scale for each output are kept to the bit."
        )
    if dynamic:
        warnings.append(
            f"{path}: torchao would round activations anew at each call; firmware has fixed ranges, from "
            f"calibration: {_listed(dynamic)}."
        )
    return warnings


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _refuse(path: Path, model: "torch.nn.Module") -> None:
    for name, module in model.named_modules():
        kind = type(module)
        if kind.__module__.startswith(_EAGER):
            raise McuError(
                f"{path}: model: {name or 'the model'}: {kind.__name__} of PyTorch's eager quantization "
                "cannot be captured",
                "Give the float model, which mcu-build quantizes, or quantize it with PT2E "
                "(docs/model-file.md).",
            )
        if kind.__module__.startswith(_UNFINISHED):
            raise McuError(
                f"{path}: model: {name or 'the model'}: {kind.__name__}: torchao's training is not converted",
                'Convert it: `quantize_(model, QATConfig(base, step="convert"))`.',
            )


def _is_rounded(tensor: "torch.Tensor") -> bool:
    return type(tensor).__module__.startswith("torchao.") and hasattr(tensor, "dequantize")


def _is_dynamic(tensor: Any) -> bool:
    kinds = (getattr(tensor, name, None) for name in ("act_quant_kwargs", "activation_quantization"))
    return any(kinds) and getattr(tensor, "act_quant_scale", None) is None


def _form(tensor: Any) -> str:
    """'int4 in blocks of 1x32'."""
    dtype = getattr(tensor, "target_dtype", getattr(getattr(tensor, "qdata", None), "dtype", None))
    block = getattr(tensor, "block_size", None)
    blocks = f" in blocks of {'x'.join(map(str, block))}" if block else ""
    return f"{str(dtype).removeprefix('torch.') if dtype else type(tensor).__name__}{blocks}"


def _scales(module: "torch.nn.Module", key: str, tensor: Any) -> "list[float] | None":
    """The scale of each output of a linear layer of int8 weights; None for what has another form."""
    import torch

    integers, scale, zero = (getattr(tensor, name, None) for name in ("qdata", "scale", "zero_point"))
    is_linear = isinstance(module, torch.nn.Linear) and key == "weight"
    if not is_linear or integers is None or integers.dtype is not torch.int8 or scale is None:
        return None
    if scale.numel() != len(integers) or (zero is not None and bool(zero.any())):
        return None
    if not torch.equal(integers * scale.reshape(-1, 1), tensor.dequantize()):
        return None
    return [float(number) for number in scale.flatten()]


def _marked(scales: list[float]) -> "torch.nn.Module":
    import torch

    from mcu_build.lower.annotate.given_markers import weights_marker

    class Rounded(torch.nn.Module):  # type: ignore[misc]
        """A weight behind its marker."""

        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = weights_marker()(weight, scales, [0] * len(scales), -128, 127, 0)
            return made

    return Rounded()
