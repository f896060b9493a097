"""Models become exported programs with fixed shapes and the user's lines; what cannot is named."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from torch._export.passes import replace_set_grad_with_hop_pass

from mcu_build.errors import Exit, McuError
from mcu_build.frontend import session
from mcu_build.frontend.capture import (
    capture,
    channels_last,
    load_exported,
    names_of_outputs,
    source_line,
)
from mcu_build.frontend.captured import capture_file
from mcu_build.frontend.model_file import load
from mcu_build.frontend.nested import leaves
from mcu_build.ir.plan import Plan
from mcu_build.ir.ports import port_names

BAD = Path(__file__).parent / "bad_models"

CONVOLUTION = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d({channels}, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.conv(x)
        x = torch.relu(x)
        return self.head(
            x.mean((2, 3)))

model = Net()
example_inputs = (torch.rand(1, {channels}, 6, 5),)
"""


def write(folder: Path, text: str) -> Path:
    (folder / "net.py").write_text(text)
    return folder / "net.py"


def lines(exported) -> dict[str, str]:
    return {node.name: source_line(node) for node in exported.graph.nodes if node.op == "call_function"}


def error_of(call, path: Path) -> McuError:
    with pytest.raises(McuError) as caught:
        call(path)
    assert caught.value.exit_code == Exit.INPUT
    assert caught.value.message.startswith(str(path))
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value


def saved(folder: Path, module: torch.nn.Module, inputs, **options) -> Path:
    with torch.no_grad():
        torch.export.save(torch.export.export(module.eval(), inputs, **options), folder / "net.pt2")
    return folder / "net.pt2"


def rewritten(path: Path, change) -> Path:
    """The archive with each file replaced by `change(name, data)`."""
    target = path.with_name("rewritten.pt2")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            archive.writestr(name, change(name, source.read(name)))
    return target


class Small(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(x)).mean((2, 3))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_program_computes_what_the_model_does(tmp_path, channels):
    model = load(write(tmp_path, CONVOLUTION.format(channels=channels)))
    exported = capture(model)
    (given,), _ = exported.example_inputs
    assert torch.equal(given, model.example_inputs[0])
    other = torch.randn_like(given)
    assert torch.equal(exported.module()(channels_last(other)), model.model(channels_last(other)))
    assert not torch.equal(exported.module()(given), model.model(channels_last(other)))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_channels_last_all_the_way(tmp_path, channels):
    exported = capture(load(write(tmp_path, CONVOLUTION.format(channels=channels))))
    values = {node.name: node.meta["val"] for node in exported.graph.nodes if node.op != "output"}
    assert values["x"].stride() == (30 * channels, 1, 5 * channels, channels)
    assert values["conv2d"].stride() == values["relu"].stride() == (120, 1, 20, 4)


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (2, 1, 4, 5), (1, 3, 1, 1), (1, 1, 1, 7)])
def test_channels_last_keeps_values(shape):
    tensor = torch.randn(shape)
    moved = channels_last(tensor)
    _, c, h, w = shape
    assert torch.equal(moved, tensor)
    assert moved.stride() == (h * w * c, 1, w * c, c)


@pytest.mark.parametrize(
    "tensor", [torch.zeros(2, 3, 4), torch.zeros(1, 2, 3, 4, dtype=torch.int64), torch.zeros(5)]
)
def test_what_is_no_image_stays(tensor):
    assert channels_last(tensor) is tensor


def test_operators_know_their_line(tmp_path):
    found = lines(capture(load(write(tmp_path, CONVOLUTION.format(channels=3)))))
    assert found == {"conv2d": "net.py:12", "relu": "net.py:13", "mean": "net.py:15", "linear": "net.py:14"}


