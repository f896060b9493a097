"""Values that hold tensors: what a model returns, and inputs that are not a flat tuple.

Firmware has inputs and outputs in a row. A model whose `forward` takes dictionaries, lists or keyword
arguments is called through a `forward` that has one argument for each tensor in them.
"""

import dataclasses
import keyword
import re
import types
from collections.abc import Iterator, Mapping
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# What may stand among inputs beside tensors. Calls with other values would be another model.
_FIXED = (bool, str, type(None))


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """What a value consists of, with the path to it: 'boxes[0]', 'scores'."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        for field in value._fields:
            yield from leaves(getattr(value, field), f"{name}.{field}" if name else field)
    elif isinstance(value, tuple | list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{name}[{index}]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for declared in dataclasses.fields(value):
            item = getattr(value, declared.name)
            yield from leaves(item, f"{name}.{declared.name}" if name else declared.name)
    elif value is not None and _is_node(value):
        from torch.utils import _pytree

        for index, item in enumerate(_pytree.tree_leaves(value)):
            yield from leaves(item, f"{name}[{index}]")
    else:
        yield name, value


def _is_node(value: Any) -> bool:
    """Whether torch knows how to take the value apart (a deque, for one)."""
    from torch.utils import _pytree

    return type(value) in _pytree.SUPPORTED_NODES


@dataclasses.dataclass(frozen=True)
class Nested:
    """The form of a model's inputs: `example` is a tuple of arguments, or a dictionary of keyword arguments.

    `names` are the arguments of the flat `forward`, one for each tensor in the order of `leaves`.
    """

    example: Any
    names: tuple[str, ...]

    @classmethod
    def of(cls, model: "torch.nn.Module", example: Any) -> "Nested":
        """The form of `example`, with names from the model's `forward`."""
        paths = [path for path, leaf in leaves(_by_argument(model, example)) if not isinstance(leaf, _FIXED)]
        return cls(example, _unique([_identifier(path) for path in paths]))

    def tensors(self, item: Any) -> tuple[Any, ...]:
        """What stands in `item` where the example has tensors. ValueError, with its reason, otherwise."""
        values, like = self._leaves(item), self._leaves(self.example)
        if missing := [path for path in like if path not in values]:
            raise ValueError(f"no {missing[0]!r}, which example_inputs has")
        if more := [path for path in values if path not in like]:
            raise ValueError(f"{more[0]!r}, which example_inputs does not have")
        for path, leaf in like.items():
            if isinstance(leaf, _FIXED) and values[path] != leaf:
                raise ValueError(
                    f"{path!r} is {values[path]!r}, in example_inputs {leaf!r}: only tensors may differ"
                )
        return tuple(values[path] for path, leaf in like.items() if not isinstance(leaf, _FIXED))

    def attach(self, model: "torch.nn.Module") -> None:
        """Let the model's `forward` take the tensors of the example one by one."""

        def forward(module: Any, *tensors: Any) -> Any:
            values = iter(tensors)
            built = _rebuilt(self.example, values)
            call = type(module).forward
            return call(module, **built) if isinstance(built, dict) else call(module, *built)

        kind = Parameter.POSITIONAL_OR_KEYWORD
        declared = [Parameter(name, kind) for name in ("self", *self.names)]
        forward.__signature__ = Signature(declared)  # type: ignore[attr-defined]
        # Bound to the module, so that a copy of the module calls itself.
        model.forward = types.MethodType(forward, model)

    def _leaves(self, item: Any) -> dict[str, Any]:
        """The leaves of an item by path; a single argument may stand without its tuple."""
        alone = isinstance(self.example, tuple) and not (
            isinstance(item, tuple) and not hasattr(item, "_fields")
        )
        return dict(leaves((item,) if alone else item))


def fixed(value: Any) -> bool:
    """Whether a value among inputs is the same in every call: None, a bool or a string."""
    return isinstance(value, _FIXED)


def _by_argument(model: "torch.nn.Module", example: Any) -> Any:
    """The example by the names of forward's arguments, where they have names."""
    if isinstance(example, Mapping):
        return example
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    names = [
        name for name, parameter in signature(model.forward).parameters.items() if parameter.kind in kinds
    ]
    return {
        names[index] if index < len(names) else f"input_{index}": value for index, value in enumerate(example)
    }


def _identifier(path: str) -> str:
    """A name of Python for a path: 'batch.x[0]' becomes batch_x_0."""
    made = re.sub(r"\W+", "_", path).strip("_") or "input"
    return f"input_{made}" if made[0].isdigit() or keyword.iskeyword(made) or made == "self" else made


def _unique(names: list[str]) -> tuple[str, ...]:
    made: list[str] = []
    for name in names:
        number, unique = 1, name
        while unique in made:
            number, unique = number + 1, f"{name}_{number}"
        made.append(unique)
    return tuple(made)


def _rebuilt(like: Any, values: Iterator[Any]) -> Any:
    """A value of the form of `like`, with `values` where it has tensors, in the order of `leaves`."""
    if isinstance(like, Mapping):
        pairs = {key: _rebuilt(item, values) for key, item in like.items()}
        return pairs if type(like) is dict else type(like)(pairs)  # type: ignore[call-arg]
    if isinstance(like, tuple) and hasattr(like, "_fields"):
        return type(like)(*(_rebuilt(item, values) for item in like))
    if isinstance(like, tuple | list):
        return type(like)(_rebuilt(item, values) for item in like)
    if dataclasses.is_dataclass(like) and not isinstance(like, type):
        fields = {
            field.name: _rebuilt(getattr(like, field.name), values) for field in dataclasses.fields(like)
        }
        return dataclasses.replace(like, **fields)
    if like is not None and _is_node(like):
        from torch.utils import _pytree

        parts, form = _pytree.tree_flatten(like)
        return _pytree.tree_unflatten([_rebuilt(part, values) for part in parts], form)
    return like if isinstance(like, _FIXED) else next(values)
