"""Layers step by step that read more than they give, or lay time beside other dimensions (`stream`)."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mcu_build.errors import McuError
from tests.host.test_stream import LENGTH, Of, agree, past, streamed


def attends(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Attention to the last eight samples, by einsum."""
    x = x.transpose(1, 2)
    keys, values = (F.pad(layer(x), (0, 0, 7, 0)).unfold(1, 8, 1) for layer in (m.k, m.v))
    scores = torch.einsum("btd,btdw->btw", m.q(x), keys).softmax(-1)
    return torch.einsum("btw,btdw->btd", scores, values)


def filters(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A filter of five taps that the recording decides, as planes whose rows are channels and samples."""
    taps = past(x, 4).unfold(2, 5, 1) * m.c(x.transpose(1, 2)).reshape(1, 1, LENGTH, 5)
    taps = torch.stack([taps, 2 * taps], 3)  # [1, 3, LENGTH, 2, 5]
    planes = F.avg_pool2d(taps.reshape(6 * LENGTH, 1, 5, 1), (5, 1)) * 5
    return planes.reshape(1, 3, LENGTH, 2)


def longer(kernel: int, stride: int, cut: int, **options: int) -> Of:
    layer = nn.ConvTranspose1d(3, 2, kernel, stride=stride, **options)
    return Of(lambda m, x: m.u(torch.relu(x))[..., : LENGTH * stride] if cut else m.u(x), u=layer)


def first(x: torch.Tensor, count: int) -> torch.Tensor:
    """So many copies of the first sample in front."""
    return F.pad(x, (count, 0), mode="replicate")


# A model over [1, 3, LENGTH].
CAUSAL: dict[str, nn.Module] = {
    "attention to a window": Of(attends, q=nn.Linear(3, 4), k=nn.Linear(3, 4), v=nn.Linear(3, 4)),
    "rows of channels and samples": Of(filters, c=nn.Linear(3, 5)),
    "products of matrices": Of(
        lambda m, x: x.transpose(1, 2)[:, :, None] @ m.l(x.transpose(1, 2)).reshape(1, LENGTH, 3, 2),
        l=nn.Linear(3, 6),
    ),
    "median": Of(lambda m, x: x - past(x, 8).unfold(2, 9, 1).median(-1).values),
    "longer, kernel twice the stride": longer(8, 4, 4),
    "longer, kernel of no whole strides": longer(7, 3, 4),
    "longer, kernel less than the stride": longer(2, 3, 0, output_padding=1),
    "longer, dilated": longer(3, 2, 3, dilation=2),
    "longer behind what comes late": Of(
        lambda m, x: m.u(m.c(x))[..., : 2 * (LENGTH - 2)],
        c=nn.Conv1d(3, 4, 3),
        u=nn.ConvTranspose1d(4, 2, 4, stride=2),
    ),
    "U-Net": Of(
        lambda m, x: x + m.u(torch.relu(m.b(past(torch.relu(m.a(past(x, 2))), 1))))[..., :LENGTH],
        a=nn.Conv1d(3, 4, 4, stride=2),
        b=nn.Conv1d(4, 4, 2),
        u=nn.ConvTranspose1d(4, 3, 4, stride=2),
    ),
    "padding with the first sample": Of(
        lambda m, x: (
            m.b(first(m.a(torch.relu(first(x, 3))), 4)) + first(x, 1)[..., 1 : 2 * (LENGTH // 2) : 2]
        ),
        a=nn.Conv1d(3, 4, 5, stride=2),
        b=nn.Conv1d(4, 3, 3, dilation=2),
    ),
    "padding by copies in pieces": Of(
        lambda m, x: m.c(torch.cat([*[x[..., :1]] * 4, x], 2)) + m.c(first(first(x, 3), 1)),
        c=nn.Conv1d(3, 2, 5),
    ),
    "sums and extremes so far": Of(
        lambda m, x: past(x, 1).cumsum(2)[..., 1:] + x.cummax(2)[0] + m.c(past(x, 2)).cummin(2)[0],
        c=nn.Conv1d(3, 3, 3),
    ),
    "sum of what comes late": Of(lambda m, x: m.c(x).cumsum(2), c=nn.Conv1d(3, 2, 4)),
    "mean so far": Of(lambda m, x: x - x.cumsum(2) / torch.arange(1, LENGTH + 1)),
    "positions": Of(lambda m, x: x + torch.arange(float(LENGTH))),
    "images longer": Of(
        lambda m, x: m.u(x[:, None])[:, :, 1:-1, : 2 * LENGTH],
        u=nn.ConvTranspose2d(1, 2, (3, 5), stride=(1, 2)),
    ),
}
# Likewise, and the layer and its look-ahead, or what is wrong.
REFUSED: dict[str, tuple[nn.Module, str]] = {
    "einsum over time": (Of(lambda m, x: torch.einsum("bct,bdt->bcd", x, x)), "einsum: it looks the whole"),
    "rows with a past": (
        Of(lambda m, x: x.reshape(3 * LENGTH, 1).unfold(0, 3, 1)),
        "unfold: time and what is before it were joined",
    ),
    "more padding than is read": (
        Of(lambda m, x: m.c(first(x, 5)), c=nn.Conv1d(3, 2, 3)),
        "pad: it reads less of the padding|conv1d: it reads less of the padding",
    ),
    "too many copies": (Of(lambda m, x: first(x, 9)), "9 copies of the first sample"),
    "extremes of what comes late": (
        Of(lambda m, x: m.c(x).cummax(2)[0], c=nn.Conv1d(3, 2, 4)),
        "compares samples that come late",
    ),
    "the place of an extreme": (Of(lambda m, x: x.cummax(2)[1].float()), "the place of a sample"),
    "rows as an output": (Of(lambda m, x: x.reshape(3 * LENGTH, 1)), "this output joins time"),
}


@pytest.mark.parametrize("name", CAUSAL)
def test_steps_are_the_recording(name: str) -> None:
    made, model, recordings = streamed(CAUSAL[name])
    time = made.outputs[0]
    assert made.ahead is None
    assert time is not None
    assert made.steps * time.hop - time.delay >= time.length
    agree(made, model, recordings)


def test_a_longer_signal_that_is_not_cut_looks_ahead() -> None:
    """With one sample of padding the last output needs the next input."""
    made, model, recordings = streamed(nn.ConvTranspose1d(3, 2, 4, stride=2, padding=1))
    assert made.ahead is not None
    assert made.ahead.samples == 1
    agree(made, model, recordings)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_steps_is_refused(name: str) -> None:
    model, text = REFUSED[name]
    with pytest.raises(McuError, match=text) as raised:
        streamed(model)
    assert raised.value.hint
