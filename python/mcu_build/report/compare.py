"""Several builds side by side: one table, one page, one document."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mcu_build.errors import McuError
from mcu_build.report.report import Report
from mcu_build.stages.manifest import Manifest
from mcu_build.tables import render

_HEADINGS = {
    "flash": "flash",
    "ram": "RAM",
    "arena": "arena",
    "cycles": "cycles",
    "npu_cycles": "NPU cycles",
    "instructions": "instructions",
    "milliseconds": "ms",
    "sqnr_db": "dB",
    "accuracy": "accuracy",
}
# Of what was left to the board, and not built.
_UNKNOWN = "default"


@dataclass(frozen=True)
class Variant:
    """One build of a comparison: figures that are not known are None.

    `error` says why there is no build, or what is missing of it; `wrong` counts wrong outputs. `accuracy` is
    that on the device, a share. NPU cycles are the compiler's estimate.
    """

    model: str
    board: str
    npu: str
    optimize: str
    toolchain: str
    flash: int | None = None
    ram: int | None = None
    arena: int | None = None
    cycles: int | None = None
    npu_cycles: int | None = None
    instructions: int | None = None
    milliseconds: float | None = None
    sqnr_db: float | None = None
    accuracy: float | None = None
    wrong: int | None = None
    error: str = ""
    hint: str = ""
    exit_code: int = 0

    @property
    def state(self) -> str:
        """What became of it, in a word or two."""
        if self.exit_code:
            return "failed"
        if self.wrong:
            return f"WRONG: {self.wrong:,} outputs"
        return "proven" if self.wrong == 0 else "not run"


def of_report(manifest: Manifest, report: Report, was_run: bool) -> Variant:
    """A variant that was built, and run if that was asked for and possible."""
    profile, accuracy = report.profile, report.accuracy
    cycles = profile.total.cycles if profile else None
    delegates = report.npu["compiler_estimates"]["delegates"] if report.npu else ()
    return Variant(
        **_names(manifest),
        cycles=cycles,
        npu_cycles=sum(delegate["cycles"] for delegate in delegates) if delegates else None,
        instructions=profile.total.instructions if profile else None,
        milliseconds=report.milliseconds(cycles),
        sqnr_db=min((row["sqnr_db"] for row in report.quality), default=None),
        accuracy=accuracy.device if accuracy else None,
        wrong=accuracy.mismatches if accuracy else None,
        error="\n".join(report.notes) if was_run else "",
    )


def of_manifest(manifest: Manifest) -> Variant:
    """A build folder as it is: its sizes alone."""
    return Variant(**_names(manifest))


def of_error(
    model: Path, board: str, npu: str | None, optimize: str, toolchain: str | None, error: McuError
) -> Variant:
    """A variant that could not be built."""
    message = " ".join(error.message.replace(f"\n{model.stem}: ", "; ").split())
    names = model.stem, board, npu or _UNKNOWN, optimize, toolchain or _UNKNOWN
    return Variant(*names, error=message, hint=error.hint, exit_code=int(error.exit_code))


def _names(manifest: Manifest) -> dict[str, Any]:
    return {
        "model": manifest.name,
        "board": str(manifest.board["id"]),
        "npu": manifest.npu["name"] if manifest.npu else "none",
        "optimize": manifest.optimize,
        "toolchain": manifest.toolchain,
        "flash": manifest.flash["total"],
        "ram": manifest.ram["total"],
        "arena": manifest.memory["arena"],
    }


def document(variants: Sequence[Variant]) -> dict[str, Any]:
    """The comparison as --json prints it."""
    return {"variants": [{**asdict(variant), "state": variant.state} for variant in variants]}


def names(variants: Sequence[Variant]) -> list[str]:
    """What tells each variant from the others: only what differs among them, the board at least."""
    parts = ("model", "board", "npu", "optimize")
    values = {part: {getattr(variant, part) for variant in variants} - {_UNKNOWN} for part in parts}
    differing = [part for part in parts if len(values[part]) > 1] or ["board"]
    labels = _labels(variants, differing)
    # A compiler follows from the board, unless it was chosen.
    return labels if len({*labels}) == len(labels) else _labels(variants, [*differing, "toolchain"])


def _labels(variants: Sequence[Variant], parts: Sequence[str]) -> list[str]:
    words = [[(part, getattr(variant, part)) for part in parts] for variant in variants]
    return [" ".join(_word(*word) for word in row if word[1] != _UNKNOWN) or _UNKNOWN for row in words]


def _word(part: str, value: str) -> str:
    return "no NPU" if (part, value) == ("npu", "none") else value


def table(variants: Sequence[Variant]) -> str:
    """A row a variant with what is known of any of them, then what went wrong."""
    shown = _shown(variants)
    labels = names(variants)
    rows = [
        [label, *(_cell(name, getattr(variant, name)) for name in shown), variant.state]
        for label, variant in zip(labels, variants, strict=True)
    ]
    right = set(shown.values())
    optional = [_HEADINGS[name] for name in ("instructions", "arena", "sqnr_db") if name in shown]
    made = render(["build", *shown.values(), "state"], rows, right, optional=optional)
    errors = [
        f"{label}: {variant.error}" + (f"\n  hint: {variant.hint}" if variant.hint else "")
        for label, variant in zip(labels, variants, strict=True)
        if variant.error
    ]
    return "\n".join([made, *errors])


def _shown(variants: Sequence[Variant]) -> Mapping[str, str]:
    known = {name for variant in variants for name in _HEADINGS if getattr(variant, name) is not None}
    return {name: heading for name, heading in _HEADINGS.items() if name in known}


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name == "accuracy":
        return f"{value:.2%}"
    return (
        f"{value:,.3f}" if name == "milliseconds" else f"{value:,.1f}" if name == "sqnr_db" else f"{value:,}"
    )


def page(variants: Sequence[Variant]) -> str:
    """The comparison as a page, a bar for each figure as long as its share of the largest."""
    from mcu_build.report import page as pages

    shown = _shown(variants)
    most = {name: max((getattr(variant, name) or 0 for variant in variants), default=0) for name in shown}
    rows = [
        {
            "name": label,
            "cells": [
                (_cell(name, value), 100 * value / most[name] if value and most[name] else 0)
                for name in shown
                for value in [getattr(variant, name)]
            ],
            "state": variant.state,
            "bad": bool(variant.exit_code or variant.wrong),
            "error": variant.error,
            "hint": variant.hint,
        }
        for label, variant in zip(names(variants), variants, strict=True)
    ]
    title = " and ".join(dict.fromkeys(variant.model for variant in variants))
    return pages.document(
        f"{title} compared", pages.rendered("compare.html", title=title, headings=shown, rows=rows)
    )
