"""Exported programs that a .pt2 file holds: what is read of them, and what is refused by name."""

import json
import shutil

import pytest
import torch

from mcu_build.errors import McuError
from mcu_build.frontend.capture import (
    capture,
    channels_last,
    load_exported,
    names_of_outputs,
    source_line,
)
from mcu_build.frontend.model_file import load
from tests.support.captures import CONVOLUTION, Small, error_of, lines, network, rewritten, saved, write


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


def test_a_saved_program_with_a_view(tmp_path):
    model = load(network(tmp_path, "return y.view(y.size(0), -1)"))
    exported = load_exported(saved(tmp_path, model.model, model.example_inputs))
    (given,), _ = exported.example_inputs
    assert given.stride() == channels_last(given).stride()
    torch.testing.assert_close(exported.module()(given), model.model(given.contiguous()))
    assert lines(exported)["reshape_default"] == "net.py:9"


def test_nested_outputs_of_a_saved_program(tmp_path):
    model = load(network(tmp_path, "return {'b': y, 'a': [y + 1, 3], 'none': None}"))
    exported = load_exported(saved(tmp_path, model.model, model.example_inputs))
    found = exported.module()(*exported.example_inputs[0])
    assert [tuple(one.shape) for one in found] == [(1, 4, 6, 5), (1, 4, 6, 5), ()]
    assert names_of_outputs(exported) == names_of_outputs(capture(model)) == ("b", "a[0]", "a[1]")
