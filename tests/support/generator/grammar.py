"""Which operators of PyTorch the rules of the grammar call."""

import random
from collections.abc import Iterable
from typing import Any

from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.support.generator.models import evaluate, input_shape, sample
from tests.support.generator.operators import Template

_DRAWS = 6


class _Dispatched(TorchDispatchMode):
    """The operators that PyTorch dispatches, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(function.overloadpacket.__name__))
        return function(*args, **(kwargs or {}))


class _Called(TorchFunctionMode):
    """The functions that a model calls, some of which PyTorch makes of others before it dispatches."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(getattr(function, "__name__", "")))
        return function(*args, **(kwargs or {}))


def called(templates: Iterable[Template]) -> set[str]:
    """The names of what some draws of each template call: `abs`, `add_`, `_softmax`."""
    names: set[str] = set()
    for template in templates:
        for number in range(_DRAWS):
            dice = random.Random(number)
            shape = input_shape(dice.choice([rank for rank in template.ranks if rank > 1]), dice)
            draft = template.draw(dice, shape)
            with _Dispatched() as dispatched, _Called() as functions:
                result = evaluate(draft, [[sample(shape, number, 0)]] * template.operands) if draft else None
            if result is not None:
                names |= dispatched.names | functions.names
    return names
