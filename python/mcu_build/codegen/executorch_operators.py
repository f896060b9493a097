"""Which function of firmware/executorch/operators serves which operator under ExecuTorch's own runtime."""

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
    "activation": ("lookup", "softmax"),
    "convolution": ("conv2d", "depthwise_conv2d", "transpose_conv2d"),
    "elementwise": ("add", "div", "minmax", "mul"),
    "int8_forms": ("masked_softmax", "norm", "prelu", "resample"),
    "layout": ("pad",),
    "lookup": ("gather",),
    "matmul": ("batch_matmul", "linear"),
    "movement": ("concat",),
    "norm": ("norm_f32",),
    "pooling": ("pool",),
    "quantize": ("quantize",),
    "recurrent": ("recurrent",),
}
_IMAGES = {
    "quantized_conv2d": "convolution",
    "quantized_depthwise_conv2d": "convolution",
    "quantized_transpose_conv2d": "convolution",
    "quantized_avg_pool2d": "pooling",
    "quantized_max_pool2d": "pooling",
}
_CORTEX_M = {
    "quantized_activation": "activation",
    "softmax": "activation",
    "quantized_add": "elementwise",
    "quantized_mul": "elementwise",
    "quantized_div": "elementwise",
    "minimum": "elementwise",
    "maximum": "elementwise",
    "transpose": "layout",
    "pad": "layout",
    "quantized_linear": "matmul",
    "quantized_batch_matmul": "matmul",
    "quantize_per_tensor": "quantize",
    "dequantize_per_tensor": "quantize",
}

ADAPTERS: Mapping[str, Adapter] = {
    **{
        f"cortex_m::{name}{suffix}.out": Adapter(f"{name}{suffix}", source)
        for name, source in _IMAGES.items()
        for suffix in ("", "_nhwc")
    },
    "mcu_build::max_pool2d.out": Adapter("max_pool2d_beyond", "pooling"),
    **{f"cortex_m::{name}.out": Adapter(name, source) for name, source in _CORTEX_M.items()},
    **{
        f"mcu_build::{name}.out": Adapter(name, "int8_forms")
        for name in ("prelu", "norm", "resample", "masked_softmax", "log_softmax")
    },
    **{f"mcu_build::{name}.out": Adapter(name, "recurrent") for name in ("lstm", "gru", "rnn")},
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