def test_lines_outlive_a_saved_program(tmp_path):
    """A saved program of contiguous inputs is exported again, for channels-last ones, with its lines."""
    model = load(write(tmp_path, CONVOLUTION.format(channels=3)))
    path = saved(tmp_path, model.model, model.example_inputs)
    exported = load_exported(path)
    assert [source_line(n) for n in exported.graph.nodes if n.op == "call_function"] == [
        "net.py:12",
        "net.py:13",
        "net.py:15",
        "net.py:14",
    ]
    (given,), _ = exported.example_inputs
    assert given.stride() == channels_last(given).stride()
    assert torch.equal(exported.module()(given), model.model(given))


def test_a_captured_program_is_saved_and_read_back(tmp_path):
    exported = capture(load(write(tmp_path, CONVOLUTION.format(channels=1))))
    torch.export.save(exported, tmp_path / "net.pt2")
    again = load_exported(tmp_path / "net.pt2")
    (given,), _ = exported.example_inputs
    assert torch.equal(again.module()(given), exported.module()(given))
    assert lines(again) == lines(exported)


def test_a_branch_on_data_names_its_line(capfd):
    error = error_of(lambda path: capture(load(path)), BAD / "branches_on_data.py")
    assert "line 7: cannot be exported" in error.message
    assert "data-dependent" in error.message
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert "torch.where" in error.hint


CONTROL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("n", torch.tensor([3, 1]))
        self.register_buffer("flag", torch.tensor(True))
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.plain = torch.tensor([1, 5])

    def forward(self, x):
        {body}

