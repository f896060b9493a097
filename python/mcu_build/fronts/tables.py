"""Build options, budgets and signing in docs/command.md, in tables that scripts/update-docs writes."""

import re

from mcu_build.fronts.budgets import BUDGETS
from mcu_build.fronts.option import FRONTS, VERBS, Front, Option
from mcu_build.fronts.options import OPTIONS
from mcu_build.fronts.signing import SIGNING

_BEGIN, _END = "<!-- {}: made by scripts/update-docs -->", "<!-- end of {} -->"
_NAMES: dict[Front, str] = {"cmake": "CMake", "scons": "SCons", "bazel": "Bazel"}
_PROJECT = {"anywhere": "yes", "model": "of a model", "never": ""}


def with_table(page: str) -> str:
    """The page with the tables between its marks renewed."""
    for name, table in (
        ("options", option_table()),
        ("budgets", budget_table()),
        ("signing", signing_table()),
    ):
        begin, end = _BEGIN.format(name), _END.format(name)
        made = f"{begin}\n\n{table}\n{end}"
        page = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: made, page, flags=re.DOTALL)  # noqa: B023
    return page


def option_table() -> str:
    """A row for each option: how it is given, what it means, and whether a project file may set it."""
    rows = ["| option | meaning | project file |", "|---|---|---|", *map(_row, OPTIONS)]
    return "".join(f"{row}\n" for row in rows)


def budget_table() -> str:
    """A row for each budget: how it is given, its key, what it limits, and the verbs that hold to it."""
    rows = ["| budget | key | meaning | verbs |", "|---|---|---|---|"]
    for budget in BUDGETS:
        value, verbs = budget.metavar or budget.kind.upper(), ", ".join(budget.verbs)
        rows.append(f"| `{budget.flag} {value}` | `{budget.name}` | {budget.help} | {verbs} |")
    return "".join(f"{row}\n" for row in rows)


def signing_table() -> str:
    """A row for each option of signed images: how it is given, what it means, and the verbs that have it."""
    rows = ["| option | in build systems | meaning | verbs |", "|---|---|---|---|"]
    for option in SIGNING:
        words = " ".join([option.flag, *([] if option.is_flag else [option.metavar or option.name.upper()])])
        rows.append(
            f"| `{words}` | `{option.cmake}`, `{option.name}` | {option.help} | {', '.join(option.verbs)} |"
        )
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
