"""The report: a page that stands alone, drawings that add up, files for other programs."""

import re
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from mcu_build import tables
from mcu_build.errors import Exit
from mcu_build.image.decode import Kind
from mcu_build.image.size import Region, Row, Size
from mcu_build.profile.measure import Cost, Function, Kernel, Layer, Profile
from mcu_build.quality.metrics import Metric
from mcu_build.report import exports, svg
from mcu_build.report.limits import exceeded, limited
from mcu_build.report.notebook import ShownProfile, ShownSize
from mcu_build.report.page import fragment, page
from mcu_build.report.report import Accuracy, Budget, Report, of_profile, of_size
from mcu_build.report.summary import document, text
from mcu_build.tables import render
from tests.support.pages import Tags

KERNELS = (
    ("stem", "cortex_m::quantized_conv2d.out", "conv2d_s8", "int8"),
    ("body.<b>", "npu", "ethos_u", "npu"),
    ("body", "cortex_m::quantized_add.out", "add_s8", "int8"),
    ("head", "aten::softmax.out", "softmax_f32", "float"),
)


def profile() -> Profile:
    costs = [Cost(100 * (i + 1), {Kind.OTHER: 100 * (i + 1)}, 150 * (i + 1)) for i in range(4)]
    total = Cost(1000, {Kind.OTHER: 1000}, 1500)
    layers = tuple(
        Layer(i, name, operator, kernel, 10, costs[i], "net.py:3", (1, 4, 8, 8))
        for i, (name, operator, kernel, _) in enumerate(KERNELS)
    )
    kernels = tuple(Kernel(layer.kernel, 1, layer.macs, layer.cost) for layer in layers)
    functions = (Function("f(int)", total),)
    none = Cost(5, {Kind.OTHER: 5}, 5)
    return Profile(
        "net",
        "board",
        "cortex-m55",
        "arm-clang",
        40,
        total,
        none,
        none,
        layers,
        kernels,
        functions,
        clock=1_000_000,
    )


def size(symbols: int = 200) -> Size:
    rows = [Row(f"f<{i}>", ".text", "flash", "code", 10 + i % 7, "a.o") for i in range(symbols)]
    rows += [
        Row("arena", ".arena", "ram", "arena", 4096, ""),
        Row("stack", ".stack", "ram", "stack", 8192, ""),
    ]
    code = sum(row.size for row in rows if row.kind == "code")
    flash = {"code": code, "constants": 0, "total": code}
    ram = {"arena": 4096, "static": 0, "stack": 8192, "total": 12288}
    return Size((Region("flash", code, 4000), Region("ram", 12288, 20000)), flash, ram, tuple(rows))


def report() -> Report:
    """A residual block on an NPU between a convolution and a softmax: 0 -> 1 -> 2, 0 -> 2, 2 -> 3."""
    arguments = ([0, 1], [1, 5], [1, 2, 3], [3, 4])
    steps = tuple(
        {
            "name": name,
            "operator": operator,
            "shape": [1, 4, 8, 8],
            "kernel": kernel,
            "where": where,
            "layer": "net.py:3",
            "macs": 10,
            "arguments": arguments[i],
            "writes": arguments[i][-1:],
        }
        for i, (name, operator, kernel, where) in enumerate(KERNELS)
    )
    tensors = tuple({"id": id, "alias_of": 5 if id == 2 else None} for id in range(6))
    operation = {"operator": "Conv2D", "output_of": "aten::conv2d", "layer": "", "name": "body.<b>"}
    inner = {**operation, "shape": [1, 4, 8, 8], "cycles": 400, "macs": 99}
    npu = {
        "name": "ethos-u55-128",
        "operators": [],
        "compiler_estimates": {
            "compiler": "vela",
            "delegates": [{"cycles": 400, "macs": 99, "layers": [inner]}],
        },
    }
    quality = {"output": 0, "sqnr_db": 31.0, "cosine": 0.999, "groups": []}
    layer = {"name": "stem", "operator": "aten.conv2d.default", "sqnr_db": 44.0, "accumulated_db": 43.0}
    blocks = [
        {
            "tensor": i,
            "offset": 1024 * (i % 4),
            "size": 1024,
            "first": i - 1,
            "last": i,
            "made_by": i - 1 if i else None,
        }
        for i in range(5)
    ]
    memory = {"arena": 4096, "peak": "fullest at stem", "peak_step": 1}
    counted = profile()
    return Report(
        "net",
        "board",
        "a <board>",
        memory,
        steps,
        tensors,
        tuple(blocks),
        npu,
        None,
        ("a <warning>",),
        (quality,),
        (layer,),
        size(),
        counted,
        Accuracy(100, 1000, 0, 0.9, 0.89, 0.89),
        (Budget("flash", 3000, 4000, "bytes"), Budget("sqnr", 12.0, 20.0, "dB", least=True)),
        counted.clock,
    )


