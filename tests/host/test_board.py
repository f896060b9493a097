"""Board files: what is accepted, and every mistake told at once."""

from pathlib import Path

import pytest

from mcu_build.board import board_files, find_board, load_board
from mcu_build.errors import Exit, McuError

GOOD = """
name = "A board"
core = "cortex-m4"
fpu = "single"
dsp = true

[[memory]]
name = "flash"
origin = 0x08000000
size = "1M"
access = "rx"

[[memory]]
name = "ram"
origin = 0x20000000
size = "128K"
access = "rwx"

[placement]
vectors = "flash"
code = "flash"
constants = "flash"
data = "ram"
arena = "ram"
stack = "ram"
"""


def written(folder: Path, text: str, name: str = "mine.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text)
    return file


def mistakes(folder: Path, text: str) -> list[str]:
    file = written(folder, text)
    with pytest.raises(McuError) as caught:
        load_board(file)
    assert caught.value.exit_code == Exit.INPUT
    lines = caught.value.message.splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines)
    return [line.removeprefix(f"{file}: ") for line in lines]


def test_a_good_file_is_a_board(tmp_path: Path) -> None:
    board = load_board(written(tmp_path, GOOD))
    assert (board.id, board.core, board.memory_named("flash").size) == ("mine", "cortex-m4", 1 << 20)


def test_every_board_has_a_clock():
    """Without one there are no milliseconds. This computer's own is none of a board."""
    boards = [load_board(file) for file in board_files().values()]
    clocks = {board.id: board.clock for board in boards}
    assert [name for name, clock in clocks.items() if clock is None] == ["host"]
    for board in boards:
        text = f"{(board.clock or 0) / 1e6:g} MHz"
        assert board.is_host or any(text in words for words in board.sources), board.id


@pytest.mark.parametrize("name", sorted(board_files()))
def test_every_board_of_ours_is_good_and_names_its_sources(name: str) -> None:
    board = find_board(name)
    assert board.sources
    # So that a board of a project can extend any of ours.
    assert "extends" not in board_files()[name].read_text()
    assert board.is_host or board.run.qemu or board.run.fvp or board.flash.pyocd
    assert hash(board) == hash(find_board(name))


def test_the_boards_are_those_that_we_promise() -> None:
    assert {
        "corstone-300",
        "corstone-310",
        "corstone-315",
        "corstone-320",
        "mps2-an386",
        "mps2-an500",
        "mps2-an505",
        "mps2-an385",
        "microbit",
        "netduinoplus2",
        "host",
    } <= set(board_files())


def test_three_mistakes_are_three_lines(tmp_path: Path) -> None:
    text = GOOD.replace('"cortex-m4"', '"cortex-m5"').replace('"1M"', '"1Q"') + '\n[consol]\nkind = "none"\n'
    lines = mistakes(tmp_path, text)
    assert len(lines) == 3
    assert any(line.startswith("core: ") and "cortex-m5" in line for line in lines)
    assert any(line.startswith("memory.0.size: ") and "1Q" in line for line in lines)
    assert any(line.startswith("consol: ") for line in lines)


