"""The Python side of custom operators: files that define them with torch.library, and what is in them.

A graph with such an operator is read, lowered and evaluated only where the operator is registered. What
needs torch imports it when it is called.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcu_build.cache import hash_file
from mcu_build.custom import KINDS, Kind, Signature, is_custom
from mcu_build.errors import McuError

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

LIBRARY_HINT = "Import the file that defines the operator in the model, or give it: --op-library FILE.py."
_HINT = "docs/custom-operators.md says what an operator may take and give."


def check(libraries: Iterable[Path]) -> None:
    """McuError for every library that is not there, or is not Python."""
    wrong = [
        f"{file}: {'not a .py file' if file.is_file() else 'no such file'}"
        for file in libraries
        if not file.is_file() or file.suffix != ".py"
    ]
    if wrong:
        raise McuError("\n".join(wrong), "--op-library takes files that define operators with torch.library.")


def load(libraries: Iterable[Path]) -> list[Path]:
    """Run the files, which registers their operators. Returns the files that were read, these too."""
    return [read for library in libraries for read in _run(library, hash_file(library))]


@cache
def _run(library: Path, content: str) -> list[Path]:
    """Run a file once: torch.library refuses to define an operator a second time."""
    del content
    from mcu_build.frontend.surroundings import Surroundings

    surroundings = Surroundings(library)
    surroundings.run()
    return [library.resolve(), *surroundings.recorder.files]


def ensure(operators: Sequence[str], files: Iterable[Path]) -> None:
    """Have `operators` registered, each with an out form: run `files` until they are.

    McuError names the operators that none of the files defines.
    """
    for file in files:
        if _missing(operators):
            load([file])
    if missing := _missing(operators):
        raise McuError(
            f"{', '.join(missing)}: not defined in Python",
            "Give the file that defines it with torch.library: --op-library FILE.py.",
        )
    for operator in operators:
        signature(operator)  # What C++ cannot be given has no out form either.


def _missing(operators: Sequence[str]) -> list[str]:
    return [operator for operator in operators if _packet(operator) is None]


def custom_operators(exported: "ExportedProgram") -> list[str]:
    """The custom operators that a graph calls, as 'namespace::name' or 'namespace::name.overload'."""
    operators: dict[str, None] = {}
    for node in exported.graph.nodes:
        schema = getattr(node.target, "_schema", None)
        if node.op == "call_function" and schema is not None and is_custom(str(schema.name)):
            operators[_full_name(schema)] = None
    return list(operators)


def signature(operator: str) -> Signature:
    """The signature of a registered operator in its out form. McuError for what C++ cannot be given."""
    schema = _overload(operator)._schema
    inputs = [argument for argument in schema.arguments if not argument.is_out]
    kinds = {argument.name: _kind(str(argument.type)) for argument in inputs}
    wrong = [
        f"{name}: {argument.type}" for name, argument in zip(kinds, inputs, strict=True) if not kinds[name]
    ]
    wrong += [f"{argument.name}: changed in place" for argument in inputs if argument.alias_info]
    wrong += [f"result: {value.type}" for value in schema.returns if str(value.type) != "Tensor"]
    if wrong or not schema.returns:
        raise McuError(
            f"{operator}: no C++ function can take {', '.join(wrong) or 'an operator without a result'}",
            f"Arguments are {', '.join(KINDS)}; results are tensors. {_HINT}",
        )
    out = _add_out_form(operator)
    parameters = tuple((name, kind) for name, kind in kinds.items() if kind)
    results = tuple(argument.name for argument in out._schema.arguments if argument.is_out)
    return Signature(_full_name(out._schema), parameters, results)


def _kind(type: str) -> Kind | None:
    word = type.replace("SymInt", "int").replace("List[int]", "int[]")
    return next((kind for kind in KINDS if kind == word), None)


def _full_name(schema: Any) -> str:
    return f"{schema.name}.{schema.overload_name}" if schema.overload_name else str(schema.name)


def _split(operator: str) -> tuple[str, str, str]:
    namespace, _, rest = operator.partition("::")
    name, _, overload = rest.partition(".")
    return namespace, name, overload or "default"


def _packet(operator: str) -> Any:
    import torch

    namespace, name, _ = _split(operator)
    return getattr(getattr(torch.ops, namespace), name, None)


def _overload(operator: str) -> Any:
    """The overload that returns its results: of an operator, or of its out form."""
    packet, (_, _, overload) = _packet(operator), _split(operator)
    if overload not in packet.overloads():
        # An out form that a program knows, and nobody has registered here.
        overload = overload.removesuffix("out").removesuffix("_") or "default"
    resolved = getattr(packet, overload, None)
    if resolved is None:
        raise McuError(f"{operator}: the operator has only {', '.join(packet.overloads())}", _HINT)
    inputs = _inputs(resolved)
    if len(inputs) == len(resolved._schema.arguments):
        return resolved
    for other in (getattr(packet, name) for name in packet.overloads()):
        if _inputs(other) == inputs and len(other._schema.arguments) == len(inputs):
            return other
    raise McuError(f"{operator}: it has no form that returns its result", _HINT)


def _inputs(overload: Any) -> list[tuple[str, str]]:
    return [(a.name, str(a.type)) for a in overload._schema.arguments if not a.is_out]


def _add_out_form(operator: str) -> Any:
    """The overload that writes into tensors which it is given; programs call it; made where there is none."""
    packet, functional = _packet(operator), _overload(operator)
    for name in packet.overloads():
        overload = getattr(packet, name)
        writes = len(overload._schema.arguments) > len(_inputs(overload))
        if writes and _inputs(overload) == _inputs(functional):
            return overload
    namespace, name, own = _split(_full_name(functional._schema))
    form = "out" if own == "default" else f"{own}_out"
    schema = str(functional._schema)
    arguments = schema[schema.index("(") + 1 : schema.rindex(") -> ")]
    count = len(functional._schema.returns)
    outs = ["out"] if count == 1 else [f"out{index}" for index in range(count)]
    types = [f"Tensor({chr(ord('a') + index)}!)" for index in range(count)]
    star = "" if "*, " in arguments else "*, "
    written = ", ".join(f"{type} {out}" for type, out in zip(types, outs, strict=True))
    returned = types[0] if count == 1 else f"({', '.join(types)})"
    library = _fragment(namespace)
    library.define(f"{name}.{form}({arguments}, {star}{written}) -> {returned}")

    def write(*tensors: "torch.Tensor", **named: Any) -> Any:
        targets = [named.pop(out) for out in outs]
        results = functional(*tensors, **named)
        for target, result in zip(targets, results if count > 1 else [results], strict=True):
            target.copy_(result)
        return tuple(targets) if count > 1 else targets[0]

    library.impl(f"{name}.{form}", write, "CompositeExplicitAutograd")
    return getattr(_packet(operator), form)


@cache
def _fragment(namespace: str) -> Any:
    """Where out forms are registered. An operator goes when its library object does."""
    import torch

    return torch.library.Library(namespace, "FRAGMENT")