model = Net()
example_inputs = (torch.rand(1, 4),)
"""


@pytest.mark.parametrize(
    "body",
    [
        "return x + 1 if self.flag else x",
        "for _ in range(self.n[0]): x = x * 2\n        return x",
        "return x[:, : int(self.n[0] - self.n[1])]",
        "return x * float(self.scale) if self.scale > 1 and 5 in self.plain else x",
        "return torch.stack([x + k for k in self.plain.tolist()])",
        "m = torch.full((2, 2), 1.0).triu(1)\n        return x + 1 if torch.all(m == m.tril()) else x",
        "m = self.n.clone()\n        m[0] = 2\n        m += 1\n        return x * int(m[0])",
        "k = self.n.sum() * 1.0\n        return torch.cond(x.sum() > 0, lambda y: y + k, torch.relu, (x,))",
    ],
)
def test_control_flow_over_what_nothing_writes_is_decided(tmp_path, body):
    exported = capture(model := load(write(tmp_path, CONTROL.format(body=body))))
    assert torch.equal(exported.module()(*model.example_inputs), model.model(*model.example_inputs))


def test_a_layer_that_raises_is_left(tmp_path):
    """SpeechBrain tries whether a layer takes lengths."""
    body = "try: return self.layer(x, x)\n        except TypeError: return self.layer(x)"
    start = "super().__init__()"
    text = CONTROL.format(body=body).replace(start, f"{start}\n        self.layer = nn.Linear(4, 2)")
    exported = capture(model := load(write(tmp_path, text)))
    x = model.example_inputs[0]
    assert torch.equal(exported.module()(x), model.model.layer(x))


def test_values_that_are_known_leave_no_trace(tmp_path, monkeypatch):
    """torch.export splits its graph at each change of the gradient mode, in quadratic time."""

    def split(*_):
        raise AssertionError("the gradient mode was changed")

    monkeypatch.setattr(replace_set_grad_with_hop_pass, "sequential_split", split)
    capture(load(write(tmp_path, CONTROL.format(body="return x * (self.n + 1).sum() * self.scale.exp()"))))


@pytest.mark.parametrize(
    "mode", ["torch.autocast('cpu', dtype=torch.bfloat16)", "torch.enable_grad()", "torch.no_grad()"]
)
def test_a_part_under_another_mode_is_computed_in_float32(tmp_path, mode):
    body = f"with {mode}: y = x @ x.t()\n        return torch.distributions.Normal(y, y.exp()).mean * 2"
    exported = capture(model := load(write(tmp_path, CONTROL.format(body=body))))
    x = model.example_inputs[0]
    assert torch.equal(exported.module()(x), (x @ x.t()) * 2)


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


def test_no_such_program(tmp_path):
    with pytest.raises(McuError, match="No such file"):
        load_exported(tmp_path / "net.pt2")


@pytest.mark.parametrize("data", [b"", b"hello world", bytes(range(256)) * 40])
def test_bytes_that_are_no_program(tmp_path, data):
    (tmp_path / "net.pt2").write_bytes(data)
    assert "not a saved torch.export program" in error_of(load_exported, tmp_path / "net.pt2").message


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_a_truncated_program(tmp_path, share):
    path = saved(tmp_path, Small(), (torch.rand(1, 3, 8, 8),))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "truncated" in error_of(load_exported, path).message


def test_another_kind_of_archive(tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "net.pt2")
    assert "not one of torch.export.save" in error_of(load_exported, tmp_path / "net.pt2").message


def test_a_newer_schema(tmp_path):
    def newer(name: str, data: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return data
        table = json.loads(data)
        table["schema_version"]["major"] += 1
        return json.dumps(table).encode()

    path = rewritten(saved(tmp_path, Small(), (torch.rand(1, 3, 8, 8),)), newer)
    error = error_of(load_exported, path)
    assert "newer than this torch reads" in error.message
    assert torch.__version__ in error.hint


@pytest.mark.parametrize("part", ["models/model.json", "model_weights_config.json", "weight_0"])
def test_a_damaged_part(tmp_path, part):
    path = saved(tmp_path, Small(), (torch.rand(1, 3, 8, 8),))
    shutil.copy(path, tmp_path / "whole.pt2")
    load_exported(tmp_path / "whole.pt2")
    damaged = rewritten(path, lambda name, data: data[:7] if name.endswith(part) else data)
    assert "damaged" in error_of(load_exported, damaged).message


def test_inputs_of_a_saved_program_in_keywords_and_dictionaries(tmp_path):
    class Named(torch.nn.Module):
        def forward(self, batch, *, scale):
            return batch["x"] - 2 * batch["y"] * scale

    inputs = [torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8), torch.rand(1)]
    batch = {"x": inputs[0], "y": inputs[1]}
    exported = load_exported(saved(tmp_path, Named(), (batch,), kwargs={"scale": inputs[2]}))
    assert len(exported.graph_signature.user_inputs) == 3
    (found,) = torch.utils._pytree.tree_leaves(exported.module()(*inputs))
    torch.testing.assert_close(found, inputs[0] - 2 * inputs[1] * inputs[2])


def test_a_saved_program_with_a_number_as_input_is_refused(tmp_path):
    class Scaled(torch.nn.Module):
        def forward(self, x, scale):
            return x * scale

    path = saved(tmp_path, Scaled(), (torch.rand(1, 3), 2.0))
    assert "inputs that are not tensors" in error_of(load_exported, path).message


# The model as its author wrote it

HEAD = "import torch\nfrom torch import nn\n"


def network(folder: Path, body: str, init: str = "", shape: str = "1, 3, 6, 5") -> Path:
    """A model file; `body` are the last lines of `forward(self, x)`, `y` in it a convolution of x."""
    lines = [
        "class Net(nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        "        self.conv = nn.Conv2d(3, 4, 3, padding=1)",
        *(f"        {line}" for line in init.splitlines()),
        "    def forward(self, x):",
        "        y = torch.relu(self.conv(x))",
        *(f"        {line}" for line in body.splitlines()),
        "model = Net()",
        f"example_inputs = (torch.randn({shape}),)",
    ]
    return write(folder, HEAD + "\n".join(lines) + "\n")


def same(folder: Path, body: str, **options: str):
    """The captured program, after a check that it computes what the model does in either layout."""
    model = load(network(folder, body, **options))
    exported = capture(model)
    (given,) = (torch.randn_like(tensor) for tensor in model.example_inputs)
    with torch.no_grad():
        expected = model.model(given.clone())
        for layout in (given, channels_last(given)):
            torch.testing.assert_close(exported.module(check_guards=False)(layout.clone()), expected)
    return exported


def targets(exported) -> list[str]:
    return [
        node.target._schema.name.split("::")[1] for node in exported.graph.nodes if node.op == "call_function"
    ]


@pytest.mark.parametrize(
    "body",
    [
        "return y.view(y.size(0), -1)",
        "return y.view(1, 2, 12, 5).sum(1)",
        "return y.view_as(torch.empty(4, 30))",
        "return y.as_strided((3, 4), (8, 2), 5)",
        "return y.permute(0, 2, 3, 1).as_strided((6, 20), (1, 6))",
        "return y.reshape(-1).unfold(0, 8, 4)",
        "return y * 2 if y.is_contiguous() else y * 3",
        "return y.flatten(1) * y.stride(1)",
        "y[:, 1:3] = 7.0\nreturn y",
        "z = y.view(4, 30)\nz[1] += 1\nreturn y",
        "y[y > 0.5] = 0.25\nreturn y",
        "x[:, 0] = 0\nreturn y + x.mean()",
        "y[..., 2] = x[:, 0, :, 1:2].mean(-1)\nreturn y",
        "z = torch.zeros(4, 3)\nz[1:3] = y[0, :2, 0, :3]\nreturn z",
    ],
)
def test_code_that_depends_on_contiguous_tensors_or_writes_parts_of_them(tmp_path, body):
    left = targets(same(tmp_path, body))
    assert not {"view", "as_strided", "copy", "copy_", "slice_scatter", "select_scatter", "index_put"} & set(
        left
    )


def test_a_norm_behind_a_write_has_the_form_of_every_norm(tmp_path):
    exported = same(tmp_path, "y[:, 1:3] = 7.0\nreturn self.norm(y)", init="self.norm = nn.BatchNorm2d(4)")
    (output,) = exported.graph.output_node().args[0]
    assert output.target == torch.ops.aten.batch_norm.default


def test_a_saved_program_with_a_view(tmp_path):
    model = load(network(tmp_path, "return y.view(y.size(0), -1)"))
    exported = load_exported(saved(tmp_path, model.model, model.example_inputs))
    (given,), _ = exported.example_inputs
    assert given.stride() == channels_last(given).stride()
    torch.testing.assert_close(exported.module()(given), model.model(given.contiguous()))
    assert lines(exported)["reshape_default"] == "net.py:9"


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


def test_dropout_at_rest_is_fine(tmp_path):
    init = "self.drop, self.lstm = nn.Dropout(0.5), nn.LSTM(5, 4, num_layers=2, dropout=0.5)"
    attend = "nn.functional.scaled_dot_product_attention(z, z, z)"
    body = f"z = self.drop(y)[0, 0]\nz = {attend}\nreturn self.lstm(z)[0]"
    same(tmp_path, body, init=init)


# Outputs

OUTPUTS = {
    "y.flatten(1).topk(3)": 2,
    "{'b': y, 'a': [y + 1, (y * 2,)], 'none': None}": 3,
    "Boxes(y, Boxes(None, y + 1))": 2,
    "y, x, self.conv.bias, y": 4,
    "[y, 3, 2.5, True]": 4,
    "y, y.shape[1], torch.arange(3)": 3,
}


@pytest.mark.parametrize("result", OUTPUTS)
def test_outputs_are_a_flat_tuple_in_order(tmp_path, result):
    fields = "    b: object\n    a: object\n"
    body = f"import dataclasses\n@dataclasses.dataclass\nclass Boxes:\n{fields}return {result}"
    model = load(network(tmp_path, body))
    exported = capture(model)
    found = exported.module(check_guards=False)(*model.example_inputs)
    with torch.no_grad():
        expected = [leaf for _, leaf in leaves(model.model(*model.example_inputs)) if leaf is not None]
    assert type(found) is tuple
    assert len(found) == OUTPUTS[result]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, torch.as_tensor(other))
    torch.export.save(exported, tmp_path / "again.pt2")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("{'scores': y, 'name': 'cat'}", "model: output 'name': of type str, not a tensor"),
        ("None", "model: it returns no tensor"),
        ("y.to_sparse()", "model: output: a torch.sparse_coo tensor"),
    ],
)
def test_outputs_that_are_no_tensors_are_named(tmp_path, result, words):
    assert words in error_of(lambda file: capture(load(file)), network(tmp_path, f"return {result}")).message


def test_nested_outputs_of_a_saved_program(tmp_path):
    model = load(network(tmp_path, "return {'b': y, 'a': [y + 1, 3], 'none': None}"))
    exported = load_exported(saved(tmp_path, model.model, model.example_inputs))
    found = exported.module()(*exported.example_inputs[0])
    assert [tuple(one.shape) for one in found] == [(1, 4, 6, 5), (1, 4, 6, 5), ()]
    assert names_of_outputs(exported) == names_of_outputs(capture(model)) == ("b", "a[0]", "a[1]")


@pytest.mark.parametrize(
    ("names", "ports"),
    [
        (("boxes", "scores"), ["output_boxes", "output_scores"]),
        (("heads[0].x", "heads[1]"), ["output_heads_0_x", "output_heads_1"]),
        (("[0]", "[1]"), ["output_0", "output_1"]),
        (("a.b", "a_b"), ["output_0", "output_1"]),
        (("count", "b"), ["output_0", "output_1"]),
        (("b", "b_scale"), ["output_0", "output_1"]),
        (("größe", "b"), ["output_gr_e", "output_b"]),
        (("only",), ["output"]),
        ((), ["output_0", "output_1"]),
    ],
)
def test_ports_have_the_names_of_outputs(names, ports):
    plan = Plan("m", {}, (), (7, 8), tuple(range(max(len(ports), 1))), output_names=names)
    assert port_names(plan, "output") == ports
    assert port_names(plan, "input") == ["input_0", "input_1"]


def test_hooks_are_part_of_the_model(tmp_path):
    init = "self.conv.register_forward_hook(lambda module, inputs, result: result * 3)"
    assert "mul" in targets(same(tmp_path, "return y", init=init))


def test_interpolation_of_operands_in_other_layouts_is_arithmetic(tmp_path):
    """PyTorch's decomposition of lerp copies strides, which nothing can lower."""
    text = "import torch\nclass Net(torch.nn.Module):\n    def forward(self, x, y):\n"
    text += "        return torch.lerp(x, y.transpose(1, 2), 0.3)\nmodel = Net()\n"
    file = write(tmp_path, text + "example_inputs = (torch.rand(1, 4, 3), torch.rand(1, 3, 4))\n")
    model = load(file)
    exported = capture(model)
    assert not [node for node in exported.graph.nodes if "lerp" in str(node.target)]
    found = exported.module()(*model.example_inputs)
    torch.testing.assert_close(found, model.model(*model.example_inputs))


