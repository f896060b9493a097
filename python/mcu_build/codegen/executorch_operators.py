"""Which function of firmware/executorch/operators serves which operator beside ExecuTorch's own kernels.

Its kernels for Cortex-M (--kernels upstream) are those of cortex_m::* alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Adapter:
    """A function of mcu::et and the stem of its source."""

    function: str
    source: str


# Stems of the kernel sources that the arguments of every adapter need.
ARGUMENT_KERNELS = ("copy", "permute")
# Stems of the kernel sources that each source of adapters calls.
KERNELS: Mapping[str, tuple[str, ...]] = {
    "lookup": ("gather",),
    "movement": ("concat",),
    "norm": ("norm_f32",),
    "quantize": ("quantize",),
}

ADAPTERS: Mapping[str, Adapter] = {
    **{
        f"quantized_decomposed::{name}.out": Adapter(name, "quantize")
        for name in ("quantize_per_tensor", "dequantize_per_tensor")
    },
    **{
        name: Adapter("view_copy", "movement")
        for name in (
            "aten::view_copy.out",
            "aten::squeeze_copy.dim_out",
            "aten::squeeze_copy.dims_out",
            "aten::unsqueeze_copy.out",
        )
    },
    **{
        name: Adapter("copy_elements", "movement")
        for name in (
            "aten::clone.out",
            "aten::alias_copy.out",
            "aten::detach_copy.out",
            "aten::lift_fresh_copy.out",
            "dim_order_ops::_to_dim_order_copy.out",
            "dim_order_ops::_clone_dim_order.out",
        )
    },
    "aten::permute_copy.out": Adapter("permute_copy", "movement"),
    "aten::transpose_copy.int_out": Adapter("transpose_copy", "movement"),
    "aten::slice_copy.Tensor_out": Adapter("slice_copy", "movement"),
    "aten::select_copy.int_out": Adapter("select_copy", "movement"),
    "aten::expand_copy.out": Adapter("expand_copy", "movement"),
    "aten::cat.out": Adapter("cat", "movement"),
    "aten::embedding.out": Adapter("embedding", "lookup"),
    "aten::native_layer_norm.out": Adapter("native_layer_norm", "norm"),
}
