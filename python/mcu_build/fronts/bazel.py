"""The build options for Bazel: bazel/private/options.bzl, which scripts/update-docs writes."""

import json

from mcu_build.fronts.options import OPTIONS, Option


def option_attributes() -> str:
    """The text of the file: an attribute of mcu_model for each option."""
    known = [option for option in OPTIONS if option.in_front("bazel")]
    return "\n".join(
        [
            '"""Build options as attributes. Made from fronts/options.py by scripts/update-docs."""',
            "",
            "OPTION_ATTRS = {",
            *(f"    {json.dumps(option.name)}: {_attribute(option)}," for option in known),
            "}",
            "",
        ]
    )


def _attribute(option: Option) -> str:
    """What is not set has the value that stands for that: "", [] or -1."""
    doc = f"doc = {json.dumps(option.help)}"
    if option.many and option.kind == "path":
        return f"attr.label_list(allow_files = {json.dumps(list(option.endings))}, {doc})"
    if option.many:
        return f"attr.string_list({doc})"
    if option.kind == "number":
        return f"attr.int(default = -1, {doc})"
    values = f", values = {json.dumps(['', *option.choices])}" if option.choices else ""
    return f"attr.string({doc}{values})"
