"""State over a thousand steps: instructions a step, bytes of state, and how far int8 drifts from float.

    .venv/bin/python benchmarks/drift.py                       # all nets
    .venv/bin/python benchmarks/drift.py --nets gru lstm --boards mps2-an386 --float

Each net of drift_nets.py runs on the host over one recording of 1,000 steps, from one reset; its outputs are
compared with PyTorch's in float, over the first hundred steps, the last hundred and all, and bit for bit with
the quantized program's. Instructions are counted in QEMU, cycles modelled (in brackets); those of
Cortex-M0 stand for a Cortex-M0+. With --float a last cell has the same net in float, in thousands of cycles
on each board.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from drift_nets import AXES, FRAMES, net, recording  # noqa: E402

import mcu_build  # noqa: E402
from mcu_build.errors import McuError  # noqa: E402

STREAMS = ("lstm", "lstm_2", "gru", "rnn", "rnn_relu", "tcn", "wake")
CALLS = ("lstm_written", "gru_written")
BOARDS = ("corstone-300", "mps2-an386", "microbit")
_MODEL = """import sys
sys.path.insert(0, {here!r})
from drift_nets import net, recording

model = net({name!r})
"""
_STREAM = """stream = {{"x": 1}}
example_inputs = (recording(0, {axes}),)
calibration = [(recording(seed, {axes}),) for seed in range(4)]
evaluation = [(recording(90, {axes}), None)]
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


def measure(name: str, boards: list[str], folder: Path, *, in_float: bool) -> str:
    """A row of the table of docs/state.md."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.py"
    axes = FRAMES if name == "wake" else AXES
    data = _STREAM.format(axes=axes) if name in STREAMS else _CALLS
    file.write_text(_MODEL.format(here=str(HERE), name=name) + data)
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
    noise = [sqnr(found[part], wanted[part]) for part in (slice(100), slice(-100, None), slice(None))]
    counts = ["{:,} ({:,})".format(*profiled(file, board, folder)) for board in boards]
    cells = [*counts, f"{host.manifest.memory['state']:,}", *(f"{each:.1f}" for each in noise)]
    if in_float:
        file = folder / f"{name}_float.py"
        file.write_text(_MODEL.format(here=str(HERE), name=name) + data + 'precision = {"*": "float"}\n')
        cells.append(" / ".join(f"{profiled(file, board, folder)[1] / 1000:,.0f}" for board in boards))
    return f"| `{name}` | {' | '.join(cells)} |"


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=[*STREAMS, *CALLS], choices=[*STREAMS, *CALLS])
    parser.add_argument("--boards", nargs="*", default=list(BOARDS))
    parser.add_argument("--float", action="store_true", dest="in_float", help="the same nets in float, too")
    parser.add_argument("--build-dir", type=Path, default=Path("build/drift"))
    options = parser.parse_args()
    failed = 0
    for name in options.nets:
        try:
            row = measure(name, options.boards, options.build_dir, in_float=options.in_float)
            print(row, flush=True)
        except McuError as error:
            failed += 1
            print(f"{name}: {error.message.splitlines()[0]}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
