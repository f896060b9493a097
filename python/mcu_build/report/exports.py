"""A report for other programs: Chrome's trace format, and the graph format of Google's Model Explorer."""

import re
from typing import Any

from mcu_build.report.report import Report, Row


def trace(report: Report) -> dict[str, Any]:
    """The inference as Chrome's trace events (chrome://tracing, ui.perfetto.dev).

    Times are microseconds at the board's clock; without one, a cycle or instruction stands for a microsecond.
    The NPU's cycles are its compiler's estimate, drawn as if its clock were the core's.
    """
    rate = report.clock / 1e6 if report.clock and report.unit == "cycles" else 1.0
    scale = f"{report.clock} Hz" if rate != 1.0 else f"1 us stands for one of the {report.unit}"
    events: list[dict[str, Any]] = [
        _named("process_name", 0, f"{report.name} on {report.board}"),
        _named("thread_name", 0, "core"),
    ]
    rows = report.rows()
    if any(row.inner for row in rows):
        scale += "; the NPU's cycles are estimated, and drawn as if its clock were the core's"
        events.append(_named("thread_name", 1, "NPU"))
    at = 0.0
    for row in rows:
        length = (row.cycles if row.cycles is not None else row.instructions or 0) / rate
        lane = int(row.inner)
        events.append(
            {
                "name": row.label,
                "cat": row.where,
                "ph": "X",
                "ts": at,
                "dur": length,
                "pid": 1,
                "tid": lane,
                "args": _figures(row),
            }
        )
        at += length
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"scale": scale}}


def _named(what: str, lane: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": 1, "tid": lane, "args": {"name": name}}


def _figures(row: Row) -> dict[str, Any]:
    figures = {
        "kernel": row.kernel,
        "line": row.line,
        "macs": row.macs,
        "instructions": row.instructions,
        "cycles": row.cycles,
        "sqnr_db": row.sqnr_db,
    }
    return {name: value for name, value in figures.items() if value not in (None, "")}


def model_explorer(report: Report) -> dict[str, Any]:
    """The plan as a graph collection, which Model Explorer opens as JSON. Modules are its layers."""
    into: dict[int, list[int]] = {}
    for start, end in sorted(report.edges()):
        into.setdefault(end, []).append(start)
    rows = {row.step: row for row in report.rows() if not row.inner}
    nodes = [
        {
            "id": str(index),
            "label": rows[index].label,
            # Not within "0 .. 9", which stands for the modules that a delegate serves.
            "namespace": re.sub(r"(?<!\.)\.(?!\.)", "/", step["name"]),
            "attrs": [{"key": key, "value": str(value)} for key, value in _figures(rows[index]).items()],
            "incomingEdges": [
                {"sourceNodeId": str(start), "sourceNodeOutputId": "0", "targetNodeInputId": str(place)}
                for place, start in enumerate(into.get(index, ()))
            ],
        }
        for index, step in enumerate(report.steps)
    ]
    return {"label": report.name, "graphs": [{"id": f"{report.name} on {report.board}", "nodes": nodes}]}
