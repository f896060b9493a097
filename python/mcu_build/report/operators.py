"""The table of operators that have kernels, as docs/operators.md shows it."""

import inspect
import sys
from collections.abc import Mapping

from mcu_build.plan.select import Selector, operators

_HEAD = """<!-- Written by scripts/update-docs from the selectors in python/mcu_build/plan/operators. -->

# Operators

A program may call these operators; one that calls another does not build, and the error names it with its
line of the model. Quantized operators are those of executorch's Cortex-M back end, and equal their Python
definitions bit for bit. Portable operators (`aten::`, `dim_order_ops::`) are what a model keeps beside them:
integers equal PyTorch's exactly, floats to a few units in the last place.

Tensors may lie in memory in any order (contiguous, channels-last or another), operands of one call in
different ones, too. Where a kernel needs another order, the plan has a step that moves the elements. Shapes
are fixed. What an operator says of types is what kernels exist for; every other type fails the build.

"""


def markdown() -> str:
    """The page: a section for each module of selectors, a row for each operator."""
    return _HEAD + "\n".join(_section(name, table) for name, table in sorted(_by_module().items()))


def _by_module() -> Mapping[str, Mapping[str, Selector]]:
    modules: dict[str, dict[str, Selector]] = {}
    for operator, selector in operators().items():
        modules.setdefault(selector.__module__, {})[operator] = selector
    return modules


def _section(module: str, table: Mapping[str, Selector]) -> str:
    about = inspect.getdoc(sys.modules[module]) or ""
    title, _, rest = about.partition("\n\n")
    body = f"{rest}\n\n" if rest else ""
    rows = "".join(
        f"| `{operator}` | {' '.join(_summary(selector).split())} |\n"
        for operator, selector in sorted(table.items())
    )
    heading = " ".join(title.split()).rstrip(".")
    return f"## {heading}\n\n{body}| Operator | Arguments |\n|---|---|\n{rows}"


def _summary(selector: Selector) -> str:
    return (inspect.getdoc(selector) or "").partition("\n\n")[0].rstrip(".")
