"""Ranges from histograms, found as torchao finds them, in a small part of the time.

torchao compares elements of a tensor one by one, a tenth of a second for each activation: most of the
time of quantization. Here the same search goes from bin to bin. The ranges are the same to the bit.
Values that no range holds have no part in them: infinities, and the ends of float32 that nan_to_num puts
in its place. A NaN ends the search for a range with an error.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

# How finely torchao takes the least frequent values away.
_STEP = 1e-5
# The width of a range is a float32.
_LARGEST = 1e38


@contextmanager
def quick_histograms() -> Iterator[None]:
    """Have observers search their ranges quickly until the end of the block."""
    from torchao.quantization.pt2e.observer import HistogramObserver

    usual, observe = HistogramObserver._non_linear_param_search, HistogramObserver.forward

    def forward(observer: Any, x: "torch.Tensor") -> "torch.Tensor":
        values = x.detach()
        beyond = values.abs() >= _LARGEST
        observe(observer, values[~beyond] if beyond.any() else values)
        return x

    HistogramObserver._non_linear_param_search, HistogramObserver.forward = search, forward
    try:
        yield
    finally:
        HistogramObserver._non_linear_param_search, HistogramObserver.forward = usual, observe


def search(observer: Any) -> "tuple[torch.Tensor, torch.Tensor]":
    """The least and the largest value of a range: that of torchao.

    torchao takes steps of a share of all elements off one end or the other. Most of them reach no other bin:
    they are passed over, by bisection for the next that does.
    """
    import torch

    width = (observer.max_val - observer.min_val) / observer.bins
    total = torch.sum(observer.histogram).item()
    sums = torch.cumsum(observer.histogram, dim=0).tolist()
    # A tensor's elements are compared as its type has them.
    real = np.float32 if observer.histogram.dtype == torch.float32 else np.float64
    lows, highs = _steps()

    def reaches(taken: int) -> bool:
        return bool(sums[end] > real(highs[taken] * total))

    below, above = 0, 0  # Steps taken from either end.
    start, end = 0, observer.bins - 1
    least = float("inf")
    while lows[below] < highs[above]:
        left = min(bisect_left(sums, real(lows[below + 1] * total), lo=start), end)
        right = max(bisect_right(sums, real(highs[above + 1] * total), hi=end + 1) - 1, start)
        if left == start and right == end:
            above = bisect_left(range(len(highs)), True, lo=above + 2, key=reaches) - 1
            continue
        next_start, next_end = start, end
        if left - start > end - right:
            next_start, below = left, below + 1
        else:
            next_end, above = right, above + 1
        error = observer._compute_quantization_error(next_start, next_end)
        if error > least:
            break
        least, start, end = error, next_start, next_end
    return observer.min_val + width * start, observer.min_val + width * (end + 1)


@cache
def _steps() -> tuple[list[float], list[float]]:
    """The shares that torchao's search comes by, from either end, rounded as there; the last is never met."""
    count = round(1 / _STEP) + 2
    steps = np.full(count, _STEP)
    lows = np.add.accumulate(np.concatenate(([0.0], steps)))
    highs = np.subtract.accumulate(np.concatenate(([1.0], steps)))
    return lows.tolist(), highs.tolist()
