"""Custom operators: which they are, and what their functions take and give."""

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["Tensor", "int", "float", "bool", "int[]"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Signature:
    """An operator's schema: `operator` as a program names it, (name, kind) of arguments, names of results."""

    operator: str
    parameters: tuple[tuple[str, Kind], ...]
    results: tuple[str, ...]

    @property
    def function(self) -> str:
        """The C++ function of its kernel."""
        return self.operator.partition(".")[0]


# Namespaces of operators that torch and executorch define; the others are users' own.
_NAMESPACES = frozenset(
    (
        "aten",
        "cortex_m",
        "dim_order_ops",
        "et_copy",
        "executorch_prim",
        "mcu_build",
        "prim",
        "prims",
        "quantized_decomposed",
    )
)


def is_custom(operator: str) -> bool:
    """Whether an operator ('namespace::name.overload') is one of a user's own."""
    namespace, separator, _ = operator.partition("::")
    return bool(separator) and namespace not in _NAMESPACES
