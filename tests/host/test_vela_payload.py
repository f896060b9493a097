"""The firmware's reader of delegates for Ethos-U: against ours in Python, and against damage."""

import random
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from mcu_build.errors import McuError
from mcu_build.npu.payload import Binding, driver_header, parse

ROOT = Path(__file__).resolve().parents[2]
CONFIG, ID = 0x1807, 0x10104201
STREAM = bytes(range(48))
WEIGHTS = bytes(range(200, 233))
INPUTS = (Binding((1, 1, 1, 2, 3, 4), 1, 0, 1), Binding((1, 1, 1, 1, 1, 8), 2, 32, 1))
OUTPUTS = (Binding((1, 1, 1, 1, 4, 4), 4, 64, 1),)
SCRATCH = 128


def first_format(stream: bytes = STREAM) -> bytes:
    nothing, words = 5, len(stream) // 4
    return struct.pack("<4s7I", b"COP1", 1, CONFIG, ID, *3 * [nothing], 2 | words << 16) + stream


def second_format() -> bytes:
    metadata = struct.pack("<4sIIII", b"VEUM", 1, 20, CONFIG, ID)
    metadata = struct.pack("<I", 36) + metadata.ljust(36, b"\0")
    return b"COP2".ljust(16, b"\0") + struct.pack("<II", 1, len(metadata + STREAM)) + metadata + STREAM


def bindings(rows: Sequence[Binding]) -> bytes:
    packed = (struct.pack("<9i", *row.shape, row.element_size, row.offset, row.region) for row in rows)
    return struct.pack("<i", len(rows)) + b"".join(packed)


def block(name: str, data: bytes = b"", external: int = 0) -> bytes:
    return struct.pack("<16sIB11x", name.encode(), len(data), external) + data + bytes(-len(data) % 16)


def blocks(**changed: bytes) -> dict[str, bytes]:
    parts = {
        "cmd_data": first_format(),
        "weight_data": WEIGHTS,
        "scratch_size": struct.pack("<I", SCRATCH),
        "inputs": bindings(INPUTS),
        "outputs": bindings(OUTPUTS),
    }
    return parts | changed


def payload(parts: dict[str, bytes] | None = None) -> bytes:
    middle = (block(name, data) for name, data in (parts or blocks()).items())
    return block("vela_bin_stream") + b"".join(middle) + block("vela_end_stream")


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """What the firmware's code makes of payloads, a line each; sanitizers watch."""
    program = tmp_path_factory.mktemp("reader") / "reader"
    flags = (
        "-std=c++20",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover",
    )
    sources = (ROOT / "tests/host/vela_driver.cpp", ROOT / "firmware/executorch/backends/vela.cpp")
    words = ["g++", *flags, f"-I{ROOT / 'firmware/include'}", *map(str, sources), "-o", str(program)]
    subprocess.run(words, check=True)

    def read(*payloads: bytes) -> list[str]:
        data = b"".join(struct.pack("<I", len(one)) + one for one in payloads)
        done = subprocess.run([program], input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().splitlines()

    return read


def in_python(data: bytes) -> str | None:
    """The line that the firmware's reader prints of a whole payload; None where ours refuses it."""
    try:
        found = parse(data)
    except McuError:
        return None
    rows = [
        [number for one in side for number in (one.offset, one.nbytes, one.element_size)]
        for side in (found.inputs, found.outputs)
    ]
    stream, weights = data.find(found.stream), data.find(found.weights)
    numbers = (found.config, found.id, stream, len(found.stream), weights, len(found.weights))
    words = (*numbers, found.scratch_size, "in", *rows[0], "out", *rows[1])
    return " ".join(map(str, words))


def test_the_header_for_arms_driver():
    assert driver_header(CONFIG, ID, len(STREAM)) + STREAM == first_format()
    long = driver_header(CONFIG, ID, 4 * 0x123456)
    assert long[28:] == bytes([2, 0x12, 0x56, 0x34])


def test_both_formats_are_read_in_place(reader):
    for commands in (first_format(), second_format()):
        data = payload(blocks(cmd_data=commands))
        assert reader(data) == [in_python(data)]
        assert data.find(STREAM) % 16 == 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cut short"),
        (b"\0" * 64, "not a stream of Vela's"),
        (payload()[32:], "not a stream of Vela's"),
        (payload({**blocks(cmd_data=b"COP3" + bytes(60))}), "no command stream in a format that is known"),
        (payload({**blocks(cmd_data=b"COP1" + first_format()[4:24])}), "cut short"),
        (payload({**blocks(cmd_data=first_format()[:-4])}), "cut short"),
        (payload({**blocks(cmd_data=second_format()[:-4])}), "cut short"),
        (payload({**blocks(cmd_data=first_format()[:4] + b"\5\0\0\0" + first_format()[4:])}), "not aligned"),
        (payload({k: v for k, v in blocks().items() if k != "weight_data"}), "a block of it is missing"),
        (
            payload().replace(block("weight_data", WEIGHTS), block("weight_data", b"kex", 1)),
            "lies outside the program and is not there",
        ),
        (payload(blocks(scratch_size=b"\1\2")), "the size of its scratch memory"),
        (payload(blocks(scratch_size=struct.pack("<I", 127))), "a tensor lies outside the scratch memory"),
        (payload(blocks(inputs=bindings(INPUTS)[:-4])), "do not fit their block"),
        (payload(blocks(inputs=struct.pack("<i", -1))), "do not fit their block"),
        (
            payload(blocks(outputs=bindings([Binding((1, 1, 1, 1, 1, 1), 1, 0, 0)]))),
            "outside the scratch memory",
        ),
        (
            payload(blocks(outputs=bindings([Binding((2**16, 2**16, 2**16, 2**16, 1, 1), 1, 0, 1)]))),
            "outside the scratch memory",
        ),
        (
            payload(blocks(outputs=bindings([Binding((1, 1, 1, 1, 1, 4), 1, -4, 1)]))),
            "outside the scratch memory",
        ),
    ],
)
def test_damage_is_named(reader, data, words):
    (text,) = reader(data)
    assert text.startswith("no ") and words in text


def test_external_blocks_are_found_by_name(reader):
    (text,) = reader(payload().replace(block("weight_data", WEIGHTS), block("weight_data", b"key", 1)))
    assert text.split()[5:7] == ["48", str(SCRATCH)]


def test_a_payload_that_is_cut_short_is_refused_wherever_it_ends(reader):
    data = payload()
    assert all(text.startswith("no ") for text in reader(*(data[:size] for size in range(len(data)))))


@pytest.mark.parametrize("commands", [first_format(), second_format()], ids=["COP1", "COP2"])
def test_what_is_accepted_is_what_python_reads(reader, commands):
    """Mutated payloads: nothing is read from outside, and where nothing is wrong both read the same."""
    dice, data = random.Random(0), payload(blocks(cmd_data=commands))
    mutated = []
    for _ in range(4000):
        one = bytearray(data)
        for _ in range(dice.choice((1, 1, 2, 4))):
            one[dice.randrange(len(one))] = dice.choice((0, 1, 0xFF, 0x7F, 0x80, dice.randrange(256)))
        mutated.append(bytes(one))
    accepted = 0
    for one, text in zip(mutated, reader(*mutated), strict=True):
        if not text.startswith("no "):
            accepted += 1
            assert text == in_python(one)
    assert 500 < accepted < 3500
