"""What of a model cannot be captured is named, with its line and with what to write instead."""

from pathlib import Path

import pytest
import torch

from mcu_build.errors import McuError
from mcu_build.frontend.capture import (
    capture,
    load_exported,
)
from mcu_build.frontend.captured import capture_file
from mcu_build.frontend.model_file import load
from tests.support.captures import CONTROL, Small, error_of, network, same, saved, write

BAD = Path(__file__).parent / "bad_models"


def test_a_branch_on_data_names_its_line(capfd):
    error = error_of(lambda path: capture(load(path)), BAD / "branches_on_data.py")
    assert "line 7: cannot be exported" in error.message
    assert "data-dependent" in error.message
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert "torch.where" in error.hint


@pytest.mark.parametrize(
    "body",
    [
        "self.n.add_(1)\n        return x * int(self.n[0])",
        "m = self.n * 1.0\n        m[:1] = x[0, 0]\n        return x * int(m[0])",
        "self.plain = self.plain + 1\n        return x if self.plain[0] > 2 else x + 1",
    ],
)
def test_control_flow_over_state_names_its_line(tmp_path, body):
    error = error_of(lambda path: capture(load(path)), write(tmp_path, CONTROL.format(body=body)))
    assert f"line {14 + body.count(chr(10))}: cannot be exported" in error.message
    assert "data-dependent" in error.message


def test_an_input_that_does_not_fit_names_its_line():
    error = error_of(lambda path: capture(load(path)), BAD / "wrong_width.py")
    assert "line 10: layer 'head' (Linear): cannot be run" in error.message
    assert "float32[1, 4]" in error.hint
    assert "[1, 4]" in error.message or "1x4" in error.message


@pytest.mark.parametrize(
    ("change", "words", "hint"),
    [
        ("example_inputs = (*example_inputs, torch.rand(1, 4))", "takes 2 positional", "`forward(self, x)`"),
        ("example_inputs = {'y': example_inputs[0]}", "keyword argument 'y'", "`forward(self, x)`"),
        ("Net.forward = lambda self, x: x * x.max().item()", "a number that depends on data", "x * y.max()"),
        ("Net.forward = lambda self, x: x.cuda()", "not compiled with CUDA", "leave `.cuda()`"),
        (
            "Net.forward = lambda self, x: torch.autograd.grad(x.sum(), x)",
            "does not require grad",
            "the derivative itself",
        ),
        (
            "Net.forward = lambda self, x: nn.utils.rnn.pack_padded_sequence(x, x[0].ceil().long())",
            "data-dependent",
            "sequence itself",
        ),
    ],
)
def test_a_hint_says_what_to_write_instead(tmp_path, change, words, hint):
    text = CONTROL.format(body="return x") + change
    error = error_of(lambda path: capture(load(path)), write(tmp_path, text))
    assert words in error.message
    assert hint in error.hint


def test_a_line_of_a_package_is_named(tmp_path):
    """A model that a package defines has no line of the user's."""
    package = tmp_path / "site-packages" / "zoo_of_others"
    package.mkdir(parents=True)
    net = "class {}(torch.nn.Module):\n    def forward(self, x):\n        return {}\n"
    (package / "net.py").write_text(
        "import torch\n"
        + net.format("Chooses", "x if x.sum() > 0 else -x")
        + net.format("Draws", "x.bernoulli()")
    )
    start = f"import sys\nsys.path.append({str(package.parent)!r})\nimport zoo_of_others.net as zoo\n"
    for name, words in (("Chooses", "net.py:4: cannot be exported"), ("Draws", "net.py:7: aten.bernoulli")):
        path = write(
            tmp_path, f"{start}import torch\nmodel, example_inputs = zoo.{name}(), (torch.rand(1, 4),)\n"
        )
        assert f"zoo_of_others/{words}" in error_of(lambda path: capture(load(path)), path).message


def test_an_input_that_is_reshaped_in_place_is_named(tmp_path):
    body = "return x.unsqueeze_(0)[0]"
    error = error_of(lambda path: capture(load(path)), write(tmp_path, CONTROL.format(body=body)))
    assert "input 0: `forward` changes its shape from [1, 4] to [1, 1, 4] in place" in error.message


def test_a_shape_from_data_names_its_line():
    error = error_of(lambda path: capture(load(path)), BAD / "shape_from_data.py")
    assert "shape_from_data.py:6" in error.message
    assert "depends on data" in error.message


