"""The tables of operators that have kernels, and of the Core ATen opset, as docs/operators.md shows them."""

import inspect
import sys
from collections.abc import Iterable, Mapping

from mcu_build.plan.left_out import left_out
from mcu_build.plan.select import Selector, operators

_HEAD = """<!-- Written by scripts/update-docs from the selectors in python/mcu_build/plan/operators. -->

# Operators

A program may call these operators; one that calls another does not build, and the error names it with its
line of the model. Quantized operators are those of executorch's Cortex-M back end, and equal their Python
definitions bit for bit. Portable operators (`aten::`, `dim_order_ops::`) are what a model keeps beside them:
integers equal PyTorch's exactly, floats to a few units in the last place, and to the bit on every core
([lowering.md](lowering.md)). Of equal entries topk and sort name that with the lowest index first; argmax,
argmin and the indices of a maximum or minimum name the first alone. A NaN is larger than any number in topk
and sort, and is what amax and amin find.

Tensors may lie in memory in any order (contiguous, channels-last or another), operands of one call in
different ones, too. Where a kernel needs another order, the plan has a step that moves the elements. Shapes
are fixed. What an operator says of types is what kernels exist for; every other type fails the build.

"""


_OPSET = """## The Core ATen opset

Every operator that PyTorch tags as core, and what serves it. A dash: ExecuTorch's decompositions write it
with others of this page before a program is made. Operators of one name and other operands are one row. A
test runs each of them from `torch.export` to native code against PyTorch.

| Operator | Served by |
|---|---|
"""

_TIES = """
Of equal entries `argmax`, `argmin`, `max`, `min`, `topk`, `sort` and the indices of max pools name the first,
in descending order too; `cummax` and `cummin` name the last. A NaN is larger than everything in `sort` and
`topk`, and wins in all other extremes. Where `scatter` or `index_put` write several values to one place, the
last stays; sums are taken in the order of the index.

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
    rows = "".join(
        f"| `{operator}` | {' '.join(_summary(selector).split())} |\n"
        for operator, selector in sorted(table.items())
    )
    heading = " ".join(title.split()).rstrip(".")
    return f"## {heading}\n\n{body}| Operator | Arguments |\n|---|---|\n{rows}"


def _summary(selector: Selector) -> str:
    return (inspect.getdoc(selector) or "").partition("\n\n")[0].rstrip(".")
