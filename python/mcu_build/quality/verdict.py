"""How good a quantized program is, in words: the verdict on a build, and the table by layer."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mcu_build.errors import Exit, McuError
from mcu_build.layer_names import layer_at, layer_name
from mcu_build.quality.sqnr import LEAST_EQUAL, LEAST_SQNR_DB
from mcu_build.tables import render

Row = Mapping[str, Any]

# Layers that a warning names.
_SHOWN = 3
MUCH_CLIPPED = 0.01
# A channel that reaches so many times as far as the others takes more than three of eight bits from them.
UNLIKE = 12.0
# A layer that keeps this much is not what has ruined an output.
HARMLESS_DB = 30.0
_CHOICE = (
    " An index (argmax, topk, sort) is another one, and so is what it picks, where candidates are nearer to "
    "each other than a step of int8: `evaluation` with labels shows whether that matters."
)
HEADINGS = ("layer", "line", "alone", "weights", "so far", "range", "clipped", "dead")
RIGHT = frozenset({"alone", "weights", "so far", "clipped", "dead"})


def verdict(
    file: str, quality: Sequence[Row], layers: Sequence[Row], rounded_inputs_db: float | None = None
) -> tuple[str, ...]:
    """A warning where int8 has ruined an output, with the layers that lose most; else nothing.

    `rounded_inputs_db` is what the float model keeps where its inputs alone are rounded to 8 bits.
    """
    bad = [text for row in quality for text in _bad_outputs(row)]
    if not bad:
        return ()
    worst = [row for row in by_loss(layers)[:_SHOWN] if row["sqnr_db"] < HARMLESS_DB]
    sentences = [
        f"{file}: the int8 program is far from the float model: {', '.join(bad)}; "
        f"{LEAST_SQNR_DB:.0f} dB is the least that is usually of use."
        f"{_CHOICE if any(row.get('integers') for row in quality) else ''}"
        f"{_enlarging(rounded_inputs_db)}"
        f"{' The layers that lose most:' if worst else ' No layer loses much alone.'}",
        *(f"  {_place(row)}, {row['sqnr_db']:.1f} dB alone: {cause(row)}" for row in worst),
    ]
    hint = f"  `mcu-build accuracy {file}` lists all layers"
    if file.endswith(".py"):
        hint += f"; `mcu-build tune {file}` finds those that need more bits"
    return ("\n".join((*sentences, f"{hint}.")),)


def _enlarging(rounded_inputs_db: float | None) -> str:
    """Says so where the model itself makes large differences of small ones."""
    if rounded_inputs_db is None or rounded_inputs_db >= HARMLESS_DB:
        return ""
    return (
        f" With nothing but inputs rounded to 8 bits the float model itself has {rounded_inputs_db:.1f} dB: "
        "it enlarges small differences, as untrained models do, or what matters in an input is much "
        "smaller than values beside it (give it an input of its own, or scale it before the model)."
    )


def cause(row: Row) -> str:
    """What a layer's loss comes from, and what would help, as far as its figures tell."""
    if row["clipped"] > MUCH_CLIPPED:
        return (
            f"{row['clipped']:.0%} of its values lie beyond its range, which is from `calibration` or from "
            "whoever quantized the program: the data for it should be like the data in use"
        )
    if row.get("spread", 1.0) > UNLIKE:
        read = "reads" if row["weights_db"] is not None else "makes"
        return (
            f"channel {row['largest_channel']} of what it {read} reaches {row['spread']:.0f} times as far as "
            "half of the channels, which have few of 256 steps left; a norm there, ReLU between two "
            "convolutions (they are equalized then), or float for the layers that make and read it"
        )
    weights = row["weights_db"]
    if weights is not None and weights < row["sqnr_db"] + 3:
        return (
            "its rounded weights: a few are much larger than the others (clip them), or its sums cancel, "
            "small differences of large values (leave it in float)"
        )
    return (
        f"values from {row['low']:.3g} to {row['high']:.3g} share 256 steps; clamp or normalise what is "
        "large, or keep large and small values in tensors of their own"
    )


