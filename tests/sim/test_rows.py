"""Layers that run row by row, on simulated boards: equal to the quantized program to the bit."""

import pytest

from tests.support.cli import mcu_build

MODEL = "tests/models/rows_unusual.py"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("board", "more"),
    [
        ("mps2-an386", ()),
        ("mps2-an385", ()),
        ("corstone-300", ("--npu", "none")),
        ("corstone-300", ("--npu", "none", "--toolchain", "arm-gcc")),
    ],
)
def test_unusual_layers_are_exact_by_rows(tmp_path, board, more):
    file = tmp_path / "small.toml"
    file.write_text(f'extends = "{board}"\nname = "small"\narena_size = "27K"\n')
    words = ("--board", file, *more, "--io", "int8", "--build-dir", tmp_path / "build", "--json")
    whole = mcu_build("build", "--board", board, *more, *words[-5:], MODEL)
    assert whole.json["ram"]["arena"] > 39_000
    found = mcu_build("test", *words, MODEL)
    assert found.status == 0, found.err
    assert found.json["mismatches"] == 0
    assert found.json["outputs_vary"]
    built = mcu_build("build", *words, MODEL)
    assert built.json["ram"]["arena"] <= 27 * 1024
    assert max(row.get("bands", 1) for row in built.json["operators"]) > 8


@pytest.mark.slow
def test_a_u_net_fits_a_microcontroller_of_128_kib(tmp_path):
    model = "benchmarks/nets_models/unet.py"
    words = ("--io", "int8", "--build-dir", tmp_path, "--json")
    # Whole layers, where there is room: no board of 128 KiB has that.
    whole = mcu_build("build", "--board", "mps2-an386", *words, model)
    assert whole.json["ram"]["arena"] > 2 * 128 * 1024
    small = mcu_build("build", "--board", "nucleo-f446re", *words, model)
    assert small.status == 0, small.err
    assert small.json["ram"]["total"] <= 128 * 1024
    # The same core and RAM, and QEMU has it.
    found = mcu_build("test", "--board", "netduinoplus2", *words, "--vectors", 2, model)
    assert found.status == 0, found.err
    assert found.json["mismatches"] == 0 and found.json["outputs_vary"]
    # Skip connections are computed again.
    third = mcu_build("test", "--board", "mps2-an386", "--ram", 98304, *words, "--vectors", 2, model)
    assert third.status == 0, third.err
    assert third.json["mismatches"] == 0 and third.json["outputs_vary"]
    layers = mcu_build("build", "--board", "mps2-an386", "--ram", 98304, *words, model).json
    assert layers["ram"]["arena"] <= whole.json["ram"]["arena"] // 3
    times = [[row["name"] for row in one["operators"]].count("down.0.3") for one in (whole.json, layers)]
    assert times == [1, 2]
