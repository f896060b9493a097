"""What quantization does to a model, as a page: outputs, a picture of all layers, the table with causes."""

from collections.abc import Mapping, Sequence
from typing import Any

from mcu_build.layer_names import layer_at
from mcu_build.quality.sqnr import LEAST_SQNR_DB
from mcu_build.quality.verdict import HEADINGS, RIGHT, by_loss, card, cause, cells
from mcu_build.report import page as pages
from mcu_build.report import svg

Row = Mapping[str, Any]


def page(name: str, quality: Sequence[Row], layers: Sequence[Row]) -> str:
    """The page of a model; `quality` and `layers` as `Lowered` has them."""
    from markupsafe import Markup

    title = f"{name}: what quantization does"
    rows = [
        {"cells": cells(row), "cause": cause(row) if row["sqnr_db"] < LEAST_SQNR_DB else ""}
        for row in by_loss(layers)
    ]
    body = pages.rendered(
        "accuracy.html",
        title=title,
        least=f"{LEAST_SQNR_DB:.0f}",
        outputs=[card(row) for row in quality],
        picture=Markup(svg.losses([_loss(row) for row in layers], LEAST_SQNR_DB)),
        headings=HEADINGS,
        words=[heading for heading in HEADINGS if heading not in RIGHT],
        rows=rows,
    )
    return pages.document(title, body)


def _loss(row: Row) -> svg.Loss:
    weights = row["weights_db"]
    figures = f"{row['sqnr_db']:.1f} dB alone, {row['accumulated_db']:.1f} dB up to here"
    rounded = "" if weights is None else f", {weights:.1f} dB with its rounded weights alone"
    place = layer_at(row["name"], row["operator"], row["shape"], row["line"])
    return svg.Loss(row["sqnr_db"], weights, row["accumulated_db"], f"{place}\n{figures}{rounded}")
