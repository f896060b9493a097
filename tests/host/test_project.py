"""The project file: options beat the environment, which beats the file."""

import pytest

from mcu_build.board import board_files, find_board
from mcu_build.errors import McuError
from mcu_build.flash import via
from mcu_build.fronts import project
from tests.support.cli import mcu_build

TEXT = """
board = "nowhere"
optimize = "size"
build_dir = "out"
max_flash = "64K"

[models.small]
file = "nets/small.py"
board = "elsewhere"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "nets").mkdir()
    (tmp_path / "mcu-build.toml").write_text(TEXT)
    for name in ("small", "large"):
        (tmp_path / "nets" / f"{name}.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MCU_BOARD", raising=False)
    return tmp_path


def test_settings_of_a_model(folder):
    file = project.find(folder / "nets" / "large.py")
    assert file.settings(folder / "nets" / "large.py") == {
        "board": "nowhere",
        "optimize": "size",
        "build_dir": folder / "out",
        "max_flash": 64 << 10,
    }
    assert file.settings(folder / "nets" / "small.py")["board"] == "elsewhere"
    assert file.settings()["board"] == "nowhere"


def test_the_nearest_file_counts(folder):
    (folder / "nets" / "pyproject.toml").write_text('[tool.mcu-build]\nboard = "near"\n')
    assert project.find(folder / "nets" / "small.py").settings()["board"] == "near"
    (folder / "nets" / "pyproject.toml").write_text('[tool.other]\nboard = "near"\n')
    assert project.find(folder / "nets" / "small.py").settings()["board"] == "nowhere"


def test_options_beat_the_environment_which_beats_the_file(folder, monkeypatch):
    # No such boards: the error names the one that was chosen.
    assert "'nowhere'" in mcu_build("build", "nets/large.py").err
    assert "'elsewhere'" in mcu_build("size", "nets/small.py").err
    monkeypatch.setenv("MCU_BOARD", "environment")
    assert "'environment'" in mcu_build("test", "nets/large.py").err
    assert "'option'" in mcu_build("profile", "-b", "option", "nets/large.py").err
    monkeypatch.delenv("MCU_BOARD")
    assert "'nowhere'" in mcu_build("compare", "nets/large.py").out
    assert "'nowhere'" in mcu_build("monitor").err


def test_a_model_by_name_and_a_folder(folder):
    assert "'elsewhere'" in mcu_build("small").err
    assert "'elsewhere'" in mcu_build("build", ".").err
    assert "no verb 'smal'. Did you mean small?" in mcu_build("smal").err
    refused = mcu_build("build", "nets", "-b", "host").err
    assert "no model in this folder" in refused and "mcu-build new" in refused
    (folder / "nets" / "small.py").unlink()
    gone = mcu_build("build", "-b", "host", "small").err
    assert "mcu-build.toml: models.small.file: " in gone and "no such file" in gone
    (folder / "nets" / "model.py").write_text("raise RuntimeError('found')")
    assert "found" in mcu_build("build", "nets", "-b", "host").err


@pytest.mark.parametrize("verb", ["build", "verify", "fit"])
def test_no_board_at_all(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MCU_BOARD", raising=False)
    (tmp_path / "net.py").write_text("")
    result = mcu_build(verb, "net.py")
    assert result.status == 2
    for words in ("--board", "MCU_BOARD", "mcu-build.toml"):
        assert words in result.err


def test_every_mistake_is_named(folder):
    (folder / "mcu-build.toml").write_text('bord = "x"\nio = "int4"\n[models.a]\nboard = "y"\n')
    with pytest.raises(McuError) as caught:
        project.find(folder)
    lines = caught.value.message.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["io", "models.a.file", "bord"]
    assert "no such key" in caught.value.message and "max_flash" in caught.value.hint
    (folder / "mcu-build.toml").write_text("board = \n")
    with pytest.raises(McuError, match="not TOML"):
        project.find(folder)


def test_a_broken_board_does_not_break_the_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "mine.toml").write_text('name = "x"\ncore = "z80"\n')
    shown = mcu_build("boards")
    assert shown.status == 0 and "corstone-300" in shown.out and "mine.toml: core" in shown.err
    listed = mcu_build("boards", "--json").json
    assert [row["id"] for row in listed["broken"]] == ["mine"]
    pico = next(row for row in listed["boards"] if row["id"] == "raspberry-pi-pico")
    assert pico["flash"][0] == "uf2" and pico["simulators"] == []


def test_a_board_that_shows_a_drive_is_written_there():
    ways = {id: via.usual(find_board(id)) for id in board_files() if id != "host"}
    assert {id for id, way in ways.items() if way == "uf2"} == {"raspberry-pi-pico", "pico2"}
    assert via.usual(find_board("pico2"), "E6614103E7") == "pyocd"
