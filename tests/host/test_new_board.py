"""A board of one's own: a copy of ours, or from a CMSIS-Pack, in the user's project."""

import zipfile
from pathlib import Path

import pytest

from mcu_build.board import find_board
from mcu_build.errors import Exit
from tests.support.cli import mcu_build

PDSC = """<?xml version="1.0" encoding="UTF-8"?>
<package schemaVersion="1.4"><vendor>Acme</vendor><name>Acme_DFP</name><description>-</description>
<url>https://example.com/</url><releases><release version="1.0.0">-</release></releases>
<devices><family Dfamily="AC" Dvendor="ACME:1">
<processor Dcore="{core}" Dfpu="{fpu}" Dendian="Little-endian" {more}/>
<memory id="IRAM1" start="0x20000000" size="0x4000" default="1"/>
<device Dname="AC32X"><memory id="IROM2" start="0x00400000" size="0x8000"/>
<memory id="IROM1" start="0x08000000" size="0x40000" startup="1" default="1"/>
<memory name="Big RAM" access="rwx" start="0x24000000" size="0x20000" default="1"/></device>
<device Dname="AC32Y"></device></family></devices></package>"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pack(folder: Path, core: str = "Cortex-M7", fpu: str = "DP_FPU", more: str = "") -> Path:
    file = folder / "Acme.Acme_DFP.1.0.0.pack"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("Acme.Acme_DFP.pdsc", PDSC.format(core=core, fpu=fpu, more=more))
    return file


def test_a_copy_is_a_board_of_the_project(project: Path) -> None:
    assert mcu_build("boards", "new", "my-board", "--like", "nrf52840-dk").status == 0
    ours, own = find_board("nrf52840-dk"), find_board("my-board", project)
    assert own.model_copy(update={"id": ours.id}) == ours
    listed = mcu_build("boards", "--json").json["boards"]
    assert "my-board" in {row["id"] for row in listed}
    checked = mcu_build("boards", "check", "boards/my-board.toml", "--json")
    assert checked.status == 0
    assert checked.json["known"] and checked.json["differences"] == []
    assert mcu_build("boards", "my-board", "--json").json["board"]["core"] == "cortex-m4"


def test_nothing_is_overwritten_and_nonsense_is_refused(project: Path) -> None:
    assert mcu_build("boards", "new", "mine", "--like", "microbit").status == 0
    before = (project / "boards/mine.toml").read_text()
    for words, status, text in (
        (("mine", "--like", "microbit"), Exit.INPUT, "there is such a file already"),
        (("other",), Exit.USAGE, "one of --like and --from-pack"),
        (("other", "--like", "microbit", "--from-pack", "X"), Exit.USAGE, "one of --like and --from-pack"),
        (("other", "--like", "no-such-board"), Exit.INPUT, "no board is called 'no-such-board'"),
        (("../other", "--like", "microbit"), Exit.USAGE, "is not a name"),
    ):
        result = mcu_build("boards", "new", *words)
        assert result.status == status and text in result.err, words
    assert (project / "boards/mine.toml").read_text() == before
    assert [file.name for file in (project / "boards").iterdir()] == ["mine.toml"]


def test_every_mistake_and_a_difference_are_told(project: Path) -> None:
    mcu_build("boards", "new", "mine", "--like", "nrf52840-dk")
    file = project / "boards/mine.toml"
    text = file.read_text()
    file.write_text(text.replace('size = "256K"', 'size = "512K"'))
    result = mcu_build("boards", "check", file)
    assert result.status == 0
    assert "memory 'ram': pyocd's nrf52840 has no RAM at 0x20040000" in result.err
    file.write_text(text.replace('"single"', '"double"').replace('arena = "ram"', 'arena = "sram"'))
    result = mcu_build("boards", "check", file)
    assert result.status == Exit.INPUT and result.err.count("error: ") == 2


def test_a_part_of_a_pack_becomes_a_board(project: Path) -> None:
    file = pack(project)
    assert mcu_build("boards", "new", "acme", "--from-pack", "ac32x", "--pack", file).status == 0
    board = find_board("acme", project)
    assert (board.core, board.fpu, board.dsp, board.mve) == ("cortex-m7", "double", True, False)
    assert [(one.name, one.origin, one.size, one.access) for one in board.memory] == [
        ("irom1", 0x0800_0000, 0x40000, "rx"),
        ("irom2", 0x0040_0000, 0x8000, "rx"),
        ("big_ram", 0x2400_0000, 0x20000, "rwx"),
        ("iram1", 0x2000_0000, 0x4000, "rwx"),
    ]
    assert (board.placement.vectors, board.placement.arena) == ("irom1", "big_ram")
    assert (board.flash.pyocd.target, board.flash.pyocd.pack) == ("ac32x", "AC32X")
    assert mcu_build("boards", "check", "boards/acme.toml").status == 0


@pytest.mark.parametrize(
    ("core", "fpu", "more", "found"),
    [
        ("Cortex-M0+", "NO_FPU", "", ("cortex-m0plus", "none", False, False)),
        ("Cortex-M4", "1", "", ("cortex-m4", "single", True, False)),
        ("Cortex-M33", "SP_FPU", 'Ddsp="DSP"', ("cortex-m33", "single", True, False)),
        ("Cortex-M33", "0", "", ("cortex-m33", "none", False, False)),
        ("Cortex-M55", "SP_FPU", 'Dmve="FP_MVE"', ("cortex-m55", "double", True, True)),
    ],
)
def test_cores_of_packs(project: Path, core: str, fpu: str, more: str, found: tuple[object, ...]) -> None:
    file = pack(project, core, fpu, more)
    assert mcu_build("boards", "new", "acme", "--from-pack", "AC32X", "--pack", file).status == 0
    board = find_board("acme", project)
    assert (board.core, board.fpu, board.dsp, board.mve) == found


def test_parts_and_packs_that_are_not_there(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, nonsense = pack(project), project / "nonsense.pack"
    nonsense.write_text("no zip")
    other = project / "other"
    other.mkdir()
    for part, source, text in (
        ("AC99", file, "has no such part"),
        ("AC32Y", file, "lists no flash"),
        ("AC32X", nonsense, "not a CMSIS-Pack"),
        ("AC32X", project / "none.pack", "not a CMSIS-Pack"),
        ("AC32X", pack(other, core="SC000"), "its core is 'SC000'"),
    ):
        result = mcu_build("boards", "new", "acme", "--from-pack", part, "--pack", source)
        assert result.status == Exit.INPUT and text in result.err, result.err
    from pyocd.target.pack.pack_target import ManagedPacks

    monkeypatch.setattr(ManagedPacks, "get_installed_targets", lambda: [])
    result = mcu_build("boards", "new", "acme", "--from-pack", "STM32L432KCUx")
    assert result.status == Exit.TOOL_MISSING and "pyocd pack install STM32L432KCUx" in result.err
    assert not (project / "boards").exists()
