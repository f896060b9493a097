"""Layers measured on a device: the core is walked from call to call.

QEMU's cycle counter stands still. So a test's own counts the symbol that the core has come to.
"""

from pathlib import Path

import pytest

from mcu_build.board import find_board
from mcu_build.codegen.model import generate
from mcu_build.codegen.target import kernel_folders
from mcu_build.errors import Exit, McuError
from mcu_build.flash import gdb_server
from mcu_build.flash.gdb_server import GdbServer
from mcu_build.flash.image import read_image
from mcu_build.flash.probe import PC, program
from mcu_build.plan.compile import Settings, compile_program
from mcu_build.plan.describe import describe
from mcu_build.profile import on_device
from mcu_build.profile.measure import read
from mcu_build.stages.images import BuildInputs, build
from tests.support.boards import empty_board
from tests.support.chains import depthwise_chain
from tests.support.image import CROSS


class Counting(GdbServer):
    """A board whose counter goes on by 1,000 between two looks, over the end of its 32 bits."""

    looks = 0

    def read_memory(self, address: int, size: int) -> bytes:
        if address != 0xE000_1004:
            return super().read_memory(address, size)
        self.looks += 1
        self.places.append(self.read_register(PC))
        return ((1 << 32) - 2_500 + 1_000 * self.looks & 0xFFFF_FFFF).to_bytes(4, "little")

    @property
    def places(self) -> list[int]:
        return self.__dict__.setdefault("_places", [])


@pytest.mark.parametrize("toolchain", CROSS)
def test_every_layer_is_walked(tmp_path: Path, toolchain, monkeypatch: pytest.MonkeyPatch) -> None:
    board = find_board("netduinoplus2")
    source, x = depthwise_chain(3)
    plan = compile_program(source, "chain", Settings(kernel_folders(board)))
    (tmp_path / "src").mkdir()
    for name, text in generate(plan).items():
        (tmp_path / "src" / name).write_text(text)
    elf = build(BuildInputs("chain", board, toolchain, tmp_path))["device_elf"]
    image, executable, rows = read_image(elf), read(elf, "chain", board.core), describe(plan)["operators"]
    with empty_board(board, tmp_path / "board") as target:
        with gdb_server.connect(target.via) as probe:
            program(probe, image)
            with pytest.raises(McuError, match="cortex-m4: its cycle counter stands still") as caught:
                on_device.measure(probe, image, executable, rows, x.tobytes(), 60)
            assert caught.value.exit_code == Exit.INPUT
        monkeypatch.setattr(gdb_server, "GdbServer", Counting)
        with gdb_server.connect(target.via) as probe:
            assert isinstance(probe, Counting)
            found = on_device.measure(probe, image, executable, rows, x.tobytes(), 60)
    assert [layer.cycles for layer in found] == [1_000] * len(rows)
    assert [layer.macs for layer in found] == [row["macs"] for row in rows]
    run = executable.run
    assert len(probe.places) == len(rows) + 1 > 4 and probe.places[0] == run.address
    assert probe.places[:-1] == sorted(set(probe.places[:-1]))
    assert all(run.address <= place < run.address + run.size for place in probe.places[:-1])
    assert not run.address <= probe.places[-1] < run.address + run.size  # behind the last: in the harness
    assert f"{len(rows)},000 cycles an inference" in on_device.table(found)
    assert on_device.table(found, 1_000_000).endswith(f"{len(rows)}.000 ms at 1 MHz")