def test_fresh_constants_that_are_written_are_not_shared(tmp_path):
    """As graph networks add up messages: the zeros of both are equal, and stay zeros from call to call."""
    body = (
        "i, v = torch.tensor([0, 2, 0]), y[0, 0, :3, :3]\n"
        "a = torch.zeros(3, 3).index_add_(0, i, v)\n"
        "c = torch.zeros_like(v).index_add_(0, i, v)\n"
        "b = torch.zeros(3, 3).scatter_add_(1, i.expand(3, 3), v * 2)\n"
        "return a, b, c"
    )
    exported = same(tmp_path, body)
    assert not any(
        node.target._schema.is_mutable for node in exported.graph.nodes if node.op == "call_function"
    )


def test_integers_among_floats_are_converted(tmp_path):
    """What is float then gets a scale; an operand of another type would be left without one."""
    exported = same(tmp_path, "return (y > 0.5).sum(1) * 0.25 + y[:, 0], y.argmax(1) / 2")
    for node in exported.graph.nodes:
        if "aten.mul" in str(node.target) or "aten.div" in str(node.target):
            assert all(operand.meta["val"].is_floating_point() for operand in node.all_input_nodes)


def test_vmap_is_resolved(tmp_path):
    same(tmp_path, "return torch.vmap(lambda w: torch.tanh(y @ w))(torch.ones(3, 5, 4)).sum(0)")


