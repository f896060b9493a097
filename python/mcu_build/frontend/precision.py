"""`precision` of a model file: which layers stay in float or have 16 bits, by their names.

A key is a module path ('head', which holds 'head.0' too), a pattern of one ('blocks.*'), or either with an
operator behind it ('head add'): what `mcu-build accuracy` lists, without shapes. An operator of the model
itself, in no module, goes by its own name ('pow').
"""

import difflib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcu_build.errors import McuError
from mcu_build.layer_names import layer_name

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

FLOAT, INT4, INT8, INT16 = "float", "int4", "int8", "int16"
_WIDTHS = (FLOAT, INT16, INT8, INT4)
_WHY = "`precision` in the model file asks for float"
_HINT = 'Write, for example, `precision = {"head.*": "float"}`; `mcu-build accuracy` lists the layers.'
_SHOWN = 8


def read(path: Path, names: Mapping[str, Any]) -> Mapping[str, str]:
    """The wishes of the model file `path`, empty without any. McuError for what is none."""
    wishes = names.get("precision", {})
    if not isinstance(wishes, Mapping):
        raise McuError(f"{path}: precision: {type(wishes).__name__}, not a dictionary of layers", _HINT)
    for key, width in wishes.items():
        if not isinstance(key, str) or not key:
            raise McuError(f"{path}: precision: {key!r} is no name of a layer", _HINT)
        if width not in _WIDTHS:
            raise McuError(f"{path}: precision: {key!r}: {width!r} is not one of {', '.join(_WIDTHS)}", _HINT)
    return dict(wishes)


def apply(exported: "ExportedProgram", wishes: Mapping[str, str], path: Path, usual: str = INT8) -> None:
    """Mark the operators that stay in float or have 16 bits; `usual` is what no key is about, but for state
    that adds up (accumulators.py). Of several keys that fit one, the last decides.

    McuError, with names that are alike, for keys that fit none.
    """
    from mcu_build.frontend import accumulators
    from mcu_build.lower.assigned import ask_int8, keep_in_float, make_int4, make_int16

    adding = accumulators.accumulating(exported) if usual == INT8 else set()
    names = {node: names_of(node) for node in exported.graph.nodes if node.op == "call_function"}
    unused = set(wishes)
    for node, (module, full) in names.items():
        width, why = (FLOAT, accumulators.WHY) if node in adding else (usual, _WHY)
        for key, wish in wishes.items():
            if fits(key, module, full):
                unused.discard(key)
                width, why = wish, _WHY
        if width == FLOAT:
            keep_in_float(node, why)
        elif width == INT16:
            make_int16(node)
        elif width == INT4:
            make_int4(node)
        elif any(wish == INT8 and fits(key, module, full) for key, wish in wishes.items()):
            ask_int8(node)
    _check_int4(names, wishes, path)
    if unused:
        known = sorted({name for pair in names.values() for name in pair if name})
        raise McuError(
            "\n".join(f"{path}: precision: no layer {key!r}{_near(key, known)}" for key in sorted(unused)),
            _HINT,
        )


def _check_int4(names: "Mapping[Node, tuple[str, str]]", wishes: Mapping[str, str], path: Path) -> None:
    """McuError for keys that ask for weights of 4 bits where no layer can have them."""
    from mcu_build.lower.annotate.int4 import may_have_form

    for key, wish in wishes.items():
        fitting = [node for node, pair in names.items() if wish == INT4 and fits(key, *pair)]
        if fitting and not any(map(may_have_form, fitting)):
            raise McuError(
                f"{path}: precision: {key!r}: no linear layer or convolution of 1x1 is among it, and "
                "others keep weights of 8 bits",
                "Name linear layers, such as the last one: they have most weights.",
            )


def names_of(node: "Node") -> tuple[str, str]:
    """The module path of an operator, and that with the operator: ('head.0', 'head.0 conv2d')."""
    from mcu_build.lower.lines import module_path

    module = module_path(node)
    return module, layer_name(module, str(node.target))


def fits(key: str, module: str, full: str) -> bool:
    """Whether a key means an operator of these names."""
    return any(fnmatchcase(name, key) for name in (full, *_inside(module)))


def _inside(module: str) -> Iterator[str]:
    """A module path and those of the modules around it."""
    while module:
        yield module
        module = module.rpartition(".")[0]


def _near(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, 3) or known[:_SHOWN]
    return f": there are {', '.join(near)}{' ...' if len(known) > len(near) else ''}"
