"""The build options for Bazel: bazel/private/options.bzl, which scripts/update-docs writes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcu_build.board import load_board
from mcu_build.fronts import budgets
from mcu_build.fronts.budgets import of_judge
from mcu_build.fronts.option import Option
from mcu_build.fronts.options import OPTIONS
from mcu_build.fronts.project import read
from mcu_build.fronts.signing import SIGNING, Signing


def option_attributes() -> str:
    """The text of the file: attributes of mcu_model, and of mcu_firmware and its test budgets and signing."""
    known = [option for option in OPTIONS if option.in_front("bazel")]
    return "\n".join(
        [
            '"""Build options, budgets and signing as attributes. Made by scripts/update-docs."""',
            "",
            *_table("OPTION_ATTRS", known),
            *_table("FIRMWARE_BUDGETS", of_judge("size")),
            *_table("TEST_BUDGETS", of_judge("test", "profile")),
            *_table("SIGNING", SIGNING),
        ]
    )


def _table(name: str, options: Sequence[Option]) -> list[str]:
    lines = (f"    {json.dumps(option.name)}: {_attribute(option)}," for option in options)
    return [f"{name} = {{", *lines, "}", ""]


def settings(project: Path, package: str) -> dict[str, Mapping[str, Any]]:
    """What a project file says, by the models' places in the workspace; "" is for all that it does not name.

    Files that an option names are left out: Bazel has to know them as labels. A board's file is its name.
    """
    options = read(project)
    files = [model["file"] for model in options.models.values()]
    models = {str(Path(package) / file): _known(options.settings(options.folder / file)) for file in files}
    return {"": _known(options.settings()), **models}


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    known = {option.name for option in OPTIONS if option.in_front("bazel") and option.kind != "path"}
    known |= set(budgets.BY_NAME)
    kept = {name: value for name, value in values.items() if name in known}
    if str(kept.get("board", "")).endswith(".toml"):
        kept["board"] = load_board(Path(kept["board"])).id
    return kept


def _attribute(option: Option) -> str:
    """What is not set has the value that stands for that: "", [] or -1."""
    doc = f"doc = {json.dumps(option.help)}"
    if isinstance(option, Signing) and option.is_flag:
        return f"attr.bool({doc})"
    if option.many and option.kind == "path":
        return f"attr.label_list(allow_files = {json.dumps(list(option.endings))}, {doc})"
    if option.kind == "path":
        return f"attr.label(allow_single_file = {json.dumps(list(option.endings))}, {doc})"
    if option.many:
        return f"attr.string_list({doc})"
    if option.kind == "number":
        return f"attr.int(default = -1, {doc})"
    values = f", values = {json.dumps(['', *option.choices])}" if option.choices else ""
    return f"attr.string({doc}{values})"
