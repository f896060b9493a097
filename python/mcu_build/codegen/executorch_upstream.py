"""Declarations of ExecuTorch's own kernels for Cortex-M, from their schemas.

The schemas are those of the executorch wheel, which has no kernels for them.
"""

import re
from collections.abc import Mapping
from pathlib import Path

NAMESPACE = "cortex_m::"
_LIST = "backends/cortex_m/ops/operators.yaml"
_SCHEMA = re.compile(r"^- func: (\S+?)\((.*)\) -> ", re.MULTILINE)
_TYPES = {
    "Tensor": "const ::executorch::aten::Tensor&",
    "Tensor?": "const std::optional<::executorch::aten::Tensor>&",
    "Tensor(a!)": "::executorch::aten::Tensor&",
    "int": "int64_t",
    "int[]": "mcu::et::IntegerList",
    "float": "double",
    "bool": "bool",
    "ScalarType": "::executorch::aten::ScalarType",
}


def schemas(wheel: Path) -> Mapping[str, str]:
    """The parameters of each operator by its name, as in "Tensor self, int zero_point, *, Tensor(a!) out"."""
    return dict(_SCHEMA.findall((wheel / _LIST).read_text()))


def adapter_name(operator: str) -> str:
    """The function that ExecuTorch's table names for an operator such as cortex_m::pad.out."""
    return f"upstream_{kernel_name(operator)}"


def declarations(parameters: Mapping[str, str]) -> str:
    """Declarations of the kernels of operators with these `parameters`."""
    if not parameters:
        return ""
    lines = "".join(
        f"::executorch::aten::Tensor& {kernel_name(operator)}("
        f"{', '.join(['::executorch::runtime::KernelRuntimeContext&', *_types(parameters[operator])])});\n"
        for operator in sorted(parameters)
    )
    return f"namespace cortex_m::native {{\n{lines}}}\n\n"


def adapters(parameters: Mapping[str, str]) -> str:
    """Functions of ExecuTorch's form that call the kernels."""
    return "".join(
        f"void {adapter_name(operator)}(mcu::et::KernelRuntimeContext& context, mcu::et::Values values) {{\n"
        f"    mcu::et::upstream<cortex_m::native::{kernel_name(operator)}, "
        f"{len(_types(parameters[operator]))}>(context, values);\n}}\n\n"
        for operator in sorted(parameters)
    )


def kernel_name(operator: str) -> str:
    """The kernel of an operator such as cortex_m::pad.out, in cortex_m::native."""
    return operator.removeprefix(NAMESPACE).replace(".", "_")


def _types(parameters: str) -> list[str]:
    fields = (word.split() for word in parameters.split(", ") if word != "*")
    return [_TYPES[type] for type, _ in fields]
