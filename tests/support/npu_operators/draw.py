"""Random numbers, shapes and tensors, and modules made of functions of them."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from tests.support.npu_modules import Built, branched

Generator = Callable[["Draw"], Built]


class Draw(random.Random):
    """Random numbers, shapes and tensors."""

    def shape(self, *ranks: int) -> tuple[int, ...]:
        """A shape of one of `ranks` (2, 3 or 4); the first of four dimensions is 1."""
        rank = self.choice(ranks or (2, 3, 4))
        sizes = [self.randint(2, 11) for _ in range(rank)]
        return (1, self.randint(2, 20), *sizes[2:]) if rank == 4 else tuple(sizes)

    def tensor(self, *shape: int, low: float = -3.0, high: float = 3.0) -> Any:
        """Uniform between `low` and `high`, each drawn up to a fifth of the range closer."""
        import torch

        width = high - low
        low, high = low + width * self.uniform(0, 0.2), high - width * self.uniform(0, 0.2)
        return torch.rand(shape) * (high - low) + low

    def integers(self, *shape: int, low: int, high: int) -> Any:
        """32-bit integers from low up to, not including, high."""
        import torch

        return torch.randint(low, high, shape, dtype=torch.int32)

    def axis(self, shape: Sequence[int]) -> int:
        """A dimension of more than one element."""
        return self.choice([axis for axis, size in enumerate(shape) if size > 1])


def each(inputs: Sequence[Any], functions: Sequence[Any]) -> Built:
    """Function i applied to input i."""
    return branched(tuple(inputs), *(pick(index, f) for index, f in enumerate(functions)))


def pick(index: int, function: Any) -> Any:
    """A module that applies `function` to input `index` of several."""
    import torch

    class Picked(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.function = function

        def forward(self, *tensors: Any) -> Any:
            return self.function(tensors[index])

    return Picked()
