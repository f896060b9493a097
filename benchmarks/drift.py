"""State over a thousand steps: instructions a step, bytes of state, and how far int8 drifts from float.

    .venv/bin/python benchmarks/drift.py --write               # all nets: results/drift.json, docs/state.md
    .venv/bin/python benchmarks/drift.py --nets gru lstm
    .venv/bin/python benchmarks/drift.py --page                # docs/state.md again, from the results

Each net of drift_nets.py runs on the host over one recording of 1,000 steps, from one reset; its outputs are
compared with PyTorch's in float, over the first hundred steps, the last hundred and all, and bit for bit with
the quantized program's. Instructions are counted in QEMU, cycles modelled (in brackets); those of
Cortex-M0 stand for a Cortex-M0+. The LSTM and the GRU are counted in float too.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from drift_nets import AXES, FRAMES, STEPS, net, recording  # noqa: E402

import mcu_build  # noqa: E402
from mcu_build.errors import McuError  # noqa: E402

RESULTS = HERE / "results" / "drift.json"
PAGE = HERE.parent / "docs" / "state.md"
NETS = {
    "lstm": "`nn.LSTM`",
    "lstm_2": "`nn.LSTM`, two layers",
    "gru": "`nn.GRU`",
    "rnn": "`nn.RNN`",
    "rnn_relu": "`nn.RNN`, ReLU",
    "tcn": "TCN of three blocks",
    "wake": "wake word, 1-D DS-CNN",
    "lstm_written": "the LSTM written out, buffers for h and c",
    "gru_written": "the GRU written out, a buffer for h",
}
STREAMS = tuple(name for name in NETS if "written" not in name)
FLOATS = ("lstm", "gru")  # counted in float too
BOARDS = {"corstone-300": "Cortex-M55", "mps2-an386": "Cortex-M4", "microbit": "Cortex-M0"}
_BEGIN, _END = "<!-- Written by benchmarks/drift.py. -->", "<!-- End of what it writes. -->"
_MODEL = """import sys
sys.path.insert(0, {here!r})
from drift_nets import net, recording

model = net({name!r})
"""
_STREAM = """stream = {{"x": 1}}
example_inputs = (recording(0, {axes})[:, :{steps}],)
calibration = [(recording(seed, {axes})[:, :{steps}],) for seed in range(4)]
evaluation = [(recording(90, {axes})[:, :{steps}], None)]
"""
_CALLS = """example_inputs = (recording(0)[:, 0],)
calibration = [[(x[None],) for x in recording(seed)[0]] for seed in range(2)]
evaluation = [([(x[None],) for x in recording(90)[0]], None)]
"""


def sqnr(found: np.ndarray, wanted: np.ndarray) -> float:
    """Signal to quantization noise in dB."""
    return float(10 * np.log10(np.square(wanted).sum() / np.square(found - wanted).sum()))


def profiled(file: Path, board: str, folder: Path) -> tuple[int, int]:
    """Instructions and modelled cycles of a step."""
    total = mcu_build.build(file, board=board, npu="none", build_dir=folder).profile().total
    return total.instructions, total.cycles or 0


def measure(name: str, folder: Path) -> dict[str, Any]:
    """What is known of a net: counts of a step by board, bytes of state, dB of the parts of a recording."""
    folder.mkdir(parents=True, exist_ok=True)
    axes = FRAMES if name == "wake" else AXES
    text = _MODEL.format(here=str(HERE), name=name)
    file, in_float = folder / f"{name}.py", folder / f"{name}_float.py"
    file.write_text(text + (_STREAM.format(axes=axes, steps=STEPS) if name in STREAMS else _CALLS))
    # A step is the same, and a recurrent layer in float takes long to export over many.
    in_float.write_text(text + _STREAM.format(axes=axes, steps=20) + 'precision = {"*": "float"}\n')
    host = mcu_build.build(file, board="host", build_dir=folder)
    host.test()
    model, sound = net(name), recording(90, axes)
    with torch.no_grad():
        if name in STREAMS:
            wanted = model(sound).numpy()[0]
            found = host.execute([sound.numpy()[None]]).outputs[0].reshape(wanted.shape)
        else:
            wanted = np.concatenate([model(x[None]).numpy() for x in sound[0]])
            found = host.execute([sound.numpy()[0][:, None]]).outputs[0].reshape(wanted.shape)
    parts = (slice(100), slice(-100, None), slice(None))
    return {
        "steps": {board: profiled(file, board, folder) for board in BOARDS},
        "float_steps": {board: profiled(in_float, board, folder) for board in BOARDS}
        if name in FLOATS
        else {},
        "state": host.manifest.memory["state"],
        "sqnr_db": [round(sqnr(found[part], wanted[part]), 1) for part in parts],
    }


def tables(results: Mapping[str, Mapping[str, Any]]) -> str:
    """What docs/state.md shows of them."""
    head = "| net | " + " | ".join(BOARDS.values())
    lines = [
        f"{head} | state (bytes) | dB, steps 1 to 100 | dB, steps 901 to 1,000 | dB, all |",
        "|---" * 8 + "|",
    ]
    for name, row in results.items():
        cells = [*_counts(row["steps"]), f"{row['state']:,}", *(f"{each:.1f}" for each in row["sqnr_db"])]
        lines.append(f"| {NETS[name]} | {' | '.join(cells)} |")
    lines += [
        "",
        "The same in float, and how many times the cycles of int8:",
        "",
        f"{head} |",
        "|---" * 4 + "|",
    ]
    for name, row in results.items():
        if row["float_steps"]:
            times = [row["float_steps"][board][1] / row["steps"][board][1] for board in BOARDS]
            cells = [f"{cell}: {x:.1f}" for cell, x in zip(_counts(row["float_steps"]), times, strict=True)]
            lines.append(f"| {NETS[name]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def page(text: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of docs/state.md with the tables of these results."""
    before, _, rest = text.partition(_BEGIN)
    return before + _BEGIN + "\n" + tables(results) + _END + rest.partition(_END)[2]


def _counts(steps: Mapping[str, Sequence[int]]) -> list[str]:
    return ["{:,} ({:,})".format(*steps[board]) for board in BOARDS]


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--write", action="store_true", help="to results/drift.json and docs/state.md")
    parser.add_argument("--page", action="store_true", help="write docs/state.md from the results")
    parser.add_argument("--build-dir", type=Path, default=Path("build/drift"))
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    failed = 0
    for name in [] if options.page else options.nets:
        try:
            results[name] = measure(name, options.build_dir)
            print(name, json.dumps(results[name]), flush=True)
        except McuError as error:
            failed += 1
            print(f"{name}: {error.message.splitlines()[0]}", file=sys.stderr)
    results = {name: results[name] for name in NETS if name in results}
    if options.write:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if options.write or options.page:
        PAGE.write_text(page(PAGE.read_text(), results))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
