"""The build options in docs/command.md, in a table between two marks, which scripts/update-docs writes."""

import re

from mcu_build.fronts.options import FRONTS, OPTIONS, VERBS, Front, Option

_BEGIN, _END = "<!-- options: made by scripts/update-docs -->", "<!-- end of options -->"
_NAMES: dict[Front, str] = {"cmake": "CMake", "scons": "SCons", "bazel": "Bazel"}
_PROJECT = {"anywhere": "yes", "model": "of a model", "never": ""}


def with_table(page: str) -> str:
    """The page with the table between its marks renewed."""
    return re.sub(
        f"{re.escape(_BEGIN)}.*?{re.escape(_END)}",
        lambda _: f"{_BEGIN}\n\n{option_table()}\n{_END}",
        page,
        flags=re.DOTALL,
    )


def option_table() -> str:
    """A row for each option: how it is given, what it means, and whether a project file may set it."""
    rows = ["| option | meaning | project file |", "|---|---|---|", *map(_row, OPTIONS)]
    return "".join(f"{row}\n" for row in rows)


def _row(option: Option) -> str:
    value = "\\|".join(option.choices) or option.metavar.replace("|", "\\|") or option.kind.upper()
    meaning = [option.help.replace("|", "\\|")]
    if option.verbs != VERBS:
        meaning.append(f"Of {', '.join(option.verbs)}.")
    meaning += [
        f"{_NAMES[front]}: {f'`{instead}`' if '(' in instead or '_' in instead else instead}."
        for front, instead in option.elsewhere
        if instead
    ]
    absent = [_NAMES[front] for front in FRONTS if dict(option.elsewhere).get(front) == ""]
    meaning += [f"Not in {', '.join(absent)}."] if absent else []
    meaning += [f"[More]({option.page})."] if option.page else []
    names = ", ".join(f"`{word} {value}`" for word in (option.short, option.flag) if word)
    return f"| {names} | {' '.join(meaning)} | {_PROJECT[option.project]} |"
