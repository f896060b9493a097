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
    assert whole.json["ram"]["arena"] > 50_000
    found = mcu_build("test", *words, MODEL)
    assert found.status == 0, found.err
    assert found.json["mismatches"] == 0
    assert found.json["outputs_vary"]
    built = mcu_build("build", *words, MODEL)
    assert built.json["ram"]["arena"] <= 27 * 1024
    assert max(row.get("bands", 1) for row in built.json["operators"]) > 8
