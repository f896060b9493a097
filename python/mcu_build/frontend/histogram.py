"""Ranges from histograms, found as torchao finds them, in a small part of the time.

torchao compares elements of a tensor one by one, a tenth of a second for each activation: most of the
time of quantization. Here the same search walks a list of numbers. The ranges are the same to the bit.
Values that no range holds have no part in them: infinities, and the ends of float32 that nan_to_num puts
in its place. A NaN ends the search for a range with an error.
"""

from collections.abc import Iterator
from contextlib import contextmanager
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
    """The least and the largest value of a range: that of torchao."""
    import torch

    width = (observer.max_val - observer.min_val) / observer.bins
    total = torch.sum(observer.histogram).item()
    sums = torch.cumsum(observer.histogram, dim=0).tolist()
    # A tensor's elements are compared as its type has them.
    real = np.float32 if observer.histogram.dtype == torch.float32 else np.float64
    alpha, beta = 0.0, 1.0
    start, end = 0, observer.bins - 1
    least = float("inf")
    while alpha < beta:
        low, high = alpha + _STEP, beta - _STEP
        left, below = start, float(real(low * total))
        while left < end and sums[left] < below:
            left += 1
        right, above = end, float(real(high * total))
        while right > start and sums[right] > above:
            right -= 1
        next_start, next_end = start, end
        if left - start > end - right:
            next_start, alpha = left, low
        else:
            next_end, beta = right, high
        if (next_start, next_end) == (start, end):
            continue
        error = observer._compute_quantization_error(next_start, next_end)
        if error > least:
            break
        least, start, end = error, next_start, next_end
    return observer.min_val + width * start, observer.min_val + width * (end + 1)
