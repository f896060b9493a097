"""Lines of the user's model that nodes of a graph come from."""

import re
from collections.abc import Iterable
from pathlib import Path

import torch

from mcu_build.recorder import is_users_file

_FRAME = re.compile(r'File "([^"]+)", line (\d+), in ')


def source_line(node: torch.fx.Node) -> str:
    """'file.py:12': the line of the user's model that `node` comes from, empty where it is not known.

    A layer of torch.nn that is called from the user's line counts as that line. Where a package calls all
    layers, it is the package's line.
    """
    frames = _FRAME.findall(node.meta.get("stack_trace") or "")
    # Code that torch generates while it exports has names in brackets.
    users = [frame for frame in frames if not frame[0].startswith("<") and is_users_file(frame[0])]
    if not users:
        return package_line(frames)
    file, line = users[-1]
    return f"{Path(file).name}:{line}"


def package_line(frames: Iterable[tuple[str, object]]) -> str:
    """'timm/models/vit.py:12': the innermost of `frames` (file, line) in an installed package other than
    torch's and ours; empty where there is none.
    """
    line_of_package = ""
    for file, line in frames:
        _, installed, inside = file.rpartition("site-packages/")
        if installed and not inside.startswith(("torch/", "torchao/", "executorch/", "mcu_build/")):
            line_of_package = f"{inside}:{line}"
    return line_of_package


def module_path(node: torch.fx.Node) -> str:
    """'features.0': the innermost layer whose forward makes the call, empty for the model itself."""
    stack = node.meta.get("nn_module_stack") or {}
    path = next(reversed(list(stack.values())))[0] if stack else ""
    # Calls of one layer after the first are distinguished by "@1" and so on.
    return str(path).removeprefix("L['self']").strip(".").partition("@")[0]