def test_the_page_stands_alone():
    made = page(report())
    tags = Tags(made)
    assert tags.open == [] and tags.loads == []
    assert "http" not in made and "url(" not in made and "<script" not in made
    for name in (
        "stem conv2d 4x8x8",
        "body.&lt;b&gt;",
        "a &lt;warning&gt;",
        "0.150",
        "44.0",
        "31.0 dB",
        "89.00 %",
    ):
        assert name in made
    assert '<b>"' not in made and "body.<b>" not in made


def test_parts_that_are_missing_leave_no_trace():
    bare = replace(
        report(), profile=None, size=None, npu=None, arena=(), quality=(), layers=(), accuracy=None
    )
    made = page(bare)
    assert Tags(made).open == []
    for word in ("One inference over time", "Arena over steps", "Flash and RAM", "dB", "outputs proven"):
        assert word not in made.replace("at least 20 dB", "").replace("12.0 of", "") or word == "dB"


def test_objects_of_the_api_show_themselves():
    for made, line in (
        (ShownProfile.of(profile()), "<profile of net on board: 1,000 instructions, 1,500 cycles modelled>"),
        (ShownSize.of(size()), f"<size: {size().flash['total']:,} bytes of flash, 12,288 of RAM>"),
        (report(), "<report on net for board>"),
    ):
        assert repr(made) == line
        html = made._repr_html_()
        assert Tags(html).open == []
        # What a notebook has beside it keeps its style.
        style = html[html.index("<style>") + 7 : html.index("</style>")]
        rules = re.findall(r"(?:^|[{}])\s*([^{}@]+?)\s*(?=\{)", style)
        assert rules and all(rule.startswith(".mcu") for rule in rules), rules
    assert fragment(of_profile(profile())) == ShownProfile.of(profile())._repr_html_()
    assert fragment(of_size(size())) == ShownSize.of(size())._repr_html_()


def test_a_wrong_output_is_seen():
    wrong = replace(report(), accuracy=Accuracy(100, 1000, 7))
    assert "WRONG: 7 of 1,000" in page(wrong)
    assert "WRONG" not in page(report())


def test_budgets():
    over = [Budget("flash", 5000, 4000, "bytes"), Budget("sqnr", 12.0, 20.0, "dB", least=True)]
    kept = [Budget("flash", 4000, 4000, "bytes"), Budget("free", 1, None, "bytes")]
    assert [budget.exceeded for budget in (*over, *kept)] == [True, True, False, False]
    assert page(replace(report(), budgets=tuple(over))).count('class="budget over"') == 2


def test_rows_follow_the_plan_and_name_what_the_npu_does():
    rows = report().rows()
    assert [row.inner for row in rows] == [False, False, True, False, False]
    assert (rows[2].label, rows[2].cycles) == ("body.<b> conv2d 4x8x8", 400)
    assert (rows[0].sqnr_db, rows[3].sqnr_db) == (44.0, None)
    assert rows[0].milliseconds == pytest.approx(0.15)
    assert report().edges() == {(0, 1), (1, 2), (0, 2), (2, 3)}


def test_an_operator_that_the_npu_does_in_equal_parts_is_one_row():
    made = report()
    (delegate,) = made.npu["compiler_estimates"]["delegates"]
    (part,) = delegate["layers"]
    parts = [part, {**part, "cycles": 500}, {**part, "operator": "Slice"}, part]
    delegates = [{**delegate, "layers": parts}]
    npu = {**made.npu, "compiler_estimates": {**made.npu["compiler_estimates"], "delegates": delegates}}
    inner = [row for row in replace(made, npu=npu).rows() if row.inner]
    kernels = ["Conv2D of the NPU, 2 times", "Slice of the NPU", "Conv2D of the NPU"]
    assert [row.kernel for row in inner] == kernels
    assert [(row.cycles, row.macs) for row in inner] == [(900, 198), (400, 99), (400, 99)]


