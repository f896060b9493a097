"""A profile as plain data and as tables for a person."""

from collections.abc import Sequence
from typing import Any

from mcu_build.image.decode import VECTOR_KINDS, Kind
from mcu_build.profile.measure import Cost, Profile
from mcu_build.report.npu import estimates, layer_rows
from mcu_build.report.removed import sentence
from mcu_build.tables import render, width

# What every kernel would begin with.
_NAMESPACES = ("(anonymous namespace)::", "mcu::kernels::")
# Functions that a person is shown; the document has all.
_FUNCTIONS = 12
# Columns of the mix, and the kinds that each adds up. A vector load is both.
_MIX: dict[str, frozenset[Kind]] = {
    "load": frozenset({Kind.LOAD, Kind.VECTOR_LOAD}),
    "store": frozenset({Kind.STORE, Kind.VECTOR_STORE}),
    "vector": VECTOR_KINDS,
    "multiply": frozenset({Kind.MULTIPLY}),
    "branch": frozenset({Kind.BRANCH}),
}
_HEADINGS = ("instructions", "share", "MACs", "per MAC", *_MIX, "cycles", "a MAC")
# Columns that a table has from so many columns of the terminal on.
_ONLY_FROM = {100: ("line",), 120: ("per MAC", "a MAC"), 180: tuple(_MIX)}


def document(profile: Profile) -> dict[str, Any]:
    """The profile as `mcu-build profile --json` prints it."""
    return {
        "name": profile.name,
        "board": profile.board,
        "core": profile.core,
        "toolchain": profile.toolchain,
        **_facts(profile.total, profile.macs),
        "milliseconds": _milliseconds(profile, profile.total),
        "clock": profile.clock,
        "startup": profile.startup.instructions,
        "harness": profile.harness.instructions,
        "longest_step": _longest_step(profile),
        "layers": [
            {
                "name": layer.name,
                "operator": layer.operator,
                "shape": list(layer.shape),
                "line": layer.line,
                "kernel": layer.kernel,
                **_facts(layer.cost, layer.macs),
                "milliseconds": _milliseconds(profile, layer.cost),
            }
            for layer in profile.layers
        ],
        "kernels": [
            {"kernel": kernel.name, "calls": kernel.calls, **_facts(kernel.cost, kernel.macs)}
            for kernel in profile.kernels
        ],
        "functions": [
            {
                "name": function.name,
                "instructions": function.cost.instructions,
                "cycles": function.cost.cycles,
                "kinds": {kind.value: count for kind, count in function.cost.kinds.items()},
            }
            for function in profile.functions
        ],
        "npu": profile.npu,
        "removed": profile.removed,
    }


def _longest_step(profile: Profile) -> dict[str, Any] | None:
    """The step that takes longest, by modelled cycles where there are any: an index for <model>_step()."""
    longest = profile.longest
    if longest is None:
        return None
    return {
        "index": longest.index,
        "name": longest.name,
        "operator": longest.operator,
        "instructions": longest.cost.instructions,
        "cycles": longest.cost.cycles,
        "milliseconds": _milliseconds(profile, longest.cost),
    }


