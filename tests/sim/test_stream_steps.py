"""What a step of a stream takes, beside the whole recording."""

import runpy
from pathlib import Path

import pytest

steps = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "stream_steps.py"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "board", "share"),
    [
        ("tcn", "mps2-an386", 1.05),
        ("tcn", "corstone-300", 1.25),
        ("long", "corstone-300", 1.25),
        ("separable", "mps2-an386", 1.35),
        ("separable", "corstone-300", 1.45),
        ("strided", "corstone-300", 1.4),
    ],
)
def test_a_step_takes_its_share_of_the_recording(net: str, board: str, share: float, tmp_path: Path) -> None:
    """Of n hops: an nth of the products, and little more than that of the instructions.

    Channels that never matter are left out of the whole alone: states keep them.
    """
    row = steps["measure"](net, board, tmp_path)
    assert 1 <= row["hops"] * row["step_macs"] / row["whole_macs"] < 1.1
    assert 0.9 < steps["ratio"](row) < share
