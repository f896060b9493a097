"""How a layer is called wherever one is shown: 'features.0 conv2d 8x8x8', its line of the model beside it.
Likewise an output.

Programs carry the module path in the function name of a call's frame: 'features.0.forward'. Python's own
frames have no dots there, so that a program made elsewhere gives none.
"""

import re
from collections.abc import Sequence

_FORWARD = ".forward"
# What ExecuTorch calls a change of memory layout and of type.
_PLAIN = {"_clone_dim_order": "layout", "_to_dim_order": "to"}


def frame_function(module: str) -> str:
    """The function name that a frame carries for a layer of the model, 'forward' for the model itself."""
    return f"{module}{_FORWARD}" if module else _FORWARD[1:]


def module_of(function: str) -> str:
    """The module path in a frame's function name, empty for any other function."""
    return function.removesuffix(_FORWARD) if function.endswith(_FORWARD) else ""


def short_operator(operator: str) -> str:
    """'conv2d' of 'cortex_m::quantized_conv2d.out', 'aten.conv2d.default' or 'mcu_build.conv2d.default'."""
    parts = operator.rpartition("::")[2].removeprefix("aten.").split(".")
    name = parts[-2] if len(parts) > 2 else parts[0]
    short = name.removeprefix("quantized_").removesuffix("_copy").removesuffix("_per_tensor")
    return _PLAIN.get(short, short)


def shape_text(shape: Sequence[int]) -> str:
    """'8x8x8' of (1, 8, 8, 8): a batch of one is left out."""
    sizes = shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
    return "x".join(map(str, sizes))


def layer_name(module: str, operator: str, shape: Sequence[int] = ()) -> str:
    """Module path, operator, output shape, as far as they are known."""
    return " ".join(part for part in (module, short_operator(operator), shape_text(shape)) if part)


def layer_at(module: str, operator: str, shape: Sequence[int], line: str) -> str:
    """The name of a layer with its line: 'features.0 conv2d 8x8x8 (model.py:31)'."""
    name = layer_name(module, operator, shape)
    return f"{name} ({line})" if line else name


def own_name(index: int, names: Sequence[str]) -> str:
    """What the model's result calls an output: a key, a field. '' for a place in a list, or if unknown."""
    name = names[index] if index < len(names) else ""
    return name if re.search(r"[^0-9[\].]", name) else ""


def output_name(index: int, names: Sequence[str]) -> str:
    """'output boxes', or 'output 0' where it has no name of its own."""
    return f"output {own_name(index, names) or index}"
