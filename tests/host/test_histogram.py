"""Ranges are those of torchao's own search."""

import pytest
import torch
from torchao.quantization.pt2e.observer import HistogramObserver

from mcu_build.frontend.histogram import quick_histograms, search


def values(kind):
    dice = torch.Generator().manual_seed(5)
    normal = torch.randn(4000, generator=dice)
    return {
        "normal": normal,
        "outliers": torch.cat([normal, torch.tensor([60.0, -45.0])]),
        "one sided": normal.relu() ** 3,
        "few": normal[:7],
        "constant": torch.full((9,), 0.5),
        "zero": torch.zeros(5),
    }[kind]


@pytest.mark.parametrize("kind", ["normal", "outliers", "one sided", "few", "constant", "zero"])
def test_ranges_are_torchaos(kind):
    observer = HistogramObserver(quant_min=-128, quant_max=127, eps=2**-16)
    for part in values(kind).split(1500):
        observer(part)
    usual = HistogramObserver._non_linear_param_search
    expected = observer._non_linear_param_search()
    assert all(torch.equal(one, other) for one, other in zip(search(observer), expected, strict=True))
    with quick_histograms():
        assert HistogramObserver._non_linear_param_search is search
    assert HistogramObserver._non_linear_param_search is usual


def test_what_no_range_holds_has_no_part_in_it():
    numbers = values("normal")
    ends = torch.tensor([float("inf"), -float("inf"), 3e38, -3e38])
    odd = torch.cat([numbers, ends])
    found = []
    for given in (numbers, odd, ends):
        observer = HistogramObserver(quant_min=-128, quant_max=127, eps=2**-16)
        with quick_histograms():
            assert observer(given) is given
            found.append(observer.calculate_qparams())
    assert found[0] == found[1]
    assert found[2][0] == 1  # nothing was observed
    # The controls: torchao's own range is infinitely wide; of NaN there is none.
    usual = HistogramObserver(quant_min=-128, quant_max=127, eps=2**-16)
    usual(odd)
    assert (usual.max_val - usual.min_val).isinf()
    with quick_histograms(), pytest.raises(RuntimeError, match="not finite"):
        usual(numbers / numbers.new_zeros(()) * 0)