def test_three_contradictions_are_three_lines(tmp_path: Path) -> None:
    text = GOOD.replace('fpu = "single"', 'fpu = "double"')
    text = text.replace('arena = "ram"', 'arena = "sram"').replace('stack = "ram"', 'stack = "flash"')
    assert mistakes(tmp_path, text) == [
        "fpu: cortex-m4 cannot have 'double'; possible: none or single",
        "placement.arena: no memory is called 'sram'; there are: flash, ram",
        "placement.stack: memory 'flash' cannot be written",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0x20000000", "0x080FF000", "memory: 'flash' and 'ram' overlap"),
        ('name = "ram"', 'name = "flash"', "memory.name: two memories are called 'flash'"),
        ('name = "ram"', 'name = "my ram"', "memory.name: 'my ram' is not a word"),
        ('code = "flash"', 'code = "data"', "placement.code: no memory is called 'data'"),
        ("dsp = true", "dsp = false", "dsp: cortex-m4 cannot have 'false'; possible: true"),
        ("dsp = true", "dsp = true\nmve = true", "mve: cortex-m4 cannot have 'true'; possible: false"),
        ("dsp = true", "dsp = true\ntrustzone = true", "trustzone: cortex-m4 cannot have it"),
        ("dsp = true", 'dsp = true\nconsole = "uart"', "console: the board describes no [uart]"),
        ("dsp = true", 'dsp = true\nuart = {kind = "cmsdk-uart", divider = 1}', "uart.base: missing"),
        ("dsp = true", 'dsp = true\ndma = {driver = "stm32-mdma"}', "dma: base: missing"),
        ("dsp = true", 'dsp = true\ndma = {driver = "application", base = 0}', "dma: base: the application"),
        ("dsp = true", "dsp = true\nsetup = [{address = 0, value = 1}]", "setup.0.why: missing"),
        ("dsp = true", "dsp = true\nstack_size = 0", "stack_size: "),
        ("dsp = true", "dsp = true\nclock = 0", "clock: "),
        ('name = "ram"', 'name = "ram"\ntiming = {kind = "fast"}', "memory.1.timing.kind: "),
        ('name = "ram"', 'name = "ram"\ntiming = {kind = "sram", line = 5}', "memory.1.timing.line: "),
        ('name = "ram"', 'name = "ram"\ntiming = {kind = "tcm", waits = 1}', "memory.1.timing: "),
        ('name = "ram"', 'name = "ram"\ntiming = {kind = "sram", prefetch = true}', "memory.1.timing: "),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    assert any(line.startswith(message) for line in mistakes(tmp_path, GOOD.replace(old, new)))


def test_memories_may_not_overlap_in_the_secure_view_either(tmp_path: Path) -> None:
    text = GOOD.replace('"cortex-m4"', '"cortex-m33"\ntrustzone = true')
    secure = text.replace("origin = 0x08000000", "origin = 0x08000000\nsecure_alias = 0x1FF80000")
    assert load_board(written(tmp_path / "apart", text)).trustzone
    assert mistakes(tmp_path, secure) == ["memory: 'flash' and 'ram' overlap in the secure view"]


def test_an_unknown_board_offers_the_nearest() -> None:
    with pytest.raises(McuError) as caught:
        find_board("corstone300")
    assert "no board is called 'corstone300'" in caught.value.message
    assert "corstone-300" in caught.value.hint


def test_a_name_like_no_other_offers_all() -> None:
    with pytest.raises(McuError) as caught:
        find_board("zzzz")
    assert all(name in caught.value.hint for name in board_files())


def test_a_projects_own_board_is_found_and_extends_ours(tmp_path: Path) -> None:
    written(tmp_path / "boards", 'extends = "mps2-an386"\nname = "Mine"\nstack_size = "2K"\n')
    board, base = find_board("mine", tmp_path), find_board("mps2-an386")
    assert (board.name, board.stack_size) == ("Mine", 2048)
    assert (board.memory, board.placement, board.run) == (base.memory, base.placement, base.run)


def test_boards_lie_beside_the_model_the_project_file_or_the_current_folder(tmp_path: Path, monkeypatch):
    here, project, nets = tmp_path / "here", tmp_path / "project", tmp_path / "project" / "nets" / "small"
    for folder, name in ((here, "a"), (project, "b"), (nets, "c"), (project / "nets", "d")):
        written(folder / "boards", f'extends = "mps2-an386"\nname = "{name}"\n', f"{name}.toml")
    for folder in (here, project, nets):
        written(folder / "boards", f'extends = "mps2-an386"\nname = "{folder.name}"\n', "all.toml")
    (project / "mcu-build.toml").write_text("")
    monkeypatch.chdir(here)
    assert [find_board(name, nets).name for name in "abc"] == ["a", "b", "c"]
    assert find_board("all", nets).name == "small"  # the nearest to the model
    with pytest.raises(McuError, match="no board is called 'd'"):
        find_board("d", nets)


def test_a_table_extends_key_by_key_and_a_list_is_replaced(tmp_path: Path) -> None:
    written(tmp_path, GOOD, "base.toml")
    text = 'extends = "base"\n[placement]\nconstants = "ram"\n'
    board = load_board(written(tmp_path, text))
    assert board.placement is not None
    assert (board.placement.constants, board.placement.code) == ("ram", "flash")
    memory = '[[memory]]\nname = "flash"\norigin = 0\nsize = "1K"\naccess = "rx"\n'
    lines = mistakes(tmp_path, f'extends = "base"\n{memory}')
    assert "placement.data: no memory is called 'ram'; there are: flash" in lines


def test_extending_goes_one_level_deep(tmp_path: Path) -> None:
    written(tmp_path, GOOD, "base.toml")
    written(tmp_path, 'extends = "base"\n', "middle.toml")
    (line,) = mistakes(tmp_path, 'extends = "middle"\n')
    assert line == "extends: 'middle' itself extends another board"
    (line,) = mistakes(tmp_path, 'extends = "nothing"\n')
    assert line == "extends: no board is called 'nothing'"


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, "name = \n")
    assert line.startswith("not valid TOML: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(McuError, match=r"absent\.toml: No such file"):
        find_board(str(tmp_path / "absent.toml"))


NPU = """
[npu]
base = 0x48102000
irq = 5
[[npu.options]]
kind = "ethos-u55"
macs = [64, 128]
system_config = "Ethos_U55_High_End_Embedded"
memory_mode = "Shared_Sram"
"""


def test_an_npu_has_names_and_an_address(tmp_path: Path) -> None:
    text = GOOD.replace('access = "rwx"', 'access = "rwx"\nnpu = true') + NPU
    board = load_board(written(tmp_path, text))
    assert board.npu is not None
    assert (board.npu.names, board.npu.default) == (("ethos-u55-64", "ethos-u55-128"), "none")
    assert board.npu_address == 0x48102000
    ours = find_board("corstone-300")
    assert ours.npu is not None and ours.npu_address == ours.npu.secure_alias == 0x58102000


def test_mistakes_in_an_npu_are_named(tmp_path: Path) -> None:
    text = GOOD + NPU.replace("irq = 5", 'irq = 32\ndefault = "ethos-u55-32"')
    assert mistakes(tmp_path, text) == [
        "npu.default: there is no 'ethos-u55-32'; possible: none, ethos-u55-64, ethos-u55-128",
        "npu.irq: 32 is beyond the board's 32 interrupts",
        "npu: it reaches no memory; mark one with npu = true",
    ]
    (line,) = mistakes(tmp_path / "macs", GOOD + NPU.replace("[64, 128]", "[65]"))
    assert line.startswith("npu.options.0.macs.0: ")
    text = text.replace("irq = 32", "irq = 3").replace("[64, 128]", "[]")
    assert mistakes(tmp_path / "none", text)[0] == "npu.options: no NPU is named"


def test_every_kind_of_npu_has_an_fvp_where_there_is_one(tmp_path: Path) -> None:
    text = GOOD.replace('access = "rwx"', 'access = "rwx"\nnpu = true') + NPU
    fvp = '[run.fvp]\nplatform = "mps3"\n[run.fvp.binaries]\nethos-u65 = "FVP"\n'
    assert mistakes(tmp_path, text + fvp) == ["run.fvp.binaries: none is named for ethos-u55"]
    good = load_board(written(tmp_path, text + fvp.replace("u65", "u55"), "good.toml"))
    assert good.run.fvp is not None
    assert good.run.fvp.binary("ethos-u55") == good.run.fvp.binary(None) == "FVP"
    (line,) = mistakes(tmp_path / "empty", text + fvp.replace('ethos-u65 = "FVP"', ""))
    assert line.startswith("run.fvp.binaries: ")
