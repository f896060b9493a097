"""What a run of a test image came to."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mcu_build.errors import Exit, McuError

# Status of firmware/include/mcu/system.h, in words.
STATUSES: Mapping[int, str] = {
    10: "it found no vectors in inputs.bin",
    11: "inputs.bin does not hold a whole number of vectors",
    12: "reading inputs.bin failed",
    13: "writing outputs.bin or status.txt failed",
    14: "a fault stopped it",
    15: "its stack overflowed",
    16: "its NPU reported an error",
    17: "ExecuTorch's runtime could not load or run its program",
}
_STATUS_KEYS = ("vectors", "output_size", "stack_used", "stack_size", "cycles_min", "cycles_max")
_POOL_KEYS = ("method_pool", "temp_pool")
_CONSOLE_LINES = 40
# For images that end otherwise than they should.
IN_AN_IMAGE = "Is the image built for this board? Where it is, print from its code to see how far it comes."


@dataclass(frozen=True)
class NpuUse:
    """What simulating an NPU beside the core took.

    `reads` and `writes` count the core's register accesses, `interrupts` those that the NPU raised,
    `round_trips` the packets to QEMU and back; `bytes_read` and `bytes_written` are the NPU's accesses to
    memory, `seconds` the time in its model, memory included.
    """

    reads: int = 0
    writes: int = 0
    interrupts: int = 0
    round_trips: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """A run that ended well. `outputs` holds, for each vector, the bytes of each output in order.

    `stack_used` and `stack_size` are bytes, both 0 for the host; `cycles` are the fewest and the most of an
    inference, where the core counts them. `console` is what the firmware printed;
    `seconds` is wall time. `npu` is there where an NPU was simulated, `pools` (bytes used of method_pool
    and temp_pool) where ExecuTorch's runtime ran.
    """

    status: int
    vectors: int
    outputs: bytes = field(repr=False)
    stack_used: int
    stack_size: int
    console: str
    seconds: float
    npu: NpuUse | None = None
    cycles: tuple[int, int] | None = None
    pools: Mapping[str, int] = field(default_factory=dict)


def judge(image: Path, folder: Path, exit_status: int, console: str, seconds: float) -> Outcome:
    """The outcome of a process that ended by itself, from its exit status and the files in `folder`.

    McuError (status 4) says which of the proofs of success is missing.
    """
    if exit_status != 0:
        raise failure(image, _in_words(exit_status, console), console)
    facts = _status_facts(image, folder / "status.txt", console)
    vectors, size = facts["vectors"], facts["output_size"]
    try:
        outputs = (folder / "outputs.bin").read_bytes()
    except FileNotFoundError:
        raise failure(image, "it reported success but wrote no outputs.bin", console) from None
    if len(outputs) != vectors * size:
        words = f"outputs.bin has {len(outputs)} bytes, {vectors} vectors of {size} bytes were promised"
        raise failure(image, words, console)
    return Outcome(
        exit_status,
        vectors,
        outputs,
        facts["stack_used"],
        facts["stack_size"],
        console,
        seconds,
        cycles=(facts["cycles_min"], facts["cycles_max"]) if facts["cycles_max"] else None,
        pools={key: facts[key] for key in _POOL_KEYS if key in facts},
    )


def timed_out(image: Path, limit: float, console: str | None, detail: str = "") -> McuError:
    """The error for a run that was still going at its time limit. `detail` says where it stood.

    `console` is None where its user has seen it.
    """
    where = f"; {detail}" if detail else ""
    return McuError(
        f"{image.name}: no end after {limit:g} s{where}{_shown(console)}",
        "An application never ends, and is stopped here. Else: a longer --timeout, or fewer vectors.",
        Exit.TIMEOUT,
    )


def _status_facts(image: Path, file: Path, console: str) -> dict[str, int]:
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        raise failure(image, "it exited with status 0 but wrote no status.txt", console) from None
    if not lines or lines[-1] != "done":
        raise failure(image, "status.txt does not end with 'done'", console)
    words = (line.split() for line in lines[:-1])
    facts = {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdigit()}
    missing = [key for key in _STATUS_KEYS if key not in facts]
    if missing:
        raise failure(image, f"status.txt lacks {', '.join(missing)}", console)
    return facts


def _in_words(status: int, console: str) -> str:
    if status == -signal.SIGABRT and "qemu: fatal: Lockup" in console:
        return "the core locked up: a fault in the fault handler itself"
    if status in STATUSES:
        return f"{STATUSES[status]} (status {status})"
    if status < 0:
        return f"it ended by {signal.Signals(-status).name}"
    return f"it ended with status {status}"


def failure(image: Path, words: str, console: str | None) -> McuError:
    """The error for firmware that failed, with the end of its console; None where the user has seen it."""
    return McuError(f"{image.name}: {words}{_shown(console)}", IN_AN_IMAGE, Exit.FIRMWARE)


def _shown(console: str | None) -> str:
    if console is None:
        return ""
    lines = console.strip().splitlines()
    if not lines:
        return "; the console is empty"
    return "; the console's end:\n" + "\n".join(f"  {line}" for line in lines[-_CONSOLE_LINES:])
