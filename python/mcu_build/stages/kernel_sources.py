"""The user's C++ sources with the kernels of custom operators."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mcu_build.errors import McuError
from mcu_build.ir.plan import Plan

SUFFIXES = (".cpp", ".cc", ".cxx")
_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
_UNDEFINED = re.compile(r"undefined (?:reference to|symbol:) [`']?([\w:]+)\(")


def check_sources(sources: Iterable[Path]) -> None:
    """McuError for every source that is not there, or is not C++."""
    wrong = [
        f"{file}: {'not a C++ source' if file.is_file() else 'no such file'}"
        for file in sources
        if not file.is_file() or file.suffix not in SUFFIXES
    ]
    if wrong:
        raise McuError("\n".join(wrong), f"--kernel-sources takes files that end in {', '.join(SUFFIXES)}.")


def with_headers(sources: Iterable[Path]) -> list[Path]:
    """The sources and the files beside them that they include, directly or not."""
    files: dict[Path, None] = {}
    waiting = [file.resolve() for file in sources]
    while waiting:
        file = waiting.pop()
        if file in files or not file.is_file():
            continue
        files[file] = None
        names = _INCLUDE.findall(file.read_text(errors="replace"))
        waiting += [(file.parent / name).resolve() for name in names]
    return sorted(files)


def prototypes(plan: Plan) -> dict[str, str]:
    """What the user's functions look like in C++, by their name."""
    from mcu_build.plan.operators.custom import user_calls

    return {call.function: call.prototype for call in user_calls(plan.steps).values()}


def check_kernels(plan: Plan, sources: Sequence[Path]) -> None:
    """McuError where custom operators are called and no source could hold their kernels."""
    wanted = prototypes(plan)
    if wanted and not sources:
        raise McuError(
            f"{plan.name}: no kernel for {', '.join(wanted)}",
            "Give a C++ file with --kernel-sources that defines\n" + _listed(wanted.values()),
        )
    if sources and not wanted:
        raise McuError(
            f"{plan.name}: --kernel-sources: the model calls no custom operator", "Leave the sources out."
        )


def missing_kernels(name: str, wanted: Mapping[str, str], output: str) -> McuError | None:
    """The functions that the linker did not find, if that is why it failed."""
    missing = [function for function in dict.fromkeys(_UNDEFINED.findall(output)) if function in wanted]
    if not missing:
        return None
    return McuError(
        f"{name}: no function in the kernel sources for {', '.join(missing)}",
        "With just these types, and not static, define\n" + _listed(wanted[call] for call in missing),
    )


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line};" for line in lines)