def lines(quality: Sequence[Row]) -> Iterator[str]:
    """'31.2 dB, cosine 0.9996' for each output, with the worst group where channels are unlike."""
    for row in quality:
        name = f"{output_of(row)}: " if len(quality) > 1 else ""
        if row.get("integers"):
            yield f"{name}{row['equal']:.1%} of its integers are equal"
            continue
        yield f"{name}{row['sqnr_db']:.1f} dB, cosine {row['cosine']:.4f}{_worst_group(row)}"


def card(row: Row) -> Mapping[str, Any]:
    """One output on a page: its figure, what belongs to it, whether it is bad."""
    if row.get("integers"):
        figure, notes, bad = f"{row['equal']:.1%}", "of its integers are equal", row["equal"] < LEAST_EQUAL
    else:
        figure, notes = f"{row['sqnr_db']:.1f} dB", f"cosine {row['cosine']:.4f}{_worst_group(row)}"
        bad = any(part["sqnr_db"] < LEAST_SQNR_DB for part in [row, *row["groups"]])
    return {"name": output_of(row), "figure": figure, "notes": notes, "bad": bad}


def table(layers: Sequence[Row]) -> str:
    """All layers, those that lose most first. Decibels: alone, its rounded weights alone, lost so far."""
    optional = ("clipped", "dead", "range", "line")
    return render(HEADINGS, [cells(row) for row in by_loss(layers)], RIGHT, optional=optional)


def too_noisy(name: str, quality: Sequence[Row], least: float) -> McuError | None:
    """The error (status 6) where an output, or a group of its channels, has less than `least` dB."""
    if not quality:
        return McuError(f"{name}: --min-sqnr: a .pte holds no float model to compare with", "Leave it out.")
    lowest = min(float(part["sqnr_db"]) for row in quality for part in (row["groups"] or [row]))
    if lowest >= least:
        return None
    hint = "`mcu-build accuracy` lists what each layer loses, `mcu-build tune` finds what to leave in float."
    # Rounded down: 35.96 is not 36.
    worst = f"{name}: {math.floor(lowest * 10) / 10} dB against the float model, the least is {least:g}"
    return McuError(worst, hint, Exit.BUDGET)


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table, below HEADINGS."""
    return (
        layer_name(row["name"], row["operator"], row["shape"]),
        str(row["line"]),
        f"{row['sqnr_db']:.1f}",
        "" if row["weights_db"] is None else f"{row['weights_db']:.1f}",
        f"{row['accumulated_db']:.1f}",
        f"{row['low']:.3g} .. {row['high']:.3g}",
        f"{row['clipped']:.1%}" if row["clipped"] else "",
        str(row["dead"] or ""),
    )


def by_loss(layers: Sequence[Row]) -> list[Row]:
    """By what each loses alone: behind the cause of a loss, every layer is as bad."""
    return sorted(layers, key=lambda row: float(row["sqnr_db"]))


def output_of(row: Row) -> str:
    """'output boxes' of a row of `quality`, 'output 0' where it has no name."""
    return f"output {row.get('name') or row['output']}"


def _bad_outputs(row: Row) -> Iterator[str]:
    if row.get("integers"):
        if row["equal"] < LEAST_EQUAL:
            yield f"{output_of(row)} has other integers in {1 - row['equal']:.0%} of its elements"
        return
    for part in row["groups"] or [row]:
        if part["sqnr_db"] < LEAST_SQNR_DB:
            where = f" {_group(part)}" if "first" in part else ""
            yield f"{output_of(row)}{where} has {part['sqnr_db']:.1f} dB"


def _worst_group(row: Row) -> str:
    worst = min(row["groups"], key=lambda group: float(group["sqnr_db"]), default=None)
    return f"; {_group(worst)}: {worst['sqnr_db']:.1f} dB" if worst else ""


def _group(group: Row) -> str:
    first, last = group["first"], group["last"]
    named = f"channel {first}" if first == last else f"channels {first} to {last}"
    return f"{named} (dimension {group['axis']})"


def _place(row: Row) -> str:
    return layer_at(row["name"], row["operator"], row["shape"], row["line"])
