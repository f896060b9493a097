"""`calibration` and `evaluation` of a model file: each item is checked when it is read."""

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcu_build.errors import McuError
from mcu_build.frontend.nested import Nested
from mcu_build.frontend.surroundings import Surroundings
from mcu_build.frontend.values import described, kind_of
from mcu_build.frontend.weights import wrong_number

if TYPE_CHECKING:
    import torch

Inputs = tuple["torch.Tensor", ...]
# The inputs of one call and the right class, or None where there is none to know. A recording that is
# streamed may have a class for each of its steps.
# With `metric`: an array of numbers.
Label = int | tuple[int | None, ...] | np.ndarray[Any, Any] | None
Labelled = tuple[Inputs, Label]
# An item of `calibration` or `evaluation`: one call, or a list of the calls of a sequence (state).
Calls = Inputs | list[Inputs]
LabelledCalls = Labelled | list[Labelled]


@dataclass(frozen=True)
class Example:
    """The inputs of one call in a row, and the form that the model's author gives them, if it is another."""

    tensors: Inputs
    nested: Nested | None = None


def check_numbers(where: str, tensor: "torch.Tensor") -> None:
    """McuError for NaN or infinity in an input."""
    if tensor.is_floating_point() and (wrong := wrong_number(tensor, infinite=True)):
        raise McuError(f"{where}: {wrong[0]}", "int8 ranges come from the data: give numbers that occur.")


def calibration(
    surroundings: Surroundings, names: dict[str, Any], example: Example
) -> Callable[[], Iterator[Calls]] | None:
    """What gives the inputs to calibrate with, from the first at every call; None where the file has none."""
    source = _source(surroundings, names, "calibration")
    if source is None:
        return None

    def items() -> Iterator[Calls]:
        for index, item in _numbered(surroundings, "calibration", source):
            yield _calls(surroundings.path, f"calibration[{index}]", item, example)

    return items


def evaluation(
    surroundings: Surroundings, names: dict[str, Any], example: Example, metric: str | None
) -> Callable[[], Iterator[LabelledCalls]] | None:
    """What gives inputs with labels, from the first at every call; None where the file has none."""
    source = _source(surroundings, names, "evaluation")
    if source is None:
        return None
    path = surroundings.path
    kind = _target if metric else _step_labels if names.get("stream") is not None else _label

    def items() -> Iterator[LabelledCalls]:
        for index, item in _numbered(surroundings, "evaluation", source):
            key = f"evaluation[{index}]"
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise McuError(
                    f"{path}: {key}: {kind_of(item)}, not (inputs, label)",
                    "Yield pairs: the inputs (a tensor or a tuple; of a model that keeps state "
                    "also a list of such calls), and the right class or None.",
                )
            yield _labelled(path, key, item[0], item[1], example, kind)

    return items


def _labelled(
    path: Path, key: str, inputs: Any, labels: Any, example: Example, label: Callable[[Path, str, Any], Any]
) -> LabelledCalls:
    """One call with what `label` makes of its label.

    A sequence has a label for each of its calls, or one for the last.
    """
    calls = _calls(path, key, inputs, example)
    if isinstance(calls, tuple):
        return calls, label(path, key, labels)
    each = list(labels) if isinstance(labels, list | tuple) else [*[None] * (len(calls) - 1), labels]
    if len(each) != len(calls):
        raise McuError(
            f"{path}: {key}: {len(each)} labels for {len(calls)} calls",
            "Give one label for each call of the sequence, or one for the last.",
        )
    return [(call, label(path, key, target)) for call, target in zip(calls, each, strict=True)]


def _calls(path: Path, key: str, item: Any, example: Example) -> Calls:
    """One call's inputs, or those of a sequence of calls: a list of tuples, or of tensors for one input."""
    import torch

    if isinstance(item, list) and not item:
        raise McuError(
            f"{path}: {key}: a sequence without a call", "Give one call at least, or leave it out."
        )
    if not isinstance(item, list):
        return _inputs(path, key, item, example)
    if example.nested:
        return [_inputs(path, f"{key}[{step}]", inputs, example) for step, inputs in enumerate(item)]
    like = example.tensors
    whole = isinstance(item[0], torch.Tensor) and item[0].shape == like[0].shape and len(like) == 1
    if not isinstance(item[0], tuple | list) and not (whole and len(item) > 1):
        return _inputs(path, key, item, example)
    return [_inputs(path, f"{key}[{step}]", inputs, example) for step, inputs in enumerate(item)]