def table(profile: Profile) -> str:
    """The profile as tables: layers, kernels, and the functions that take most."""
    total = profile.total.instructions
    layers = [
        *(
            [str(layer.index), layer.label, layer.line, layer.kernel, *_cells(layer.cost, layer.macs, total)]
            for layer in profile.layers
        ),
        ["", "all", "", "", *_cells(profile.total, profile.macs, total)],
    ]
    kernels = [
        [str(kernel.calls), kernel.name, *_cells(kernel.cost, kernel.macs, total)]
        for kernel in profile.kernels
    ]
    shown, rest = profile.functions[:_FUNCTIONS], profile.functions[_FUNCTIONS:]
    counts = [(function_name(function.name), function.cost.instructions) for function in shown]
    if rest:
        counts.append((f"{len(rest)} more", sum(function.cost.instructions for function in rest)))
    functions = [[name, f"{count:,}", _percent(count, total)] for name, count in counts]
    tables = [
        _fitting(["#", "layer", "line", "kernel", *_HEADINGS], layers),
        _fitting(["calls", "kernel", *_HEADINGS], kernels),
        _fitting(["function", "instructions", "share"], functions),
    ]
    if profile.npu:
        tables.append("\n".join([*estimates(profile.npu), ""]))
        headings, *rows = layer_rows(profile.npu) or [[]]
        tables += [render(headings, rows, {*headings[4:]})] if rows else []
    head = (
        f"{profile.name} on {profile.board} ({profile.core}, {profile.toolchain}): "
        f"{total:,} instructions for one inference, {profile.total.vector_instructions:,} of them vector\n"
        f"{profile.startup.instructions:,} from reset to main, "
        f"{profile.harness.instructions:,} in the test image around the inference\n"
        f"{_modelled(profile)}"
    )
    if profile.removed:
        head += f"left out, and counted nowhere: {sentence(profile.removed)}\n"
    return "\n".join([head, *tables])


def _fitting(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without the columns that a narrow terminal has no room for."""
    left_out = {name for columns, names in _ONLY_FROM.items() if width() < columns for name in names}
    kept = [index for index, heading in enumerate(headings) if heading not in left_out]
    cells = ([row[index] for index in kept] for row in rows)
    return render([headings[index] for index in kept], cells, {"#", "calls", *_HEADINGS})


def _facts(cost: Cost, macs: int) -> dict[str, Any]:
    return {
        "instructions": cost.instructions,
        "vector_instructions": cost.vector_instructions,
        "macs": macs,
        "cycles": cost.cycles,
        # The same, under the name that it had before there was a model.
        "cycles_estimate": cost.cycles,
        "instructions_per_mac": round(cost.instructions / macs, 4) if macs else None,
        "cycles_per_mac": round(cost.cycles / macs, 4) if macs and cost.cycles is not None else None,
        "kinds": {kind.value: count for kind, count in cost.kinds.items()},
    }


def _cells(cost: Cost, macs: int, total: int) -> list[str]:
    """The cells under _HEADINGS."""
    mix = (sum(cost.kinds.get(kind, 0) for kind in kinds) for kinds in _MIX.values())
    return [
        f"{cost.instructions:,}",
        _percent(cost.instructions, total),
        f"{macs:,}" if macs else "-",
        f"{cost.instructions / macs:.3f}" if macs else "-",
        *(_percent(part, cost.instructions) for part in mix),
        f"{cost.cycles:,}" if cost.cycles is not None else "-",
        f"{cost.cycles / macs:.3f}" if macs and cost.cycles is not None else "-",
    ]


def function_name(name: str) -> str:
    """A function's demangled name without its result, its parameters and our own namespaces."""
    text = name
    for namespace in _NAMESPACES:
        text = text.replace(namespace, "")
    depth, start = 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "<") - (letter == ">")
        if not depth and letter == " " and not text[:place].endswith("operator"):
            start = place + 1
        if not depth and letter == "(":
            return text[start:place] or name
    return text[start:] or name


def _milliseconds(profile: Profile, cost: Cost) -> float | None:
    time = profile.milliseconds(cost)
    return None if time is None else round(time, 4)


def _modelled(profile: Profile) -> str:
    """A line on cycles: what they are of, and that nobody has measured them."""
    if profile.total.cycles is None:
        return ""
    words = f"{profile.total.cycles:,} cycles of a {profile.core}, modelled"
    milliseconds = profile.milliseconds(profile.total)
    if milliseconds is not None:
        words += f": {milliseconds:,.3f} ms at {(profile.clock or 0) / 1e6:g} MHz"
    return words + " (`mcu-build docs cycles` shows how far off that is)\n"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"