def test_a_metric_of_the_model_file_has_a_card():
    measured = replace(report(), metric=Metric("auc", 0.987, 0.976, 0.965, higher=True))
    assert "auc<b>0.965</b>float 0.987, int8 0.976" in page(measured)
    assert document(measured)["metric"]["device"] == 0.965
    assert "auc 0.965" in text(measured)


def test_columns_without_anything_are_left_out():
    assert ">line</th>" in page(report()) and "line" in text(report())
    unnamed = replace(report(), steps=tuple({**step, "layer": ""} for step in report().steps), npu=None)
    assert ">line</th>" not in page(unnamed) and " line " not in text(unnamed)


def test_every_budget_is_a_bar_and_what_was_not_measured_is_a_note():
    limits = {"max_flash": 10, "max_cycles": 10**9, "min_accuracy": 0.99, "min_sqnr": 1.0, "max_drop": None}
    held = limited(replace(report(), budgets=()), limits)
    assert [(budget.name, budget.exceeded) for budget in held.budgets] == [
        ("flash budget", True),
        ("cycles budget", False),
        ("accuracy budget", True),
        ("dB budget", False),
    ]
    error = exceeded(held)
    assert error and error.exit_code is Exit.BUDGET
    assert "flash: " in error.message and "the budget is 10\n" in error.message
    assert "accuracy: " in error.message and "the least is 0.99" in error.message
    assert "cycles" not in error.message
    blind = limited(replace(report(), profile=None, budgets=()), {"max_cycles": 5, "max_drop": 1.0})
    assert not blind.budgets and exceeded(blind) is None
    assert [note.partition(":")[0] for note in blind.notes[-2:]] == ["max_cycles", "max_drop"]


def test_areas_of_a_treemap_are_sizes():
    items = [svg.Item(float(n), "kind", str(n), "") for n in (50, 30, 10, 5, 5, 1, 1, 1, 0)]
    drawn = svg.treemap(items, 200, 100, "flash")
    areas = [float(w) * float(h) for w, h in re.findall(r'width="([\d.]+)" height="([\d.]+)"/', drawn)]
    assert len(areas) == 8
    assert sum(areas) == pytest.approx(200 * 100, rel=0.01)
    assert areas[0] == pytest.approx(200 * 100 * 50 / 103, rel=0.01)


@pytest.mark.parametrize(
    ("label", "width", "height", "lines"),
    [
        ("mcu::platform::write_console", 300, 20, ["mcu::platform::write_console"]),
        ("mcu::platform::write_console", 72, 60, ["mcu::", "platform::", "write_", "console"]),
        # Where the whole has no room: what is behind the last colons, or nothing at all.
        ("net::constants::c12", 30, 30, ["c12"]),
        ("quantize_f32_s8", 40, 20, []),
        ("backbone.0.depth depthwise_conv2d", 80, 30, ["backbone.0.", "depth dept…"]),
    ],
)
def test_labels_are_not_cut_beyond_recognition(label, width, height, lines):
    drawn = svg.box(svg.Box(0, 0, width, height, "kind", label))
    assert re.findall(r"<text[^>]*>([^<]*)</text>", drawn) == lines


def test_sentences_are_as_wide_as_the_terminal():
    text = f"{'word ' * 40}\n  indented {'word ' * 30}\n    {'x' * 90}\n| {'cell ' * 30}|"
    lines = tables.wrapped(text, 80).split("\n")
    assert max(map(len, lines[:-2])) <= 80 and lines[-2:] == text.split("\n")[-2:]
    assert " ".join(" ".join(lines[:-2]).split()) == " ".join(" ".join(text.split("\n")[:2]).split())
    assert tables.wrapped(text, 10_000) == text


def test_lanes_of_a_graph_do_not_meet():
    rows = svg.graph_rows([(0, 1), (1, 2), (2, 3), (0, 3), (1, 3)], 4)
    assert [row.count("<path") for row in rows] == [1, 2, 2, 2]
    assert [row.count("<circle") for row in rows] == [1] * 4
    # However many edges pass a row, the drawing stays narrow.
    wide = svg.graph_rows([(i, 40 + i) for i in range(40)], 80)
    assert max(int(w) for row in wide for w in re.findall(r'svg width="(\d+)"', row)) < 160


