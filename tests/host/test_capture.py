"""Models become exported programs with fixed shapes and the user's lines; what cannot is named."""

import pytest
import torch
from torch._export.passes import replace_set_grad_with_hop_pass

from mcu_build.frontend import session
from mcu_build.frontend.capture import (
    capture,
    channels_last,
)
from mcu_build.frontend.captured import capture_file
from mcu_build.frontend.model_file import load
from mcu_build.frontend.nested import leaves
from mcu_build.ir.plan import Plan
from mcu_build.ir.ports import port_names
from tests.support.captures import CONTROL, CONVOLUTION, lines, network, same, targets, write


@pytest.mark.parametrize("channels", [1, 3])
def test_the_program_computes_what_the_model_does(tmp_path, channels):
    model = load(write(tmp_path, CONVOLUTION.format(channels=channels)))
    exported = capture(model)
    (given,), _ = exported.example_inputs
    assert torch.equal(given, model.example_inputs[0])
    other = torch.randn_like(given)
    assert torch.equal(exported.module()(channels_last(other)), model.model(channels_last(other)))
    assert not torch.equal(exported.module()(given), model.model(channels_last(other)))


def test_expanded_weights_have_memory_of_their_own(tmp_path):
    net = CONVOLUTION.format(channels=3).replace("self.head(", "self.scale * self.head(")
    more = """
model.register_buffer("scale", torch.ones(1).expand(2))
model.head.bias = nn.Parameter(torch.zeros(1).expand(2))
"""
    exported = capture(load(write(tmp_path, net + more)))
    assert len(exported.state_dict) == 5
    assert all(0 not in tensor.stride() for tensor in exported.state_dict.values())


def test_parts_may_have_names_of_torchs_graph_modules(tmp_path):
    """`code`, `graph` and `meta` are attributes of a GraphModule, which then does not find their weights."""
    net = CONVOLUTION.format(channels=1).replace("self.conv", "self.code").replace("self.head", "self.meta")
    model = load(write(tmp_path, net))
    found = capture(model).module(check_guards=False)(*model.example_inputs)
    assert torch.equal(found, model.model(*model.example_inputs))


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


# The model as its author wrote it


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
    body = "return (y > 0.5).sum(1) * 0.25 + y[:, 0], y.argmax(1) / 2, y[:1] * (y[1:] > 0.5)"
    exported = same(tmp_path, body)
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