def test_every_dynamic_dimension_is_named(tmp_path):
    dims = {"x": {0: torch.export.Dim("batch"), 3: torch.export.Dim("width", min=4)}}
    path = saved(tmp_path, Small(), (torch.rand(2, 3, 8, 8),), dynamic_shapes=dims)
    with pytest.raises(McuError) as caught:
        load_exported(path)
    assert caught.value.message == (
        f"{path}: input 'x': dimension 0 is dynamic\n{path}: input 'x': dimension 3 is dynamic"
    )
    assert "dynamic_shapes" in caught.value.hint


def test_a_tensor_that_is_kept_between_calls_is_named_with_its_line(tmp_path):
    path = network(
        tmp_path, "self.last = 0.5 * self.last + y\nreturn self.last", "self.last = torch.zeros(1)"
    )
    error = error_of(lambda file: capture(load(file)), path)
    assert "attribute 'last' at net.py:10: the model writes it" in error.message


@pytest.mark.parametrize(
    ("body", "init"),
    [
        ("self.seen = y\nreturn y + 1", "self.seen = torch.zeros(1)"),
        (
            "if self.mask is None:\n    self.mask = torch.ones(6, 5).tril()\nreturn y * self.mask",
            "self.mask = None",
        ),
    ],
)
def test_what_a_model_keeps_without_a_memory_is_no_state(tmp_path, body, init):
    """The negative control: activations that are kept to be looked at, masks that are made once."""
    same(tmp_path, body, init=init)


@pytest.mark.parametrize(
    "body",
    [
        "past.append(x); return torch.stack(past[-2:]).mean(0)",
        "past.append(0); return x * len(past)",
    ],
)
def test_what_is_kept_outside_of_the_model_is_refused(tmp_path, body):
    """torch.export writes down the call that it sees, with what earlier ones have left."""
    text = f"""
import torch
past = []

class Net(torch.nn.Module):
    def forward(self, x):
        {body}

model, example_inputs = Net(), (torch.ones(1, 4),)
"""
    assert "a call depends on those before" in error_of(capture_file, write(tmp_path, text)).message


@pytest.mark.parametrize(
    ("line", "operator"),
    [("nn.functional.dropout(y)", "dropout"), ("y + torch.randn_like(y)", "randn_like")],
)
def test_random_numbers_are_refused_by_line(tmp_path, line, operator):
    error = error_of(lambda file: capture(load(file)), network(tmp_path, f"return {line}"))
    assert f"net.py:9: aten.{operator}.default: draws random numbers" in error.message


def test_loops_on_data_are_refused_by_line(tmp_path):
    loop = "torch.ops.higher_order.while_loop(lambda t: t.sum() < 4, lambda t: (t + 1,), (y,), ())[0]"
    error = error_of(lambda file: capture(load(file)), network(tmp_path, f"return {loop}"))
    assert "net.py:9: torch.while_loop: firmware has no loops" in error.message
    assert "torch.where" in error.hint


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("{'scores': y, 'name': 'cat'}", "model: output 'name': of type str, not a tensor"),
        ("None", "model: it returns no tensor"),
        ("y.to_sparse()", "model: output: a torch.sparse_coo tensor"),
        ("torch.nested.nested_tensor([y[0], y[0, :1]])", "model: output: a nested tensor"),
        ("torch.masked.masked_tensor(y, y > 0)", "model: output: a MaskedTensor"),
        (
            "torch.quantize_per_tensor(y, 0.1, 0, torch.qint8)",
            "model: output: quantized already",
        ),
    ],
)
def test_outputs_that_are_no_tensors_are_named(tmp_path, result, words):
    assert words in error_of(lambda file: capture(load(file)), network(tmp_path, f"return {result}")).message


def test_everything_that_is_refused_comes_at_once(tmp_path):
    body = (
        "values, _ = torch.mode(y, 2)\n"
        "kept = torch.mode(y * 2, 2)[0]\n"
        "noise = torch.rand(1)\n"
        "return values + kept + noise, torch.linalg.qr(y)[0], torch.unique(y), torch.fft.fft(y).tan().real"
    )
    path = network(tmp_path, body)
    with pytest.raises(McuError) as refused:
        capture(load(path))
    error = refused.value
    assert error.message.splitlines() == [
        f"{tmp_path / 'net.py'}: {line}"
        for line in (
            "net.py:11: aten.rand.default: draws random numbers",
            "aten._unique2.default at net.py:12: the shape of its result depends on data",
            "aten.tan.default at net.py:12: firmware has no complex numbers",
            "net.py:9, net.py:10: aten::mode.values: there is no kernel for this operator",
            "net.py:12: aten::linalg_qr.out: there is no kernel for this operator",
        )
    ]
    for text in ("as an input", "fixed shapes", "docs/operators.md", "real numbers"):
        assert text in error.hint