def _source(
    surroundings: Surroundings, names: dict[str, Any], key: str
) -> Callable[[], Iterable[Any]] | None:
    """A function that gives the items of `key` from the first, whatever the file has under that name."""
    value = names.get(key)
    if value is None:
        return None
    path = surroundings.path
    wrong = McuError(
        f"{path}: {key}: {kind_of(value)}, not an iterable nor a function that returns one",
        f"Write `def {key}():` that yields inputs like example_inputs, or a list of them.",
    )
    if isinstance(value, Iterator):
        # An iterator gives its items once; they are kept for the next time.
        kept: list[Any] = []
        return lambda: _kept(kept, value)
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | dict | type):
        return lambda: value
    if not callable(value):
        raise wrong

    def call() -> Iterable[Any]:
        items = value()
        if not isinstance(items, Iterable):
            raise McuError(f"{path}: {key}: returned {kind_of(items)}, not an iterable", wrong.hint)
        return items

    return call


def _kept(kept: list[Any], rest: Iterator[Any]) -> Iterator[Any]:
    for index in count():
        if index == len(kept):
            try:
                kept.append(next(rest))
            except StopIteration:
                return
        yield kept[index]


def _numbered(
    surroundings: Surroundings, key: str, source: Callable[[], Iterable[Any]]
) -> Iterator[tuple[int, Any]]:
    index = -1
    for index, item in enumerate(surroundings.iterate(key, source)):
        yield index, item
    if index < 0:
        raise McuError(
            f"{surroundings.path}: {key}: it holds no item",
            "Give some inputs like example_inputs, or leave it out.",
        )


def _inputs(path: Path, key: str, item: Any, example: Example) -> Inputs:
    """One item as tensors like the example's. McuError where it differs in form, number, shape or type."""
    import torch

    tensors = example.tensors
    hint = f"Every item is one call's inputs, like example_inputs: {described(tensors)}."
    values = _in_a_row(path, key, item, example.nested, hint)
    if len(values) != len(tensors):
        raise McuError(f"{path}: {key}: {len(values)} inputs, example_inputs has {len(tensors)}", hint)
    for index, (tensor, like) in enumerate(zip(values, tensors, strict=True)):
        if not isinstance(tensor, torch.Tensor):
            raise McuError(f"{path}: {key}: input {index} is {kind_of(tensor)}, not a tensor", hint)
        if tensor.shape != like.shape or tensor.dtype != like.dtype:
            raise McuError(
                f"{path}: {key}: input {index} is {described((tensor,))}, "
                f"example_inputs has {described((like,))}",
                hint,
            )
        check_numbers(f"{path}: {key}: input {index}", tensor)
    return tuple(tensor.detach() for tensor in values)


def _in_a_row(path: Path, key: str, item: Any, nested: Nested | None, hint: str) -> tuple[Any, ...]:
    """What an item holds for each tensor of the example."""
    import torch

    if nested is None:
        if isinstance(item, torch.Tensor):
            return (item,)
        if not isinstance(item, tuple | list):
            if hasattr(item, "__array__"):
                hint += " `torch.from_numpy(item).float()` makes a tensor of an array."
            raise McuError(f"{path}: {key}: {kind_of(item)}, not a tensor or a tuple of tensors", hint)
        return tuple(item)
    try:
        return nested.tensors(item)
    except ValueError as error:
        raise McuError(f"{path}: {key}: {error}", hint) from error


def _label(path: Path, key: str, value: Any) -> int | None:
    if value is None:
        return None
    try:
        return operator.index(value)
    except TypeError:
        raise McuError(
            f"{path}: {key}: the label is {kind_of(value)}, not a whole number",
            "A label is the index of the right class, or None.",
        ) from None


def _step_labels(path: Path, key: str, value: Any) -> Label:
    """One label, or one for each step of a recording."""
    if isinstance(value, list | tuple):
        return tuple(_label(path, key, label) for label in value)
    return _label(path, key, value)


def _target(path: Path, key: str, value: Any) -> Label:
    """What a metric compares outputs with: a number, or a tensor, an array or a list of numbers."""
    import torch

    if value is None:
        return None
    try:
        made = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    except (TypeError, ValueError):
        made = np.empty(0, object)
    if made.dtype.kind not in "biuf" or not made.size:
        raise McuError(
            f"{path}: {key}: the label is {kind_of(value)}, no numbers",
            "With `metric` a label is a number, or a tensor or an array of numbers, or None.",
        )
    return np.array(made)
