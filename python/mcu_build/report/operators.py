"""The tables of operators that have kernels, and of the Core ATen opset, as docs/operators.md shows them."""

import inspect
import sys
from collections.abc import Iterable, Mapping

from mcu_build.plan.left_out import left_out
from mcu_build.plan.select import Selector, operators

_HEAD = """<!-- Written by scripts/update-docs from the selectors in python/mcu_build/plan/operators. -->

# Operators

This page lists the operators that firmware can compute: look here when a build ends with

    error: net.py: net.py:11: aten::mode.values: there is no kernel for this operator

You rarely need it before that. A model is written with PyTorch's functions; export and quantization turn
them into the operators of this page, and [lowering.md](lowering.md) says which of them run on int8. What to
do about an operator that is not here: write the line with others, give the model an operator of your own
([custom-operators.md](custom-operators.md)), or add a kernel to mcu-build
([write-a-kernel.md](write-a-kernel.md)).

There are three kinds:

- `cortex_m::...` are the int8 operators of ExecuTorch's Cortex-M back end. Outputs equal those of their
  definitions in Python bit for bit.
- `mcu_build::...` are our own operators on int8, int16 and int4, for what ExecuTorch has none for. Outputs
  equal our definitions in Python bit for bit.
- `aten::...` and `dim_order_ops::...` are PyTorch's own, for what stays in float and for integers. Integers
  equal PyTorch's exactly. Floats differ from PyTorch's by a few units in the last place, and are the same on
  every core to the bit.

The types in the tables are those that kernels exist for; another type fails the build. Shapes are fixed.
Tensors may have any layout (contiguous, channels-last or another), and the operands of one call different
ones: where a kernel needs another layout, the plan gets a step that moves the elements.

"""


_OPSET = """## The Core ATen opset

Every operator that PyTorch tags as core, and the operators of this page that compute it. A dash:
ExecuTorch replaces it by others of this page before a program is made. Operators that differ only in their
operands share a row. A test takes each of them from `torch.export` to native code and compares the results
with PyTorch's.

| Operator | Served by |
|---|---|
"""

_TIES = """
Where PyTorch leaves open what happens, firmware does this:

- Equal entries: `argmax`, `argmin`, `max`, `min`, `topk`, `sort` and the indices of max pools give the first
  of them, also in descending order; `cummax` and `cummin` give the last.
- NaN: in `sort` and `topk` it is larger than any number; every other maximum or minimum over a NaN is NaN.
- Several values written to one place: `scatter` and `index_put` keep the last. Sums are taken in the order of
  the index.

In the tables below, the names in brackets are the operator's arguments in their order.

"""


def markdown(core: Iterable[str]) -> str:
    """The page: a section for each module of selectors, a row for each operator, and the opset `core`.

    `core` are names such as 'aten::add.Tensor' (`core_opset()`).
    """
    sections = "\n".join(_section(name, table) for name, table in sorted(_by_module().items()))
    return _HEAD + _opset(core) + _TIES + sections


def core_opset() -> list[str]:
    """The names of the operators that PyTorch tags as core, sorted."""
    import torch

    names = (name for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::"))
    parts = (name.removeprefix("aten::").partition(".") for name in names)
    overloads = (getattr(getattr(torch.ops.aten, base), form or "default") for base, _, form in parts)
    return sorted(operator.name() for operator in overloads if torch.Tag.core in operator.tags)


def _opset(core: Iterable[str]) -> str:
    # Overloads differ in operands alone: what serves one base name is named together.
    bases = sorted({operator.partition(".")[0] for operator in core}, key=str.lower)
    return _OPSET + "".join(f"| `{base}` | {_served_by(base)} |\n" for base in bases)


def _served_by(base: str) -> str:
    known = left_out(base)
    if known:
        return f"left out: {known.why}"
    forms = (f"{base}.", f"{base}_copy.")
    return ", ".join(f"`{operator}`" for operator in sorted(operators()) if operator.startswith(forms)) or "-"


def _by_module() -> Mapping[str, Mapping[str, Selector]]:
    modules: dict[str, dict[str, Selector]] = {}
    for operator, selector in operators().items():
        modules.setdefault(selector.__module__, {})[operator] = selector
    return modules


def _section(module: str, table: Mapping[str, Selector]) -> str:
    about = inspect.getdoc(sys.modules[module]) or ""
    title, _, rest = about.partition("\n\n")
    body = f"{rest}\n\n" if rest else ""
    rows = "".join(f"| `{operator}` | {_cell(selector)} |\n" for operator, selector in sorted(table.items()))
    heading = " ".join(title.split()).rstrip(".")
    return f"## {heading}\n\n{body}| Operator | Arguments |\n|---|---|\n{rows}"


def _cell(selector: Selector) -> str:
    return " ".join(_summary(selector).split()).replace("|", "\\|")


def _summary(selector: Selector) -> str:
    return (inspect.getdoc(selector) or "").partition("\n\n")[0].rstrip(".")