def test_the_trace_has_no_gaps():
    events = [event for event in exports.trace(report())["traceEvents"] if event["ph"] == "X"]
    assert [event["tid"] for event in events] == [0, 0, 1, 0, 0]
    for before, after in pairwise(events):
        assert after["ts"] == pytest.approx(before["ts"] + before["dur"])
    # At 1 MHz a cycle is a microsecond.
    assert events[0]["dur"] == 150 and events[-1]["ts"] + events[-1]["dur"] == 1500 + 400


def test_the_graph_file_has_the_edges():
    collection = exports.model_explorer(report())
    assert collection.keys() == {"label", "graphs"}  # a list of them is refused there
    nodes = {node["id"]: node for node in collection["graphs"][0]["nodes"]}
    assert [edge["sourceNodeId"] for edge in nodes["2"]["incomingEdges"]] == ["0", "1"]
    assert nodes["1"]["namespace"] == "body/<b>"


def test_boxes_have_a_colour_wherever_a_step_runs():
    """Without a rule a browser paints them black."""
    text = page(report())
    for where in ("npu", "int8", "int16", "boundary", "float"):
        assert f".mcu svg .where-{where} rect" in text


def test_the_document_and_the_table():
    output = document(report())
    assert [row["label"] for row in output["layers"]][:2] == ["stem conv2d 4x8x8", "body.<b> npu 4x8x8"]
    assert (output["cycles"], output["milliseconds"]) == (1500, pytest.approx(1.5))
    assert "1,500 cycles an inference on the core, 1.500 ms at 1 MHz" in text(report())


def test_what_the_npu_does_is_named_and_is_said_to_be_an_estimate():
    shown = text(report())
    assert "400 cycles on ethos-u55-128, estimated by vela; no milliseconds" in shown
    assert "Conv2D of the NPU" in shown
    assert "estimated" in exports.trace(report())["otherData"]["scale"]
    without = replace(report(), npu=None)
    assert "estimated" not in text(without) + exports.trace(without)["otherData"]["scale"]
    assert "They have no milliseconds" in page(report()) and "They have no milliseconds" not in page(without)


def test_columns_are_left_out_before_a_name_is_cut():
    rows = [("raspberry-pi-pico", "cortex-m0plus", "264 K", "Raspberry Pi Pico of some length")]
    headings = ("board", "core", "RAM", "name")
    text = render(headings, rows, {"RAM"}, 60, optional=("name", "RAM"))
    assert "raspberry-pi-pico  cortex-m0plus  264 K" in text and "name" not in text and "…" not in text
    assert "some length" in render(headings, rows, {"RAM"}, 80, optional=("name", "RAM"))
    assert "RAM" not in render(headings, rows, {"RAM"}, 36, optional=("name", "RAM"))


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_tables_fit_and_never_cut_a_number(columns):
    rows = [("a" * 150, f"{10**n:,}", "b" * 60) for n in range(10)]
    made = render(("name", "count", "other"), rows, {"count"}, columns)
    assert max(map(len, made.splitlines())) <= columns
    assert f"{10**9:,}" in made and "…" in made
    assert "…" not in render(("name", "count", "other"), rows, {"count"})


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
def test_chromium_shows_the_page(tmp_path: Path, width: int):
    browser = shutil.which("chromium")
    assert browser, "apt install chromium"
    # A browser without a head has no narrow window: a frame is one.
    (tmp_path / "page.html").write_text(page(report()))
    asks = "document.title = f.contentDocument.documentElement.scrollWidth"
    frame = f'<iframe id="f" width="{width}" height="900" style="border:0" src="page.html" onload="{asks}">'
    (tmp_path / "frame.html").write_text(f"{frame}</iframe>")
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    shot, address = tmp_path / "page.png", f"file://{tmp_path}/frame.html"
    dumped = subprocess.run([*words, "--dump-dom", address], capture_output=True, text=True, timeout=120)
    title = re.search(r"<title>(\d+)</title>", dumped.stdout)
    assert title and width - 20 < int(title[1]) <= width
    subprocess.run([*words, f"--screenshot={shot}", address], timeout=120, check=True)
    assert shot.stat().st_size > 10_000
