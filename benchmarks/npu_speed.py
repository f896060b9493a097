"""How long the model of the NPU takes for one inference.

    python benchmarks/npu_speed.py [NPU ...]

Prints, for each NPU, seconds of wall-clock and processor time of the first run, which decodes the weights,
and of the next. Every output is compared with the TOSA reference model first.
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mcu_build.npu import weights, weights_u85
from tests.support import npu_modules
from tests.support.npu_cases import Builder, Case, make
from tests.support.npu_check import check_exact, modelled

MODELS: dict[str, Builder] = {
    "DS-CNN": partial(npu_modules.zoo, "ds_cnn"),
    "MobileNetV2 1.0, 224x224": npu_modules.mobilenet_v2,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("npu", nargs="*", default=["ethos-u55-128", "ethos-u85-256"])
    print(
        "| model | NPU | first, s | first, CPU s | next, s | next, CPU s |\n|---|---|---|---|---|---|",
        flush=True,
    )
    for npu in parser.parse_args().npu:
        for name, build in MODELS.items():
            case = make(build, npu)
            check_exact(case)
            for module in (weights, weights_u85):
                module.decode.cache_clear()
            shown = " | ".join(f"{value:.2f}" for value in (*_seconds(case), *_seconds(case)))
            print(f"| {name} | {npu} | {shown} |", flush=True)


def _seconds(case: Case) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    modelled(case, 0)
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
