"""Models that tests capture, and what is asked of what comes out."""

import zipfile
from pathlib import Path

import pytest
import torch

from mcu_build.errors import Exit, McuError
from mcu_build.frontend.capture import (
    capture,
    channels_last,
    source_line,
)
from mcu_build.frontend.model_file import load

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
