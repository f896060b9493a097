"""The payload of an EthosUBackend delegate.

Blocks of a 16-byte name, u32 size, u8 external, 11 reserved bytes and the data, padded to 16; `external` says
that the data is the key of a named-data entry of the program or of a .ptd, which holds the block itself.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from mcu_build.errors import McuError

# What ExecuTorch calls the delegates of Ethos-U.
BACKEND = "EthosUBackend"

_HEADER = struct.Struct("<16sIB11s")
_BINDING = struct.Struct("<9i")
_FIRST, _LAST = "vela_bin_stream", "vela_end_stream"
_NEEDED = ("cmd_data", "weight_data", "scratch_size", "inputs", "outputs")
_DRIVER_STREAM, _DRIVER_CONFIG, _DRIVER_NOP = 2, 1, 5


@dataclass(frozen=True)
class Binding:
    """An input or output: six dimensions, bytes of an element, offset in the region."""

    shape: tuple[int, ...]
    element_size: int
    offset: int
    region: int

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        size = self.element_size
        for dimension in self.shape:
            size *= dimension
        return size


@dataclass(frozen=True)
class Payload:
    """What the NPU needs to run a delegate.

    `stream` is the register command stream; `config` and `id` are the registers CONFIG and ID of the NPU that
    it was made for; `weights` is the read-only region 0; `scratch_size` is the size of region 1.
    """

    stream: bytes = field(repr=False)
    config: int
    id: int
    weights: bytes = field(repr=False)
    scratch_size: int
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]


def parse(
    payload: bytes, named_data: Mapping[str, bytes] | None = None, name: str = "Ethos-U delegate"
) -> Payload:
    """Read a delegate's payload; `name` stands for it in errors.

    McuError where it is damaged or `named_data` lacks an external block.
    """
    try:
        blocks = _blocks(payload, named_data or {}, name)
        stream, config, identity = _driver_actions(blocks["cmd_data"])
        return Payload(
            stream,
            config,
            identity,
            blocks["weight_data"],
            struct.unpack("<I", blocks["scratch_size"])[0],
            _bindings(blocks["inputs"]),
            _bindings(blocks["outputs"]),
        )
    except (struct.error, ValueError) as error:
        raise McuError(
            f"{name}: damaged payload: {error}", "Export the program again with executorch 1.5.1."
        ) from error


def _blocks(payload: bytes, named_data: Mapping[str, bytes], delegate: str) -> dict[str, bytes]:
    blocks: dict[str, bytes] = {}
    position = 0
    while _LAST not in blocks:
        raw, size, external, _ = _HEADER.unpack_from(payload, position)
        name = raw.split(b"\0")[0].decode("ascii")
        position += _HEADER.size
        data = payload[position : position + size]
        if len(data) != size:
            raise ValueError(f"block {name!r} has {size} bytes, of which {len(data)} are there")
        if external:
            data = _external(f"{delegate}: {name}", data, named_data)
        blocks[name] = data
        position += (size + 15) // 16 * 16
        if next(iter(blocks)) != _FIRST:
            raise ValueError(f"it begins with block {name!r}, not {_FIRST!r}")
    missing = [name for name in _NEEDED if name not in blocks]
    if missing:
        raise ValueError(f"no block {', '.join(missing)}")
    return blocks


def _external(name: str, data: bytes, named_data: Mapping[str, bytes]) -> bytes:
    key = data.decode("ascii")
    if key not in named_data:
        raise McuError(
            f"{name}: it lies outside the program, under the key {key}",
            "Give the file that holds it with --data FILE.ptd, or export without external_block_placements.",
        )
    return named_data[key]


def _bindings(data: bytes) -> tuple[Binding, ...]:
    (count,) = struct.unpack_from("<i", data)
    if len(data) != 4 + count * _BINDING.size:
        raise ValueError(f"{count} tensors do not fit {len(data)} bytes")
    rows = [_BINDING.unpack_from(data, 4 + index * _BINDING.size) for index in range(count)]
    if any(min(row) < 0 for row in rows):
        raise ValueError("a tensor has a negative dimension or offset")
    return tuple(Binding(row[:6], *row[6:]) for row in rows)


def _driver_actions(data: bytes) -> tuple[bytes, int, int]:
    """Command stream, CONFIG and ID of the driver's commands, in either of their formats."""
    magic = data[:4]
    if magic == b"COP1":
        return _first_format(data)
    if magic == b"COP2":
        return _second_format(data)
    raise ValueError(f"cmd_data begins with {magic!r}, not COP1 or COP2")


def driver_header(config: int, identity: int, size: int) -> bytes:
    """What stands before a command stream of `size` bytes for Arm's driver: the first format, 32 bytes long.

    The stream behind it keeps its alignment. Reference: Arm's ethos-u-core-driver, ethosu_driver.c.
    """
    words = size // 4
    length = (words & 0xFFFF) << 16 | (words >> 16 & 0xFF) << 8
    actions = (_DRIVER_CONFIG, config, identity, *(_DRIVER_NOP,) * 3, _DRIVER_STREAM | length)
    return b"COP1" + struct.pack("<7I", *actions)


def _first_format(data: bytes) -> tuple[bytes, int, int]:
    config = identity = None
    position = 4
    while True:
        word = struct.unpack_from("<I", data, position)[0]
        position += 4
        match word & 0xFF:
            case action if action == _DRIVER_CONFIG:
                config, identity = struct.unpack_from("<II", data, position)
                position += 8
            case action if action == _DRIVER_STREAM:
                size = 4 * (word >> 16 | (word >> 8 & 0xFF) << 16)
                stream = data[position : position + size]
                if config is None or identity is None:
                    raise ValueError("the command stream comes before its configuration")
                if len(stream) != size:
                    raise ValueError(f"the command stream has {size} bytes, of which {len(stream)} are there")
                return stream, config, identity
            case action if action == _DRIVER_NOP:
                continue
            case action:
                raise ValueError(f"driver action {action} is unknown")


def _second_format(data: bytes) -> tuple[bytes, int, int]:
    # Header 16 bytes, entry (kind, size) 8, then metadata with its own size, then the stream.
    kind, size = struct.unpack_from("<II", data, 16)
    metadata_size, magic = struct.unpack_from("<I4s", data, 24)
    if magic != b"VEUM":
        raise ValueError(f"the command stream's metadata begins with {magic!r}, not VEUM")
    config, identity = struct.unpack_from("<II", data, 40)
    stream = data[28 + metadata_size : 24 + size]
    if kind != 1 or not stream or len(data) < 24 + size:
        raise ValueError("the command stream's entry does not fit the data")
    return stream, config, identity
