"""Models of whole recordings that are called step by step (`stream`)."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mcu_build.errors import McuError
from mcu_build.frontend.state import Stepper
from mcu_build.frontend.stream import Streamed, to_stream
from mcu_build.frontend.stream.recordings import cut, describe
from mcu_build.oracle import stream_proof
from mcu_build.stages.lower import _check_latency
from mcu_build.vectors.pack import joined
from mcu_build.vectors.pack import stepped as in_steps

LENGTH = 24


class Of(nn.Module):
    """A model of a function of (module, input) and its layers."""

    def __init__(self, function: Callable[..., torch.Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


def past(x: torch.Tensor, count: int) -> torch.Tensor:
    return F.pad(x, (count, 0))


def tcn(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    for conv, dilation in ((m.a, 1), (m.b, 2), (m.c, 4)):
        x = torch.relu(conv(past(x, 2 * dilation))) + x
    return x


def dilated(dilation: int) -> nn.Conv1d:
    return nn.Conv1d(3, 3, 3, dilation=dilation)


def recurrent(kind: type[nn.Module], **options: object) -> Of:
    return Of(lambda m, x: m.layer(x.transpose(1, 2))[0], layer=kind(3, 5, batch_first=True, **options))


# A model over [1, 3, LENGTH], the hop of a step, and how many samples its first output comes late.
CAUSAL: dict[str, tuple[nn.Module, int, int | None]] = {
    "padded in front": (Of(lambda m, x: m.c(past(x, 2)), c=nn.Conv1d(3, 4, 3)), 1, 0),
    "TCN with residuals": (Of(tcn, a=dilated(1), b=dilated(2), c=dilated(4)), 1, 0),
    "no padding": (nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.Conv1d(4, 2, 5)), 1, 6),
    "strides": (nn.Sequential(nn.Conv1d(3, 4, 4, stride=2), nn.ReLU(), nn.Conv1d(4, 2, 3, stride=3)), 6, 1),
    "stride beyond kernel": (nn.Sequential(nn.Conv1d(3, 4, 1, stride=2), nn.Conv1d(4, 2, 2)), 2, 1),
    "padding cut off": (Of(lambda m, x: m.c(x)[..., :-4], c=nn.Conv1d(3, 4, 5, padding=4)), 1, 0),
    "zeros joined in front": (
        Of(lambda m, x: m.c(torch.cat([torch.zeros(1, 3, 2), x], -1)), c=nn.Conv1d(3, 4, 3)),
        1,
        0,
    ),
    "value in front, then a layer": (
        Of(
            lambda m, x: m.c(torch.sigmoid(m.d(F.pad(x, (2, 0), value=0.5)))),
            c=nn.Conv1d(4, 2, 3),
            d=nn.Conv1d(3, 4, 1),
        ),
        1,
        0,
    ),
    "pools": (nn.Sequential(nn.MaxPool1d(2), nn.Conv1d(3, 4, 2), nn.AvgPool1d(3, stride=1)), 2, 3),
    "images over time": (
        Of(
            lambda m, x: m.b(torch.relu(m.a(F.pad(x.transpose(1, 2)[:, None], (1, 1, 2, 0))))).flatten(1, 1),
            a=nn.Conv2d(1, 4, (3, 3)),
            b=nn.Conv2d(4, 4, (2, 3), groups=4, stride=(2, 1)),
        ),
        2,
        0,
    ),
    "unequal branches": (
        Of(
            lambda m, x: torch.cat([m.a(x), m.b(x)[..., 4:], x[..., 6:] * 2], 1),
            a=nn.Conv1d(3, 2, 7),
            b=nn.Conv1d(3, 2, 3),
        ),
        1,
        6,
    ),
    "norm of channels": (Of(lambda m, x: m.n(x.transpose(1, 2)).softmax(-1), n=nn.LayerNorm(3)), 1, 0),
    "norms of a batch, gates": (
        Of(
            lambda m, x: m.b(
                m.p(F.glu(m.a(m.c(past(x, 2))), 1)) + F.hardswish(x)[:, :2].movedim(1, 2).swapaxes(1, 2)
            ),
            c=nn.Conv1d(3, 4, 3),
            a=nn.BatchNorm1d(4),
            p=nn.PReLU(2),
            b=nn.BatchNorm1d(2),
        ),
        1,
        0,
    ),
    "statistics of channels": (
        Of(
            lambda m, x: torch.cat(
                [
                    F.normalize(x, dim=1) * x.std(1, keepdim=True),
                    x.roll(1, 1).cumsum(1) + x.logsumexp(1, keepdim=True),
                    (x.max(1)[0] + x.unbind(1)[0] + x.norm(dim=1))[:, None].repeat(1, 2, 1),
                    x.topk(2, 1)[0].narrow(1, 1, 1),
                    F.adaptive_avg_pool2d(x[:, None], (1, LENGTH))[:, 0],
                ],
                1,
            )
        ),
        1,
        0,
    ),
    "windows": (Of(lambda m, x: m.l(x.unfold(2, 8, 4)).amax(1), l=nn.Linear(8, 5)), 4, 1),
    "cut into frames": (Of(lambda m, x: m.l(x.reshape(1, 3, -1, 4)), l=nn.Linear(4, 5)), 4, 0),
    "longer": (
        Of(lambda m, x: m.c(m.u(x)), c=nn.Conv1d(2, 4, 1), u=nn.ConvTranspose1d(3, 2, 2, stride=2)),
        1,
        0,
    ),
    "GRU": (recurrent(nn.GRU, num_layers=2), 1, 0),
    "LSTM": (recurrent(nn.LSTM), 1, 0),
    "RNN": (recurrent(nn.RNN), 1, 0),
    "GRU behind what comes late": (
        Of(
            lambda m, x: m.g(m.c(x).transpose(1, 2))[0],
            c=nn.Conv1d(3, 4, 3),
            g=nn.GRU(4, 5, batch_first=True),
        ),
        1,
        2,
    ),
    "mean, then classes": (
        Of(lambda m, x: m.h(torch.relu(m.c(x)).mean(-1)), c=nn.Conv1d(3, 4, 3), h=nn.Linear(4, 2)),
        1,
        None,
    ),
    "flat, then classes": (
        Of(lambda m, x: m.h(m.c(x).flatten(1)), c=nn.Conv1d(3, 4, 2, stride=2), h=nn.Linear(48, 2)),
        2,
        None,
    ),
    "last of an LSTM": (
        Of(
            lambda m, x: m.h(m.l(x.transpose(1, 2))[0][:, -1]),
            l=nn.LSTM(3, 5, batch_first=True),
            h=nn.Linear(5, 2),
        ),
        1,
        None,
    ),
}
# Likewise, and how many samples of the input it looks ahead.
LATE: dict[str, tuple[nn.Module, int, int, int]] = {
    "equal padding": (
        nn.Sequential(nn.Conv1d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv1d(4, 2, 5, padding=2)),
        1,
        3,
        3,
    ),
    "equal padding, strides": (
        nn.Sequential(nn.Conv1d(3, 4, 5, stride=2, padding=2), nn.Conv1d(4, 2, 3, padding=1)),
        2,
        2,
        4,
    ),
    "residual": (Of(lambda m, x: x + m.c(torch.relu(m.c(x))), c=nn.Conv1d(3, 3, 3, padding=1)), 1, 2, 2),
}


def streamed(model: nn.Module, axis: int = 2) -> tuple[Streamed, nn.Module, list[torch.Tensor]]:
    torch.manual_seed(3)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    recordings = [torch.randn(1, 3, LENGTH) for _ in range(3)]
    with torch.no_grad():
        exported = torch.export.export(model.eval(), (recordings[0],), strict=False)
    return to_stream(exported, {0: axis}, [(one,) for one in recordings]), model, recordings


def stepped(made: Streamed, recording: torch.Tensor, *, reset: bool = True) -> list[torch.Tensor]:
    stepper = Stepper(made.program.module(check_guards=False), made.state)
    rows = []
    with torch.no_grad():
        for step in range(made.steps):
            if step and not reset:
                stepper.reset()
            rows.append(stepper.step((recording.narrow(2, step * made.hop, made.hop),))[0])
    return rows


def whole_of(made: Streamed, rows: list[torch.Tensor]) -> torch.Tensor:
    array = np.stack([row.numpy() for row in rows])
    time = describe(made, {0: 2}, 0)["outputs"][0]
    return torch.from_numpy(joined(array, time, made.steps)[0])


def agree(made: Streamed, model: nn.Module, recordings: list[torch.Tensor]) -> None:
    for recording in recordings:
        found = whole_of(made, stepped(made, recording))
        wanted = model(recording).detach()
        time = made.outputs[0]
        if time is not None:
            assert found.shape[time.axis] > LENGTH // made.hop // 3
            wanted = wanted.narrow(time.axis, 0, found.shape[time.axis])
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CAUSAL)
def test_steps_are_the_recording(name: str) -> None:
    model, hop, late = CAUSAL[name]
    made, model, recordings = streamed(model)
    time = made.outputs[0]
    assert (made.hop, None if time is None else time.delay) == (hop, late)
    assert made.ahead is None
    if time is not None:
        # All samples of the recording's output come before it ends.
        assert made.steps * time.hop - time.delay >= time.length
    agree(made, model, recordings)


@pytest.mark.parametrize("name", LATE)
def test_what_looks_ahead_comes_late(name: str) -> None:
    model, hop, late, samples = LATE[name]
    made, model, recordings = streamed(model)
    assert made.outputs[0] is not None
    assert (made.hop, made.outputs[0].delay) == (hop, late)
    assert made.ahead is not None
    assert made.ahead.samples == samples
    agree(made, model, recordings)


def test_nothing_is_left_of_padding_in_front() -> None:
    """Of a delegate it would be an output that is the input; padding of other dimensions stays."""
    model = Of(lambda m, x: m.c(F.pad(F.pad(x, (2, 0)), (0, 0, 1, 0))), c=nn.Conv1d(4, 2, 3))
    made, model, recordings = streamed(model)
    pads = [node.args[1] for node in made.program.graph.nodes if "pad" in str(node.target)]
    assert pads == [[0, 0, 1, 0]]
    agree(made, model, recordings)


def test_a_step_without_its_past_is_another() -> None:
    """The control: with the state reset before each step outputs differ."""
    made, model, recordings = streamed(CAUSAL["TCN with residuals"][0])
    found = whole_of(made, stepped(made, recordings[0], reset=False))
    assert (found - model(recordings[0])).abs().max() > 0.1


REFUSED: dict[str, tuple[nn.Module, str]] = {
    "second direction": (recurrent(nn.GRU, bidirectional=True), "whole recording ahead"),
    "softmax over time": (Of(lambda m, x: x.softmax(2)), "whole recording ahead"),
    "attention": (Of(lambda m, x: (x.transpose(1, 2) @ x).softmax(-1) @ x.transpose(1, 2)), "matmul"),
    "norm over time": (nn.Sequential(nn.Conv1d(3, 4, 1), nn.GroupNorm(2, 4)), "group_norm"),
    "scaled by its mean": (Of(lambda m, x: x * x.mean(2, keepdim=True)), "whole recording ahead"),
    "positions": (
        Of(lambda m, x: x + torch.arange(24.0).sin()),
        "changes over time",
    ),
    "mean of padding": (Of(lambda m, x: m.c(x).mean(2), c=nn.Conv1d(3, 4, 3, padding=1)), "padding behind"),
    "backwards": (Of(lambda m, x: x.flip(2)), "whole recording ahead"),
    "count without end": (Of(lambda m, x: (x > 0).cumsum(2)), "counts in integers"),
    "a part of a step": (
        Of(lambda m, x: m.c(x).mean(2), c=nn.Conv1d(3, 2, 1, stride=5)),
        "no multiple of a step's 5",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_all_of_time_is_refused(name: str) -> None:
    model, text = REFUSED[name]
    with pytest.raises(McuError, match=text) as raised:
        streamed(model)
    assert raised.value.hint


def test_a_delay_has_to_be_permitted(tmp_path) -> None:
    made = streamed(LATE["equal padding"][0])[0]
    text = describe(made, {0: 2}, latency=0)
    with pytest.raises(McuError, match="looks 3 samples of the input ahead") as raised:
        _check_latency(tmp_path, text, None)
    assert "--latency 3" in raised.value.hint
    with pytest.raises(McuError):
        _check_latency(tmp_path, text, 2)
    _check_latency(tmp_path, text, 3)
    _check_latency(tmp_path, {**text, "latency": 3}, None)
    with pytest.raises(McuError, match="no `stream`"):
        _check_latency(tmp_path, None, 3)


def test_the_proof_notices_one_wrong_sample(tmp_path) -> None:
    made, model, recordings = streamed(CAUSAL["strides"][0])
    given = np.stack([one.numpy() for one in recordings])
    outputs = np.stack([model(one).detach().numpy() for one in recordings])
    vectors = cut(tmp_path, {"input_0": given, "float_0": outputs}, [None] * 3, made, {0: 2})
    text = describe(made, {0: 2}, 0)

    def whole(inputs):
        return [model(torch.from_numpy(inputs[0])).detach().numpy().round(3)]

    def step(wrong: float, rows):
        recording = torch.from_numpy(np.concatenate([row[0] for row in rows], 2))
        found = [[row.numpy().round(3)] for row in stepped(made, recording)]
        found[-1][0][0, 0, 0] += wrong
        return found

    sizes = [(1, 3, LENGTH)]
    assert stream_proof.prove("m", whole, lambda rows: step(0.0, rows), vectors, text, sizes) > 10
    with pytest.raises(McuError, match=r"recording 0: output 0\[0, 0, 2\]"):
        stream_proof.prove("m", whole, lambda rows: step(0.001, rows), vectors, text, sizes)


def test_labels_of_steps_or_of_the_last(tmp_path) -> None:
    made = streamed(CAUSAL["mean, then classes"][0])[0]
    whole = {"input_0": np.zeros((2, 1, 3, LENGTH), np.float32), "float_0": np.ones((2, 1, 2), np.float32)}
    each = tuple(index % 2 for index in range(LENGTH))
    arrays = cut(tmp_path, whole, [1, each], made, {0: 2})
    assert arrays["labels"].tolist() == [-1] * (LENGTH - 1) + [1] + list(each)
    assert np.isnan(arrays["float_0"][:-1]).sum() == 2 * (2 * LENGTH - 3) + 2
    with pytest.raises(McuError, match="3 labels for 24 steps"):
        cut(tmp_path, whole, [1, (0, 1, 0)], made, {0: 2})
    with pytest.raises(McuError, match="a label of 2"):
        cut(tmp_path, whole, [1, 2], made, {0: 2})


def test_only_whole_steps_are_recordings() -> None:
    stream = {"inputs": [[0, 2]], "hop": 4, "first": [1, 2]}
    ports = [{"shape": [1, 3, 4]}]
    for samples, steps in ((12, 3), (8, 2), (4, None)):
        found = in_steps("in.npz", [np.zeros((2, 1, 3, samples))], ports, stream)
        assert found[1] == steps
        assert found[0][0].shape == ((2 * steps, 1, 3, 4) if steps else (2, 1, 3, samples))
    for samples, text in (
        (10, "in.npz: recordings of 10 samples, and a step takes 4"),
        (
            7,
            "in.npz: recordings of 7 samples are shorter than the window: output 1 has its first result "
            "after 8",
        ),
    ):
        with pytest.raises(McuError, match=text):
            in_steps("in.npz", [np.zeros((2, 1, 3, samples))], ports, stream)


# How many steps it takes until there is a result.
FIRST = {
    "padded in front": 1,
    "no padding": 7,
    "strides": 2,
    "mean, then classes": LENGTH,
    "last of an LSTM": 1,
}


@pytest.mark.parametrize("name", FIRST)
def test_recordings_are_as_long_as_the_window(name: str) -> None:
    model, _, _ = CAUSAL[name]
    assert streamed(model)[0].first == (FIRST[name],)