def test_searches_and_counts_are_comparisons(tmp_path):
    body = (
        "v, edges = y[0, 0], torch.tensor([0.1, 0.3, 0.5])\n"
        "rows = torch.cumsum(v.abs(), 1)\n"
        "found = torch.searchsorted(rows, v * 3, right=True), torch.searchsorted(edges, v, out_int32=True)\n"
        "return (*found, torch.bucketize(v, edges), torch.bucketize(edges, edges, right=True),"
        " torch.histc(v, 6, 0.0, 1.2), torch.logcumsumexp(v * 4, 1),"
        " v.repeat_interleave(torch.tensor([1, 0, 2, 1, 3]), 1, output_size=7),"
        " v.clone().fill_diagonal_(0.3), v.repeat_interleave(2),"
        " *(v + torch.arange(v.shape[1])).kthvalue(2), y.kthvalue(3, 1, keepdim=True)[0])"
    )
    same(tmp_path, body)


def test_einsum_and_bilinear_are_products_of_matrices(tmp_path):
    body = (
        "q, k = y.reshape(1, 2, 6, 10), y.tanh().reshape(1, 2, 6, 10)\n"
        "scores = torch.einsum('b h i d, b h j d -> b h i j', q, k)\n"
        "rows = torch.einsum('bhij,bhjd->bihd', scores.softmax(-1), q)\n"
        "weight = torch.ones(3, 10, 10).cumsum(0).tril()\n"
        "layer = torch.nn.functional.bilinear(q, k, weight, torch.arange(3.0))\n"
        "return rows, torch.einsum('bihd,ho->bo', rows, torch.ones(2, 4).cumsum(0)), layer,"
        " torch.einsum('bhii->bhi', scores), torch.einsum('...id,...id->...i', q, k)"
    )
    same(tmp_path, body)
    graph = targets(capture(load(network(tmp_path, body))))
    assert not any("einsum" in target or "bilinear" in target for target in graph)


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
    for told in ("as an input", "fixed shapes", "docs/operators.md", "real numbers"):
        assert told in error.hint


