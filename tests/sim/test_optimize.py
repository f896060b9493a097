"""--optimize: what each asks for gets less, and every output stays the same."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcu_build import McuError, build
from tests.support.cli import mcu_build

ROOT = Path(__file__).resolve().parents[2]
WAYS = ("speed", "size", "ram")


@dataclass(frozen=True)
class Cost:
    """Of one build. `code` is flash without the model's constants."""

    instructions: int
    code: int
    arena: int


def cost(model: Path, way: str, build_dir: Path) -> Cost:
    """Builds, proves every output against the quantized program, and measures."""
    words = ("--board", "corstone-300", "--npu", "none", "--io", "int8", "--optimize", way)
    where = (model, "--build-dir", build_dir, "--json")
    proof = mcu_build("test", *words, *where, "--vectors", 3)
    assert proof.status == 0, proof.out + proof.err
    assert proof.json["mismatches"] == proof.json["differing"] == 0 and proof.json["outputs_vary"]
    folder = "corstone-300-no-npu-int8" + ("" if way == "speed" else f"-{way}")
    (found,) = build_dir.glob(f"*/{folder}/manifest.json")
    manifest = json.loads(found.read_text())
    assert manifest["optimize"] == way
    instructions = mcu_build("profile", *words, *where).json["instructions"]
    memory = manifest["memory"]
    assert 0 < memory["stack_needed"] < proof.json["stack"]["size"]
    return Cost(instructions, manifest["flash"]["total"] - memory["constants"], memory["arena"])


def test_each_way_gives_what_it_says(tmp_path: Path) -> None:
    found = {way: cost(ROOT / "examples" / "digits" / "model.py", way, tmp_path) for way in WAYS}
    assert found["size"].code < 0.9 * found["speed"].code
    assert found["speed"].instructions < found["size"].instructions
    assert found["ram"].arena <= found["speed"].arena


@pytest.mark.slow
def test_each_way_gives_what_it_says_for_a_large_net(tmp_path: Path) -> None:
    found = {way: cost(ROOT / "tests" / "models" / "mobilenet_v2_035.py", way, tmp_path) for way in WAYS}
    assert found["size"].code < 0.9 * found["speed"].code
    assert found["speed"].instructions < min(found["size"].instructions, found["ram"].instructions)
    assert found["ram"].arena < found["speed"].arena


def test_nonsense_is_refused(tmp_path: Path) -> None:
    model = ROOT / "examples" / "digits" / "model.py"
    refused = mcu_build("build", "--board", "host", "--optimize", "beauty", "--build-dir", tmp_path, model)
    assert refused.status == 2
    assert "speed" in refused.err and "ram" in refused.err
    with pytest.raises(McuError, match="'beauty' is none of speed, size, ram"):
        build(model, board="host", optimize="beauty", build_dir=tmp_path)  # type: ignore[arg-type]
