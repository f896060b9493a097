"""Measurements as tables: all of them, by board and compiler. docs/performance.md shows the gist."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from figures import BOUNDS, FLASH, INSTRUCTIONS, MODELS, RAM, REASONS, STARTUP, VECTOR_TWICE, Row

# "<model>/<board>/<toolchain>" -> what run.py measured, or {"error": why there is nothing}.
Results = Mapping[str, Mapping[str, Any]]

HEAD = """# Performance

The four nets of MLPerf Tiny with random weights, so that nothing is skipped, and int8 inputs and outputs. One
inference in QEMU, every instruction counted (docs/profiling.md). Nothing here was measured on a real board.
`cortex-m0` is Armv6-M code run by the Cortex-M3 of mps2-an385: the microbit, the one simulated
Cortex-M0, has memory for KWS alone. Goals and the figures of the field, the best of both compilers, are in
benchmarks/mlperf_tiny/figures.py; docs/cmsis-nn.md says how CMSIS-NN was measured under our own plan.
"""
_ORDER = ("cortex-m55", "cortex-m33", "cortex-m7", "cortex-m4", "cortex-m3", "cortex-m0")


def document(results: Results) -> str:
    """The whole page."""
    return "\n".join([HEAD, *(text for text in _sections(results))])


def _sections(results: Results) -> Iterator[str]:
    yield _by_core(
        "Million instructions for one inference",
        results,
        lambda row: _millions(row["instructions"]),
        INSTRUCTIONS,
    )
    yield _by_core(
        "Million instructions, each vector instruction counted twice",
        {key: row for key, row in results.items() if row.get("vector_instructions")},
        lambda row: _millions(row["instructions"] + row["vector_instructions"]),
        VECTOR_TWICE,
    )
    yield _by_core(
        "Million cycles, modelled",
        {key: row for key, row in results.items() if row.get("cycles") is not None},
        lambda row: _millions(row["cycles"]),
        {},
    )
    for title, key, beside in (
        ("RAM of the model: the arena, bytes", "arena", RAM),
        ("Flash without the model's constants, bytes", "flash", FLASH),
        ("Start-up: instructions from reset to main, none of them the model's", "startup", STARTUP),
    ):
        yield _by_core(title, results, lambda row, key=key: f"{row[key]:,}", {"": beside})
    yield _kernels(results)
    yield from _above_bound(results)
    missing = [f"- {key}: {row['error']}" for key, row in results.items() if "error" in row]
    if missing:
        yield "## Not measured\n\n" + "\n".join(missing) + "\n"


def _by_core(
    title: str,
    results: Results,
    cell: Callable[[Mapping[str, Any]], str],
    beside: Mapping[str, Mapping[str, Row]],
) -> str:
    """A row for each board and compiler, and behind each core what it stands beside."""
    rows = []
    for core, board, toolchain in _combinations(results):
        keys = [f"{model}/{board}/{toolchain}" for model in MODELS]
        cells = [cell(results[key]) if _measured(results, key) else "-" for key in keys]
        rows.append((core, [f"{_core(core)}, {board}", toolchain, *cells]))
    lines = []
    cores = dict.fromkeys(core for core, _ in rows)
    for core in cores:
        lines += [cells for row_core, cells in rows if row_core == core]
        lines += _beside(_core(core), beside.get(core, {}))
    lines += _beside("", beside.get("", {}))
    return f"## {title}\n\n" + _markdown(["", "", *(model.upper() for model in MODELS)], lines)


def _beside(first: str, figures: Mapping[str, Row]) -> Iterator[list[str]]:
    for name, row in figures.items():
        yield [first, f"*{name}*", *(f"*{value:,}*" if value >= 500 else f"*{value:g}*" for value in row)]


def _combinations(results: Results) -> Iterator[tuple[str, str, str]]:
    """Core, board and toolchain of every line, the fastest core first."""
    found = dict.fromkeys(
        (row["core"], *key.split("/")[1:]) for key, row in results.items() if _measured(results, key)
    )
    yield from sorted(found, key=lambda line: (_ORDER.index(line[0]), line))


def _measured(results: Results, key: str) -> bool:
    return key in results and "error" not in results[key]


def _kernels(results: Results) -> str:
    """Instructions per MAC of each kernel that has any, by model."""
    names: dict[str, None] = {}
    for row in results.values():
        names.update((name, None) for name, (_, macs) in row.get("kernels", {}).items() if macs)
    lines = []
    for core, board, toolchain in _combinations(results):
        for kernel in sorted(names):
            cells = []
            for model in MODELS:
                count, macs = (
                    results.get(f"{model}/{board}/{toolchain}", {}).get("kernels", {}).get(kernel, (0, 0))
                )
                cells.append(f"{count / macs:.3f}" if macs else "-")
            if set(cells) != {"-"}:
                lines.append([f"{_core(core)}, {board}", toolchain, kernel, *cells])
    return "## Instructions for one multiply-accumulate\n\n" + _markdown(
        ["", "", "kernel", *(model.upper() for model in MODELS)], lines
    )


def _above_bound(results: Results) -> Iterator[str]:
    """For each core with a bound, the kernels above twice that, by the better compiler of the worst model."""
    for core, bound in BOUNDS.items():
        best: dict[tuple[str, str], float] = {}
        for key, row in results.items():
            for kernel, (count, macs) in row.get("kernels", {}).items():
                if row["core"] == core and macs:
                    place = kernel, key.split("/")[0]
                    best[place] = min(best.get(place, count / macs), count / macs)
        worst: dict[str, float] = {}
        for (kernel, _), ratio in best.items():
            worst[kernel] = max(worst.get(kernel, 0), ratio)
        rows = [
            [kernel, f"{ratio:.3f}", f"{ratio / bound:.1f}", REASONS.get(kernel, "")]
            for kernel, ratio in sorted(worst.items())
            if ratio > 2 * bound
        ]
        title = f"## {_core(core)}: kernels above twice the bound of {bound} instructions\n\n"
        within = f"Of {len(worst)} kernels the other {len(worst) - len(rows)} are below it.\n\n"
        yield title + within + _markdown(["kernel", "instructions for a MAC", "times the bound", "why"], rows)


def _core(core: str) -> str:
    return core.replace("cortex-m", "Cortex-M")


def _millions(count: int) -> str:
    return f"{count / 1e6:.4f}" if count < 1e6 else f"{count / 1e6:.3f}"


def _markdown(headings: list[str], rows: Iterable[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
