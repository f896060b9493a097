"""The profiler on simulated cores: exact, the same on every run, and sensitive to what it should be."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from mcu_build.board import find_board
from mcu_build.cache import Cache
from mcu_build.errors import Exit
from mcu_build.hardware import MemoryTiming
from mcu_build.profile.attribute import Step
from mcu_build.profile.measure import Executable, count, cycles_of, read
from mcu_build.profile.memory import code_timing
from mcu_build.simulate import plugin
from mcu_build.simulate.run import run
from mcu_build.stages import manifest as manifests
from mcu_build.vectors import pack as vectors
from tests.support.cli import mcu_build

ROOT = Path(__file__).resolve().parents[2]
# The same net twice: a convolution, a depthwise one, pooling, a head.
NET = """
import torch
from torch import nn

torch.manual_seed(0)
WIDTH = {width}
model = nn.Sequential(
    nn.Conv2d(3, WIDTH, 3, padding=1), nn.ReLU(),
    nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH), nn.ReLU(),
    nn.AvgPool2d(8), nn.Flatten(), nn.Linear(WIDTH, 4),
).eval()
calibration = [torch.randn(1, 3, 8, 8) for _ in range(8)]
example_inputs = (calibration[0],)
"""
# One board for each instruction set, each compiler.
PAIRS = [
    ("corstone-300", "arm-clang"),
    ("mps2-an386", "arm-gcc"),
    ("mps2-an505", "arm-clang"),
    ("microbit", "arm-gcc"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile")
    for name, width in (("narrow", 8), ("wide", 16)):
        (folder / f"{name}.py").write_text(NET.format(width=width))
    return folder


def profile(folder, name, board="corstone-300", toolchain="arm-clang", *options):
    words = ("--npu", "none", "--toolchain", toolchain, "--build-dir", folder / "build", "--json")
    return mcu_build("profile", "--board", board, folder / f"{name}.py", *words, *options)


@pytest.mark.parametrize(("board", "toolchain"), PAIRS)
def test_sums_reconcile(folder, board, toolchain):
    result = profile(folder, "narrow", board, toolchain)
    assert result.status == 0, result.out + result.err
    found = result.json
    total = found["instructions"]
    for part in ("layers", "kernels", "functions"):
        assert sum(row["instructions"] for row in found[part]) == total, part
        for row in found[part]:
            assert sum(row["kinds"].values()) == row["instructions"], row
    # Two convolutions, a mean with a scale of its own, a linear layer.
    macs = 64 * 3 * 8 * 9 + 64 * 8 * 9 + 64 * 8 + 8 * 4
    assert found["macs"] == sum(row["macs"] for row in found["layers"]) == macs
    assert sum(row["calls"] for row in found["kernels"]) == len(found["layers"])
    # A kernel does something for every element that it writes.
    assert all(row["instructions"] > 4 for row in found["layers"])
    assert (found["vector_instructions"] > 0) == (board == "corstone-300")
    assert found["startup"] > 0 and found["harness"] > 0


@pytest.fixture(scope="module")
def image(folder):
    assert profile(folder, "narrow").status == 0
    dice = np.random.default_rng(0).standard_normal((1, 1, 3, 8, 8)).astype(np.float32)
    built = folder / "build" / "narrow" / "corstone-300-no-npu"
    manifest = manifests.require(built)
    packed = vectors.pack([dice], manifest.inputs)
    return read(manifest.path(built, "test_elf"), "narrow", "cortex-m55"), packed


def counted(image, inputs, boundaries, file):
    library = plugin.library(Cache())
    run(find_board("corstone-300"), image.file, inputs, 60, plugin.options(library, boundaries, file))
    return file.read_bytes()


def test_the_same_bytes_on_every_run(image: tuple[Executable, bytes], tmp_path: Path) -> None:
    model = image[0].symbol("narrow_run")
    boundaries = plugin.Boundaries(model.address, model.address + model.size)
    first = counted(*image, boundaries, tmp_path / "first")
    assert counted(*image, boundaries, tmp_path / "second") == first


def test_boundaries_lose_nothing(image: tuple[Executable, bytes], tmp_path: Path) -> None:
    """The same addresses as often, whether the run is one span or hundreds."""
    counted(*image, plugin.Boundaries(0, 0), tmp_path / "whole")
    (whole,) = plugin.read(tmp_path / "whole")
    model = image[0].symbol("narrow_run")
    counted(*image, plugin.Boundaries(model.address, model.address + model.size), tmp_path / "parts")
    parts = plugin.read(tmp_path / "parts")
    assert len(parts) > 20
    for address, number in whole.counts.items():
        assert sum(span.counts.get(address, 0) for span in parts) == number
    assert sum(span.total for span in parts) == whole.total
    # What can be told without counting: every instruction of a straight line runs once.
    code = [a for a in image[0].code if model.address <= a < model.address + model.size]
    executed = {a: n for a, n in whole.counts.items() if model.address <= a < model.address + model.size}
    assert set(executed.values()) == {1} and len(executed) == len(code)


def test_an_inference_costs_the_same_each_time(image):
    executable, packed = image
    board = find_board("corstone-300")
    once = count(executable, board, packed, 60, Cache())
    twice = count(executable, board, 2 * packed, 60, Cache())
    assert len(once.inferences) == 1 and len(twice.inferences) == 2
    for inference in twice.inferences:
        assert [span.counts for span in inference] == [span.counts for span in once.inferences[0]]
    assert twice.startup == once.startup
    assert twice.harness.total() > once.harness.total()


def test_what_costs_more_is_seen(folder):
    narrow, wide = profile(folder, "narrow").json, profile(folder, "wide").json
    assert wide["macs"] > narrow["macs"]
    assert wide["instructions"] > narrow["instructions"]
    # The same net where nothing computes on vectors.
    assert profile(folder, "narrow", "mps2-an386").json["instructions"] > narrow["instructions"]


def waits_for(image, **timings):
    """Modelled cycles of an inference where memories of corstone-300 have a timing."""
    executable, packed = image
    board = find_board("corstone-300")
    memory = tuple(
        one.model_copy(update={"timing": MemoryTiming(**timings[one.name])}) if one.name in timings else one
        for one in board.memory
    )
    board = board.model_copy(update={"memory": memory})
    inference = Step()
    for span in count(executable, board, packed, 60, Cache()).inferences[0]:
        inference.counts.update(span.counts)
        inference.waits.update(span.waits)
    return sum(cycles_of(inference, executable, code_timing(board)).values())


def test_memories_that_wait(image):
    """The more cycles the longer a memory waits, the fewer the more is kept of it, or is on its way."""
    quick = waits_for(image)
    weights = {"kind": "sram", "waits": 4, "line": 16}
    kept = waits_for(image, ddr={**weights, "cache": "64K"})
    assert quick < kept < waits_for(image, ddr=weights) < waits_for(image, ddr={**weights, "waits": 8})
    # Each line of the constants is read once: fewer than there are, and each waits four cycles.
    lines = sum(section.size for section in image[0].image.sections if section.name == ".constants") // 16 + 1
    assert 0 < (kept - quick) / 4 <= lines
    code = {"kind": "flash", "waits": 4, "line": 16}
    assert quick < waits_for(image, itcm={**code, "prefetch": True}) < waits_for(image, itcm=code)
    assert waits_for(image, sram={"kind": "tcm"}) == quick


def test_with_an_npu(folder, tmp_path):
    """What the core does for the NPU counts, once; what raises the interrupt in the simulator does not."""
    page = tmp_path / "page.html"
    words = ("profile", "--board", "corstone-300", folder / "narrow.py", "--build-dir", folder / "build")
    found = mcu_build(*words, "--html", page, "--json").json
    assert [row["kernel"] for row in found["layers"]].count("ethos_u") == 1
    for part in ("layers", "kernels", "functions"):
        assert sum(row["instructions"] for row in found[part]) == found["instructions"]
    again = mcu_build(*words, "--json").json
    assert {**again, "stages": []} == {**found, "stages": []}

    # The handler has two accesses at which the simulator stops: each runs once. What it skips is the call of
    # a function of the application's, of which there is none here: its argument and the call.
    built = folder / "build" / "narrow" / "corstone-300"
    executable = read(built / "test.elf", "narrow", "cortex-m55")
    handler = executable.symbol("mcu_handle_npu")
    length = sum(1 for at in executable.code if handler.address <= at < handler.address + handler.size)
    counted = {row["name"]: row["instructions"] for row in found["functions"]}
    assert counted["mcu_handle_npu"] == length - 2

    (delegate,) = found["npu"]["compiler_estimates"]["delegates"]
    assert sum(layer["macs"] for layer in delegate["layers"]) == delegate["macs"] > 0
    layer = delegate["layers"][0]
    assert layer["cycles"] > 0 and layer["output_of"] == "aten::conv2d"
    text = mcu_build(*words).out
    for output in (text, page.read_text()):
        assert "estimated by ethos-u-vela" in output and layer["operator"] in output


def test_a_budget(folder, tmp_path):
    found = profile(folder, "narrow").json
    exact, cycles = found["instructions"], found["cycles"]
    longest = found["longest_step"]
    assert longest["cycles"] == max(row["cycles"] for row in found["layers"])
    assert longest["instructions"] == found["layers"][longest["index"]]["instructions"]
    assert cycles == pytest.approx(sum(row["cycles"] for row in found["layers"]), abs=len(found["layers"]))
    assert found["milliseconds"] == pytest.approx(1000 * cycles / 32_000_000, abs=1e-3)
    within = profile(folder, "narrow", "corstone-300", "arm-clang", "--max-cycles", cycles)
    slow = profile(folder, "narrow", "corstone-300", "arm-clang", "--max-cycles", cycles - 1)
    assert within.status == 0 and slow.status == Exit.BUDGET
    assert f"{cycles:,} modelled cycles" in slow.json["error"]["message"]
    assert profile(folder, "narrow", "corstone-300", "arm-clang", "--max-instructions", exact).status == 0
    page = tmp_path / "page.html"
    words = ("--max-instructions", exact - 1, "--html", page)
    over = profile(folder, "narrow", "corstone-300", "arm-clang", *words)
    assert over.status == Exit.BUDGET
    assert over.json["error"]["exit_code"] == 6 and f"{exact:,}" in over.json["error"]["message"]
    # What it was measured by is told all the same.
    assert over.json["layers"] and "conv2d" in page.read_text()
    plain = mcu_build(
        *("profile", "--board", "corstone-300", "--npu", "none", folder / "narrow.py"),
        *("--build-dir", folder / "build", *words),
    )
    assert plain.status == Exit.BUDGET and "instructions for one inference" in plain.out
    assert plain.err.count("error:") == 1


def test_no_count_has_grown(tmp_path, monkeypatch, capsys):
    """The gate of continuous integration: the committed table, two lines of it."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "mlperf_tiny")
    import run as benchmark

    chosen = ("--models", "ad", "--boards", "corstone-300", "mps2-an386", "--toolchains", "arm-clang")
    monkeypatch.setattr(sys, "argv", ["run.py", *chosen, "--check", "--build-dir", str(tmp_path)])
    status = benchmark.main()
    told = capsys.readouterr()
    assert status == 0, told.err
    assert "Million instructions" in told.out


def test_what_has_grown_is_told(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "mlperf_tiny")
    import run as benchmark

    key = "ad/corstone-300/arm-clang"
    before = json.loads(benchmark.TABLE.read_text())["results"][key]
    assert not list(benchmark.grown(key, before, before))
    for what in benchmark.WATCHED:
        within = {**before, what: before[what] * 101 // 100}
        assert not list(benchmark.grown(key, within, before))
        (text,) = benchmark.grown(key, {**before, what: before[what] * 102 // 100 + 1}, before)
        assert what in text and f"{before[what]:,}" in text
    assert list(benchmark.grown(key, {"error": "too large"}, before))
    assert list(benchmark.grown(key, before, None))
