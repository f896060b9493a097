"""A report as HTML: one file that loads nothing, for a wide window, a telephone and paper; or a fragment."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcu_build.image.size import FLASH, RAM, Kind, Size
from mcu_build.quality.verdict import card
from mcu_build.report import svg
from mcu_build.report.layers import function_name
from mcu_build.report.npu import estimates
from mcu_build.report.removed import sentence
from mcu_build.report.report import Report, Row

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

_FOLDER = Path(__file__).parent
# Symbols that a treemap shows; the others are one rectangle a kind.
_SYMBOLS = 80


def page(report: Report) -> str:
    """The whole document."""
    style = (_FOLDER / "report.css").read_text()
    return _template("page.html").render(title=_title(report), style=style, body=_body(report))


def fragment(report: Report) -> str:
    """The report as a part of another page, such as a notebook's: its style reaches nothing beside it."""
    return f"<style>{(_FOLDER / 'report.css').read_text()}</style>{_body(report)}"


def document(title: str, body: str) -> str:
    """Another body in the same dress."""
    from markupsafe import Markup

    style = (_FOLDER / "report.css").read_text()
    return _template("page.html").render(title=title, style=style, body=Markup(body))


def rendered(template: str, **values: Any) -> str:
    """What a template of this folder makes of values."""
    return _template(template).render(**values)


def _title(report: Report) -> str:
    return f"{report.name} on {report.board}" if report.board else report.name


def _template(name: str) -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FileSystemLoader(_FOLDER),
    )
    environment.filters["number"] = _number
    return environment.get_template(name)


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _body(report: Report) -> "Markup":
    from markupsafe import Markup

    rows = report.rows()
    drawn = {name: Markup(text) for name, text in _drawings(report, rows).items()}
    html = _template("report.html").render(
        report=report,
        title=_title(report),
        rows=rows,
        outputs=[card(row) for row in report.quality],
        has_lines=any(row.line for row in rows),
        largest=max((row.cycles or row.instructions or 0 for row in rows if not row.inner), default=0),
        largest_inner=max((row.cycles or 0 for row in rows if row.inner), default=0),
        graph=[Markup(box) for box in _graph(report, rows)],
        drawn=drawn,
        removed=sentence(report.removed) if report.removed else "",
        estimates=estimates(report.npu) if report.npu else [],
    )
    return Markup(html)


def _graph(report: Report, rows: Sequence[Row]) -> list[str]:
    """A drawing for each row; a step of the NPU hands over to the operations below it."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for place, row in enumerate(rows):
        first.setdefault(row.step, place)
        last[row.step] = place
    edges = {(last[start], first[end]) for start, end in report.edges()}
    edges |= {(place, place + 1) for place in range(len(rows) - 1) if rows[place + 1].inner}
    return svg.graph_rows(edges, len(rows))


def _drawings(report: Report, rows: Sequence[Row]) -> dict[str, str]:
    drawn = {}
    if report.profile is not None:
        drawn["timeline"] = timeline(report, rows)
    if report.arena and report.memory.get("arena"):
        drawn["arena"] = _arena(report)
    if report.size is not None:
        drawn["flash"] = _treemap(report.size, FLASH, "flash")
        drawn["ram"] = _treemap(report.size, RAM, "RAM")
        drawn["legend"] = svg.legend([(f"kind-{kind}", kind) for kind in (*FLASH, *RAM)])
    return drawn


def timeline(report: Report, rows: Sequence[Row]) -> str:
    """The core and the NPU over one axis, one step after the other: the core waits for the NPU."""
    at, spans = 0.0, []
    for row in rows:
        length = row.cycles if row.cycles is not None else row.instructions or 0
        style = f"where-{row.where}"
        figure = f"{length:,} {'cycles' if row.cycles is not None else 'instructions'}"
        spans.append(
            svg.Span(int(row.inner), at, length, style, row.label, f"{row.label}\n{row.kernel}\n{figure}")
        )
        at += length
    lanes = ["core", "NPU"] if any(row.inner for row in rows) else ["core"]
    return svg.timeline(spans, lanes, report.unit)


def _arena(report: Report) -> str:
    from mcu_build.layer_names import layer_name

    def label(made_by: int | None) -> str:
        if made_by is None:
            return "input"
        step = report.steps[made_by]
        return layer_name(step["name"], step["operator"], step["shape"])

    blocks = [
        svg.Block(
            block["offset"],
            block["size"],
            block["first"],
            block["last"],
            label(block["made_by"]),
            f"{label(block['made_by'])}\n{block['size']:,} bytes at {block['offset']:,}, "
            f"steps {max(block['first'], 0)} to {min(block['last'], len(report.steps) - 1)}",
        )
        for block in report.arena
    ]
    return svg.arena(blocks, len(report.steps), report.memory["arena"], report.memory["peak_step"])


def _treemap(size: Size, kinds: Sequence[Kind], name: str) -> str:
    own = [row for row in size.symbols if row.kind in kinds]
    items = [
        svg.Item(
            row.size,
            f"kind-{row.kind}",
            row.name if row.name.startswith("[") else function_name(row.name),
            f"{row.name}\n{row.size:,} bytes of {row.kind}\n{row.source}",
        )
        for row in own[:_SYMBOLS]
    ]
    rest: Counter[Kind] = Counter()
    for row in own[_SYMBOLS:]:
        rest[row.kind] += row.size
    items += [
        svg.Item(count, f"kind-{kind}", "others", f"others\n{count:,} bytes of {kind}")
        for kind, count in rest.items()
    ]
    return svg.treemap(items, 540, 300, name)