def test_what_is_taken_apart_into_operators_with_kernels_is_not_refused(tmp_path):
    """The negative control: none of these has a kernel by its own name."""
    same(tmp_path, "return torch.renorm(torch.special.xlogy(y.abs(), y.abs() + 1), 2, 0, 1.0)")


def test_example_inputs_may_be_views(tmp_path):
    """A row of a data set, as a slice of it: torch.export replays how it came about."""
    file = write(
        tmp_path,
        "import torch\nmodel = torch.nn.Linear(4, 2)\nexample_inputs = (torch.ones(8, 4).split(1)[3],)\n",
    )
    assert capture(load(file)).graph.nodes


def test_made_up_inputs_are_what_the_model_can_take(tmp_path):
    """Columns are indices into tables of different lengths, and a power has no negative base."""
    path = write(
        tmp_path,
        "import torch\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.a, self.b = torch.nn.Embedding(4, 3), torch.nn.Embedding(9, 3)\n"
        "    def forward(self, x, which):\n"
        "        return self.a(which[:, 0]) + self.b(which[:, 1]) + x**0.3\n"
        "model, example_inputs = Net(), (torch.rand(1, 3), torch.tensor([[3, 8]]))\n",
    )
    captured = capture_file(path)
    calls = list(session.calibration_calls(captured))
    assert all(torch.equal(which, torch.tensor([[3, 8]])) for _, which in calls)
    assert all(float(x.min()) >= 0 for x, _ in calls) and len({float(x.sum()) for x, _ in calls}) > 2
